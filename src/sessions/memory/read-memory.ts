/** Reads the summaries and the marked turns, as the current branch has them. */
import { headOf } from "../../domain/record/change.ts";
import { memoryLog, type Entry, type LogName } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { summaryLogs } from "../../domain/record/summary-logs.ts";
import { readSummary, type Summary } from "../../domain/memory/summary.ts";
import { contentIdentity } from "../../domain/memory/turn-identity.ts";
import type { MarkedTurn } from "../../domain/memory/turn-memory.ts";
import type { ShownMemory } from "../../domain/request/memory.ts";
import { isSealed, type Turn } from "../../domain/turns/turn.ts";
import { defined } from "../../domain/values/defined.ts";
import type { Core } from "../core/core.ts";
import { readLog } from "../core/log-reader.ts";
import { KnownTurns, readTurnMemory } from "../turn-marks/read-marks.ts";

/** True for a session that has summaries or marked turns. */
export function hasMemory(record: SessionRecord): boolean {
  return headOf(record, memoryLog) > 0 || summaryLogs(record).length > 0;
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
