/** The main transcript of a session and the turns of the session. */
import type { Limits, Session } from "../../index.ts";
import { batchesOf, groups } from "../projection/batches.ts";
import { ProjectedTurns, type ForeignMessages, type ProjectedWrite } from "../projection/projected-turns.ts";
import { groupMax, linesOf, mainLog, piecesOf, type ClaudeEntry, type Piece } from "./entries.ts";
import { uuidKey } from "./keys.ts";
import {
  itemOf,
  knownEarlierIn,
  lateResultsOf,
  linesOfTurns,
  shownValuesOf,
  withResult,
  type LateResult,
  type ShownValue,
} from "./turn-lines.ts";

const turns = new ProjectedTurns("claude-agent");

/** The last entries of the log, of which one has the line that others follow, or is a part of it. */
const entriesOfLine = 20;
/** Lines of a transcript without turns that become turns with its next line. */
const earlierMax = 200;

/** Messages of a turn, and the lines in their place. */
interface ForeignLines {
  readonly from: ForeignMessages;
  readonly lines: readonly ClaudeEntry[];
  /** Lines of the log, with results that others have given since. */
  readonly grown: readonly ClaudeEntry[];
  readonly pieces: readonly Piece[];
}

/** The lines in the place of messages that others have added. Those of a turn that is larger than a write may be are left out. */
export async function foreignLines(
  session: Session,
  sessionId: string,
  limits: Limits,
): Promise<readonly ForeignLines[]> {
  const foreign = await turns.foreign(session);
  if (foreign.length === 0) return [];
  const newest = await Array.fromAsync(session.log(mainLog).entries({ last: entriesOfLine }));
  const last = linesOf(newest).findLast(({ uuid, parentUuid }) => uuid !== undefined && parentUuid !== undefined);
  const added: (readonly ShownValue[])[] = [];
  const grown: (readonly Piece[])[] = [];
  for (const from of foreign) {
    const late = await lateLines(session, lateResultsOf(from, sessionId), limits);
    const shown = shownValuesOf(from, sessionId).filter(({ index }) => !late.indexes.has(index));
    added.push(from.mayBeKnown ? await unknownOf(session, { from, shown, sessionId }, limits) : shown);
    grown.push(late.pieces);
  }
  const all = linesOfTurns(added, { sessionId, last });
  return foreign.map((from, index) => {
    const lines = all[index] ?? [];
    const replaced = grown[index] ?? [];
    const pieces = [...replaced.map((piece) => ({ ...piece, line: undefined })), ...piecesOf(lines, undefined, limits)];
    const { count, bytes } = sizeOf({ pieces });
    const max = groupMax(limits);
    if (count > max.count || bytes > max.bytes) return { from, lines: [], grown: [], pieces: [] };
    return { from, lines, grown: replaced.flatMap(({ line }) => line ?? []), pieces };
  });
}

/** Lines of the log that stood for results which others have given since, with the results, and the indexes of those. */
async function lateLines(
  session: Session,
  late: readonly LateResult[],
  limits: Limits,
): Promise<{ readonly indexes: ReadonlySet<number>; readonly pieces: readonly Piece[] }> {
  const lines = new Map<string, ClaudeEntry>();
  const uuids = [...new Set(late.flatMap((one) => one.uuids))];
  for (const group of groups(uuids, limits.readMax))
    for (const line of linesOf(await session.log(mainLog).get(group.map(uuidKey)))) lines.set(line.uuid ?? "", line);
  const indexes = new Set<number>();
  const pieces = new Map<string, Piece>();
  for (const one of late) {
    const line = one.uuids.flatMap((uuid) => lines.get(uuid) ?? [])[0];
    const whole = line && withResult(line, one);
    if (whole === undefined) continue;
    const [piece, ...more] = piecesOf([whole], undefined, limits);
    // A line that is larger than an entry may be cannot replace one: the result is a line of its own.
    if (piece === undefined || more.length > 0) continue;
    indexes.add(one.index);
    if (whole === line) continue;
    const uuid = whole.uuid ?? "";
    lines.set(uuid, whole);
    pieces.set(uuid, { ...piece, input: { ...piece.input, ifPresent: "replace" } });
  }
  return { indexes, pieces: [...pieces.values()] };
}

/** The messages of a turn that the log does not have. */
async function unknownOf(
  session: Session,
  {
    from,
    shown,
    sessionId,
  }: { readonly from: ForeignMessages; readonly shown: readonly ShownValue[]; readonly sessionId: string },
  { readMax }: Limits,
): Promise<readonly ShownValue[]> {
  const storedOf = async (uuids: readonly string[]): Promise<ReadonlySet<string>> => {
    const keys = new Map(uuids.map((uuid) => [uuidKey(uuid), uuid]));
    const stored = new Set<string>();
    for (const group of groups([...keys.keys()], readMax))
      for (const { key } of await session.log(mainLog).get(group)) stored.add(keys.get(key ?? "") ?? "");
    return stored;
  };
  const known = await storedOf(shown.map(({ uuid }) => uuid));
  // The log that has a message has what stood for the results that it had none of.
  const indexes = new Set(shown.flatMap(({ uuid, index }) => (known.has(uuid) ? [index] : [])));
  const unknown = shown.filter(({ index }) => !indexes.has(index));
  if (unknown.length === 0) return [];
  const isKnown = await knownEarlierIn(from, sessionId, storedOf);
  return unknown.filter(({ index }) => !isKnown(index));
}

/** The writes that add them to the transcript. */
export async function adoptions(
  session: Session,
  sessionId: string,
  limits: Limits,
): Promise<readonly { readonly pieces: readonly Piece[]; readonly projected: ProjectedWrite }[]> {
  const foreign = await foreignLines(session, sessionId, limits);
  const known: ForeignMessages[] = [];
  return batchesOf(foreign, sizeOf, groupMax(limits)).map((batch) => {
    known.push(...batch.map(({ from }) => from));
    const projected = turns.adopted(session, [...known], known.length === foreign.length);
    return { pieces: batch.flatMap(({ pieces }) => pieces), projected };
  });
}

function sizeOf({ pieces }: Pick<ForeignLines, "pieces">): { readonly count: number; readonly bytes: number } {
  return { count: pieces.length, bytes: pieces.reduce((sum, piece) => sum + piece.bytes, 0) };
}

/** The turns of these lines, and of earlier ones where the session has none yet. */
export async function projectedTurns(session: Session, lines: readonly ClaudeEntry[]): Promise<ProjectedWrite> {
  const { info } = session;
  const isWithout = info.turn === 0 && turns.isNewTo(info) && info.logs[mainLog] !== undefined;
  const earlier = isWithout ? linesOf(await Array.fromAsync(session.log(mainLog).entries({ last: earlierMax }))) : [];
  return await turns.projected(
    session,
    [...earlier, ...lines].flatMap((line) => itemOf(line) ?? []),
  );
}
