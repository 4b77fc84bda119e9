/** The adapters of web frameworks, with the frameworks themselves. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { frameworkTests } from "./framework-tests.ts";

const root = join(import.meta.dirname, "../..");
const { skip } = await frameworkTests("web", ["session-stores.ts", "request-sessions.ts"]);

test(
  "the example keeps a session of a browser across two runs, and the changes of two requests at once",
  { skip },
  async (context) => {
    const folder = mkdtempSync(join(tmpdir(), "perdure-example-"));
    context.after(() => rmSync(folder, { recursive: true }));
    const args = ["--import", join(import.meta.dirname, "web/resolve.ts"), join(root, "examples/express-app.ts")];
    const printed = async (): Promise<string> =>
      (await promisify(execFile)(process.execPath, args, { cwd: folder })).stdout;
    assert.match(
      await printed(),
      /^pages visited: \[ 'page0', 'page1a', 'page1b' \]\n$|^pages visited: \[ 'page0', 'page1b', 'page1a' \]\n$/,
    );
    assert.match(await printed(), /page1a[^]*page2a/);
  },
);

test("the example finds the session of each browser again in its second run", { skip }, async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-example-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const args = ["--import", join(import.meta.dirname, "web/resolve.ts"), join(root, "examples/hono-chat.ts")];
  const printed = async (): Promise<string> =>
    (await promisify(execFile)(process.execPath, args, { cwd: folder })).stdout;
  const said = (numbers: readonly number[]): RegExp =>
    new RegExp(numbers.map((number) => `[^]*This is question ${number}\\.`).join(""));
  assert.match(await printed(), said([1, 1, 2]));
  assert.match(await printed(), said([3, 2, 4]));
});
