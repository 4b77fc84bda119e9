/** Runs the tests that stand beside all other sources, in one process. */
import { importUnits, sessionUnits } from "./import-units.ts";

await importUnits((path) => !sessionUnits.test(path));
