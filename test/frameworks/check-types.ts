/** Checks the types of each folder of framework tests against its packages: the adapters fit their frameworks. */
import { execFile } from "node:child_process";
import { globSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { installFrameworks } from "./install.ts";

const root = join(import.meta.dirname, "../..");
const compiler = join(root, "node_modules/typescript/bin/tsc");

/** The checkers of a compiler each check the types that they share: one alone takes half of the processor time of four. */
const oneChecker = ["--checkers", "1"];

await installFrameworks();
const configs = globSync("*/tsconfig.json", { cwd: import.meta.dirname }).toSorted();
const check = async (config: string): Promise<void> => {
  const args = [compiler, "--noEmit", ...oneChecker, "--project", join(import.meta.dirname, config)];
  const checked = promisify(execFile)(process.execPath, args, { cwd: root });
  await checked.catch((error: unknown) => {
    console.error(String((error as { readonly stdout?: unknown }).stdout));
    process.exitCode = 1;
  });
};
// Two at a time, one for each core of a small machine.
const next = async (): Promise<void> => {
  for (let config = configs.shift(); config !== undefined; config = configs.shift()) await check(config);
};
await Promise.all([next(), next()]);
