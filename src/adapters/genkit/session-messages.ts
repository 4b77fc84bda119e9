/** The messages that Genkit sees of a session, and the turns that a save writes: reads of the session's snapshots and turns. */
import {
  hasCode,
  type LogEntry,
  type Session,
  type SessionLook,
  type Sessions,
  type SessionWithLook,
  type TailQuery,
  type Turn,
  type Value,
} from "../../index.ts";
import { defined } from "../../domain/values/defined.ts";
import { keyPart } from "../keys/composed-keys.ts";
import { fieldsOf } from "./leaf.ts";
import type { GenkitSnapshotInput } from "./package-genkit.ts";
import { itemsLog, itemsOf, type Items, type StoredSnapshot } from "./stored-snapshot.ts";
import {
  firstTurnOf,
  projected,
  shownBeforeTurns,
  shownBehind,
  stands,
  withTurns,
  type Shown,
  type SnapshotProjection,
} from "./turns.ts";

/** The log of the snapshots, by their ids. */
export const snapshotsLog = "genkit";
/** The log of the changes of a status. */
export const changesLog = "genkit-changes";

const nothing: Shown = { messages: [], anchors: [], own: undefined };

/** The tails of a look at a session, for a save that is decided on its snapshots and turns. */
const tails: readonly TailQuery[] = [
  { log: snapshotsLog, last: 1 },
  { log: itemsLog, last: 0 },
  { log: "turns", last: 0 },
];

/** A session, and a look at it; undefined where there is none. */
export async function lookedAt(sessions: Sessions, id: string): Promise<SessionWithLook | undefined> {
  try {
    return await sessions.look(id, tails);
  } catch (error) {
    if (hasCode(error, "session_not_found")) return undefined;
    throw error;
  }
}

/** A look at a session that is open. */
export function lookAt(session: Session): Promise<SessionLook> {
  return session.look(tails);
}

/** The entry of the snapshot that was first saved last. */
export function newestIn({ tails }: SessionLook): LogEntry | undefined {
  return tails[0]?.[0];
}

function snapshotIn({ value }: LogEntry): StoredSnapshot {
  return value as unknown as StoredSnapshot;
}

/** All snapshots, in the order in which they were first saved. */
export async function snapshotsOf(session: Session): Promise<readonly StoredSnapshot[]> {
  const entries = await Array.fromAsync(session.log(snapshotsLog).between({}));
  return entries.sort((a, b) => a.seq - b.seq).map(snapshotIn);
}

/** The turns from a number on, up to the last one of a look. */
async function turnsOf(session: Session, { info: { turn: to } }: SessionLook, from = 1): Promise<readonly Turn[]> {
  return from > to ? [] : await Array.fromAsync(session.turns({ from, to }));
}

/** The messages of a snapshot. */
export function valuesIn(items: Items | undefined): readonly Value[] {
  return (items?.messages ?? []).map(({ value }) => value);
}

async function messagesOf(session: Session, stored: StoredSnapshot): Promise<readonly Value[]> {
  const parts = defined({ messages: stored.parts.messages });
  return valuesIn(await itemsOf(session.log(itemsLog), { ...stored, parts }));
}

/**
 * The messages of the newest snapshot, with those that others have added. Where others have changed its last turn, the messages of the
 * newest snapshot whose last turn is unchanged count.
 * @param messages those of the newest snapshot
 */
export async function shownMessagesOf(session: Session, look: SessionLook, messages: readonly Value[]): Promise<Shown> {
  const newest = newestIn(look);
  if (newest === undefined) return withTurns(nothing, await turnsOf(session, look));
  const { turns: own } = snapshotIn(newest);
  if (own === undefined) return shownBeforeTurns(messages, newest.at, await turnsOf(session, look));
  const turns = await turnsOf(session, look, firstTurnOf(own));
  if (stands(turns, own)) return shownBehind(messages, own, turns);
  const all = await turnsOf(session, look);
  for (const one of (await snapshotsOf(session)).toReversed()) {
    if (one.turns === undefined || one.turns.to === 0 || !stands(all, one.turns)) continue;
    return { ...shownBehind(await messagesOf(session, one), one.turns, all), own: undefined };
  }
  return withTurns(nothing, all);
}

