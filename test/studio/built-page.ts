/** The pages, built: `npm test` builds them once beside its programs, a file that runs by itself builds them here. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { build } from "rolldown";
import { pagesIn } from "../../rolldown.studio.config.ts";
import { studioFiles, type StudioFiles } from "../../src/studio/files.ts";

/** The files of the studio's page. */
export async function builtPage(): Promise<StudioFiles> {
  return studioFiles(join(await builtPages(), "studio/page"));
}

/** The folder of the pages that are one file. */
export async function standaloneFolder(): Promise<string> {
  return join(await builtPages(), "studio/standalone");
}

async function builtPages(): Promise<string> {
  const programs = process.env["PERDURE_TEST_PROGRAMS"];
  if (programs !== undefined) return join(programs, "dist");
  const folder = mkdtempSync(join(tmpdir(), "perdure-studio-"));
  after(() => rmSync(folder, { recursive: true }));
  for (const options of pagesIn(folder)) await build({ ...options, logLevel: "warn" });
  return folder;
}
