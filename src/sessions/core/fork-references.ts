/**
 * A mark is a record that names a session and a user who said something in it, where nothing else leads from that user to it:
 * the session was forked from the user's, or was the user's and became another's, or was shared by a device. Whether
 * the session still holds such a turn is told by its log.
 */
import { hash } from "node:crypto";
import { firstOwn, headOf, type Change } from "../../domain/record/change.ts";
import type { Entry, SessionKey } from "../../domain/record/entry.ts";
import { forkOf } from "../../domain/copies/fork.ts";
import type { PortableRecord } from "../../domain/copies/snapshot.ts";
import type { Metadata, SessionRecord } from "../../domain/record/record.ts";
import { internalScope, isInternalScope } from "../../domain/values/internal-scope.ts";
import { eachPage } from "../../domain/values/pages.ts";
import type { Core } from "./core.ts";
import { isDeviceName } from "./keyed-hash.ts";
import { internalChange } from "./internal-record.ts";
import { eachEntry, readLog } from "./log-reader.ts";
import { retryOnConflict } from "./retry-on-conflict.ts";

/** A session that holds a user's turns. */
export interface Holding {
  readonly record: SessionRecord;
  /** The number of the first such turn. */
  readonly from: number;
  /** Turns written after this are others', epoch ms. @default the creation of the session, for forks */
  readonly until?: number;
  /** It is to go with the user's own: the user's, or nobody's and forked from one that is. */
  readonly isTheirs: boolean;
}

/** What a mark says of a session: its id and when it was created, and as {@link Holding}. */
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
  /** The session as it stands now. @default the same */
  readonly now?: SessionRecord;
  /** What it will be called. @default as it stands */
  readonly as?: SessionRecord;
  /** The store that the marks are for. @default the same */
  readonly into?: Core;
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
  { except, now = record, as = now, into = core }: MarkOptions = {},
): Promise<void> {
  for (const [name, said] of await saidIn(core, record)) {
    if (name === record.user || name === except || !(await holds(core, now, said))) continue;
    await putMark(into, name, { ...said, record: as, isTheirs: said.isTheirs && record.user === null });
  }
}

