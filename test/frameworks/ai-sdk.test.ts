/** The adapter of the AI SDK, with the SDK itself: its newest version, the lowest one that is supported, and those between. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { isThorough } from "../support/rounds.ts";
import { frameworkTests, runFile, testsWithPeers } from "./framework-tests.ts";

const root = join(import.meta.dirname, "../..");
const files = ["providers.ts", "chats.ts", "sockets.ts", "round-trips.ts", "crash.ts", "values.ts"];
const { skip } = await frameworkTests("ai-sdk", files);

const between = skip === false && !isThorough ? "PERDURE_TEST_THOROUGH is not set" : skip;
for (const word of ["lowest", "newest-6", "lowest-7"])
  testsWithPeers("ai-sdk", { word, files: ["chats.ts"], skip: between });

// The chats have run on a store in memory. On a server each call waits; the conformance suites compare the engines.
test("chats over HTTP: PostgreSQL", { skip: between }, () =>
  runFile("ai-sdk", "chats.ts", { PERDURE_TEST_ENGINE: "PostgreSQL" }),
);

test(
  "the example chats across two runs, and its page is loaded again in the middle of an answer",
  { skip },
  async (context) => {
    const folder = mkdtempSync(join(tmpdir(), "perdure-example-"));
    context.after(() => rmSync(folder, { recursive: true }));
    const args = ["--import", join(import.meta.dirname, "ai-sdk/resolve.ts"), join(root, "examples/ai-sdk-chat.ts")];
    const printed = async (): Promise<string> =>
      (await promisify(execFile)(process.execPath, args, { cwd: folder })).stdout;
    assert.match(
      await printed(),
      /^0 messages so far\nuser [^]*How many questions\?[^]*assistant [^]*This is question 1\./,
    );
    assert.match(
      await printed(),
      /^2 messages so far\nuser [^]*How many questions\?[^]*assistant [^]*This is question 2\./,
    );
  },
);
