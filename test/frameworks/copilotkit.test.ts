/** The runner of CopilotKit, with CopilotKit's own runtime and client. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { frameworkTests } from "./framework-tests.ts";

const root = join(import.meta.dirname, "../..");
const { skip } = await frameworkTests("copilotkit", ["runner.ts", "values.ts", "random.ts", "crash.ts"]);

test("the example goes on with a thread in its second run", { skip }, async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-example-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const args = ["--import", join(import.meta.dirname, "copilotkit/resolve.ts"), join(root, "examples/copilotkit.ts")];
  const printed = async (): Promise<string> =>
    (await promisify(execFile)(process.execPath, args, { cwd: folder })).stdout;
  assert.match(await printed(), /^0 messages so far\nassistant: This is question 1\.\n/);
  assert.match(await printed(), /^2 messages so far\nassistant: This is question 2\.\n/);
});
