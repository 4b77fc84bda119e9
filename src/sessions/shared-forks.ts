/**
 * What a user said lives on in sessions of others that were forked from the user's, in forks of those, and so on. While the
 * user's session is there, its log of forks leads to them; before it goes, a *mark* is put down for each that stays: a record of its own
 * that names the fork, and the user by a keyed hash only. Whether a fork still holds something is told by its log.
 */
import { firstOwn, headOf } from "../domain/change.ts";
import type { Entry, SessionKey } from "../domain/entry.ts";
import { forkOf } from "../domain/fork.ts";
import type { Metadata, SessionRecord } from "../domain/record.ts";
import { innerScope } from "../domain/scope.ts";
import type { Core } from "./core.ts";
import { keyedName } from "./device-secret.ts";
import { subjectOf } from "./erasure-receipt.ts";
import { innerChange } from "./inner-record.ts";
import { eachEntry, readLog } from "./log-reader.ts";
import { devicePages, pagesOf, sessionPages, type Subject } from "./subject.ts";

/** Sessions of others that hold something that a user said. */
export interface SharedForks {
  readonly count: number;
  /** Those of them that are under hold. */
  readonly held: number;
  /** The first of them, 50 at most. */
  readonly ids: readonly string[];
}

/** A session that holds a user's turns. */
export interface Holding {
  readonly record: SessionRecord;
  /** The number of the first such turn. */
  readonly from: number;
  /** It is to go with the user's own: the user's, or nobody's and forked from one that is. */
  readonly isTheirs: boolean;
}

/** What a mark says of a fork: its id and when it was born, and as {@link Holding}. */
interface MarkContent extends Omit<Holding, "record"> {
  readonly session: string;
  readonly born: number;
}

/** A mark, and the fork that it is for; undefined where that is gone, or holds nothing of the user any more. */
interface Marked {
  readonly mark: SessionRecord;
  readonly fork: Holding | undefined;
}

const idsMax = 50;
/** As long as a fork may live, which is as long as anybody wants it. */
const markTtlMs = 100 * 365 * 86_400_000;
/** So far may the clocks of two processes be apart in what they wrote down as the time. */
const skewMs = 60_000;

export const noSharedForks: SharedForks = { count: 0, held: 0, ids: [] };

/** The same with one more. */
export function withFork({ count, held, ids }: SharedForks, { id, hold }: SessionRecord): SharedForks {
  return {
    count: count + 1,
    held: held + (hold === null ? 0 : 1),
    ids: ids.length < idsMax ? [...ids, id] : ids,
  };
}

/** Every session that holds something that the user said and does not name the user, each once. */
export async function* holdingsOf(subject: Subject): AsyncGenerator<Holding, void, void> {
  for await (const { fork } of marksOf(subject)) {
    if (fork === undefined) continue;
    yield fork;
    yield* unmarkedBelow(subject, fork);
  }
  for await (const page of sessionPages(subject)) yield* below(subject, page);
  for await (const { guests } of devicePages(subject)) yield* below(subject, guests);
}

async function* below(subject: Subject, records: readonly SessionRecord[]): AsyncGenerator<Holding, void, void> {
  for (const record of records) if (record.forkedAt > 0) yield* unmarkedBelow(subject, await theirs(subject, record));
}

async function* unmarkedBelow(subject: Subject, one: Holding): AsyncGenerator<Holding, void, void> {
  for await (const fork of forksHolding(subject, one)) {
    // The user's own are looked at by themselves, and so is what has a mark.
    if (fork.record.user === subject.user) continue;
    if ((await subject.core.find(markKey(subject, fork.record))) !== undefined) continue;
    yield fork;
    yield* unmarkedBelow(subject, fork);
  }
}

/** A session of the user's own, with the first turn of its line that is. */
export async function theirs({ core, tenant, user }: Subject, record: SessionRecord): Promise<Holding> {
  let from = firstOwn(record, "turns");
  for (let { parent } = record; parent !== null;) {
    const above: SessionRecord | undefined = (await core.find({ tenant, id: parent.id }))?.record;
    if (above === undefined || above.createdAt !== parent.born) break;
    if (above.user === user) from = firstOwn(above, "turns");
    ({ parent } = above);
  }
  return { record, from, isTheirs: true };
}

/** Forks of this session that hold turns of the user's as well. */
export async function* forksHolding(
  { core, tenant, user }: Subject,
  { record, from, isTheirs }: Holding,
): AsyncGenerator<Holding, void, void> {
  for await (const entry of eachEntry(core, record, "forks")) {
    const fork = (await core.find({ tenant, id: forkOf(entry) }))?.record;
    // One that was archived has no parent any more; what tells it from a later session of its id is when it was born.
    if (fork === undefined || fork.createdAt !== entry.at || !(await holds(core, fork, from))) continue;
    yield { record: fork, from, isTheirs: fork.user === user || (isTheirs && fork.user === null) };
  }
}

/** True where this turn of a fork was there before the fork, or may have been. */
async function holds(core: Core, fork: SessionRecord, turn: number): Promise<boolean> {
  if (headOf(fork, "turns") < turn) return false;
  if (fork.parent !== null) return fork.parent.at >= turn;
  const range = { log: "turns", from: turn, to: turn, order: "ascending", limit: 1 } as const;
  const [entry]: readonly Entry[] = await readLog(core, fork, range);
  return entry !== undefined && entry.at <= fork.createdAt + skewMs;
}

/** Put down that this fork holds turns of the user's, once. @throws the store's errors */
export async function markFork(subject: Subject, { record, from, isTheirs }: Holding): Promise<void> {
  const { core, tenant, user } = subject;
  const key = markKey(subject, record);
  if ((await core.find(key)) !== undefined) return;
  const metadata: Metadata = { session: record.id, born: record.createdAt, from, isTheirs };
  const named = subjectOf(core, tenant, user);
  // Where somebody else has put it down meanwhile, it is there.
  await core.commit([innerChange(core, key, undefined, { user: named, metadata, ttlMs: markTtlMs })]);
}

/** All marks of the user; they may be removed on the way. */
export async function* marksOf({ core, tenant, user }: Subject): AsyncGenerator<Marked, void, void> {
  for await (const marks of pagesOf(core, marksScope(tenant), subjectOf(core, tenant, user))) {
    for (const mark of marks) {
      const { session, born, from, isTheirs } = mark.metadata as unknown as MarkContent;
      const record = (await core.find({ tenant, id: session }))?.record;
      const isIt = record?.createdAt === born && record.user !== user && (await holds(core, record, from));
      yield { mark, fork: isIt ? { record, from, isTheirs: isTheirs && record.user === null } : undefined };
    }
  }
}

function markKey({ core, tenant, user }: Subject, { id, createdAt }: SessionRecord): SessionKey {
  const name = keyedName(core, tenant, "erased", JSON.stringify([user, id, createdAt]));
  return { tenant: marksScope(tenant), id: name };
}

function marksScope(tenant: string): string {
  return innerScope(tenant, "shared-forks");
}
