/** LangChain's own tests of checkpointers, which need vitest: it runs as a child. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { Engines } from "../../crash/engines.ts";
import { isThorough } from "../../support/rounds.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());
const here = import.meta.dirname;
const skip = isThorough ? false : "PERDURE_TEST_THOROUGH is not set";

// On SQLite alone: the saver makes the same calls on every engine, the conformance suites compare the engines, and graphs
// run on both (`graphs.ts`, `crash.ts`).
test("LangChain's tests of checkpointers pass, those of delta channels too", { skip }, async (context) => {
  const folder = await mkdtemp(join(tmpdir(), "perdure-vitest-"));
  context.after(() => rm(folder, { recursive: true }));
  const report = join(folder, "report.json");
  const args = ["run", "--config", join(here, "vitest.config.ts"), "--reporter=json", `--outputFile=${report}`];
  const env = { ...process.env, PERDURE_STORE: await (await engines.get("SQLite")).fresh() };
  // A failure is in the report.
  const ran = await promisify(execFile)(process.execPath, [join(here, "node_modules/vitest/vitest.mjs"), ...args], {
    cwd: here,
    env,
  }).then(
    () => "",
    (error: unknown) => String((error as { readonly stderr?: unknown }).stderr),
  );
  const { numPassedTests, testResults } = JSON.parse(readFileSync(report, "utf8")) as {
    readonly numPassedTests: number;
    readonly testResults: readonly {
      readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
    }[];
  };
  const failed = testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ status }) => status !== "passed");
  assert.deepEqual(
    failed.map(({ fullName }) => fullName),
    [],
  );
  assert(numPassedTests >= 700, `${numPassedTests} tests passed; ${ran}`);
});
