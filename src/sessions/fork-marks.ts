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

/** From which turn on a user speaks in a session, and whether it goes with the user's own. */
type Said = Omit<Holding, "record">;

/** How to mark a session. */
interface MarkOptions {
  /** Who is not to be named. */
  readonly except?: string | undefined;
  /** The session as it holds these turns, which may be in another store. @default as it is */
  readonly copy?: { readonly core: Core; readonly record: SessionRecord };
  /** What it will be called. @default as it is */
  readonly as?: SessionRecord;
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
 * Put down whose turns a session holds beside its user's, before it has them as its own: from then on nothing else leads there from
 * whoever said them. These marks bear the users' own names, until those are erased.
 */
export async function markShared(
  core: Core,
  record: SessionRecord,
  { except, copy = { core, record }, as = copy.record }: MarkOptions = {},
): Promise<void> {
  for (const [name, said] of await saidIn(core, record)) {
    if (name === record.user || name === except || !(await holds(copy.core, copy.record, said.from))) continue;
    await putMark(copy.core, name, { ...said, record: as, isTheirs: said.isTheirs && record.user === null });
  }
}

/** Each user whose turns a session holds, as marks call that user, also through the sessions above it. */
async function saidIn(core: Core, record: SessionRecord): Promise<ReadonlyMap<string, Said>> {
  const said = new Map<string, Said>();
  // Whoever is named first on the way up has what is nobody's below.
  let isTheirs = true;
  for await (const { record: above, from, reach } of lineOf(core, record)) {
    const { user, parent, inherited } = above;
    if (user !== null) {
      if (from <= reach) add(user, { from, isTheirs });
      isTheirs = false;
    }
    if (parent !== null || inherited === 0) continue;
    for await (const mark of marksFor(core, above)) {
      const found = mark.metadata as unknown as MarkContent;
      if (mark.user !== null && found.from <= reach)
        add(mark.user, { from: found.from, isTheirs: isTheirs && found.isTheirs });
    }
  }
  return said;

  function add(name: string, { from, isTheirs }: Said): void {
    const known = said.get(name) ?? { from, isTheirs };
    said.set(name, { from: Math.min(known.from, from), isTheirs: known.isTheirs || isTheirs });
  }
}

/** A session and those above it, each with its first own turn, and the last turn that the session at the bottom has of it. */
async function* lineOf(
  core: Core,
  bottom: SessionRecord,
): AsyncGenerator<{ readonly record: SessionRecord; readonly from: number; readonly reach: number }, void, void> {
  let reach = Infinity;
  for (let record = bottom; ;) {
    yield { record, from: firstOwn(record, "turns"), reach };
    const { parent, tenant } = record;
    if (parent === null) return;
    reach = Math.min(reach, parent.at);
    const above = (await core.find({ tenant, id: parent.id }))?.record;
    if (above === undefined || above.createdAt !== parent.born) return;
    record = above;
  }
}

/** The marks of a session, page by page. */
async function* marksFor(core: Core, record: SessionRecord): AsyncGenerator<SessionRecord, void, void> {
  const query = {
    order: "recent",
    tenant: marksScope(record.tenant),
    agent: nameOf(record),
    now: 0,
    limit: 50,
  } as const;
  for (let after: { after?: string } = {}; ;) {
    const { records, next } = await core.store.find({ ...query, ...after });
    yield* records;
    if (next === undefined) return;
    after = { after: next };
  }
}

/** Put down under this name that a fork holds turns of a user's, once. @throws the store's errors */
export async function putMark(core: Core, name: string, { record, from, isTheirs }: Holding): Promise<void> {
  const key = markKey(name, record);
  if ((await core.find(key))?.record !== undefined) return;
  const { id: session, createdAt: born } = record;
  const metadata: Metadata = { session, born, from, isTheirs };
  // As old as the fork: a mark is the same wherever it is put down, and may be copied there as well.
  const content = { agent: nameOf(record), user: name, metadata, ttlMs: markTtlMs, now: born };
  // Where somebody else has put it down meanwhile, it is there.
  await core.commit([innerChange(core, key, undefined, content)]);
}

/** A session of the user's own, with the first turn of its line that is. */
export async function theirs({ core, user }: Owner, record: SessionRecord): Promise<Holding> {
  let from = firstOwn(record, "turns");
  for await (const above of lineOf(core, record)) {
    if (above.record.user === user && above.from <= above.reach) ({ from } = above);
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

/** The key of the mark of a fork that calls a user by this name. */
export function markKey(name: string, { tenant, id, createdAt }: SessionRecord): SessionKey {
  return { tenant: marksScope(tenant), id: hash("sha256", JSON.stringify([name, id, createdAt]), "hex") };
}

/** What all marks of a session have in common. */
function nameOf({ id, createdAt }: SessionRecord): string {
  return hash("sha256", JSON.stringify([id, createdAt]), "hex");
}

/** Where the marks of a tenant are. */
export function marksScope(tenant: string): string {
  return innerScope(tenant, "shared-forks");
}
