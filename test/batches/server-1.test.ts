/** Runs one half of the tests of the server, in one process. */
import { importFiles } from "./import-files.ts";

await importFiles("test/server/*.test.ts", (_, index) => index % 2 === 0);
