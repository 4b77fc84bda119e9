/**
 * The adapter of the AI SDK with the SDK itself, which is installed in this folder alone: `npm ci --prefix test/ai-sdk`.
 * Where it is not installed, its tests are skipped.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

const root = join(import.meta.dirname, "../..");
const skip = existsSync(join(import.meta.dirname, "node_modules/ai")) ? false : "run npm ci --prefix test/ai-sdk";

test("the adapter's types fit both versions of the specification", { skip }, async () => {
  const tsc = promisify(execFile)(join(root, "node_modules/.bin/tsc"), ["--noEmit", "-p", import.meta.dirname]);
  const found = await tsc.then(
    () => "",
    (error: unknown) => String((error as { readonly stdout?: unknown }).stdout),
  );
  assert.equal(found, "");
});

// The addresses keep the compiler of the project from the packages that only this folder has.
for (const file of ["providers.ts", "chats.ts", "sockets.ts", "round-trips.ts", "crash.ts"]) {
  if (skip === false) await import(new URL(file, import.meta.url).href);
  else test(`the AI SDK works with the adapter: ${file}`, { skip });
}

test(
  "the example chats across two runs, and its page is loaded again in the middle of an answer",
  { skip },
  async (context) => {
    const folder = mkdtempSync(join(tmpdir(), "perdure-example-"));
    context.after(() => rmSync(folder, { recursive: true }));
    const args = ["--import", join(import.meta.dirname, "resolve-ai.ts"), join(root, "examples/ai-sdk-chat.ts")];
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
