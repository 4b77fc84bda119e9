/**
 * The places of turns in a session with branches. The rules and the readers name the logs of a session by their content: `turns`
 * are those of the current branch, and `keptLog` those that only another branch has. The store names logs by their segment: the
 * segment `root` is the log `turns`, each other one has the name of `keptLog`. This file maps one to the other.
 */
import { firstOwn, headOf, lastOwn, type Change } from "../record/change.ts";
import { branchOfLog, keptLog, type Entry, type LogName, type Splice } from "../record/entry.ts";
import type { Segments, SessionRecord } from "../record/record.ts";

/** A part of a log: the entries from one number to another, which the store has under another name and other numbers. */
export interface Piece {
  /** The log in the store. */
  readonly log: LogName;
  /** The number of an entry is its number in the store plus this. */
  readonly offset: number;
  readonly from: number;
  readonly to: number;
}

/** The log in which the store has a segment. */
export function storedLog({ root }: Pick<Segments, "root">, segment: number): LogName {
  return segment === root ? "turns" : keptLog(segment);
}

/** True for a log with turns. */
export function hasTurns(log: LogName): boolean {
  return log === "turns" || branchOfLog(log) !== undefined;
}

/** The branches with turns of their own beside the current one, in ascending order. */
export function keptNumbers({ heads, archive }: Pick<SessionRecord, "heads" | "archive">): readonly number[] {
  const logs = Object.keys({ ...archive?.heads, ...heads });
  return logs.flatMap((log) => branchOfLog(log) ?? []).toSorted((a, b) => a - b);
}

/** The last turn before those in the segment of the current branch. */
export function endOfPath({ path }: Pick<Segments, "path">): number {
  return path.at(-1)?.[1] ?? 0;
}

/** The number of entries of a segment that the current branch has on its path. */
function sharedOf({ path }: Segments, segment: number): number {
  const index = path.findIndex(([one]) => one === segment);
  const to = path[index]?.[1];
  return to === undefined ? 0 : to - (path[index - 1]?.[1] ?? 0);
}

/** The pieces of a log with turns, in order. */
export function piecesOf(record: SessionRecord, log: LogName): readonly Piece[] {
  const segments = record.branches;
  const to = headOf(record, log);
  if (segments === null) return [{ log, offset: 0, from: 1, to }];
  const branch = branchOfLog(log);
  if (branch !== undefined)
    return [{ log: storedLog(segments, branch), offset: -sharedOf(segments, branch), from: 1, to }];
  let before = 0;
  const pieces: Piece[] = [];
  for (const [segment, end] of [...segments.path, [segments.current, to] as const]) {
    pieces.push({ log: storedLog(segments, segment), offset: before, from: before + 1, to: end });
    before = end;
  }
  return pieces;
}

/** How many turns at the beginning of two states of a session are in the same places of the store. */
export function turnsInSamePlaces(before: SessionRecord, after: SessionRecord): number {
  const others = piecesOf(after, "turns");
  let same = 0;
  for (const [index, { log, to }] of piecesOf(before, "turns").entries()) {
    const other = others[index];
    if (other?.log !== log) break;
    same = Math.min(to, other.to);
    if (to !== other.to) break;
  }
  return same;
}

/** The last piece of a log, which a change of the log continues. */
export function lastPiece(record: SessionRecord, log: LogName): Piece {
  const piece = piecesOf(record, log).at(-1);
  if (piece === undefined) throw new Error(`${log} of ${record.id} has no piece`);
  return piece;
}

/** The entry with its number in the log. */
export function withOffset(entry: Entry, offset: number): Entry {
  return offset === 0 ? entry : { ...entry, seq: entry.seq + offset };
}

/** The entries that the store has of a session under this name of a log: the numbers of the first and of the last one. */
export function storedRange(record: SessionRecord, log: LogName): { readonly first: number; readonly last: number } {
  const segments = record.branches;
  if (segments === null || !hasTurns(log)) return { first: firstOwn(record, log), last: lastOwn(record, log) };
  const segment = branchOfLog(log) ?? segments.root;
  // The store has this segment under another name.
  if (storedLog(segments, segment) !== log) return { first: 1, last: 0 };
  const kept = lastOwn(record, keptLog(segment));
  const current = lastOwn(record, "turns") - endOfPath(segments);
  const last = segment === segments.current ? current : sharedOf(segments, segment) + kept;
  return { first: segment === segments.root ? firstOwn(record, "turns") : 1, last };
}

/** The number of the turns at the beginning of a log whose usage another session counts. */
export function inheritedIn(record: SessionRecord, log: LogName): number {
  const piece = piecesOf(record, log).find((one) => one.log === "turns");
  return piece === undefined ? 0 : Math.max(0, Math.min(record.inherited + piece.offset, piece.to));
}

/** The turns that are rows of the session, those of all branches. */
export function countTurns(record: SessionRecord): number {
  const kept = keptNumbers(record).reduce((sum, branch) => sum + headOf(record, keptLog(branch)), 0);
  return headOf(record, "turns") + kept - (firstOwn(record, "turns") - 1);
}

/** The names in the store of all logs of a session. */
export function storedLogs(record: SessionRecord): readonly LogName[] {
  const logs = Object.keys(record.heads);
  const segments = record.branches;
  if (segments === null) return logs;
  const numbers = [segments.current, ...segments.path.map(([segment]) => segment), ...keptNumbers(record)];
  const turns = numbers.map((segment) => storedLog(segments, segment));
  return [...new Set([...logs.filter((log) => !hasTurns(log)), ...turns])];
}

/** The change with the names and numbers that the store has for its turns. */
export function placed(change: Change): Change {
  const segments = change.record?.branches ?? null;
  if (change.record === null || (segments === null && change.rows === undefined)) return change;
  const { log, offset } = lastPiece(change.record, "turns");
  const { rows = [], ...rest } = change;
  const splices = change.splices.map((splice): Splice => {
    if (splice.log !== "turns") return splice;
    const entries = splice.entries.map((entry) => withOffset(entry, -offset));
    return { ...splice, log, from: splice.from - offset, entries };
  });
  const claims = change.claims.map((claim) => (claim.log === "turns" ? { ...claim, log } : claim));
  return { ...rest, splices: [...splices, ...rows], claims };
}
