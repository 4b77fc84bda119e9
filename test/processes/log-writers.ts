/** Writers of named logs, for tests that kill them and let them race. */
import { defined } from "../../src/domain/values/defined.ts";
import {
  hasCode,
  openSessions,
  type LogEntryInput,
  type Model,
  type Sessions,
  type SessionWrite,
} from "../../src/index.ts";
import { openStore } from "../../src/open.ts";
import { callStore, storeBefore, type StoreMethod, type StoreResult } from "../../src/store/calls/forwarding-store.ts";

/** Regenerate, pop and push the last turn of a session, in turn, without end; each is an entry of the log `ops` as well. */
export interface RewriteTask {
  readonly kind: "rewrite";
  readonly session: string;
  /**
   * From the second operation on, stop at this place for good: 1 is before the first call of the store, 2 behind it, 3 before the
   * second one … @default never
   */
  readonly stallAt?: number;
}

/** Write to two sessions and two documents, all of one number, in turn by `session.write` and by `sessions.write`, without end. */
export interface TogetherTask extends Pick<RewriteTask, "stallAt"> {
  readonly kind: "together";
}

/** Several writers in one process, each of which writes so many turns and entries. */
export interface WriteTask {
  readonly kind: "write";
  readonly session: string;
  readonly name: string;
  readonly writers: number;
  readonly times: number;
}

/** Fork the session, with logs that are more than one commit takes, and remove the fork, without end. */
export interface ForkLogsTask {
  readonly kind: "forkLogs";
  readonly session: string;
  readonly as: string;
}

type Say = (what: object) => void;

/** The turns that a session has behind so many operations: two that stay, and a third one of the last operation. */
export function turnsAfter(ops: number): readonly string[] {
  const fixed = ["fixed 1", "fixed 2"];
  return ops % 3 === 2 ? fixed : [...fixed, `version ${ops}`];
}

const counted: readonly StoreMethod[] = ["load", "read", "commit"];

/** Sessions that stop at a place for good; `arm` begins to count the places. */
export async function stalling(
  url: string,
  { stallAt, model }: Pick<RewriteTask, "stallAt"> & { readonly model?: Model },
  say: Say,
): Promise<{ readonly sessions: Sessions; readonly arm: () => void }> {
  let place: number | undefined;
  const pass = async (): Promise<void> => {
    if (place === undefined || ++place !== stallAt) return;
    say({ stalled: place });
    // Until the process is killed.
    await new Promise(() => setInterval(() => undefined, 60_000));
  };
  const behind = await openStore(url);
  const store = storeBefore(behind, async (method, args) => {
    if (counted.includes(method)) await pass();
    const result: StoreResult<typeof method> = await callStore(behind, method, args);
    if (counted.includes(method)) await pass();
    return result;
  });
  const sessions = await openSessions({ store, sweep: false, ...defined({ model }) });
  return { sessions, arm: () => (place = 0) };
}

export async function together(url: string, { stallAt }: TogetherTask, say: Say): Promise<never> {
  const { sessions, arm } = await stalling(url, defined({ stallAt }), say);
  const [one, two] = [await sessions.get("one"), await sessions.get("two")];
  say({ began: one.id });
  for (let done = 0; ; done++) {
    if (done === 1) arm();
    const look = await one.look([{ log: "ops", last: 1 }]);
    const op = Number(look.tails[0]?.[0]?.value ?? 0) + 1;
    const write: SessionWrite = {
      logs: { ops: { entries: [{ key: `op ${op}`, value: op }] } },
      turns: { turns: [{ input: `op ${op}` }] },
      set: { metadata: { op } },
    };
    const documents = ["a", "b"].map((key) => ({ scope: "ops", key, value: op }));
    // By turns the documents with the first session, and with the last of several.
    const outcome =
      op % 2 === 1
        ? await one.write({ ...write, documents, onto: look })
        : await sessions.write([
            { id: one.id, ...write, onto: look },
            { id: two.id, ...write, documents },
          ]);
    if (outcome.status !== "ok") throw new Error(`operation ${op} is a ${outcome.status}`);
    say({ did: op });
  }
}

export async function rewrite(url: string, { session: id, stallAt }: RewriteTask, say: Say): Promise<never> {
  const { sessions, arm } = await stalling(url, defined({ stallAt }), say);
  const session = await sessions.get(id);
  say({ began: session.id });
  for (let done = 0; ; done++) {
    if (done === 1) arm();
    const look = await session.look([
      { log: "turns", last: 1 },
      { log: "ops", last: 1 },
    ]);
    const op = (look.info.logs["ops"]?.end ?? 0) + 1;
    const { turn } = look.info;
    const turns = turnsAfter(op).slice(turnsAfter(op).length === 2 ? 2 : -1);
    const outcome = await session.write({
      turns: { from: turnsAfter(op - 1).length === 2 ? turn + 1 : turn, turns: turns.map((input) => ({ input })) },
      logs: { ops: { entries: [{ key: `op ${op}`, value: op }] } },
      onto: look,
    });
    if (outcome.status !== "ok") throw new Error(`operation ${op} is a ${outcome.status}`);
    say({ did: op });
  }
}

export async function write(
  sessions: Sessions,
  { session: id, name, writers, times }: WriteTask,
  say: Say,
): Promise<void> {
  const one = async (writer: number): Promise<void> => {
    const session = await sessions.get(id);
    for (let index = 0; index < times; index++) {
      const mark = `${name}-${writer}-${index}`;
      const keyed: LogEntryInput = { key: `k${index}`, value: mark, ifPresent: "skip" };
      const wanted: SessionWrite = {
        turns: { turns: [{ input: mark, output: "ok", key: mark }] },
        logs: { plain: { entries: [{ value: mark }] }, keyed: { entries: [keyed] } },
      };
      const written = await session.write(wanted);
      if (written.status !== "ok") throw new Error(`${mark} is a ${written.status}`);
      const { plain, keyed: ofKey } = written.logs;
      say({ mark, turn: written.turns[0]?.seq, plain: plain?.seqs[0], keyed: ofKey?.seqs[0] ?? 0 });
    }
  };
  await Promise.all(Array.from({ length: writers }, (_, writer) => one(writer)));
}

export async function forkLogs(sessions: Sessions, { session: id, as }: ForkLogsTask, say: Say): Promise<never> {
  const session = await sessions.get(id);
  await removeIfThere(sessions, as);
  for (let did = 1; ; did++) {
    const fork = await session.fork({ as });
    say({ did });
    await fork.remove();
  }
}

export async function removeIfThere(sessions: Sessions, id: string): Promise<void> {
  try {
    await (await sessions.get(id)).remove();
  } catch (error) {
    if (!hasCode(error, "session_not_found")) throw error;
  }
}
