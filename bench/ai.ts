/**
 * Chats of the AI SDK: what a second viewer in another process feels, the processor time that a token costs beside the response
 * of the AI SDK alone, and the import of the door. Needs `node test/frameworks/install.ts`.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { chats, type Chat, type UiChunk } from "../src/adapters/ai.ts";
import { defined } from "../src/domain/values/defined.ts";
import { openSessions } from "../src/index.ts";
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "../test/frameworks/ai-sdk/resolve.ts";
import type { Viewed, Viewing } from "./ai-child.ts";
import { alternate, median, type Bench } from "./measure.ts";
import { momentNow } from "./streams-child.ts";

const tokens = 600;
const everyMs = 10;
/** Tokens of an answer whose processor time is measured. */
const costTokens = 10_000;

export const bench: Bench = async (report) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  try {
    const lagsMs = await viewed(`sqlite:${join(folder, "viewed.db")}`);
    report({
      name: "SQLite: from a chunk to a second viewer, p50",
      unit: "ms",
      ours: median(lagsMs),
      value: median(lagsMs),
      valueUnit: "ms",
      bar: { atMost: 60 },
    });
    const { ours, limit } = await costs(`sqlite:${join(folder, "costs.db")}`);
    report({
      name: "processor time of a token, with a stored answer",
      unit: "µs",
      ours,
      limit,
      limitName: "the response of the AI SDK alone",
      value: ours - limit,
      valueUnit: "µs",
      bar: { atMost: 20 },
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
};

/** An answer of {@link tokens} chunks, each with the moment at which it was made. */
async function viewed(url: string): Promise<readonly number[]> {
  await using sessions = await openSessions({ store: url, sweep: false });
  const chat = await asked(await chats(sessions).open("viewed"));
  const task: Viewing = { url, chat: "viewed" };
  const viewer = fork(fileURLToPath(new URL("ai-child.ts", import.meta.url)), [JSON.stringify(task)]);
  const reading = once(viewer, "message");
  async function* paced(): AsyncGenerator<UiChunk, void, void> {
    yield textChunk("start");
    await reading;
    for (let n = 0; n < tokens; n++) {
      await sleep(everyMs);
      yield textChunk("delta", `${momentNow()}`);
    }
  }
  const answer = await chat.respond(() => ReadableStream.from(paced()));
  const told = reading.then(() => once(viewer, "message"));
  await answer.text();
  const [{ lagsMs }] = (await told) as [Viewed];
  return lagsMs;
}

async function costs(url: string): Promise<{ readonly ours: number; readonly limit: number }> {
  await using sessions = await openSessions({ store: url, sweep: false });
  // The types of the package are in its own folder.
  const name: string = "ai";
  const { createUIMessageStreamResponse } = (await import(name)) as {
    createUIMessageStreamResponse: (options: { stream: ReadableStream<UiChunk> }) => Response;
  };
  let round = 0;
  return await alternate(9, {
    ours: async () => {
      const chat = await asked(await chats(sessions).open(`costs ${++round}`));
      return await costOf(async () => await (await chat.respond(() => answer())).text());
    },
    limit: async () => await costOf(async () => await createUIMessageStreamResponse({ stream: answer() }).text()),
  });
}

/** Processor time for each token, µs. */
async function costOf(work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / costTokens;
}

function answer(): ReadableStream<UiChunk> {
  let left = costTokens;
  return new ReadableStream<UiChunk>({
    start: (controller) => controller.enqueue(textChunk("start")),
    pull(controller) {
      if (left-- > 0) controller.enqueue(textChunk("delta", "word "));
      else controller.close();
    },
  });
}

function textChunk(kind: "start" | "delta", delta?: string): UiChunk {
  const chunk = { type: `text-${kind}`, id: "t", ...defined({ delta }) };
  return chunk;
}

async function asked(chat: Chat): Promise<Chat> {
  await chat.add({ id: "question", role: "user", parts: [{ type: "text", text: "Hi" }] });
  return chat;
}
