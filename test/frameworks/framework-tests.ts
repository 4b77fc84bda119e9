/** The tests of one framework's adapter, with the framework itself, in a folder that has packages of its own. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { loadTests } from "../support/load-tests.ts";
import { leftOut } from "./install.ts";

/**
 * Loads the files of tests of a folder. Where its packages are not installed, each file is a skipped test. The types of
 * the folder are checked by `npm run types`.
 *
 * @param files paths inside the folder
 * @returns the option of further tests that need the packages
 */
export async function frameworkTests(
  name: string,
  files: readonly string[],
): Promise<{ readonly skip: string | false }> {
  const folder = join(import.meta.dirname, name);
  const skip = leftOut(name);
  // The addresses keep the compiler of the project from the packages that only the folder has.
  if (skip === false) await loadTests(files.map((file) => pathToFileURL(join(folder, file)).href));
  else for (const file of files) test(`the framework works with the adapter: ${name}/${file}`, { skip });
  return { skip };
}

/**
 * Runs files of a folder with other versions of its packages: those that it has under their names with `word` behind them.
 * A thorough run takes their quick form: the newest version has the thorough one, and the calls of the store are the same.
 */
export function testsWithPeers(
  name: string,
  { word, files, skip }: { readonly word: string; readonly files: readonly string[]; readonly skip: string | false },
): void {
  for (const file of files)
    test(`the framework works with the adapter: ${name}/${file}, ${word}`, { skip }, () =>
      runFile(name, file, { PERDURE_TEST_PEER: word, PERDURE_TEST_THOROUGH: "" }),
    );
}

/** Runs a file of tests as a process, which resolves the packages of its folder before it loads them. */
export async function runFile(name: string, file: string, environment: NodeJS.ProcessEnv): Promise<void> {
  const folder = join(import.meta.dirname, name);
  const env: NodeJS.ProcessEnv = { ...process.env, ...environment };
  // A file by itself, not a test that reports to this one.
  delete env["NODE_TEST_CONTEXT"];
  const args = ["--import", join(folder, "resolve.ts"), "--test-reporter=tap", join(folder, file)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env }).catch((error: unknown) => {
    const { stdout: out, stderr } = error as { readonly stdout?: unknown; readonly stderr?: unknown };
    throw new Error(`${file} has failed:\n${String(out)}\n${String(stderr)}`, { cause: error });
  });
  assert.match(stdout, /^# fail 0$/m);
  assert.match(stdout, /^# pass [1-9]/m);
}
