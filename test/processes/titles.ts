/** Exchanges in sessions without a title, for tests that kill the process while a title is made. */
import { setTimeout as sleep } from "node:timers/promises";
import { openSessions, type Model, type SessionsOptions, type TitleRequest } from "../../src/index.ts";

/** Ask in so many sessions, one after the other, in each one until it has a title. */
export interface TitlesTask {
  readonly kind: "titles";
  readonly round: number;
  readonly sessions: number;
}

const model: Model = async function* () {
  yield { type: "text", text: "an answer" };
};

async function title({ session, signal }: TitleRequest): Promise<{ text: string; usage: object }> {
  process.stdout.write(`${JSON.stringify({ titling: session })}\n`);
  await sleep(Math.random() * 10, undefined, { signal });
  return { text: `title of ${session}`, usage: { inputTokens: 3, outputTokens: 1 } };
}

/** The options of both processes and of the test. */
export const titling: Omit<SessionsOptions, "store"> = {
  sweep: false,
  model,
  busy: "queue",
  titles: { title, timeout: 100 },
};

export async function askUntitled(store: string, task: TitlesTask): Promise<void> {
  await using sessions = await openSessions({ store, ...titling });
  for (let index = 0; index < task.sessions; index++) {
    const session = await sessions.ensure(`s${task.round}.${index}`);
    while ((await session.refresh()).title === null) {
      await (
        await session.consult("a question")
      ).done;
      await sleep(Math.random() * 10);
    }
  }
  process.stdout.write(`${JSON.stringify({ did: task.round })}\n`);
}
