/**
 * Sessions of OpenAI's Agents SDK: the items of a run beside an append of the same texts, and the SDK's own session in memory,
 * which keeps nothing. Needs `node test/frameworks/install.ts`.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openaiSession, type AgentItem } from "../src/adapters/openai-agents.ts";
import { openSessions, type Sessions } from "../src/index.ts";
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "../test/frameworks/openai-agents/resolve.ts";
import { PostgresServer } from "../test/postgres/server.ts";
import { alternateAll, p50Of, type Bench, type Measure } from "./measure.ts";

const question = "q".repeat(120);
const answer = "a".repeat(800);
const items: readonly AgentItem[] = [
  { type: "message", role: "user", content: question },
  { type: "message", role: "assistant", status: "completed", content: [{ type: "output_text", text: answer }] },
];
const [rounds, count] = [20, 50];

export const bench: Bench = async (report) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  try {
    await using sessions = await openSessions({ store: `sqlite:${join(folder, "agents.db")}`, sweep: false });
    for (const measure of await added("SQLite", sessions)) report(measure);
  } finally {
    rmSync(folder, { recursive: true });
  }
  await using server = await PostgresServer.start({ fsync: true });
  await using sessions = await openSessions({ store: server.url(), sweep: false });
  for (const measure of await added("PostgreSQL", sessions)) report(measure);
};

interface OwnSession {
  addItems(items: readonly AgentItem[]): Promise<void>;
}

async function added(engine: string, sessions: Sessions): Promise<readonly Measure[]> {
  // The project does not depend on the package.
  const name: string = "@openai/agents";
  const { MemorySession } = (await import(name)) as { readonly MemorySession: new () => OwnSession };
  const session = await openaiSession(sessions, "added");
  const plain = await sessions.create({ id: "appended" });
  const memory = new MemorySession();
  const comparisons = await alternateAll(rounds, {
    ours: () => p50Of(count, () => session.addItems(items)),
    limits: [
      () => p50Of(count, () => plain.append({ input: question, output: answer })),
      () => p50Of(count, () => memory.addItems(items)),
    ],
  });
  const bars = [{ bar: { atMost: 1.2 }, limitName: "session.append" }, { limitName: "MemorySession.addItems" }];
  return comparisons.map(({ ours, limit, ratio }, index) => ({
    name: `${engine}: the items of a run`,
    unit: "µs",
    ours,
    limit,
    value: ratio,
    valueUnit: "times",
    ...bars[index]!,
  }));
}
