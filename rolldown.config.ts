/**
 * The package as it is published: a file for each door, and one for each part that is loaded when it is first used. Node
 * takes about half a millisecond for every file that it loads, and `import "perdure"` would be a hundred of them.
 */
import { fileURLToPath } from "node:url";
import type { ChunkingContext, CodeSplittingGroup, RolldownOptions } from "rolldown";
import manifest from "./package.json" with { type: "json" };

const doors = Object.values(manifest.exports).flatMap((door) => (typeof door === "string" ? [] : [door.default]));
/** What is started by its path. */
const programs = ["./dist/cli/main.js", "./dist/host/workers/worker-main.js"];

const packages = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies });

const source = (path: string): string => fileURLToPath(new URL(`src/${path}`, import.meta.url));

/** A file of the modules that `import "perdure"` loads at once and that pass a test. What it loads later is in no such file. */
function part(name: string, takes: (id: string, context: ChunkingContext) => boolean): CodeSplittingGroup {
  return {
    debugName: name,
    name: (id, context) => (importedBy("index.ts", context).has(id) && takes(id, context) ? name : null),
  };
}

const imported = new Map<string, ReadonlySet<string>>();

/** A source and what it imports at once, itself or by its imports. */
function importedBy(path: string, context: ChunkingContext): ReadonlySet<string> {
  const known = imported.get(path);
  if (known !== undefined) return known;
  const found = new Set([source(path)]);
  for (const id of found) for (const one of context.getModuleInfo(id)?.importedIds ?? []) found.add(one);
  imported.set(path, found);
  return found;
}

const build: RolldownOptions = {
  input: Object.fromEntries(
    [...doors, ...programs].map((path) => {
      const name = path.slice("./dist/".length, -".js".length);
      return [name, `./src/${name}.ts`];
    }),
  ),
  platform: "node",
  external: packages.map((name) => new RegExp(`^${name}(/|$)`)),
  transform: { target: "es2024" },
  output: {
    cleanDir: true,
    sourcemap: true,
    // A file with other characters is two bytes for each character in memory, and takes half as long again to parse.
    charset: "ascii",
    // The docstrings stand in the types; without them Node reads a quarter less.
    comments: { jsdoc: false },
    // One folder down, as the sources are: what one of them finds beside itself or above, it finds from there.
    chunkFileNames: "parts/[name].js",
    codeSplitting: {
      groups: [
        // For browsers too, so it is without what only Node has.
        part("shared", (id, context) => importedBy("client/index.ts", context).has(id)),
        // For stores too, which need no sessions.
        part("domain", (id) => id.startsWith(source("domain/"))),
        part("perdure", () => true),
        // Small sources that several adapters import: one file for all of them.
        {
          name: "adapters",
          test: /\/adapters\/((keys|peers)\/|projection\/(batches|shown-messages)\.ts$|langchain\/package-core\.ts$)/,
        },
      ],
    },
  },
};

export default build;
