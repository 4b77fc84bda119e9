/**
 * Marks: records of their own that name a fork and the user whose words it holds, for when nothing else leads from one to the
 * other any more. Whether a fork still holds something is told by its log.
 */
import { hash } from "node:crypto";
import { firstOwn, headOf } from "../domain/change.ts";
import type { Entry, SessionKey } from "../domain/entry.ts";
import { forkOf } from "../domain/fork.ts";
import type { Metadata, SessionRecord } from "../domain/record.ts";
import { innerScope } from "../domain/scope.ts";
import type { Core } from "./core.ts";
import { innerChange } from "./inner-record.ts";
import { eachEntry, readLog } from "./log-reader.ts";

/** A session that holds a user's turns. */
export interface Holding {
  readonly record: SessionRecord;
  /** The number of the first such turn. */
  readonly from: number;
  /** It is to go with the user's own: the user's, or nobody's and forked from one that is. */
  readonly isTheirs: boolean;
}

/** What a mark says of a fork: its id and when it was born, and as {@link Holding}. */
export interface MarkContent extends Omit<Holding, "record"> {
  readonly session: string;
  readonly born: number;
}

/** Whose turns are looked for. */
interface Owner {
  readonly core: Core;
  readonly tenant: string;
  readonly user: string;
}

/** As long as a fork may live, which is as long as anybody wants it. */
const markTtlMs = 100 * 365 * 86_400_000;
/** So far may the clocks of two processes be apart in what they wrote down as the time. */
const skewMs = 60_000;

/**
 * Put down which forks of a session that is to go, or to be cut, hold turns of its user's and are not that user's: an erasure that comes
 * later would not find them otherwise. These marks bear the user's own name, until that is erased.
 */
export async function markCopies(core: Core, record: SessionRecord): Promise<void> {
  const { tenant, user } = record;
  if (user === null || record.forkedAt === 0) return;
  const subject = { core, tenant, user };
  for await (const holding of forksHolding(subject, await theirs(subject, record))) {
    if (holding.record.user === user) continue;
    await putMark(core, { key: plainKey(subject, holding.record), user, holding });
  }
}

/** Put down that a fork holds turns of a user's, once. @throws the store's errors */
export async function putMark(
  core: Core,
  { key, user, holding }: { key: SessionKey; user: string; holding: Holding },
): Promise<void> {
  if ((await core.find(key)) !== undefined) return;
  const { record, from, isTheirs } = holding;
  const metadata: Metadata = { session: record.id, born: record.createdAt, from, isTheirs };
  // Where somebody else has put it down meanwhile, it is there.
  await core.commit([innerChange(core, key, undefined, { user, metadata, ttlMs: markTtlMs })]);
}

/** A session of the user's own, with the first turn of its line that is. */
export async function theirs({ core, tenant, user }: Owner, record: SessionRecord): Promise<Holding> {
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
  { core, tenant, user }: Owner,
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
export async function holds(core: Core, fork: SessionRecord, turn: number): Promise<boolean> {
  if (headOf(fork, "turns") < turn) return false;
  if (fork.parent !== null) return fork.parent.at >= turn;
  const range = { log: "turns", from: turn, to: turn, order: "ascending", limit: 1 } as const;
  const [entry]: readonly Entry[] = await readLog(core, fork, range);
  return entry !== undefined && entry.at <= fork.createdAt + skewMs;
}

/** The key of a mark that bears the user's name. */
export function plainKey({ tenant, user }: Owner, { id, createdAt }: SessionRecord): SessionKey {
  const name = hash("sha256", JSON.stringify([user, id, createdAt]), "hex");
  return { tenant: marksScope(tenant), id: `plain-${name}` };
}

/** Where the marks of a tenant are. */
export function marksScope(tenant: string): string {
  return innerScope(tenant, "shared-forks");
}
