import { execFile } from "node:child_process";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { alternate, type Measure } from "./measure.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));

/** The import of a door as users have it: built, in a process of its own, beside a process that imports nothing. */
export async function importTime(folder: string, door: "index" | "adapters/ai" = "index"): Promise<Measure> {
  const built = join(folder, "package");
  await mkdir(built);
  await writeFile(join(built, "package.json"), JSON.stringify({ type: "module" }));
  await symlink(join(root, "node_modules"), join(built, "node_modules"));
  const rolldown = join(root, "node_modules", "rolldown", "bin", "cli.mjs");
  const build = [rolldown, "-c", "rolldown.config.ts", "--dir", join(built, "dist")];
  await run(process.execPath, build, { cwd: root });

  const imports = join(built, "imports.js");
  const nothing = join(built, "nothing.js");
  await writeFile(imports, `import ${JSON.stringify(pathToFileURL(join(built, "dist", `${door}.js`)).href)};\n`);
  await writeFile(nothing, "");
  const { ours, limit } = await alternate(15, {
    ours: () => timeOf(imports),
    limit: () => timeOf(nothing),
  });
  return {
    name: `import "${door === "index" ? "perdure" : "perdure/ai"}", built`,
    unit: "ms",
    ours,
    limit,
    limitName: "node alone",
    value: ours - limit,
    valueUnit: "ms",
    bar: { atMost: 30 },
  };
}

async function timeOf(script: string): Promise<number> {
  const start = performance.now();
  await run(process.execPath, [script]);
  return performance.now() - start;
}
