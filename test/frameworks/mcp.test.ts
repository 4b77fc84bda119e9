/** The MCP adapter, with the official client and the conformance suite of the protocol. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { frameworkTests } from "./framework-tests.ts";

const root = join(import.meta.dirname, "../..");
const { skip } = await frameworkTests("mcp", ["tools.ts", "consult.ts", "processes.ts", "stdio.ts", "conformance.ts"]);

test("the example asks through an MCP client, and a repeated call is answered once", { skip }, async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-example-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const args = ["--import", join(import.meta.dirname, "mcp/resolve.ts"), join(root, "examples/mcp-server.ts")];
  const printed = async (): Promise<string> =>
    (await promisify(execFile)(process.execPath, args, { cwd: folder })).stdout;
  const answers = /^session_list [^]*(This is question 1\.)[^]*\1/;
  assert.match(await printed(), answers);
  assert.match(await printed(), /(This is question 2\.)[^]*\1/);
});
