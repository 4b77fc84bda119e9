/**
 * Runs tests of generated values with new seeds, one file after the other, until the time is over:
 * `npm run test:explore -- --minutes 30 FILE...`. Without files it takes all that generate values. It prints the command
 * that repeats each failure, and fails if there was one.
 */
import { spawn } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { globalSetup, globalTeardown } from "./global-setup.ts";
import { randomSeed } from "./seed.ts";

const project = fileURLToPath(new URL("../../", import.meta.url));

/** The test files that generate values. Tests of a framework's folder run by the file of the framework. */
function generatingFiles(): string[] {
  const paths = globSync(["src/**/*.ts", "test/**/*.ts"], { cwd: project, exclude: ["**/node_modules/**"] })
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => !path.startsWith("test/support/"))
    .filter((path) => /support\/fast-check\.ts"|\bseededChanceOf\b/.test(readFileSync(join(project, path), "utf8")))
    .map((path) => (/^test\/frameworks\/[^/]+\//.test(path) ? `${dirname(path)}.test.ts` : path));
  return [...new Set(paths)].filter((path) => path.endsWith(".test.ts")).toSorted();
}

/** The output of the file's tests where one failed. */
async function failureOf(file: string, seed: number): Promise<string | null> {
  const preload = join(project, "test/support/untracked-promises.cjs");
  const args = ["--test", "--require", preload, "--test-timeout=600000", file];
  const env = { ...process.env, PERDURE_TEST_SEED: String(seed) };
  const child = spawn(process.execPath, args, { cwd: project, env, stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  const output = await text(child.stdout);
  return (await ended) === 0 ? null : output;
}

const { values, positionals } = parseArgs({
  options: { minutes: { type: "string", default: "10" } },
  allowPositionals: true,
});
const minutes = Number(values.minutes);
if (!(minutes > 0)) throw new Error(`--minutes is "${values.minutes}"; expected a number above 0`);
const files = positionals.length > 0 ? positionals : generatingFiles();
const until = Date.now() + minutes * 60_000;
const repeats: string[] = [];
let runs = 0;

await globalSetup();
try {
  explore: for (;;) {
    for (const file of files) {
      if (Date.now() > until) break explore;
      const seed = randomSeed();
      const failure = await failureOf(file, seed);
      runs++;
      if (failure === null) continue;
      repeats.push(`PERDURE_TEST_SEED=${seed} npx node --test ${file}`);
      process.stdout.write(`${failure}\nfailed: ${repeats.at(-1)}\n`);
    }
  }
} finally {
  globalTeardown();
}
process.stdout.write(`${runs} runs of ${files.length} files, ${repeats.length} failed\n${repeats.join("\n")}\n`);
process.exitCode = repeats.length > 0 ? 1 : 0;
