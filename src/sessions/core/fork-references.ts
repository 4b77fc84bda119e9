/**
 * References from a user to sessions that hold the user's words and do not name the user: forks of the user's sessions,
 * sessions that another user has now, copies of sessions, and sessions that a device shared by a link code.
 *
 * A reference ("mark") is a record that names the session and the speaker: the user, or the device of a guest until a user
 * claims it. A mark of a device lands in one commit with the device's pointer as it was read, because the marks of a device
 * become the user's when the pointer changes. The log of the session decides whether it still holds the words.
 */
import { hash } from "node:crypto";
import {
  changeOf,
  draftOf,
  firstOwn,
  haveSameTurns,
  headOf,
  set,
  unchanged,
  type Change,
} from "../../domain/record/change.ts";
import { keyText, type Entry, type SessionKey } from "../../domain/record/entry.ts";
import { forkOf } from "../../domain/copies/fork.ts";
import type { PortableRecord } from "../../domain/copies/snapshot.ts";
import type { Metadata, SessionRecord } from "../../domain/record/record.ts";
import { internalScope, isInternalScope, tenantOfScope } from "../../domain/values/internal-scope.ts";
import { eachPage } from "../../domain/values/pages.ts";
import type { Core } from "./core.ts";
import { hasReplaced, inheritedBefore, replacedLog, replacedPlace } from "../../domain/turns/replaced-turns.ts";
import { guestDeviceOf } from "../../domain/values/device.ts";
import { isDeviceName } from "./keyed-hash.ts";
import { internalChange, liveMetadata } from "./internal-record.ts";
import { eachEntry, readLog } from "./log-reader.ts";
import { sessionsBeginningWith } from "./record-pages.ts";
import { retryOnConflict } from "./retry-on-conflict.ts";
import { defined } from "../../domain/values/defined.ts";

/** A session that holds a speaker's turns. */
export interface UserContent {
  readonly record: SessionRecord;
  /** The number of the first such turn. */
  readonly from: number;
  /** Turns written after this time are not the speaker's, epoch ms. @default the turns that a fork shares with its parent */
  readonly until?: number;
  /** An erasure of the speaker deletes it: it names no user, and the words of no other user are nearer. */
  readonly isTheirs: boolean;
}

/** The content of a mark: the id of the session, when it was created, and as {@link UserContent}. */
export interface MarkContent extends Omit<UserContent, "record"> {
  readonly session: string;
  readonly born: number;
}

type Said = Omit<UserContent, "record">;
/** The fields by which marks name a session. */
type Marked = Pick<SessionRecord, "tenant" | "id" | "createdAt">;

/** How to mark a session. */
interface MarkOptions {
  /** No mark names this user: an erasure of the user is running. */
  readonly except?: string | undefined;
  /** The newest record of the session. @default the same */
  readonly now?: SessionRecord;
  /** The record that the marks name. @default as it is now */
  readonly as?: SessionRecord;
}

/** A user, and the place to look for the user's turns. */
interface Owner {
  readonly core: Core;
  readonly tenant: string;
  readonly user: string;
  /** The names of the user in marks. @default the user */
  readonly names?: readonly string[];
}

/** The longest time to live of a fork, so no mark ends before its session. */
const markTtlMs = 100 * 365 * 86_400_000;
/** Clocks of two processes may differ by this much in the times that they wrote. */
const skewMs = 60_000;

/**
 * Users and devices whose turns a session holds. A device is named with the record that says so, its pointer or a mark: the marks
 * of these speakers land only where that record is still the stored one.
 */
class Speakers {
  readonly #said = new Map<string, Said>();
  readonly #sources = new Map<string, SessionRecord[]>();
  readonly #marked = new Set<string>();

  get said(): ReadonlyMap<string, Said> {
    return this.#said;
  }

