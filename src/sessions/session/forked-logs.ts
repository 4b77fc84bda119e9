/**
 * The named logs of a session, with the summaries and marks of shared turns, on their way to a fork: all of them from one moment.
 * They come in the load that the fork begins with, or, where they are more than one commit takes, are read page by page and staged.
 * A log that only grew meanwhile is read on from its last entry.
 */
import { headOf, namedLogs } from "../../domain/record/change.ts";
import { memoryLog, summaryLog, type Entry, type LogName, type SessionKey } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { markOf } from "../../domain/writes/named-logs.ts";
import type { Loaded } from "../../store/store.ts";
import type { Core } from "../core/core.ts";
import { eachEntry, readLog } from "../core/log-reader.ts";
import { ArrivingLogs, stepOf, type ArrivedLogs } from "../core/staged-logs.ts";
import type { Handle } from "../handle/handle.ts";
import { currentSummaries } from "../memory/read-memory.ts";
import { KnownTurns } from "../turn-marks/read-marks.ts";

/** The session at the moment of the fork. */
export interface ForkedMoment {
  readonly record: SessionRecord;
  /** The entry with the instructions. */
  readonly instructions: Entry | undefined;
  readonly named: ArrivedLogs;
}

/** Disposing of it discards what is staged, unless the fork took it over. */
export class ForkedLogs implements AsyncDisposable {
  readonly #handle: Handle;
  readonly #target: SessionKey;
  readonly #at: number;
  #arriving: ArrivingLogs | undefined;
  /** The last entry of each log that was read page by page. */
  #last = new Map<LogName, Entry>();
  /** The summaries that came with those logs, as a text. */
  #summarized: string | undefined;

  /** `at`: the last turn that the fork shares. @default the last one */
  constructor(handle: Handle, target: SessionKey, at: number = Number.POSITIVE_INFINITY) {
    this.#handle = handle;
    this.#at = at;
    this.#target = target;
  }

  /** The newest moment of the session. @throws SessionError `session_not_found`, and the store's */
  async moment(): Promise<ForkedMoment> {
    for (;;) {
      const logs = copiedLogs(this.#handle.record);
      const { length: bytesMax } = stepOf(this.#handle.core.options.limits);
      const ofLogs = logs.map((log) => ({ log, last: Number.MAX_SAFE_INTEGER, bytesMax }));
      const wanted = [{ log: "instructions", last: 1 }, ...(this.#arriving === undefined ? ofLogs : [])];
      const { record, tails } = await this.#handle.peek(wanted);
      const [[instructions] = [], ...entries] = tails;
      if (copiedLogs(record).some((log) => !logs.includes(log))) continue;
      const loaded =
        this.#arriving === undefined ? wholeLogs(this.#handle.core, { record, tails: entries }, logs) : undefined;
      if (loaded !== undefined) {
        const logs = new Map([...loaded, ...(await this.#summaries(record))]);
        return { record, instructions, named: { logs, staged: undefined, beside: [] } };
      }
      const named = await this.#read(record, logs);
      if (named !== undefined) return { record, instructions, named };
    }
  }

  /** The summaries of shared turns, without those of other branches. */
  async #summaries(record: SessionRecord): Promise<ReadonlyMap<LogName, readonly Entry[]>> {
    const { core } = this.#handle;
    const logs = new Map<LogName, readonly Entry[]>();
    for await (const { summary, entry } of currentSummaries(core, record, new KnownTurns(core, record)))
      if (summary.to <= this.#at) logs.set(summaryLog(summary.to), [{ ...entry, seq: 1 }]);
    return logs;
  }

  /** Undefined where the logs changed while they were read. */
  async #read(record: SessionRecord, logs: readonly LogName[]): Promise<ArrivedLogs | undefined> {
    const { core } = this.#handle;
    this.#arriving ??= new ArrivingLogs(core, this.#target, record.user);
    for (const log of logs) {
      if (!(await this.#readOn(this.#arriving, record, log))) {
        await this.#beginAgain();
        return undefined;
      }
    }
    if (!(await this.#addSummaries(this.#arriving, record))) {
      await this.#beginAgain();
      return undefined;
    }
    const { record: newest } = await this.#handle.peek();
    const isSame = logs.every((log) => markOf(newest, log) === markOf(record, log));
    return isSame ? await this.#arriving.arrived() : undefined;
  }

  /** Adds the summaries behind the other logs, once; false where they are others by now, such as those of turns that were deleted. */
  async #addSummaries(arriving: ArrivingLogs, record: SessionRecord): Promise<boolean> {
    const summaries = [...(await this.#summaries(record))];
    const summarized = JSON.stringify(summaries);
    if (this.#summarized !== undefined) return this.#summarized === summarized;
    this.#summarized = summarized;
    for (const [log, entries] of summaries) for (const entry of entries) await arriving.add(log, entry);
    return true;
  }

  /** Reads the rest of a log; false where it was rewritten since the last time. */
  async #readOn(arriving: ArrivingLogs, record: SessionRecord, log: LogName): Promise<boolean> {
    const { core } = this.#handle;
    const last = this.#last.get(log);
    const from = (last?.seq ?? 0) + 1;
    if (headOf(record, log) < from - 1) return false;
    if (last !== undefined) {
      const range = { log, from: last.seq, to: last.seq, order: "ascending", limit: 1 } as const;
      const [again] = await readLog(core, record, range);
      if (again?.data !== last.data || again.at !== last.at || again.key !== last.key) return false;
    }
    for await (const entry of eachEntry(core, record, log)) {
      if (entry.seq < from) continue;
      await arriving.add(log, entry);
      this.#last.set(log, entry);
    }
    return (this.#last.get(log)?.seq ?? 0) === headOf(record, log);
  }

  async #beginAgain(): Promise<void> {
    await this.#arriving?.[Symbol.asyncDispose]();
    this.#arriving = undefined;
    this.#last = new Map();
    this.#summarized = undefined;
  }

  /** The fork took the logs over. */
  taken(): void {
    this.#arriving?.taken();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#arriving?.[Symbol.asyncDispose]();
  }
}

/** The logs that a fork has whole copies of. */
function copiedLogs(record: SessionRecord): readonly LogName[] {
  return [...namedLogs(record), ...(headOf(record, memoryLog) > 0 ? [memoryLog] : [])];
}

/** The logs of a load; undefined where they are not whole, or more than one commit takes. */
function wholeLogs(
  core: Core,
  { record, tails }: Loaded,
  logs: readonly LogName[],
): ReadonlyMap<LogName, readonly Entry[]> | undefined {
  const isWhole = logs.every((log, index) => (tails[index] ?? []).length === headOf(record, log));
  const all = tails.flat();
  const max = stepOf(core.options.limits);
  const length = all.reduce((sum, { data }) => sum + data.length, 0);
  if (!isWhole || all.length > max.entries || length > max.length) return undefined;
  return new Map(logs.map((log, index) => [log, tails[index] ?? []]));
}
