/** Runs a sixth of the tests of the command line, in one process. */
import { importFiles } from "./import-files.ts";

await importFiles("test/cli/*.test.ts", (_, index) => index % 6 === 5);
