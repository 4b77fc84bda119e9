/**
 * Detaches forks from a session that is to be truncated or removed: each fork gets its own copy of the shared turns.
 */
import { lastOwn } from "../../domain/record/change.ts";
import type { Entry, SessionKey } from "../../domain/record/entry.ts";
import { deleteForkEntries, forkOf, ownTurns, parentOf } from "../../domain/copies/fork.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { hasCode } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import type { Handle } from "./handle.ts";
import { inheritedOf } from "../marks/marked-turns.ts";
import { markShared } from "../marks/shared-marks.ts";
import { eachEntry, readLog } from "../core/log-reader.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";

/** Attempts to detach all forks, while new ones are made. */
const attemptsMax = 20;

/**
 * Do `work`; if forks prevent it, detach them and do it again.
 * @throws SessionError the errors of `work`; `session_forked` if new forks keep coming
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
 * Give each fork of the session a copy of the turns it shares, and mark the users of their words. `erasing`: the user
 * of a running erasure, for whom it writes no marks, and a step to do first.
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
  await handle.write(({ record: newest }) => deleteForkEntries(newest, count));
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
  // The turns that were shared at first are marked: the fork may own some of them, or all, because it copied them
  // earlier or was restored from a snapshot.
  const parent = parentOf({ ...fork, inherited: await inheritedOf(core, fork) }, entry, from) ?? fork.parent;
  await markShared(core, { ...fork, parent }, { now: fork, except });
  if (isForkOf(fork, from)) await ownSharedTurns(core, fork);
}

/**
 * Copy the turns that a fork shares into the fork: a page of turns in each commit, from the last shared turn to the
 * first. After each commit the record of the fork says which turns it still shares, so an interrupted copy continues
 * from there.
 * @throws SessionError `contended` if the fork changes faster than a page is copied
 */
export async function ownSharedTurns(core: Core, record: SessionRecord): Promise<void> {
  const { readMax: limit, readBytesMax: bytesMax } = core.options.limits;
  let fork = record;
  /** False if the fork shares no more turns. */
  const ownPage = async (): Promise<boolean | undefined> => {
    const { parent } = fork;
    if (parent === null || parent.id !== record.parent?.id || parent.born !== record.parent.born) return false;
    const shared = { log: "turns", from: 1, to: parent.at, order: "descending", limit, bytesMax } as const;
    // The turns of the parent are in the segment of the store's log `turns`, whatever the current branch of the fork is.
    const turns = (await readLog(core, { ...fork, branches: null }, shared)).toReversed();
    // The fork was truncated meanwhile if its last shared turn is missing.
    const change = turns.at(-1)?.seq === parent.at ? ownTurns(fork, turns) : undefined;
    const isOwn = change !== undefined && (await core.commit([change])).status === "ok";
    const newest = (await core.find(record))?.record;
    if (newest === undefined || newest.createdAt !== record.createdAt) return false;
    fork = newest;
    return isOwn ? true : undefined;
  };
  while (await retryOnConflict({ sessionId: record.id, tenant: record.tenant }, ownPage));
}
