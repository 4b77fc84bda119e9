/** Runs the tests that stand beside the sources of sessions and managers, in one process. */
import { importUnits, sessionUnits } from "./import-units.ts";

await importUnits((path) => sessionUnits.test(path));
