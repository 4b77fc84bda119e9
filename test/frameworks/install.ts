/**
 * Installs the packages of each folder of framework tests, as its lock file lists them. The folders stand apart, since
 * the frameworks are large and some exclude each other. A folder whose packages are installed already is left alone.
 */
import { execFile } from "node:child_process";
import { existsSync, globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

/** @throws Error if `npm ci` fails in a folder, with its output */
export async function installFrameworks(): Promise<void> {
  for (const lock of globSync("*/package-lock.json", { cwd: import.meta.dirname }).toSorted()) {
    const folder = join(import.meta.dirname, lock, "..");
    const wanted = readFileSync(join(folder, "package-lock.json"), "utf8");
    const installed = join(folder, "node_modules/.installed-lock.json");
    if (existsSync(installed) && readFileSync(installed, "utf8") === wanted) continue;
    const args = ["ci", "--prefix", folder, "--silent", "--no-audit", "--no-fund"];
    await promisify(execFile)("npm", args, { timeout: 300_000, shell: process.platform === "win32" });
    writeFileSync(installed, wanted);
  }
}

if (import.meta.main) await installFrameworks();
