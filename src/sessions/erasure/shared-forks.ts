/**
 * What a user said lives on in sessions of others that were forked from the user's, in forks of those, and so on, and in
 * sessions that were the user's and became another's. While the user's session is there, its log of forks leads to its forks;
 * before it goes, a mark is put down for each that stays. A session that becomes another's gets its mark with that change.
 */
import type { SessionRecord } from "../../domain/record/record.ts";
import { isDeviceName } from "../core/keyed-hash.ts";
import {
  contentOf,
  forksHolding,
  holds,
  markKey,
  marksFor,
  marksScope,
  putMark,
  theirs,
  type Holding,
} from "../core/fork-references.ts";
import { recordPages } from "../core/record-pages.ts";
import { devicePages, sessionPages, subjectOf, type Subject } from "./subject.ts";

/** Sessions of others that hold something that a user said: forks, and sessions that were the user's. */
export interface SharedForks {
  readonly count: number;
  /** Those of them that are under hold. */
  readonly held: number;
  /** The first of them, 50 at most. */
  readonly ids: readonly string[];
}

/** A mark, and the fork that it is for; undefined where that is gone, or holds nothing of the user any more. */
interface Marked {
  readonly mark: SessionRecord;
  /** It bears the user's name. */
  readonly isPlain: boolean;
  readonly fork: Holding | undefined;
}

const idsMax = 50;
export const noSharedForks: SharedForks = { count: 0, held: 0, ids: [] };

/** The same with one more. */
export function withFork({ count, held, ids }: SharedForks, { id, legalHold }: SessionRecord): SharedForks {
  return {
    count: count + 1,
    held: held + (legalHold === null ? 0 : 1),
    ids: ids.length < idsMax ? [...ids, id] : ids,
  };
}

/** Every session that holds something that the user said and does not name the user, each once. */
export async function* holdingsOf(subject: Subject): AsyncGenerator<Holding, void, void> {
  for await (const { fork, isPlain } of marksOf(subject)) {
    if (fork === undefined) continue;
    // A fork may bear both marks for a moment.
    if (isPlain && (await subject.core.find(markKey(hashOf(subject), fork.record))) !== undefined) continue;
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
    const marks = [hashOf(subject), subject.user].map((name) => markKey(name, fork.record));
    if ((await subject.core.findAll(marks)).some((mark) => mark !== undefined)) continue;
    yield fork;
    yield* unmarkedBelow(subject, fork);
  }
}

/** Put down that this fork holds turns of the user's, once, under a name that only the secret leads to. @throws the store's errors */
export async function markFork(subject: Subject, holding: Holding): Promise<void> {
  await putMark(subject.core, hashOf(subject), holding);
}

/** All marks of the user, first those that bear the user's name; they may be removed on the way. */
export async function* marksOf(subject: Subject): AsyncGenerator<Marked, void, void> {
  const { core, tenant, user } = subject;
  for (const name of [user, hashOf(subject)]) {
    for await (const marks of recordPages(core, marksScope(tenant), name)) {
      for (const mark of marks) {
        const { session, born, ...said } = contentOf(mark);
        const record = (await core.find({ tenant, id: session }))?.record;
        const isIt = record?.createdAt === born && record.user !== user && (await holds(core, record, said));
        const fork = isIt
          ? { record, ...said, isTheirs: said.isTheirs && (await isAlone(subject, record)) }
          : undefined;
        yield { mark, isPlain: name === user, fork };
      }
    }
  }
}

/** True for a session that is nobody's and bears no other user's mark. */
async function isAlone(subject: Subject, record: SessionRecord): Promise<boolean> {
  if (record.user !== null) return false;
  for await (const { user } of marksFor(subject.core, record)) {
    if (user !== null && user !== subject.user && user !== hashOf(subject) && !isDeviceName(user)) return false;
  }
  return true;
}

function hashOf({ core, tenant, user }: Subject): string {
  return subjectOf(core, tenant, user);
}
