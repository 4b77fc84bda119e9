/** Each entry point loads what it needs and nothing else: the import of each of them, beside a process without it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildPackage, entryPoints, importTime } from "./import-time.ts";
import type { Bench } from "./measure.ts";

export const bench: Bench = async (report) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  try {
    const built = await buildPackage(folder);
    for (const name of entryPoints.keys()) report(await importTime(built, name));
  } finally {
    rmSync(folder, { recursive: true });
  }
};
