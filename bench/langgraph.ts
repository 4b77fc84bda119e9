/**
 * Checkpoints of LangGraph: 1 000 steps with a list that grows by 1.2 kB, beside the `MemorySaver` of LangGraph, by processor time.
 * Needs `node test/frameworks/install.ts`.
 */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { perdureSaver, type Checkpoint, type PerdureSaver } from "../src/adapters/langgraph.ts";
import { openSessions } from "../src/index.ts";
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "../test/frameworks/langgraph/resolve.ts";
import type { Bench } from "./measure.ts";

const steps = 1000;
/** Steps of which the processor time is compared. */
const window = 100;

type Saver = Pick<PerdureSaver, "put" | "putWrites" | "getNextVersion">;

interface Packages {
  readonly AIMessage: new (fields: { id: string; content: string }) => object;
  readonly uuid6: (step: number) => string;
  readonly MemorySaver: new () => Saver;
}

export const bench: Bench = async (report) => {
  const packages = await packagesOf();
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  try {
    const file = join(folder, "graphs.db");
    const sessions = await openSessions({ store: `sqlite:${file}`, sweep: false });
    const ours = await run(perdureSaver(sessions), packages);
    await sessions.close();
    const stock = await run(new packages.MemorySaver(), packages);
    const bytes = statSync(file).size / steps;
    report({
      name: "SQLite: bytes of a step, with turns",
      unit: "bytes",
      ours: bytes,
      value: bytes,
      valueUnit: "bytes",
      bar: { atMost: 6000 },
    });
    report({
      name: `processor time of a step, the last ${window} of ${steps}`,
      unit: "µs",
      ours: ours.late,
      limit: stock.late,
      limitName: "MemorySaver, which stores nothing",
      value: ours.late / ours.early,
      valueUnit: "times",
      bar: { atMost: 1.5 },
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
};

/** The packages of the tests; their types are in their own folder. */
async function packagesOf(): Promise<Packages> {
  const find = createRequire(fileURLToPath(new URL("../test/frameworks/langgraph/package.json", import.meta.url)));
  const load = async (name: string): Promise<unknown> =>
    await import(pathToFileURL(find.resolve(name)).href.replace(/\.cjs$/, ".js"));
  const checkpoint = (await load("@langchain/langgraph-checkpoint")) as Omit<Packages, "AIMessage">;
  const { AIMessage } = (await load("@langchain/core/messages")) as Pick<Packages, "AIMessage">;
  return { AIMessage, uuid6: checkpoint.uuid6, MemorySaver: checkpoint.MemorySaver };
}

/** Microseconds of a step after the first steps, and at the end. */
async function run(
  saver: Saver,
  { AIMessage, uuid6 }: Packages,
): Promise<{ readonly early: number; readonly late: number }> {
  const messages: object[] = [];
  let config: Parameters<Saver["put"]>[0] = { configurable: { thread_id: "bench", checkpoint_ns: "" } };
  let version: number | undefined;
  const times: number[] = [];
  for (let step = 1; step <= steps; step++) {
    const text = Array.from({ length: 110 }, () => Math.random().toString(36).slice(2, 12)).join(" ");
    const message = new AIMessage({ id: `m${step}`, content: text });
    messages.push(message);
    const next = saver.getNextVersion(version);
    const checkpoint: Checkpoint = {
      v: 4,
      id: uuid6(step),
      ts: new Date().toISOString(),
      channel_values: { messages: [...messages] },
      channel_versions: { messages: next },
      versions_seen: { answer: { messages: version ?? next } },
    };
    const begun = process.cpuUsage();
    if (step > 1) await saver.putWrites(config, [["messages", [message]]], `task-${step}`, "~__pregel_pull, answer");
    config = await saver.put(config, checkpoint, { source: "loop", step, parents: {} }, { messages: next });
    const { user, system } = process.cpuUsage(begun);
    times.push(user + system);
    version = next;
  }
  const mean = (list: readonly number[]): number => list.reduce((sum, one) => sum + one, 0) / list.length;
  return { early: mean(times.slice(window, 2 * window)), late: mean(times.slice(-window)) };
}
