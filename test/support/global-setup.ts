/**
 * Runs once before all test files of `npm test` (`node --test --test-global-setup`), and saves them time. A file that
 * runs by itself does without it.
 *
 * - The tests start many processes, and each loads a hundred TypeScript files. They share a compile cache.
 * - Making a PostgreSQL cluster takes most of a server's start. All servers copy one cluster.
 */
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { clusterVariable, createCluster } from "../postgres/server.ts";

let cluster: string | undefined;

export async function globalSetup(): Promise<void> {
  process.env["NODE_COMPILE_CACHE"] ??= join(tmpdir(), "node-compile-cache");
  cluster = await createCluster();
  process.env[clusterVariable] = cluster;
}

export function globalTeardown(): void {
  if (cluster !== undefined) rmSync(cluster, { recursive: true, force: true });
}
