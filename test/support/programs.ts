/**
 * The programs that tests start as processes. `npm test` builds them once: a program of a few files starts in half the
 * time of a hundred TypeScript files. A test file that runs by itself starts the sources.
 */
import { chmodSync, copyFileSync, mkdtempSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const project = fileURLToPath(new URL("../..", import.meta.url));

/** The sources of the programs, and their names in the folder of the built ones. */
const programs = {
  "src/cli/main.ts": "cli/main",
  "test/processes/worker.ts": "test/worker",
  "test/server/instance.ts": "test/instance",
} as const;

/** Names the folder of the built programs. */
const folderVariable = "PERDURE_TEST_PROGRAMS";

/** The main module of a program. */
export function programOf(source: keyof typeof programs): string {
  const folder = process.env[folderVariable];
  return folder === undefined ? join(project, source) : join(folder, "dist", `${programs[source]}.js`);
}

/** The folder of the built package, `dist`; undefined in a test file that runs by itself. */
export function builtPackage(): string | undefined {
  const folder = process.env[folderVariable];
  return folder === undefined ? undefined : join(folder, "dist");
}

/** Builds the programs beside the package, in a folder of their own, since a test packs `dist/`. Gives back the folder. */
export async function buildPrograms(): Promise<string> {
  const { build } = await import("rolldown");
  const { default: config } = await import("../../rolldown.config.ts");
  const { pagesIn } = await import("../../rolldown.studio.config.ts");
  const folder = mkdtempSync(join(tmpdir(), "perdure-built-"));
  chmodSync(folder, 0o755); // a test runs the command line as another user
  copyFileSync(join(project, "package.json"), join(folder, "package.json"));
  symlinkSync(join(project, "node_modules"), join(folder, "node_modules"));
  const input = Object.fromEntries(Object.entries(programs).map(([source, name]) => [name, `./${source}`]));
  await build({
    ...config,
    cwd: project,
    logLevel: "warn",
    input: { ...(config.input as Record<string, string>), ...input },
    output: { ...config.output, dir: join(folder, "dist") },
  });
  for (const pages of pagesIn(join(folder, "dist"))) await build({ ...pages, logLevel: "warn" });
  process.env[folderVariable] = folder;
  return folder;
}
