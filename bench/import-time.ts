/** The import of an entry point as users have it: built, in a process of its own, beside a process without it. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import manifest from "../package.json" with { type: "json" };
import { alternate, type Measure } from "./measure.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));

/** The built files of the entry points, by the names that users import them by. */
export const entryPoints: ReadonlyMap<string, string> = new Map(
  Object.entries(manifest.exports).flatMap(([path, door]) =>
    typeof door === "string" ? [] : [[`perdure${path.slice(1)}`, door.default] as const],
  ),
);

/** Builds the package in a folder of its own inside `folder`, and resolves with that folder. */
export async function buildPackage(folder: string): Promise<string> {
  const built = join(folder, "package");
  await mkdir(built);
  await writeFile(join(built, "package.json"), JSON.stringify({ type: "module" }));
  await symlink(join(root, "node_modules"), join(built, "node_modules"));
  const rolldown = join(root, "node_modules", "rolldown", "bin", "cli.mjs");
  await run(process.execPath, [rolldown, "-c", "rolldown.config.ts", "--dir", join(built, "dist")], { cwd: root });
  return built;
}

/** The processor time of the import of an entry point, without that of the peers that it imports. */
export async function importTime(built: string, name: string): Promise<Measure> {
  const file = join(built, entryPoints.get(name) ?? "");
  const peers = peersOf(file);
  const { ours, limit } = await alternate(9, {
    ours: () => timeOf([...peers, pathToFileURL(file).href], built),
    limit: () => timeOf(peers, built),
  });
  return {
    name: `import "${name}", built, processor time`,
    unit: "ms",
    ours,
    limit,
    limitName: ["node alone", ...peers].join(" with "),
    value: ours - limit,
    valueUnit: "ms",
    ...(isAdapter(file) || name === "perdure" ? { bar: { atMost: 30 } } : {}),
  };
}

function isAdapter(file: string): boolean {
  return basename(dirname(file)) === "adapters";
}

/** The peers that a built file imports at once, itself or by its parts. */
function peersOf(file: string): readonly string[] {
  const files = new Set([file]);
  const peers = new Set<string>();
  for (const one of files)
    for (const [, from = ""] of readFileSync(one, "utf8").matchAll(/^(?:import|export)\b[^;]*?"([^"]+)";$/gm)) {
      if (from.startsWith(".")) files.add(join(dirname(one), from));
      else if (Object.keys(manifest.peerDependencies).some((peer) => from === peer || from.startsWith(`${peer}/`)))
        peers.add(from);
    }
  return [...peers];
}

async function timeOf(imports: readonly string[], folder: string): Promise<number> {
  const lines = imports.map((one) => `await import(${JSON.stringify(one)});`);
  const script = join(folder, "imports.js");
  await writeFile(
    script,
    `${lines.join("\n")}\nconst { user, system } = process.cpuUsage();\nconsole.log(user + system);\n`,
  );
  return Number((await run(process.execPath, [script])).stdout) / 1000;
}
