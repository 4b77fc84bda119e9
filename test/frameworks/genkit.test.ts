/** The session store of genkit's agents, with genkit itself. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { frameworkTests, testsWithPeers } from "./framework-tests.ts";

const root = join(import.meta.dirname, "../..");
const { skip } = await frameworkTests("genkit", ["store.ts", "turns.ts", "values.ts"]);

testsWithPeers("genkit", { word: "lowest", files: ["store.ts", "turns.ts"], skip });

test("the example continues its chat in the second run", { skip }, async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-example-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const args = ["--import", join(import.meta.dirname, "genkit/resolve.ts"), join(root, "examples/genkit.ts")];
  const printed = async (): Promise<string> =>
    (await promisify(execFile)(process.execPath, args, { cwd: folder })).stdout;
  assert.equal(await printed(), "This is your question number 1.\n");
  assert.equal(await printed(), "This is your question number 2.\n");
});
