/**
 * Installs the packages of each folder of framework tests, as its lock file lists them. The folders stand apart, since
 * the frameworks are large and some exclude each other. A folder whose packages are installed already is left alone.
 */
import { execFile } from "node:child_process";
import { existsSync, globSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { isThorough } from "../support/rounds.ts";

/** Folders that only a thorough run tests: they take longer to install than all others together. */
const rare: ReadonlySet<string> = new Set(["adk", "copilotkit", "genkit", "lowest-peers", "mastra"]);

/** Why this run leaves out the tests of a folder, false where it has them. */
export function leftOut(folder: string): string | false {
  if (rare.has(folder) && !isThorough) return "PERDURE_TEST_THOROUGH is not set";
  const isInstalled = existsSync(join(import.meta.dirname, folder, "node_modules"));
  return isInstalled ? false : "run node test/frameworks/install.ts";
}

/**
 * Installs all folders, or those that this run tests.
 *
 * @throws Error if `npm ci` fails in a folder, with its output
 */
export async function installFrameworks(which: "all" | "of this run" = "all"): Promise<void> {
  const locks = globSync("*/package-lock.json", { cwd: import.meta.dirname })
    .filter((lock) => which === "all" || isThorough || !rare.has(dirname(lock)))
    .toSorted();
  // Three at a time, since an installation waits for the registry and for the disk.
  const next = async (): Promise<void> => {
    for (let lock = locks.shift(); lock !== undefined; lock = locks.shift()) {
      await install(join(import.meta.dirname, lock, ".."));
    }
  };
  await Promise.all([next(), next(), next()]);
}

async function install(folder: string): Promise<void> {
  const wanted = readFileSync(join(folder, "package-lock.json"), "utf8");
  const installed = join(folder, "node_modules/.installed-lock.json");
  if (existsSync(installed) && readFileSync(installed, "utf8") === wanted) return;
  const args = ["ci", "--prefix", folder, "--silent", "--no-audit", "--no-fund"];
  await promisify(execFile)("npm", args, { timeout: 300_000, shell: process.platform === "win32" });
  writeFileSync(installed, wanted);
}

if (import.meta.main) await installFrameworks();
