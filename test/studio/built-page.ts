/** The page of the studio, built: `npm test` builds it once beside its programs, a file that runs by itself builds it here. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { build } from "rolldown";
import config from "../../rolldown.studio.config.ts";
import { studioFiles, type StudioFiles } from "../../src/studio/files.ts";

export async function builtPage(): Promise<StudioFiles> {
  const programs = process.env["PERDURE_TEST_PROGRAMS"];
  if (programs !== undefined) return studioFiles(join(programs, "dist/studio/page"));
  const folder = mkdtempSync(join(tmpdir(), "perdure-studio-"));
  after(() => rmSync(folder, { recursive: true }));
  await build({ ...config, logLevel: "warn", output: { ...config.output, dir: folder } });
  return studioFiles(folder);
}
