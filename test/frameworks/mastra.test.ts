/** The memory of Mastra's agents, with Mastra itself. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { frameworkTests } from "./framework-tests.ts";

const root = join(import.meta.dirname, "../..");
const { skip } = await frameworkTests("mastra", ["memory.ts", "turns.ts", "values.ts"]);

test("the example remembers its first run in the second one", { skip }, async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-example-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const args = ["--import", join(import.meta.dirname, "mastra/resolve.ts"), join(root, "examples/mastra.ts")];
  const printed = async (): Promise<string> =>
    (await promisify(execFile)(process.execPath, args, { cwd: folder })).stdout;
  assert.equal(await printed(), "It arrives today.\n2 messages in this thread\n");
  assert.equal(await printed(), "It arrives today.\n4 messages in this thread\n");
});