/** Each user whose turns a session holds, as marks call that user, also through the sessions above it. */
async function saidIn(core: Core, record: SessionRecord): Promise<ReadonlyMap<string, Said>> {
  const said = new Map<string, Said>();
  // Whoever is named first on the way up has what is nobody's below.
  let isTheirs = true;
  for await (const { record: above, from, reach } of lineOf(core, record)) {
    const { user } = above;
    if (user !== null) {
      if (from <= reach) add(user, { from, isTheirs });
      isTheirs = false;
    }
    for await (const mark of marksFor(core, above)) {
      const found = contentOf(mark);
      if (mark.user === null || found.from > reach || !(await holds(core, above, found))) continue;
      // What was said further up was there before the session at the bottom.
      const until = above === record || found.until === undefined ? found.until : undefined;
      add(mark.user, { ...found, until, isTheirs: isTheirs && found.isTheirs });
    }
  }
  return said;

  function add(name: string, { from, until, isTheirs }: Omit<Said, "until"> & { until?: number | undefined }): void {
    const known = said.get(name) ?? { from, isTheirs };
    said.set(name, {
      from: Math.min(known.from, from),
      ...laterOf(known.until, until),
      isTheirs: known.isTheirs || isTheirs,
    });
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

function laterOf(one: number | undefined, other: number | undefined): { until?: number } {
  const later = Math.max(one ?? 0, other ?? 0);
  return later === 0 ? {} : { until: later };
}

/** The marks of a session, page by page. */
export async function* marksFor(core: Core, record: Marked): AsyncGenerator<SessionRecord, void, void> {
  const query = {
    order: "recent",
    tenant: marksScope(record.tenant),
    agent: nameOf(record),
    now: 0,
    limit: 50,
  } as const;
  for await (const { records } of eachPage((after) => core.store.find({ ...query, ...after }))) yield* records;
}

/** True for a session that a user's mark leads to: it is that user's, and of none that the device speaks for later. */
export async function isMarked(core: Core, record: SessionRecord): Promise<boolean> {
  for await (const { user } of marksFor(core, record)) if (user !== null && !isDeviceName(user)) return true;
  return false;
}

/** Put down under this name that a session holds turns of a user's, once. @throws the store's errors */
export async function putMark(core: Core, name: string, holding: Holding): Promise<void> {
  const { id: sessionId, tenant } = holding.record;
  await retryOnConflict({ sessionId, tenant }, async () => {
    const change = await markChange(core, name, holding);
    return change === null || (await core.commit([change])).status === "ok" ? true : undefined;
  });
}

/** The same as a change, to be committed with others; null where the mark stands and says as much. */
export async function markChange(core: Core, name: string, { record, ...said }: Holding): Promise<Change | null> {
  const key = markKey(name, record);
  const found = (await core.find(key))?.record;
  const known = found === undefined ? undefined : contentOf(found);
  const { from, until, isTheirs } = known ?? said;
  const merged = {
    from: Math.min(from, said.from),
    ...laterOf(until, said.until),
    isTheirs: isTheirs && said.isTheirs,
  };
  if (known !== undefined && merged.from === from && merged.until === until && merged.isTheirs === isTheirs)
    return null;
  const { id: session, createdAt: born } = record;
  const metadata: Metadata = { session, born, ...merged };
  // As old as the session: a mark is the same wherever it is put down, and may be copied there as well.
  return internalChange(core, key, found, { agent: nameOf(record), user: name, metadata, ttlMs: markTtlMs, now: born });
}

/**
 * The mark of the user whose session becomes another's, to be committed with that change: from then on the session names
 * its former user nowhere else. None where the user said nothing in it that a session above it does not lead to.
 */
export async function formerUserMarks(
  core: Core,
  before: SessionRecord,
  after: Pick<SessionRecord, "user" | "createdAt">,
): Promise<readonly Change[]> {
  const { user, tenant } = before;
  if (user === null || user === after.user || isInternalScope(tenant)) return [];
  if (headOf(before, "turns") < firstOwn(before, "turns")) return [];
  const { from } = await theirs({ core, tenant, user }, before);
  const record = { ...before, createdAt: after.createdAt };
  const holding = { record, from, until: core.now(), isTheirs: after.user === null };
  const change = await markChange(core, user, holding);
  return change === null ? [] : [change];
}

/** A session's own name for marks. */
type Marked = Pick<SessionRecord, "tenant" | "id" | "createdAt">;

/**
 * Whose turns a copy of a session holds beside its user's: a snapshot names the user alone. The session that it was taken from
 * tells, and where that is gone, the marks that led to it.
 */
export async function saidInCopy(
  core: Core,
  tenant: string,
  { id, createdAt, user }: PortableRecord,
  turnOf: (seq: number) => Promise<Entry | undefined>,
): Promise<ReadonlyMap<string, Said>> {
  const found = (await core.find({ tenant, id }))?.record;
  const source = found?.createdAt === createdAt ? found : undefined;
  const said = new Map(
    source === undefined ? await saidByMarks(core, { tenant, id, createdAt }) : await saidIn(core, source),
  );
  // It was nobody's when the snapshot was taken, and became a user's since.
  if (user === null && source?.user != null) said.set(source.user, { from: 1, until: core.now(), isTheirs: true });
  for (const [name, { from, until = createdAt, isTheirs }] of said) {
    const entry = await turnOf(from);
    if (name === user || entry === undefined || entry.at > until + skewMs) said.delete(name);
    else said.set(name, { from, until, isTheirs: isTheirs && user === null });
  }
  return said;
}

async function saidByMarks(core: Core, session: Marked): Promise<ReadonlyMap<string, Said>> {
  const said = new Map<string, Said>();
  for await (const mark of marksFor(core, session)) if (mark.user !== null) said.set(mark.user, contentOf(mark));
  return said;
}

/** The pointer of a device that shares a session by a link code. */
export interface SharingPointer {
  readonly kind: "linked";
  readonly session: string;
  /** The first turn that the device can have said there, in the session that was created at `born`. @default 1 */
  readonly from?: number;
  readonly born?: number;
}

/** What a device that shares this session said in it; undefined if it said nothing. */
export function turnsOfGuest(
  core: Core,
  { from: first = 1, born }: SharingPointer,
  record: SessionRecord,
): Holding | undefined {
  const from = born === record.createdAt ? first : 1;
  return headOf(record, "turns") < from ? undefined : { record, from, until: core.now(), isTheirs: false };
}

/** What each device that shares this session said in it, by the name of the device. */
export async function sharedBy(core: Core, record: SessionRecord): Promise<readonly (readonly [string, Holding])[]> {
  const { tenant, id } = record;
  if (core.isFallback || isInternalScope(tenant)) return [];
  const query = { order: "recent", tenant: internalScope(tenant, "devices"), agent: id, now: 0, limit: 50 } as const;
  const shared: [string, Holding][] = [];
  for await (const { records } of eachPage((after) => core.store.find({ ...query, ...after })))
    for (const { id: name, metadata } of records) {
      const pointer = metadata as unknown as SharingPointer;
      const said = pointer.kind === "linked" ? turnsOfGuest(core, pointer, record) : undefined;
      if (said !== undefined) shared.push([name, said]);
    }
  return shared;
}

/** What a mark says. */
export function contentOf(mark: SessionRecord): MarkContent {
  return mark.metadata as unknown as MarkContent;
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
    if (fork === undefined || fork.createdAt !== entry.at || !(await holds(core, fork, { from }))) continue;
    yield { record: fork, from, isTheirs: fork.user === user || (isTheirs && fork.user === null) };
  }
}

/** True where the session still has the turn that a mark speaks of, or may have it. */
export async function holds(
  core: Core,
  record: SessionRecord,
  { from, until = record.createdAt }: Pick<Holding, "from" | "until">,
): Promise<boolean> {
  if (headOf(record, "turns") < from) return false;
  if (record.parent !== null && record.parent.at >= from) return true;
  const range = { log: "turns", from, to: from, order: "ascending", limit: 1 } as const;
  const [entry]: readonly Entry[] = await readLog(core, record, range);
  return entry !== undefined && entry.at <= until + skewMs;
}

/** The key of the mark of a fork that calls a user by this name. */
export function markKey(name: string, { tenant, id, createdAt }: SessionRecord): SessionKey {
  return { tenant: marksScope(tenant), id: hash("sha256", JSON.stringify([name, id, createdAt]), "hex") };
}

/** What all marks of a session have in common. */
function nameOf({ id, createdAt }: Omit<Marked, "tenant">): string {
  return hash("sha256", JSON.stringify([id, createdAt]), "hex");
}

/** Where the marks of a tenant are. */
export function marksScope(tenant: string): string {
  return internalScope(tenant, "shared-forks");
}
