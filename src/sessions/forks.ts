/** What becomes of the forks of a session that is to be cut or to go. */
import { headOf, lastOwn } from "../domain/change.ts";
import type { Entry, SessionKey } from "../domain/entry.ts";
import { forgetForks, forkOf, ownTurns, parentOf } from "../domain/fork.ts";
import type { SessionRecord } from "../domain/record.ts";
import { hasCode, SessionError } from "../errors.ts";
import type { Core } from "./core.ts";
import type { Handle } from "./handle.ts";
import { markShared } from "./fork-marks.ts";
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
 * Give each fork of the session a copy of the turns it shares, with a mark of whose words they are. `erasing` has somebody forgotten: it
 * does what comes before that, and its user is not named in any mark.
 */
export async function freeForks(
  handle: Handle,
  erasing?: { readonly user: string; readonly before: (record: SessionRecord) => Promise<void> },
): Promise<void> {
  await handle.peek();
  await erasing?.before(handle.record);
  const { core, record } = handle;
  const count = lastOwn(record, "forks");
  for await (const entry of eachEntry(core, record, "forks"))
    await detach(core, record, { entry, except: erasing?.user });
  await handle.write(({ record: newest }) => forgetForks(newest, count));
}

/** True for a session that shares turns of this one. */
export function isForkOf({ parent }: SessionRecord, { id, createdAt }: SessionRecord): boolean {
  return parent !== null && parent.id === id && parent.born === createdAt;
}

async function detach(
  core: Core,
  from: SessionRecord,
  { entry, except }: { entry: Entry; except: string | undefined },
): Promise<void> {
  const id = forkOf(entry);
  const key: SessionKey = { tenant: from.tenant, id };
  for (let attempt = 1; attempt <= attemptsMax; attempt++) {
    const fork = (await core.find(key))?.record;
    if (fork === undefined) return;
    // One that has its turns already, having been put back from a snapshot, holds them all the same.
    const parent = fork.parent ?? parentOf(fork, entry, from);
    await markShared(core, { ...fork, parent }, { now: fork, except });
    if (!isForkOf(fork, from)) return;
    const turns = await Array.fromAsync(eachEntry(core, fork, "turns"));
    if (turns.length < headOf(fork, "turns")) continue;
    if ((await core.commit([ownTurns(fork, turns)])).status === "ok") return;
  }
  throw new SessionError("contended", { sessionId: id, tenant: from.tenant, attempts: attemptsMax });
}
