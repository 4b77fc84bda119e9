/** What becomes of the forks of a session that is to be cut or to go. */
import { lastOwn } from "../../domain/record/change.ts";
import type { Entry, SessionKey } from "../../domain/record/entry.ts";
import { forgetForks, forkOf, ownTurns, parentOf } from "../../domain/copies/fork.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { hasCode } from "../../errors.ts";
import type { Core } from "./core.ts";
import type { Handle } from "./handle.ts";
import { markShared } from "./fork-references.ts";
import { eachEntry, readLog } from "./log-reader.ts";
import { retryOnConflict } from "./retry-on-conflict.ts";

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
      await detachForks(handle);
    }
  }
}

/**
 * Give each fork of the session a copy of the turns it shares, with a mark of whose words they are. `erasing` has somebody forgotten: it
 * does what comes before that, and its user is not named in any mark.
 */
export async function detachForks(
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
  const fork = (await core.find(key))?.record;
  if (fork === undefined) return;
  // What it shared at first is marked: some of it, or all, may be its own by now, copied earlier or put back from a snapshot.
  const parent = parentOf(fork, entry, from) ?? fork.parent;
  await markShared(core, { ...fork, parent }, { now: fork, except });
  if (isForkOf(fork, from)) await ownSharedTurns(core, fork);
}

/**
 * Copy the turns that a fork shares into the fork: a page of turns in each commit, from the last shared turn to the first. The
 * fork's record says after each commit which turns it still shares, so a copy that was cut off goes on from there.
 * @throws SessionError `contended` where the fork changes faster than a page is copied
 */
export async function ownSharedTurns(core: Core, record: SessionRecord): Promise<void> {
  const { readMax: limit, readBytesMax: bytesMax } = core.options.limits;
  let fork = record;
  /** False where the fork shares no more turns. */
  const ownPage = async (): Promise<boolean | undefined> => {
    const { parent } = fork;
    if (parent === null || parent.id !== record.parent?.id || parent.born !== record.parent.born) return false;
    const shared = { log: "turns", from: 1, to: parent.at, order: "descending", limit, bytesMax } as const;
    const turns = (await readLog(core, fork, shared)).toReversed();
    // It was cut meanwhile where the last shared turn is not there.
    const change = turns.at(-1)?.seq === parent.at ? ownTurns(fork, turns) : undefined;
    const isOwn = change !== undefined && (await core.commit([change])).status === "ok";
    const newest = (await core.find(record))?.record;
    if (newest === undefined || newest.createdAt !== record.createdAt) return false;
    fork = newest;
    return isOwn ? true : undefined;
  };
  while (await retryOnConflict({ sessionId: record.id, tenant: record.tenant }, ownPage));
}
