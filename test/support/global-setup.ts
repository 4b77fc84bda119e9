/**
 * Runs once before all test files of `npm test` (`node --test --test-global-setup`), and saves them time. A file that
 * runs by itself does without it.
 *
 * - The tests start many processes, and each loads a hundred TypeScript files. They share a compile cache.
 * - The command line starts in half the time from the few files of the published package. The tests run it from there.
 * - Making a PostgreSQL cluster takes most of a server's start. All servers copy one cluster.
 */
import { chmodSync, copyFileSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";
import config from "../../rolldown.config.ts";
import { commandLineVariable } from "../cli/command-line.ts";
import { clusterVariable, createCluster } from "../postgres/server.ts";

const project = fileURLToPath(new URL("../..", import.meta.url));
const folders: string[] = [];

export async function globalSetup(): Promise<void> {
  process.env["NODE_COMPILE_CACHE"] ??= join(tmpdir(), "node-compile-cache");
  process.env[commandLineVariable] = await buildCommandLine();
  const cluster = await createCluster();
  folders.push(cluster);
  process.env[clusterVariable] = cluster;
}

export function globalTeardown(): void {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}

/** Builds the package in a folder of its own, since a test packs `dist/`. Gives back the path of its command line. */
async function buildCommandLine(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "perdure-built-"));
  folders.push(folder);
  chmodSync(folder, 0o755); // a test runs the command line as another user
  copyFileSync(join(project, "package.json"), join(folder, "package.json"));
  symlinkSync(join(project, "node_modules"), join(folder, "node_modules"));
  await build({ ...config, cwd: project, logLevel: "warn", output: { ...config.output, dir: join(folder, "dist") } });
  return join(folder, "dist", "cli", "main.js");
}
