/** Runs the tests that stand beside the sources, in one process. It loads the sources once, and caches their compiled code. */
import { globSync } from "node:fs";
import { enableCompileCache } from "node:module";

enableCompileCache();
const project = new URL("../", import.meta.url);
for (const path of globSync("src/**/*.test.ts", { cwd: project }).toSorted()) await import(new URL(path, project).href);
