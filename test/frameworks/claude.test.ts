/** The store of transcripts of the Claude Agent SDK, with the SDK itself. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { isThorough } from "../support/rounds.ts";
import { frameworkTests, testsWithPeers } from "./framework-tests.ts";

const root = join(import.meta.dirname, "../..");
const { skip } = await frameworkTests("claude", ["store.ts", "turns.ts", "program.ts", "values.ts"]);

const lowest = skip === false && !isThorough ? "PERDURE_TEST_THOROUGH is not set" : skip;
testsWithPeers("claude", { word: "lowest", files: ["store.ts", "turns.ts"], skip: lowest });

test("the example continues a session in its second run, and forks it", { skip }, async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-example-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const args = ["--import", join(import.meta.dirname, "claude/resolve.ts"), join(root, "examples/claude-store.ts")];
  const printed = async (): Promise<string> =>
    (await promisify(execFile)(process.execPath, args, { cwd: folder })).stdout;
  assert.match(await printed(), /^2 lines of A parcel\n/);
  assert.match(await printed(), /^4 lines of A parcel\n/);
});
