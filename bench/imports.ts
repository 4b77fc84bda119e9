/** An import of plain chats of another program, beside `JSON.parse` of the same file, and its memory for a long file. */
import { execFile } from "node:child_process";
import { createReadStream, createWriteStream, mkdtempSync, rmSync, statSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { importFiles } from "../src/admin.ts";
import { openSessions } from "../src/index.ts";
import { alternate, type Bench, type Measure } from "./measure.ts";

const run = promisify(execFile);
const rounds = 5;
const plainBytes = 60e6;
const longBytes = 300e6;

export const bench: Bench = async (report) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-imports-"));
  try {
    const lines = join(folder, "chats.jsonl");
    await writeChats(lines, plainBytes, { before: "", between: "\n", after: "\n" });
    for (const store of ["none, a dry run", "SQLite"] as const) report(await rateOf(folder, lines, store));
    rmSync(lines);
    for (const [name, around] of Object.entries({
      lines: { before: "", between: "\n", after: "\n" },
      "a list in an object": { before: '{"conversations":[', between: ",", after: "]}" },
    })) {
      const file = join(folder, "long.json");
      await writeChats(file, longBytes, around);
      report(await peakOf(folder, file, name));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
};

interface Around {
  readonly before: string;
  readonly between: string;
  readonly after: string;
}

/** Writes chats of 71 turns until the file has so many bytes. */
async function writeChats(file: string, bytes: number, { before, between, after }: Around): Promise<void> {
  const words = "the oven is warm and the bread needs another hour, so please wait for it ".repeat(9);
  const out = createWriteStream(file);
  out.write(before);
  for (let number = 1, written = 0; written < bytes; number++) {
    const messages = Array.from({ length: 71 }, (_, turn) => [
      { role: "user", content: `${number} ${turn} ${words}` },
      { role: "assistant", content: `"${turn}"\n${words}` },
    ]).flat();
    const text = `${number === 1 ? "" : between}${JSON.stringify({ id: `c${number}`, messages })}`;
    written += text.length;
    if (!out.write(text)) await once(out, "drain");
  }
  out.end(after);
  await once(out, "finish");
}

async function rateOf(folder: string, file: string, store: "none, a dry run" | "SQLite"): Promise<Measure> {
  const megabytes = statSync(file).size / 1e6;
  let round = 0;
  const { ours, limit } = await alternate(rounds, {
    async ours() {
      const isDry = store !== "SQLite";
      await using sessions = await openSessions({
        store: isDry ? "memory:" : `sqlite:${join(folder, `${round++}.db`)}`,
        sweep: false,
      });
      return await secondsOf(() => importFiles(sessions, [file], { dryRun: isDry }));
    },
    limit: () =>
      secondsOf(async () => {
        for await (const line of createInterface(createReadStream(file))) JSON.parse(line);
      }),
  });
  return {
    name: `import of plain chats into ${store}, by time of the processor`,
    unit: "MB/s",
    ours: megabytes / ours,
    limit: megabytes / limit,
    limitName: "lines and JSON.parse",
    value: megabytes / ours,
    valueUnit: "MB/s",
    bar: { atLeast: 40 },
  };
}

/** Seconds of the processor: on a busy machine they say more than those of the clock. */
async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** The peak of the command's memory. */
async function peakOf(folder: string, file: string, name: string): Promise<Measure> {
  const main = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));
  const store = `sqlite:${join(folder, `peak-${name.length}.db`)}`;
  const printed = `process.on("exit", () => console.log(process.resourceUsage().maxRSS))`;
  const preload = `data:text/javascript,${encodeURIComponent(printed)}`;
  const { stdout } = await run(process.execPath, ["--import", preload, main, "import", file, "--store", store]);
  const peak = Number(stdout.trim().split("\n").at(-1)) / 1024;
  const measured = { unit: "MiB", ours: peak, value: peak, valueUnit: "MiB", bar: { atMost: 350 } } as const;
  return { name: `peak memory of an import of 300 MB: ${name}`, ...measured };
}
