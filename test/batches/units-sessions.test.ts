/** Runs the tests that stand beside the sources of sessions and managers, in one process. */
import { importFiles, sessionUnits } from "./import-files.ts";

await importFiles("src/**/*.test.ts", (path) => sessionUnits.test(path));
