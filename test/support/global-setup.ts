/**
 * Runs once before all test files of `npm test` (`node --test --test-global-setup`), and saves them time. A file that
 * runs by itself does without it.
 *
 * - The tests start many processes, and each loads a hundred TypeScript files. They share a compile cache.
 * - The programs that tests start most often are built, and start in half the time.
 * - Making a PostgreSQL cluster takes most of a server's start, and making the tables of a store most of its first
 *   opening. All servers copy one cluster, which has a store with nothing in it.
 * - The frameworks that adapters are tested with are installed, where they are not yet.
 */
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installFrameworks } from "../frameworks/install.ts";
import { clusterVariable, createClusterWithStore } from "../postgres/server.ts";
import { buildPrograms } from "./programs.ts";

const folders: string[] = [];

export async function globalSetup(): Promise<void> {
  process.env["NODE_COMPILE_CACHE"] ??= join(tmpdir(), "node-compile-cache");
  const [, built, cluster] = await Promise.all([
    installFrameworks("of this run"),
    buildPrograms(),
    createClusterWithStore(),
  ]);
  folders.push(built);
  folders.push(cluster);
  process.env[clusterVariable] = cluster;
}

export function globalTeardown(): void {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}
