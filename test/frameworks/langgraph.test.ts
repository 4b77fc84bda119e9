/** The adapters of LangGraph and LangChain, with the frameworks themselves. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { isThorough } from "../support/rounds.ts";
import { frameworkTests, testsWithPeers } from "./framework-tests.ts";
// The adapters load the packages at once, so they are found before the tests are loaded.
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./langgraph/resolve.ts";

const root = join(import.meta.dirname, "../..");
const { skip } = await frameworkTests("langgraph", [
  "chat-values.ts",
  "validation.ts",
  "graphs.ts",
  "memories.ts",
  "values.ts",
  "crash.ts",
]);

const lowest = skip === false && !isThorough ? "PERDURE_TEST_THOROUGH is not set" : skip;
testsWithPeers("langgraph", { word: "lowest", files: ["graphs.ts", "values.ts"], skip: lowest });

test("the example asks a person, and goes on in its second run", { skip }, async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-example-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const args = ["--import", join(import.meta.dirname, "langgraph/resolve.ts"), join(root, "examples/langgraph.ts")];
  const printed = async (): Promise<string> =>
    (await promisify(execFile)(process.execPath, args, { cwd: folder })).stdout;
  assert.match(await printed(), /waits for a person[^]*interrupted: My parcel is lost\. → …/);
  assert.match(await printed(), /Refund 40 euros\?[^]*done: My parcel is lost\. → I have refunded 40 euros\./);
});
