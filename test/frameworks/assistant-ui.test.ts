/** The history of assistant-ui, with assistant-ui's own local runtime. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { frameworkTests } from "./framework-tests.ts";

const root = join(import.meta.dirname, "../..");
const { skip } = await frameworkTests("assistant-ui", [
  "history.ts",
  "session.ts",
  "threads.ts",
  "crash.ts",
  "values.ts",
]);

test("the example goes on with a thread in its second run", { skip }, async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-example-"));
  context.after(() => rmSync(folder, { recursive: true }));
  assert.match(await printed("assistant-ui", folder), /^0 messages so far\nassistant: This is question 1\.\n/);
  assert.match(await printed("assistant-ui", folder), /^2 messages so far\nassistant: This is question 2\.\n/);
});

test(
  "the example of a thread whose answers the session gives waits for an approval, and a second run gives it",
  {
    skip,
  },
  async (context) => {
    const folder = mkdtempSync(join(tmpdir(), "perdure-example-"));
    context.after(() => rmSync(folder, { recursive: true }));
    const asked = "user: Pay 12 euros.\nassistant calls pay: ";
    assert.equal(await printed("assistant-session", folder), `${asked}waits for an approval\n`);
    const answer = "12 euros are paid\nassistant: Done: 12 euros are paid\n";
    assert.equal(await printed("assistant-session", folder), `${asked}${answer}`);
  },
);

async function printed(example: string, cwd: string): Promise<string> {
  const args = ["--import", join(import.meta.dirname, "assistant-ui/resolve.ts"), join(root, `examples/${example}.ts`)];
  return (await promisify(execFile)(process.execPath, args, { cwd })).stdout;
}
