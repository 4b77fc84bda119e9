/** Reads the summaries, the pinned turns and the turns that are left out, as the current branch has them. */
import { headOf } from "../../domain/record/change.ts";
import { feedbackLog, memoryLog, type Entry, type LogName } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { summaryLogs } from "../../domain/record/summary-logs.ts";
import { readRating, type StoredRating } from "../../domain/memory/feedback.ts";
import { readSummary, type Summary } from "../../domain/memory/summary.ts";
import { contentIdentity, turnIdentity } from "../../domain/memory/turn-identity.ts";
import { memoryOf, noMemory, type MarkedTurn, type TurnMemory } from "../../domain/memory/turn-memory.ts";
import type { ShownMemory } from "../../domain/request/memory.ts";
import { isSealed, readTurn, type Turn } from "../../domain/turns/turn.ts";
import { defined } from "../../domain/values/defined.ts";
import type { Core } from "../core/core.ts";
import { eachEntry, readLog } from "../core/log-reader.ts";

/** Turns of one record by their numbers: those that were read already, and others as they are needed. */
export class KnownTurns {
  readonly #core: Core;
  readonly #record: SessionRecord;
  readonly #turns = new Map<number, Turn | undefined>();

  constructor(core: Core, record: SessionRecord, turns: Iterable<Turn> = []) {
    this.#core = core;
    this.#record = record;
    for (const turn of turns) this.#turns.set(turn.seq, turn);
  }

  /** The turn; undefined where there is none, or it cannot be read. */
  async at(seq: number): Promise<Turn | undefined> {
    if (!this.#turns.has(seq) && seq <= headOf(this.#record, "turns")) {
      const range = { log: "turns", from: seq, to: seq, order: "ascending", limit: 1 } as const;
      const [entry] = await readLog(this.#core, this.#record, range);
      const turn = entry && readTurn(entry);
      this.#turns.set(seq, typeof turn === "string" ? undefined : turn);
    }
    return this.#turns.get(seq);
  }

  /** The turns of these marks, without those of other branches and those that were deleted. */
  async marked(marks: readonly MarkedTurn[]): Promise<readonly Turn[]> {
    const turns = await Promise.all(
      marks.map(async ([seq, identity]) => {
        const turn = await this.at(seq);
        return turn !== undefined && turnIdentity(turn) === identity ? [turn] : [];
      }),
    );
    return turns.flat();
  }
}

/** True for a session that has summaries or marked turns. */
export function hasMemory(record: SessionRecord): boolean {
  return headOf(record, memoryLog) > 0 || summaryLogs(record).length > 0;
}

/** The marked turns of all branches. */
export async function readTurnMemory(core: Core, record: SessionRecord): Promise<TurnMemory> {
  if (headOf(record, memoryLog) === 0) return noMemory;
  const [entry] = await readLog(core, record, { log: memoryLog, from: 1, to: 1, order: "ascending", limit: 1 });
  return memoryOf(entry);
}

/** The ratings of the turns of all branches. */
export async function storedRatings(core: Core, record: SessionRecord): Promise<readonly StoredRating[]> {
  const ratings: StoredRating[] = [];
  for await (const entry of eachEntry(core, record, feedbackLog)) {
    const rating = readRating(entry);
    if (rating !== undefined) ratings.push(rating);
  }
  return ratings;
}

/** A summary, and the entry that stores it. */
interface FoundSummary {
  readonly summary: Summary;
  readonly entry: Entry;
}

/** The summaries of the current branch, those that cover most first. A summary of turns that changed is none. */
export async function* currentSummaries(
  core: Core,
  record: SessionRecord,
  turns: KnownTurns,
): AsyncGenerator<FoundSummary, void, void> {
  for (const { log, to } of summaryLogs(record)) {
    const turn = await turns.at(to);
    if (turn === undefined || !isSealed(turn)) continue;
    const identity = contentIdentity(turn);
    for (const entry of (await summaryEntries(core, record, log)).toReversed()) {
      const stored = readSummary(to, entry);
      if (stored?.turn !== identity) continue;
      yield { summary: stored.summary, entry };
      break;
    }
  }
}

/** A log of summaries has one entry for each version of the turn, of which there are as many as branches. */
async function summaryEntries(core: Core, record: SessionRecord, log: LogName): ReturnType<typeof readLog> {
  const to = headOf(record, log);
  const limit = core.options.limits.branchesMax;
  return (await readLog(core, record, { log, from: 1, to, order: "descending", limit })).toReversed();
}

/** The summary that covers most of the turns before this one. */
export async function newestSummary(
  core: Core,
  record: SessionRecord,
  { before, turns }: { readonly before: number; readonly turns: KnownTurns },
): Promise<Summary | undefined> {
  for await (const { summary } of currentSummaries(core, record, turns)) if (summary.to < before) return summary;
  return undefined;
}

/** The memory for a request whose question is turn `before`; undefined for a session without summaries and marks. */
export async function memoryFor(
  core: Core,
  record: SessionRecord,
  { before, loaded }: { readonly before: number; readonly loaded: readonly Turn[] },
): Promise<ShownMemory | undefined> {
  if (!hasMemory(record)) return undefined;
  const turns = new KnownTurns(core, record, loaded);
  const { pinned, leftOut } = await readTurnMemory(core, record);
  const summary = await newestSummary(core, record, { before, turns });
  const isLoaded = ([seq]: MarkedTurn): boolean => loaded.some((turn) => turn.seq === seq);
  const shown = await turns.marked(pinned.filter(([seq]) => seq < before));
  const hidden = await turns.marked(leftOut.filter(isLoaded));
  return {
    ...defined({ summary }),
    pinned: shown.filter(isSealed),
    leftOut: new Set(hidden.map(({ seq }) => seq)),
  };
}
