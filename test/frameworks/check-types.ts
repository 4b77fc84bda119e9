/** Checks the types of each folder of framework tests against its packages: the adapters fit their frameworks. */
import { execFile } from "node:child_process";
import { globSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { installFrameworks } from "./install.ts";

const root = join(import.meta.dirname, "../..");
const compiler = join(root, "node_modules/typescript/bin/tsc");

await installFrameworks();
for (const config of globSync("*/tsconfig.json", { cwd: import.meta.dirname }).toSorted()) {
  const args = [compiler, "--noEmit", "--project", join(import.meta.dirname, config)];
  const checked = promisify(execFile)(process.execPath, args, { cwd: root });
  await checked.catch((error: unknown) => {
    console.error(String((error as { readonly stdout?: unknown }).stdout));
    process.exitCode = 1;
  });
}
