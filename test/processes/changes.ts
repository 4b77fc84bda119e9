/** Random changes of a few sessions, documents and streams, which several processes make at the same time. */
import { SessionError, type Sessions } from "../../src/index.ts";
import { chanceFrom } from "../support/chance.ts";

/** Make so many changes, or go on without end. */
export interface ChangesTask {
  readonly kind: "changes";
  readonly seed: number;
  readonly changes: number | null;
}

export async function makeChanges(
  sessions: Sessions,
  { seed, changes }: ChangesTask,
  say: (what: object) => void = () => undefined,
): Promise<void> {
  const chance = chanceFrom(seed);
  const pick = (count: number): number => Math.floor(chance() * count);
  const documents = sessions.documents("state");
  for (let made = 0; changes === null || made < changes; made++) {
    const id = `s${pick(6)}`;
    const key = `d${pick(4)}`;
    const kinds: readonly (() => Promise<unknown>)[] = [
      async () => await (await sessions.ensure(id)).append({ input: `${made}` }),
      async () => await (await sessions.ensure(id)).append({ input: `${made}` }),
      async () =>
        await (
          await sessions.ensure(id)
        ).write({
          logs: { ops: { entries: [{ value: made }] } },
          documents: [{ scope: "state", key, value: made }],
        }),
      async () => await (await sessions.ensure(id)).update({ metadata: { made } }),
      async () => {
        const turn = await (await sessions.ensure(id)).begin(`${made}`);
        await turn.write({ text: "word" });
        await turn.seal();
      },
      async () => await documents.put(key, made),
      async () => await documents.delete(key),
      async () => await (await sessions.get(id)).remove(),
      async () => await (await sessions.get(id)).end(),
      async () => await (await sessions.get(id)).fork({ as: `s${pick(6)}` }),
      async () => {
        const acquired = await sessions.streams.acquire(`run${pick(3)}`, { session: id });
        if (acquired.role === "consumer") return;
        await acquired.stream.write(made);
        await acquired.stream.end();
      },
      async () => await sessions.streams.delete(`run${pick(3)}`),
    ];
    try {
      await kinds[pick(kinds.length)]?.();
    } catch (error) {
      // Another process was first.
      if (!(error instanceof SessionError) || error.code.startsWith("store_")) throw error;
    }
    say({ made });
  }
}
