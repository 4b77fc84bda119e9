/** Questions whose past turns are summarized, for tests that kill the process on the way. */
import { setTimeout as sleep } from "node:timers/promises";
import { openSessions, type Model, type SessionsOptions, type SummaryRequest } from "../../src/index.ts";

/** Ask questions in a session that is compacted at each third one or so, without end. */
export interface SummariesTask {
  readonly kind: "summaries";
  readonly session: string;
  readonly name: string;
}

const model: Model = async function* () {
  yield { type: "text", text: "an answer" };
  yield { type: "usage", usage: { inputTokens: 5, outputTokens: 2 } };
};

/** The words of the earlier summary and of the questions since, which say what a summary covers. */
async function summarizer({ earlier, turns, to, signal }: SummaryRequest): Promise<{ text: string; usage: object }> {
  process.stdout.write(`${JSON.stringify({ summarizing: to })}\n`);
  await sleep(Math.random() * 4, undefined, { signal });
  const words = turns.map(({ input }) => String(input[0]?.content));
  return {
    text: [...(earlier === undefined ? [] : [earlier]), ...words].join(" "),
    usage: { inputTokens: 3, outputTokens: 1 },
  };
}

/** The options of both processes and of the test. */
export const compacting: Omit<SessionsOptions, "store"> = {
  sweep: false,
  model,
  busy: "queue",
  compaction: { atTokens: 60, keep: 1, summarizer },
};

export async function askWithSummaries(store: string, { session: id, name }: SummariesTask): Promise<never> {
  const sessions = await openSessions({ store, ...compacting });
  const session = await sessions.get(id);
  for (let count = 1; ; count++) {
    const { seq } = await (await session.consult(`${name}-${count}`)).done;
    process.stdout.write(`${JSON.stringify({ did: seq })}\n`);
  }
}
