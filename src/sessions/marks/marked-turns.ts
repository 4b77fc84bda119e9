/** Checks whether a session still has the first turn of a mark. */
import { haveSameTurns, headOf, namedLogs } from "../../domain/record/change.ts";
import { keptNumbers } from "../../domain/branches/segments.ts";
import { keptLog, type Entry } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { Core } from "../core/core.ts";
import { hasReplaced, inheritedBefore, replacedLog, replacedPlace } from "../../domain/turns/replaced-turns.ts";
import { readLog } from "../core/log-reader.ts";
import type { UserContent } from "./mark.ts";

/** The turns of a speaker: from a number on, until a time. */
type TurnPeriod = Pick<UserContent, "from" | "until">;

/** The largest difference between the clocks of two processes. */
const skewMs = 60_000;

/**
 * True if the session has the first turn of a mark, or may have it. A turn that the open turn replaced counts: the end of the
 * open turn may put it back. A named log counts if it was begun while the speaker wrote to the session.
 */
export async function containsTurn(core: Core, known: SessionRecord, turns: TurnPeriod): Promise<boolean> {
  for (let record = known; ;) {
    if ((await isInTurns(core, record, turns)) || (await isReplaced(core, record, turns))) return true;
    // Between the two reads, the turn may have moved into the log of replaced turns or out of it.
    const newest = (await core.find(record))?.record;
    if (newest === undefined || newest.createdAt !== record.createdAt) return false;
    if (haveSameTurns(newest, record)) return await isInNamedLog(core, record, turns);
    record = newest;
  }
}

/**
 * The last turn that a session has from its parent. A turn that the open turn replaced counts: the end of the open turn may
 * put it back.
 */
export async function inheritedOf(core: Core, record: SessionRecord): Promise<number> {
  if (!hasReplaced(record)) return record.inherited;
  const header = { log: replacedLog, from: 1, to: 1, order: "ascending", limit: 1 } as const;
  const [first] = await core.store.read(record, header);
  return inheritedBefore(record, first);
}

async function isReplaced(core: Core, record: SessionRecord, turns: TurnPeriod): Promise<boolean> {
  const place = replacedPlace(record, turns.from);
  if (place === undefined) return false;
  const range = { log: replacedLog, from: place, to: place, order: "ascending", limit: 1 } as const;
  const [entry] = await core.store.read(record, range);
  const { createdAt } = record;
  return entry !== undefined && mayBeBySpeaker(turns, entry, { createdAt, inherited: await inheritedOf(core, record) });
}

async function isInTurns(core: Core, record: SessionRecord, turns: TurnPeriod): Promise<boolean> {
  const { from } = turns;
  if (await isInOtherBranch(core, record, turns)) return true;
  if (headOf(record, "turns") < from) return false;
  if (record.parent !== null && record.parent.at >= from) return true;
  const range = { log: "turns", from, to: from, order: "ascending", limit: 1 } as const;
  const [entry]: readonly Entry[] = await readLog(core, record, range);
  return entry !== undefined && mayBeBySpeaker(turns, entry, record);
}

/** Another branch than the current one may have the turn if its own turns begin while the speaker wrote to the session. */
async function isInOtherBranch(core: Core, record: SessionRecord, turns: TurnPeriod): Promise<boolean> {
  for (const branch of keptNumbers(record)) {
    const range = { log: keptLog(branch), from: 1, to: 1, order: "ascending", limit: 1 } as const;
    const [first] = await readLog(core, record, range);
    if (first !== undefined && mayBeBySpeaker(turns, first, record)) return true;
  }
  return false;
}

async function isInNamedLog(core: Core, record: SessionRecord, turns: TurnPeriod): Promise<boolean> {
  const range = { from: 1, to: 1, order: "ascending", limit: 1 } as const;
  for (const log of namedLogs(record)) {
    const [first] = headOf(record, log) === 0 ? [] : await readLog(core, record, { log, ...range });
    if (first !== undefined && mayHaveBegun(turns, first, record)) return true;
  }
  return false;
}

/** True if a named log that begins with this entry may have words of the speaker. */
export function mayHaveBegun(
  { until }: Pick<UserContent, "until">,
  first: Entry,
  { createdAt }: Pick<SessionRecord, "createdAt">,
): boolean {
  return first.at <= (until ?? createdAt) + skewMs;
}

/**
 * True if this first turn may be one of the speaker. Turns that a fork shares are older than the fork, so their times are not
 * compared.
 */
export function mayBeBySpeaker(
  { from, until }: TurnPeriod,
  entry: Entry,
  { createdAt, inherited }: Pick<SessionRecord, "createdAt" | "inherited">,
): boolean {
  if (until === undefined && from <= inherited) return true;
  return entry.at <= (until ?? createdAt) + skewMs;
}
