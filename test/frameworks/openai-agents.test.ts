/** The adapter of OpenAI's Agents SDK, with the SDK itself: its newest version and the lowest one that is supported. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { frameworkTests, testsWithPeers } from "./framework-tests.ts";

const root = join(import.meta.dirname, "../..");
const folder = join(import.meta.dirname, "openai-agents");
const files = ["sessions.ts", "round-trips.ts", "durable.ts", "crash.ts", "values.ts"];
const { skip } = await frameworkTests("openai-agents", files);
const run = promisify(execFile);

testsWithPeers("openai-agents", { word: "lowest", files: ["sessions.ts", "durable.ts"], skip });

test("the example waits for an approval, and a second run of it goes on", { skip }, async (context) => {
  const place = mkdtempSync(join(tmpdir(), "perdure-example-"));
  context.after(() => rmSync(place, { recursive: true }));
  const args = ["--import", join(folder, "resolve.ts"), join(root, "examples/openai-agents.ts")];
  const printed = async (): Promise<string> => (await run(process.execPath, args, { cwd: place })).stdout;
  assert.equal(await printed(), "pay waits for an approval\nturn 1, waiting: 1 messages of the agent\n");
  assert.equal(await printed(), "Done.\nturn 1, done: 3 messages of the agent\n");
});
