/**
 * Sessions of other users that hold a user's words. While the user's own session exists, its log of forks leads to its forks;
 * a mark leads to every other session: to one that became another user's, to a copy, and to a fork whose parent is deleted.
 */
import type { SessionRecord } from "../../domain/record/record.ts";
import { isDeviceName } from "../core/keyed-hash.ts";
import { contentOf, markKey, marksFor, marksScope, putMark, type UserContent } from "../marks/mark.ts";
import { forksContaining } from "../marks/marked-forks.ts";
import { containsTurn } from "../marks/marked-turns.ts";
import { ownTurnsOf, withTurnsAbove } from "../marks/turn-owners.ts";
import { recordPages } from "../core/record-pages.ts";
import { deviceNames, devicePages, sessionPages, subjectOf, subjectsOf, type Subject } from "./subject.ts";

/** Sessions of other users that hold words of a user: forks, and sessions that were the user's. */
export interface SharedForks {
  readonly count: number;
  /** Those of them under legal hold. */
  readonly legalHold: number;
  /** The ids of the first 50 of them. */
  readonly ids: readonly string[];
}

/** A mark of a user. */
interface UserMark {
  readonly mark: SessionRecord;
  /** It names the user or a device of the user, and not the user's keyed hash. */
  readonly isPlain: boolean;
}

const idsMax = 50;
export const noSharedForks: SharedForks = { count: 0, legalHold: 0, ids: [] };

/** The same with one more. */
export function withFork({ count, legalHold, ids }: SharedForks, fork: SessionRecord): SharedForks {
  return {
    count: count + 1,
    legalHold: legalHold + (fork.legalHold === null ? 0 : 1),
    ids: ids.length < idsMax ? [...ids, fork.id] : ids,
  };
}

/** Every session that holds words of the user and does not name the user, each once. */
export async function* userContents(subject: Subject): AsyncGenerator<UserContent, void, void> {
  const names = await namesOf(subject);
  for await (const { mark } of marksOf(subject, names)) {
    const fork = await markedSession(subject, names, mark);
    if (fork === undefined) continue;
    // A session may have marks under several names: it counts with the last one.
    const later = names.slice(names.indexOf(mark.user ?? "") + 1);
    if (await hasMark(subject, later, fork.record)) continue;
    yield fork;
    yield* unmarkedBelow(subject, names, fork);
  }
  for await (const page of sessionPages(subject)) yield* below(subject, names, page);
  for await (const { guests } of devicePages(subject)) yield* below(subject, names, guests);
}

async function* below(
  subject: Subject,
  names: readonly string[],
  records: readonly SessionRecord[],
): AsyncGenerator<UserContent, void, void> {
  for (const record of records)
    if (record.forkedAt > 0) yield* unmarkedBelow(subject, names, await ownTurnsOf({ ...subject, names }, record));
}

async function* unmarkedBelow(
  subject: Subject,
  names: readonly string[],
  one: UserContent,
): AsyncGenerator<UserContent, void, void> {
  for await (const fork of forksContaining(subject, one)) {
    // The user's own sessions and those with a mark are found by themselves.
    if (fork.record.user === subject.user || (await hasMark(subject, names, fork.record))) continue;
    yield fork;
    yield* unmarkedBelow(subject, names, fork);
  }
}

async function hasMark({ core }: Subject, names: readonly string[], record: SessionRecord): Promise<boolean> {
  const marks = await core.findAll(names.map((name) => markKey(name, record)));
  return marks.some((mark) => mark !== undefined);
}

/** Write, once, that this session holds words of the user, under the user's keyed hash. @throws the store's errors */
export async function markFork(subject: Subject, content: UserContent): Promise<void> {
  await putMark(subject.core, subjectOf(subject), content);
}

/** All marks of the user, those under the keyed hash last; the caller may remove them on the way. */
export async function* marksOf(subject: Subject, names?: readonly string[]): AsyncGenerator<UserMark, void, void> {
  const { core, tenant } = subject;
  for (const name of names ?? (await namesOf(subject))) {
    for await (const marks of recordPages(core, marksScope(tenant), name))
      for (const mark of marks) yield { mark, isPlain: !hashesOf(subject).includes(name) };
  }
}

/**
 * The session that a mark leads to; undefined if that is deleted, or contains no words of the user any more. The turns of a
 * guest in the sessions above it can be the user's since the mark was written.
 */
export async function markedSession(
  subject: Subject,
  names: readonly string[],
  mark: SessionRecord,
): Promise<UserContent | undefined> {
  const { core, tenant, user } = subject;
  const { session, born, ...turns } = contentOf(mark);
  const record = (await core.find({ tenant, id: session }))?.record;
  if (record?.createdAt !== born || record.user === user) return undefined;
  const content = await withTurnsAbove({ ...subject, names }, { ...turns, record });
  if (!(await containsTurn(core, record, turns)) && !(await containsTurn(core, record, content))) return undefined;
  return { ...content, isTheirs: turns.isTheirs && (await isAlone(subject, record)) };
}

/** True for a session that names no user and has no mark of another user. */
async function isAlone(subject: Subject, record: SessionRecord): Promise<boolean> {
  if (record.user !== null) return false;
  for await (const { user } of marksFor(subject.core, record)) {
    if (user !== null && user !== subject.user && !hashesOf(subject).includes(user) && !isDeviceName(user))
      return false;
  }
  return true;
}

/**
 * The names of the user in marks. A mark of a device that was written into this store while a user claimed the device in another
 * one counts as the user's.
 */
export async function namesOf(subject: Subject): Promise<readonly string[]> {
  return [subject.user, ...(await deviceNames(subject)), ...hashesOf(subject)];
}

function hashesOf({ core, tenant, hashed }: Subject): readonly string[] {
  return subjectsOf(core, tenant, hashed);
}
