/** Runs the tests that stand beside all other sources, in one process. */
import { importFiles, sessionUnits } from "./import-files.ts";

await importFiles("src/**/*.test.ts", (path) => !sessionUnits.test(path));
