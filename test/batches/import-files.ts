/**
 * Runs many files of tests in one process, which loads the sources once, where each file by itself would take half a
 * second of processor time to load them. Each file can still be run by itself.
 */
import { globSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { loadTests } from "../support/load-tests.ts";

const project = new URL("../../", import.meta.url);

/** Matches the paths of about half of the tests beside the sources, by the time that they take. */
export const sessionUnits: RegExp = /^src\/(sessions|manager)\//;

/** Imports the files of tests that the pattern matches, those that are wanted. */
export async function importFiles(
  pattern: string,
  isWanted: (path: string, index: number) => boolean = () => true,
): Promise<void> {
  enableCompileCache();
  const paths = globSync(pattern, { cwd: project }).map((path) => path.replaceAll("\\", "/"));
  const wanted = paths.toSorted().filter(isWanted);
  await loadTests(wanted.map((path) => new URL(path, project).href));
}
