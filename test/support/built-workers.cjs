/**
 * Node loads this file before the tests (`--require`), in their workers too. Workers of hosts run the built program,
 * where `npm test` has built it (`programs.ts`): it starts in a third of the time of a hundred TypeScript files.
 */
"use strict";
const path = require("node:path");
const { registerHooks } = require("node:module");
const { pathToFileURL } = require("node:url");

const folder = process.env.PERDURE_TEST_PROGRAMS;
if (folder !== undefined) {
  const source = pathToFileURL(path.join(__dirname, "../../src/host/workers/worker-main.ts")).href;
  const built = pathToFileURL(path.join(folder, "dist/host/workers/worker-main.js")).href;
  registerHooks({
    resolve: (specifier, context, next) => {
      const resolved = next(specifier, context);
      return resolved.url === source ? next(built, context) : resolved;
    },
  });
}
