import { engineNames, type EngineName } from "../crash/engines.ts";
import { isThorough } from "../support/rounds.ts";

/** The engines that a run tests the frameworks on. A quick run takes SQLite, since the conformance suite holds the engines alike. */
export const frameworkEngines: readonly EngineName[] = isThorough ? engineNames : ["SQLite"];
