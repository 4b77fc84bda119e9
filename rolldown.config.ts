/**
 * The package as it is published: a file for each door, and one for each part that is loaded when it is first used. Node
 * takes about half a millisecond for every file that it loads, and `import "perdure"` would be a hundred of them.
 */
import type { RolldownOptions } from "rolldown";
import manifest from "./package.json" with { type: "json" };

const doors = Object.values(manifest.exports).flatMap((door) => (typeof door === "string" ? [] : [door.default]));
/** What is started by its path. */
const programs = ["./dist/cli/main.js", "./dist/host/workers/worker-main.js"];

const packages = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies });

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
    // The docstrings stand in the types; without them Node reads a quarter less.
    comments: { jsdoc: false },
    // One folder down, as the sources are: what one of them finds beside itself or above, it finds from there.
    chunkFileNames: "parts/[name].js",
    codeSplitting: {
      groups: [
        // The domain is for browsers too, so what is shared with them stands by itself.
        { name: "domain", test: /[\\/]src[\\/]domain[\\/]/ },
        { name: "perdure", test: /[\\/]src[\\/]index\.ts$/ },
      ],
    },
  },
};

export default build;
