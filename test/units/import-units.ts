/**
 * The tests that stand beside the sources run in two processes, one for each core of a small machine. Each loads the
 * sources once, and caches their compiled code.
 */
import { globSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { loadTests } from "../support/load-tests.ts";

const project = new URL("../../", import.meta.url);

/** Matches the paths of about half of the tests, by the time that they take. */
export const sessionUnits: RegExp = /^src\/(sessions|manager)\//;

/** Imports the tests beside the sources whose paths are wanted. */
export async function importUnits(isWanted: (path: string) => boolean): Promise<void> {
  enableCompileCache();
  const paths = globSync("src/**/*.test.ts", { cwd: project }).map((path) => path.replaceAll("\\", "/"));
  const wanted = paths.filter(isWanted).toSorted();
  await loadTests(wanted.map((path) => new URL(path, project).href));
}
