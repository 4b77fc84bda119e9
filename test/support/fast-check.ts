/** Fast-check with the seed of the run. Tests import it from here; `test/tidy.test.ts` holds it. */
import { configureGlobal, readConfigureGlobal } from "fast-check";
import { seedOfRun } from "./seed.ts";

if (seedOfRun !== null) configureGlobal({ ...readConfigureGlobal(), seed: seedOfRun });

export * from "fast-check";