  /** Two findings of one speaker are one: the earlier first turn, and the later end. */
  add(
    name: string,
    { from, until, isTheirs }: Omit<Said, "until"> & { until?: number | undefined },
    source?: SessionRecord,
  ): void {
    const known = this.#said.get(name) ?? { from, isTheirs };
    this.#said.set(name, {
      from: Math.min(known.from, from),
      ...laterOf(known.until, until),
      isTheirs: known.isTheirs || isTheirs,
    });
    if (source?.tenant.endsWith(marksScope("")) === true) this.#marked.add(name);
    if (source !== undefined && isDeviceName(name))
      this.#sources.set(name, [...(this.#sources.get(name) ?? []), source]);
  }

  /** True where the session leads to this speaker by its user or by the id of a guest's session, and no mark is to be kept. */
  isNamedBy({ user, id }: Pick<SessionRecord, "user" | "id">, name: string): boolean {
    return !this.#marked.has(name) && name === (user ?? guestDeviceOf(id));
  }

  /** Keep the speakers for which `judge` returns what they said. */
  async judge(judge: (name: string, said: Said) => Promise<Said | undefined>): Promise<void> {
    for (const [name, said] of this.#said) {
      const kept = await judge(name, said);
      if (kept === undefined) this.#said.delete(name);
      else this.#said.set(name, kept);
    }
  }

  /** The marks that lead from the speakers to this session, with the records that must not change meanwhile. */
  async changes(core: Core, record: SessionRecord): Promise<readonly Change[]> {
    const changes: Change[] = [];
    for (const [name, said] of this.#said) {
      const mark = await markChange(core, name, { ...said, record });
      if (mark !== null) changes.push(mark, ...(this.#sources.get(name) ?? []).map(unchanged));
    }
    return eachOnce(changes);
  }
}

/** Commit the marks of a session that is about to hold turns as its own. @throws SessionError `contended` */
export async function markShared(core: Core, record: SessionRecord, options: MarkOptions = {}): Promise<void> {
  const { id: sessionId, tenant } = record;
  await retryOnConflict({ sessionId, tenant }, async () => {
    const changes = await sharedMarks(core, record, options);
    return changes.length === 0 || (await core.commit(changes)).status === "ok" ? true : undefined;
  });
}

/**
 * The marks of all speakers in a session other than its user. Commit them before, or with, the change after which nothing
 * else leads from the speakers to the session. The marks name users in plain text until the user is erased.
 */
export async function sharedMarks(
  core: Core,
  record: SessionRecord,
  { except, now = record, as = now }: MarkOptions = {},
): Promise<readonly Change[]> {
  const speakers = await speakersIn(core, record);
  await speakers.judge(async (name, said) => {
    if (name === except || speakers.isNamedBy(as, name) || !(await containsTurn(core, now, said))) return undefined;
    return { ...said, isTheirs: said.isTheirs && record.user === null };
  });
  return await speakers.changes(core, as);
}

/** The same in another store, to which the session is copied whole. */
export async function markCopied(from: Core, to: Core, record: SessionRecord, as: SessionRecord): Promise<void> {
  for (const [name, said] of (await speakersIn(from, record)).said) {
    if (name === record.user || !(await containsTurn(from, record, said))) continue;
    await putMark(to, name, { ...said, record: as, isTheirs: said.isTheirs && record.user === null });
  }
}

async function speakersIn(core: Core, record: SessionRecord): Promise<Speakers> {
  const speakers = new Speakers();
  await addSpeakers(core, speakers, { record, owner: await ownerOf(core, record) });
  return speakers;
}

/** Add the speakers in a session of this owner, also those in the sessions above it. */
async function addSpeakers(
  core: Core,
  speakers: Speakers,
  { record, owner: bottomOwner }: { readonly record: SessionRecord; readonly owner: SessionOwner | undefined },
): Promise<void> {
  // The first owner on the way up has the sessions below that name no user.
  let isTheirs = true;
  for await (const { record: above, from, reach } of lineOf(core, record)) {
    const isBottom = above === record;
    const owner = isBottom ? bottomOwner : await ownerOf(core, above);
    if (owner !== undefined) {
      if (from <= reach) speakers.add(owner.name, { from, isTheirs }, owner.pointer);
      isTheirs = false;
    }
    // Turns of a session above were written before the session at the bottom was created.
    for await (const mark of marksFor(core, above)) {
      const said = contentOf(mark);
      if (mark.user === null || said.from > reach || !(await containsTurn(core, above, said))) continue;
      const until = isBottom ? said.until : undefined;
      speakers.add(mark.user, { ...said, until, isTheirs: isTheirs && said.isTheirs }, mark);
    }
    for (const { name, said, pointer } of await sharersOf(core, above)) {
      if (said.from <= reach) speakers.add(name, { ...said, until: isBottom ? said.until : undefined }, pointer);
    }
  }
}

/** The speaker of a session's own turns. */
interface SessionOwner {
  readonly name: string;
  /** The pointer of the device that is named. */
  readonly pointer?: SessionRecord;
}

/**
 * The user of a session. The id of a guest's session begins with the name of its device: the owner is the device, or the user
 * that it speaks for since; undefined where a mark names that user.
 */
async function ownerOf(core: Core, session: Marked & Pick<SessionRecord, "user">): Promise<SessionOwner | undefined> {
  const { tenant, id, user } = session;
  if (user !== null) return { name: user };
  const device = core.isFallback || isInternalScope(tenant) ? undefined : guestDeviceOf(id);
  if (device === undefined || (await isMarked(core, session))) return undefined;
  const pointer = (await core.find({ tenant: internalScope(tenant, "devices"), id: device }))?.record;
  const claimed = liveMetadata(core, pointer)?.["user"];
  if (typeof claimed === "string") return { name: claimed };
  return defined({ name: device, pointer });
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
  yield* recordsOf(core, marksScope(record.tenant), nameOf(record));
}

/** The internal records of a scope that name this in the place of the agent. */
async function* recordsOf(core: Core, tenant: string, agent: string): AsyncGenerator<SessionRecord, void, void> {
  const query = { order: "recent", tenant, agent, now: 0, limit: 50 } as const;
  for await (const { records } of eachPage((after) => core.store.find({ ...query, ...after }))) yield* records;
}

/**
 * True where a mark says that the session is a user's own: it counts for that user, and for none that its device speaks for later.
 * The mark of a user that only shared the session does not say so.
 */
export async function isMarked(core: Core, record: Marked): Promise<boolean> {
  for await (const mark of marksFor(core, record))
    if (mark.user !== null && !isDeviceName(mark.user) && contentOf(mark).isTheirs) return true;
  return false;
}

/** Write a mark, once. @throws SessionError `contended`, and the store's */
export async function putMark(core: Core, name: string, content: UserContent): Promise<void> {
  const { id: sessionId, tenant } = content.record;
  await retryOnConflict({ sessionId, tenant }, async () => {
    const change = await markChange(core, name, content);
    return change === null || (await core.commit([change])).status === "ok" ? true : undefined;
  });
}

/** The change that writes a mark; null where the stored mark says as much. */
export async function markChange(core: Core, name: string, { record, ...said }: UserContent): Promise<Change | null> {
  const key = markKey(name, record);
  const found = (await core.find(key))?.record;
  const known = found === undefined ? undefined : contentOf(found);
  const { from, until, isTheirs } = known ?? said;
  const merged = {
    from: Math.min(from, said.from),
    ...laterOf(until, said.until),
    isTheirs: isTheirs || said.isTheirs,
  };
  if (known !== undefined && merged.from === from && merged.until === until && merged.isTheirs === isTheirs)
    return null;
  const { id: session, createdAt: born } = record;
  const metadata: Metadata = { session, born, ...merged };
  // Created with the session: a mark is the same record wherever it is written, and a copy of the store may write it too.
  return internalChange(core, key, found, { agent: nameOf(record), user: name, metadata, ttlMs: markTtlMs, now: born });
}

/** The last moment at which a turn of this session can have been written, as far as the session and the store's clock tell. */
export function untilNow(core: Core, { lastActivityAt }: SessionRecord): number {
  return Math.max(core.now(), lastActivityAt);
}

/**
 * The references that change with a session, to be committed with its change: a mark of the former speaker where its user changes,
 * and pointers of devices that share it where it is truncated.
 */
export function changedReferences(
  core: Core,
  before: SessionRecord,
  { record: after, splices }: Pick<Change, "splices" | "record">,
): readonly Change[] | Promise<readonly Change[]> {
  if (after === null) return [];
  const first = splices.find(({ log }) => log === "turns")?.from ?? Infinity;
  // The end of the open turn writes at its number and truncates no other turn.
  const next = Math.min(headOf(after, "turns") + 1, first === before.openTurn ? Infinity : first);
  // Most changes have none, so an append need not wait.
  if (before.user === after.user && next > headOf(before, "turns")) return [];
  return referencesOf(core, { before, user: after.user, next });
}

async function referencesOf(
  core: Core,
  { before, user, next }: { readonly before: SessionRecord; readonly user: string | null; readonly next: number },
): Promise<readonly Change[]> {
  const speakers = new Speakers();
  await addFormer(core, speakers, { before, user });
  return [...(await speakers.changes(core, before)), ...(await truncatedSharings(core, { before, next }))];
}

/**
 * The pointer of a device that shares a session names the first turn that can be the device's: a truncation lowers it to `next`,
 * the number of the next turn.
 */
async function truncatedSharings(
  core: Core,
  { before, next }: { readonly before: SessionRecord; readonly next: number },
): Promise<readonly Change[]> {
  if (next > headOf(before, "turns") || core.isFallback || isInternalScope(before.tenant)) return [];
  const changes: Change[] = [];
  for (const { pointer } of await sharersOf(core, before)) {
    const { from = 1 } = pointer.metadata as unknown as SharingPointer;
    if (from <= next) continue;
    const draft = draftOf(pointer);
    set(draft, { metadata: { ...pointer.metadata, from: next } });
    changes.push(changeOf(draft));
  }
  return changes;
}

/** Add the speaker of a session that this user has from here on. */
async function addFormer(
  core: Core,
  speakers: Speakers,
  { before, user }: { readonly before: SessionRecord; readonly user: string | null },
): Promise<void> {
  const { tenant } = before;
  if (before.user === user || isInternalScope(tenant)) return;
  const owner = await ownerOf(core, before);
  if (owner === undefined || owner.name === user) return;
  if (headOf(before, "turns") < firstOwn(before, "turns")) return;
  const { from } = await theirs({ core, tenant, user: owner.name }, before);
  speakers.add(owner.name, { from, until: untilNow(core, before), isTheirs: user === null }, owner.pointer);
}

/** A session that is written from a snapshot. */
interface Restored {
  /** The session as it is written. */
  readonly record: SessionRecord;
  readonly snapshot: PortableRecord;
  /** Reads a turn of the snapshot. */
  readonly turnOf: (seq: number) => Promise<Entry | undefined>;
  /** The session in whose place it is written. */
  readonly found: SessionRecord | undefined;
}

/** The references that change with a session that is written from a snapshot, to be committed with it. */
export async function restoredReferences(core: Core, restored: Restored): Promise<readonly Change[]> {
  const { record, snapshot, found, turnOf } = restored;
  if (isInternalScope(record.tenant)) return [];
  const speakers = new Speakers();
  // The marks that lead to the session of the snapshot do not lead to another id, or went to another id with a reset.
  const isElsewhere = record.id !== snapshot.id || (found !== undefined && found.createdAt !== snapshot.createdAt);
  if (isElsewhere) await addCopied(core, speakers, restored);
  if (found !== undefined && (await sharesTurn(core, found, turnOf)))
    await addFormer(core, speakers, { before: found, user: record.user });
  const next = headOf(record, "turns") + 1;
  const isSame = found?.createdAt === record.createdAt;
  const sharings = found !== undefined && isSame ? await truncatedSharings(core, { before: found, next }) : [];
  return eachOnce([...sharings, ...(await speakers.changes(core, record))]);
}

/** True where the first turn that is the session's own is a turn of the snapshot. */
async function sharesTurn(core: Core, record: SessionRecord, turnOf: Restored["turnOf"]): Promise<boolean> {
  const from = firstOwn(record, "turns");
  const [entry] = await readLog(core, record, { log: "turns", from, to: from, order: "ascending", limit: 1 });
  const other = await turnOf(from);
  return entry !== undefined && other !== undefined && entry.at === other.at && entry.data === other.data;
}

/**
 * Add the speakers of a copy under another id. A snapshot names its user alone: the others are those of the session that it was
 * taken from, and of the marks, the pointers and the id that led to that one.
 */
async function addCopied(core: Core, speakers: Speakers, { record, snapshot, turnOf }: Restored): Promise<void> {
  const { id, createdAt, user, inherited = 0 } = snapshot;
  const origin = { tenant: record.tenant, id, createdAt };
  const source = await storedOrigin(core, origin);
  const owner = user === null ? await ownerOf(core, source ?? { ...origin, user }) : { name: user };
  if (source !== undefined) await addSpeakers(core, speakers, { record: source, owner });
  const until = source === undefined ? core.now() : untilNow(core, source);
  if (owner !== undefined) speakers.add(owner.name, { from: 1, until, isTheirs: true }, owner.pointer);
  // A mark counts also where the source was truncated since: the snapshot has its turns.
  for await (const mark of marksFor(core, origin))
    if (mark.user !== null) speakers.add(mark.user, contentOf(mark), mark);
  if (source === undefined)
    for (const { name, said, pointer } of await sharersOf(core, origin)) speakers.add(name, said, pointer);
  await speakers.judge(async (name, said) => {
    const entry = speakers.isNamedBy(record, name) ? undefined : await turnOf(said.from);
    if (entry === undefined || !mayHaveSaid(said, entry, { createdAt, inherited })) return undefined;
    return { ...said, isTheirs: said.isTheirs && user === null };
  });
}

/** The session of this id and creation, or what a reset kept of it under an id of its own. */
async function storedOrigin(core: Core, { tenant, id, createdAt }: Marked): Promise<SessionRecord | undefined> {
  const found = (await core.find({ tenant, id }))?.record;
  if (found?.createdAt === createdAt) return found;
  for await (const kept of sessionsBeginningWith(core, tenant, keptPrefix(id)))
    if (kept.createdAt === createdAt) return kept;
  return undefined;
}

/** The beginning of the ids under which resets keep what a session was until then. */
export function keptPrefix(id: string): string {
  return `${id.slice(0, 220)}.`;
}

/** The pointer of a device that shares a session by a link code. */
export interface SharingPointer {
  readonly kind: "linked";
  readonly session: string;
  /** The first turn that the device can have said there, in the session that was created at `born`. @default 1 */
  readonly from?: number;
  readonly born?: number;
}

/** A device that shares a session. */
interface Sharer {
  /** The name of the device. */
  readonly name: string;
  readonly said: Said;
  readonly pointer: SessionRecord;
}

/** The devices that share a session; of a session that is gone, those that shared it. */
async function sharersOf(core: Core, session: Marked & Partial<SessionRecord>): Promise<readonly Sharer[]> {
  const { tenant, id } = session;
  if (core.isFallback || isInternalScope(tenant)) return [];
  const sharers: Sharer[] = [];
  for await (const pointer of recordsOf(core, internalScope(tenant, "devices"), id)) {
    const said = saidBySharer(core, pointer, session);
    if (said !== undefined) sharers.push({ name: pointer.id, said, pointer });
  }
  return sharers;
}

/** The turns that the device of this pointer can have said in the session; undefined where the pointer leads elsewhere. */
function saidBySharer(
  core: Core,
  { metadata }: SessionRecord,
  { id, createdAt, lastActivityAt }: Marked & Partial<SessionRecord>,
): Said | undefined {
  const { kind, session, from = 1, born } = metadata as unknown as SharingPointer;
  if (kind !== "linked" || session !== id) return undefined;
  const isGone = lastActivityAt === undefined;
  // The device joined a later session of this id.
  if (isGone && born !== undefined && born > createdAt) return undefined;
  return { from: born === createdAt ? from : 1, until: Math.max(core.now(), lastActivityAt ?? 0), isTheirs: false };
}

/**
 * The turns of a device in the session that its pointer shares, also where the pointer has expired; undefined where it can have
 * said nothing.
 */
export async function sharedByPointer(core: Core, pointer: SessionRecord): Promise<UserContent | undefined> {
  const tenant = tenantOfScope(pointer.tenant);
  const { kind, session: id } = pointer.metadata as unknown as SharingPointer;
  const record = kind === "linked" ? (await core.find({ tenant, id }))?.record : undefined;
  const said = record && saidBySharer(core, pointer, record);
  if (record === undefined || said === undefined || headOf(record, "turns") < said.from) return undefined;
  return { ...said, record };
}

export function contentOf(mark: SessionRecord): MarkContent {
  return mark.metadata as unknown as MarkContent;
}

/** A session of the user's own, with the first turn that is the user's in it and in the sessions above it. */
export async function theirs({ core, user, names = [user] }: Owner, record: SessionRecord): Promise<UserContent> {
  let from = firstOwn(record, "turns");
  for await (const { record: above, from: first, reach } of lineOf(core, record)) {
    if (first <= reach && first < from && (await ownerOf(core, above))?.name === user) from = first;
    const marks = await core.findAll(names.map((name) => markKey(name, above)));
    for (const mark of marks) {
      const said = mark && contentOf(mark);
      if (said === undefined || said.from >= from || said.from > reach || !(await containsTurn(core, above, said)))
        continue;
      ({ from } = said);
    }
  }
  return { record, from, isTheirs: true };
}

/** Forks of this session that hold turns of the user as well. */
export async function* forksContaining(
  { core, tenant, user }: Owner,
  { record, from, isTheirs }: UserContent,
): AsyncGenerator<UserContent, void, void> {
  for await (const entry of eachEntry(core, record, "forks")) {
    const fork = (await core.find({ tenant, id: forkOf(entry) }))?.record;
    // A fork with turns of its own has no parent any more: its creation, and the turns that it shared, tell it from a later session.
    if (fork === undefined || fork.createdAt !== entry.at || (await inheritedOf(core, fork)) < from) continue;
    yield { record: fork, from, isTheirs: fork.user === user || (isTheirs && fork.user === null) };
  }
}

/**
 * The last turn that a session has from its parent, also while an open turn replaces it: the end of that turn may put it back.
 */
export async function inheritedOf(core: Core, record: SessionRecord): Promise<number> {
  if (!hasReplaced(record)) return record.inherited;
  const header = { log: replacedLog, from: 1, to: 1, order: "ascending", limit: 1 } as const;
  const [first] = await core.store.read(record, header);
  return inheritedBefore(record, first);
}

/**
 * True where the session still has the first turn of a mark, or may have it. A turn that the open turn replaced counts: the end
 * of the open turn may put it back.
 */
export async function containsTurn(
  core: Core,
  known: SessionRecord,
  said: Pick<UserContent, "from" | "until">,
): Promise<boolean> {
  for (let record = known; ;) {
    if ((await standsThere(core, record, said)) || (await isReplaced(core, record, said))) return true;
    // Between the two reads, the turn may have moved into the log of replaced turns or out of it.
    const newest = (await core.find(record))?.record;
    if (newest === undefined || newest.createdAt !== record.createdAt || haveSameTurns(newest, record)) return false;
    record = newest;
  }
}

async function isReplaced(
  core: Core,
  record: SessionRecord,
  said: Pick<UserContent, "from" | "until">,
): Promise<boolean> {
  const place = replacedPlace(record, said.from);
  if (place === undefined) return false;
  const range = { log: replacedLog, from: place, to: place, order: "ascending", limit: 1 } as const;
  const [entry] = await core.store.read(record, range);
  const { createdAt } = record;
  return entry !== undefined && mayHaveSaid(said, entry, { createdAt, inherited: await inheritedOf(core, record) });
}

async function standsThere(
  core: Core,
  record: SessionRecord,
  said: Pick<UserContent, "from" | "until">,
): Promise<boolean> {
  const { from } = said;
  if (headOf(record, "turns") < from) return false;
  if (record.parent !== null && record.parent.at >= from) return true;
  const range = { log: "turns", from, to: from, order: "ascending", limit: 1 } as const;
  const [entry]: readonly Entry[] = await readLog(core, record, range);
  return entry !== undefined && mayHaveSaid(said, entry, record);
}

/** The turns that a fork shares are older than the fork, whatever their times say. */
function mayHaveSaid(
  { from, until }: Pick<UserContent, "from" | "until">,
  entry: Entry,
  { createdAt, inherited }: Pick<SessionRecord, "createdAt" | "inherited">,
): boolean {
  if (until === undefined && from <= inherited) return true;
  return entry.at <= (until ?? createdAt) + skewMs;
}

/** The key of the mark of a session that calls a speaker by this name. */
export function markKey(name: string, { tenant, id, createdAt }: Marked): SessionKey {
  return { tenant: marksScope(tenant), id: hash("sha256", JSON.stringify([name, id, createdAt]), "hex") };
}

/** The name that all marks of a session have in common. */
function nameOf({ id, createdAt }: Marked): string {
  return hash("sha256", JSON.stringify([id, createdAt]), "hex");
}

/** The scope of the marks of a tenant. */
export function marksScope(tenant: string): string {
  return internalScope(tenant, "shared-forks");
}

/** The changes, each record once: the first change of a record decides. */
export function eachOnce(changes: readonly Change[]): readonly Change[] {
  const byKey = new Map<string, Change>();
  for (const change of changes) if (!byKey.has(keyText(change.key))) byKey.set(keyText(change.key), change);
  return [...byKey.values()];
}