/** The id of the snapshot that stands for the turns of a session without snapshots. */
export function idOfTurns(sessionId: string, turn: number): string {
  return `turns-${turn}-of-${sessionId}`;
}

/** The session and the number of its turns that an id of `idOfTurns` names. */
export function turnsOfId(snapshotId: string): { readonly sessionId: string; readonly turn: number } | undefined {
  const [, turn, sessionId] = /^turns-(\d{1,15})-of-(.+)$/s.exec(snapshotId) ?? [];
  return sessionId === undefined ? undefined : { sessionId, turn: Number(turn) };
}

/** The messages of the first turns of a session. */
export async function messagesOfTurns(session: Session, turn: number): Promise<readonly Value[]> {
  const turns = turn === 0 ? [] : await Array.fromAsync(session.turns({ to: turn }));
  return withTurns(nothing, turns).messages;
}

/** A snapshot to save, and the one that it is a later version of, or that it follows. */
export interface SavedSnapshot {
  readonly snapshot: GenkitSnapshotInput & { readonly snapshotId: string };
  /** Those that `base` has too are the same objects. */
  readonly items: Items;
  readonly before: StoredSnapshot | undefined;
  readonly base: Items | undefined;
}

/** The turns that a save writes. @param keepsAll true where no turn may be replaced */
export async function projectionOf(
  session: Session,
  look: SessionLook,
  {
    saved: { snapshot, items, before, base: earlier },
    turnsMax,
    keepsAll,
  }: { readonly saved: SavedSnapshot; readonly turnsMax: number; readonly keepsAll: boolean },
): Promise<SnapshotProjection> {
  const newest = newestIn(look);
  const known = valuesIn(earlier);
  const followsNewest = newest === undefined || newest.key === (before && keyPart(fieldsOf(before).snapshotId));
  const shown = await shownMessagesOf(session, look, followsNewest ? known : []);
  const { parentId = "" } = snapshot;
  const base = followsNewest ? shown : await branchOf(session, look, { before, known, parentId });
  const { turn: lastTurn } = look.info;
  const replaces = async (after: number): Promise<boolean> => {
    const { own } = shown;
    if (keepsAll || own?.to !== lastTurn) return false;
    if (after >= own.from - 1) return true;
    const covered = new Set<number>();
    for (const { turns } of await snapshotsOf(session))
      for (let turn = turns?.from ?? 1; turn <= (turns?.to ?? 0); turn++) covered.add(turn);
    for (let turn = after + 1; turn <= lastTurn; turn++) if (!covered.has(turn)) return false;
    return true;
  };
  const keyOf = (turn: number): string | undefined => (shown.own?.to === turn ? shown.own.key : undefined);
  return await projected(valuesIn(items), base, { lastTurn, replaces, keyOf, turnsMax });
}

/** The messages that a branch goes on from. Its turns count while its last one is unchanged. */
async function branchOf(
  session: Session,
  look: SessionLook,
  {
    before,
    known,
    parentId,
  }: { readonly before: StoredSnapshot | undefined; readonly known: readonly Value[]; readonly parentId: string },
): Promise<Shown> {
  if (before === undefined) {
    const end = turnsOfId(parentId)?.turn ?? 0;
    const turns = end === 0 ? [] : await turnsOf(session, look);
    return withTurns(
      nothing,
      turns.filter(({ seq }) => seq <= end),
    );
  }
  const { turns: own } = before;
  if (own === undefined) return { ...nothing, messages: known };
  const turns = (await turnsOf(session, look, firstTurnOf(own))).filter(({ seq }) => seq <= own.to);
  return stands(turns, own) ? shownBehind(known, own, turns) : { ...nothing, messages: known };
}
