/** Questions that replace a rated turn, for tests that kill the process while one is answered. */
import { setTimeout as sleep } from "node:timers/promises";
import { openSessions, type Model } from "../../src/index.ts";

/** Ask again and again in the place of the third turn, and rate and pin it each time. */
export interface ReplacedMarksTask {
  readonly kind: "replaced-marks";
  readonly session: string;
  readonly round: number;
}

const model: Model = async function* () {
  await sleep(Math.random() * 4);
  if (Math.random() < 0.25) throw new Error("away");
  yield { type: "text", text: "an " };
  await sleep(Math.random() * 4);
  yield { type: "text", text: "answer" };
};

export async function askInstead(
  store: string,
  { session: id, round }: ReplacedMarksTask,
  say: (line: object) => void,
): Promise<never> {
  await using sessions = await openSessions({ store, sweep: false, model });
  const session = await sessions.get(id);
  for (let count = 1; ; count++) {
    const question = `question ${round}.${count}`;
    say({ asking: question });
    const turn = await (await session.consult(question, { after: 2, busy: "take-over" })).done.catch(() => undefined);
    if (turn === undefined) continue;
    await session.rate(3, { rating: "up", comment: question });
    await session.pin(3);
    say({ rated: question });
  }
}
