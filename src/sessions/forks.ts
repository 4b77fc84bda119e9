/** What becomes of the forks of a session that is to be cut or to go. */
import { headOf, lastOwn } from "../domain/change.ts";
import type { SessionKey } from "../domain/entry.ts";
import { forgetForks, forkOf, ownTurns } from "../domain/fork.ts";
import type { SessionRecord } from "../domain/record.ts";
import { hasCode, SessionError } from "../errors.ts";
import type { Core } from "./core.ts";
import type { Handle } from "./handle.ts";
import { markCopies } from "./fork-marks.ts";
import { eachEntry } from "./log-reader.ts";

/** So often may sessions change under who gives forks their own. */
const attemptsMax = 20;

/**
 * Do what forks may stand in the way of; where they do, each is given a copy of the turns it shares, and it is done then.
 * @throws SessionError what `work` throws; `session_forked` where new forks keep coming
 */
export async function withoutForks<T>(handle: Handle, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!hasCode(error, "session_forked") || attempt >= attemptsMax) throw error;
      await freeForks(handle);
    }
  }
}

/**
 * Give each fork of the session a copy of the turns it shares. `mark` puts down first what will not be known any more once that is done:
 * whose words they were.
 */
export async function freeForks(
  handle: Handle,
  mark: (record: SessionRecord) => Promise<void> = (record) => markCopies(handle.core, record),
): Promise<void> {
  await handle.peek();
  await mark(handle.record);
  const count = lastOwn(handle.record, "forks");
  for await (const id of forksOf(handle.core, handle.record)) await detach(handle.core, handle.record, id);
  await handle.write(({ record }) => forgetForks(record, count));
}

/** The ids of the sessions that were forked from this one, also of those that are gone by now. */
export async function* forksOf(core: Core, record: SessionRecord): AsyncGenerator<string, void, void> {
  for await (const entry of eachEntry(core, record, "forks")) yield forkOf(entry);
}

/** True for a session that shares turns of this one. */
export function isForkOf({ parent }: SessionRecord, { id, createdAt }: SessionRecord): boolean {
  return parent !== null && parent.id === id && parent.born === createdAt;
}

async function detach(core: Core, from: SessionRecord, id: string): Promise<void> {
  const key: SessionKey = { tenant: from.tenant, id };
  for (let attempt = 1; attempt <= attemptsMax; attempt++) {
    const fork = (await core.find(key))?.record;
    if (fork === undefined || !isForkOf(fork, from)) return;
    const turns = await Array.fromAsync(eachEntry(core, fork, "turns"));
    if (turns.length < headOf(fork, "turns")) continue;
    if ((await core.commit([ownTurns(fork, turns)])).status === "ok") return;
  }
  throw new SessionError("contended", { sessionId: id, tenant: from.tenant, attempts: attemptsMax });
}
