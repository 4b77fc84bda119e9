/** The main transcript of a session and the turns of the session. */
import type { Limits, Session } from "../../index.ts";
import { batchesOf, groups } from "../projection/batches.ts";
import { ProjectedTurns, type ForeignMessages, type ProjectedWrite } from "../projection/projected-turns.ts";
import { groupMax, linesOf, mainLog, piecesOf, type ClaudeEntry, type Piece } from "./entries.ts";
import { uuidKey } from "./keys.ts";
import { itemOf, knownEarlierIn, linesOfTurns, shownValuesOf, type ShownValue } from "./turn-lines.ts";

const turns = new ProjectedTurns("claude-agent");

/** The last entries of the log, of which one has the line that others follow, or is a part of it. */
const entriesOfLine = 20;
/** Lines of a transcript without turns that become turns with its next line. */
const earlierMax = 200;

/** Messages of a turn, and the lines in their place. */
interface ForeignLines {
  readonly from: ForeignMessages;
  readonly lines: readonly ClaudeEntry[];
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
  for (const from of foreign) {
    const shown = shownValuesOf(from, sessionId);
    added.push(from.mayBeKnown ? await unknownOf(session, { from, shown, sessionId }, limits) : shown);
  }
  const all = linesOfTurns(added, { sessionId, last });
  return foreign.map((from, index) => {
    const lines = all[index] ?? [];
    const pieces = piecesOf(lines, undefined, limits);
    const { count, bytes } = sizeOf({ pieces });
    const max = groupMax(limits);
    return count <= max.count && bytes <= max.bytes ? { from, lines, pieces } : { from, lines: [], pieces: [] };
  });
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
