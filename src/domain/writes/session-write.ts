/**
 * Writes of callers: turns, named logs and fields of the record in one change. A write needs no knowledge of the turns, unless its
 * caller names what it was decided on (`onto`); a write without it is applied again to whatever is stored.
 */
import { SessionError } from "../../errors.ts";
import { guardBudget } from "../record/budget.ts";
import { changeOf, changesLog, headOf, isSame, turnsIdentity, type Change, type Draft } from "../record/change.ts";
import type { Entry, LogName } from "../record/entry.ts";
import { guardLease, turnOpen, type Context } from "../record/guards.ts";
import { patchDraft, use, type Patch } from "../record/lifecycle.ts";
import type { Identity, SessionRecord } from "../record/record.ts";
import { amendLast, type Amendment } from "../turns/amended-turn.ts";
import { entryOfTurn, type Turn } from "../turns/turn.ts";
import { placeFinished, truncateLog, type NewTurn } from "../turns/turns.ts";
import type { TruncatedTurns } from "../turns/truncated-usage.ts";
import type { Value } from "../values/codec.ts";
import { invalidArgument } from "../values/invalid-argument.ts";
import {
  guardOnto,
  placeEntries,
  type KnownLog,
  type NewEntries,
  type Onto,
  type PlacedEntries,
} from "./named-logs.ts";
import { placeWaiting, type WaitingWrite } from "./waiting.ts";

/** A turn to write; the agent of a turn that names none is chosen when it is written. */
export type WrittenTurn = Omit<NewTurn, "agent" | "at"> & { readonly agent: string | undefined };

/** The turns of a write. */
export interface NewTurns {
  /** The first turn to replace. @default behind the last one */
  readonly from?: number;
  readonly turns: readonly WrittenTurn[];
  /** A branch keeps the replaced turns. @default false */
  readonly keep?: boolean;
  /** The later version of the last turn, which `from` names; `turns` follow it. */
  readonly amendment?: Amendment & { readonly key: string | null };
  /** The last of the turns waits. */
  readonly wait?: NewWait;
}

/** How the last turn of a write waits. */
export interface NewWait {
  readonly state: Value;
  readonly reason: string;
  /** The longest wait, ms; null: as long as the session lives. */
  readonly forMs: number | null;
  /** The token that resumes it. */
  readonly token: string;
}

/** A write. */
export interface NewWrite {
  readonly turns?: NewTurns;
  readonly logs: readonly NewEntries[];
  readonly set?: Patch;
  readonly onto?: Onto;
}

/** The parts of the session that were read before the write. */
export interface Known {
  /** The turns that the write replaces; absent if they were not read. */
  readonly turns?: KnownTurns;
  readonly logs: ReadonlyMap<LogName, KnownLog>;
}

/** Turns that were read before they are replaced. */
export interface KnownTurns {
  /** The last change of the turns when they were read. */
  readonly identity: Identity;
  /** The messages and the usage of the turns to truncate. */
  readonly truncated: TruncatedTurns;
  /** The turn to amend; absent if none is. */
  readonly last?: Turn;
  /** Keeps the marks of the amended turn, in the draft; false where they changed since they were read. Absent if it keeps them anyway. */
  readonly keepMarks?: (draft: Draft, amended: Turn, context: Context) => boolean;
  /** Deletes the marks of the turns to truncate, in the draft; false where they changed since they were read. Absent if turns stay. */
  readonly deleteMarks?: (draft: Draft, context: Context) => boolean;
}

/** The input of the rule, besides the record. */
export interface WriteParts {
  readonly write: NewWrite;
  readonly known: Known;
  /** The fencing token of the lease that the caller writes under; null: it has no lease. */
  readonly fence: number | null;
  /** The agent of a turn that names none. */
  readonly agentOf: (record: SessionRecord) => string;
}

/** The outcome of the rule. */
export type Written =
  | {
      readonly status: "written";
      readonly change: Change;
      readonly turns: readonly Turn[];
      readonly logs: ReadonlyMap<LogName, Extract<PlacedEntries, { status: "placed" }>>;
    }
  /** The write depends on entries that were not read, or that changed since. */
  | { readonly status: "unread" }
  /** Two entries of the write have one key, which `refuse` forbids. */
  | { readonly status: "duplicate"; readonly log: LogName; readonly entry: Entry };

const unread = { status: "unread" } as const;

/**
 * Write.
 * @throws SessionError `busy`, `fenced`, `conflict`, `argument_invalid`, `range_invalid`, `turn_open`, `turn_too_large`,
 *   `turn_parts_exceeded`, `state_too_large`, `write_too_large`, `metadata_too_large`, `budget_exceeded`, `legal_hold`,
 *   `session_forked`, or that of the session's state
 */
export function writeSession(draft: Draft, { write, known, fence, agentOf }: WriteParts, context: Context): Written {
  guardLease(draft.record, fence, context);
  if (write.onto !== undefined) guardOnto(draft.base, write.onto, writtenLogs(write));
  use(draft, context);
  if (write.set !== undefined) patchDraft(draft, write.set, context);
  const turns = placeTurns(draft, { write: write.turns, known: known.turns, agentOf }, context);
  if (turns.status !== "placed") return turns;
  const logs = new Map<LogName, Extract<PlacedEntries, { status: "placed" }>>();
  for (const entries of write.logs) {
    const { log } = entries;
    const placed = placeEntries(draft, { write: entries, known: known.logs.get(log) }, context);
    if (placed.status === "duplicate") return { ...placed, log };
    if (placed.status === "unread") return unread;
    logs.set(log, placed);
  }
  return { status: "written", change: changeOf(draft), turns: turns.turns, logs };
}

/** The logs that a write changes, or may change. */
export function writtenLogs({ turns, logs }: NewWrite): readonly LogName[] {
  return [...(turns === undefined ? [] : ["turns"]), ...logs.map(({ log }) => log)];
}

type PlacedTurns =
  | { readonly status: "placed"; readonly turns: readonly Turn[] }
  | Exclude<Written, { readonly status: "written" }>;

function placeTurns(
  draft: Draft,
  {
    write,
    known,
    agentOf,
  }: {
    readonly write: NewTurns | undefined;
    readonly known: KnownTurns | undefined;
    readonly agentOf: WriteParts["agentOf"];
  },
  context: Context,
): PlacedTurns {
  if (write === undefined) return { status: "placed", turns: [] };
  const { record } = draft;
  const { amendment } = write;
  if (record.openTurn !== null) throw turnOpen(record, record.openTurn);
  const head = headOf(record, "turns");
  const from = write.from ?? head + 1;
  const [lowest, highest] = amendment === undefined ? [1, head + 1] : [Math.max(1, head), head];
  if (from < lowest || from > highest) throw new SessionError("range_invalid", { from, to: highest });
  const placed: Turn[] = [];
  if (from <= head) {
    // A recovery in this draft has sealed the open turn, which changed the turns that were read.
    const isRead =
      known !== undefined && !changesLog(draft, "turns") && isSame(known.identity, turnsIdentity(draft.base));
    if (!isRead) return unread;
    if (amendment === undefined) {
      truncateLog(draft, { after: from - 1, truncated: known.truncated }, context);
      if (known.deleteMarks?.(draft, context) === false) return unread;
    } else if (known.last === undefined) return unread;
    else {
      const turn = amendLast(draft, { earlier: known.last, amendment: ofSameKey(known.last, amendment) }, context);
      if (known.keepMarks?.(draft, turn, context) === false) return unread;
      placed.push(turn);
    }
  }
  for (const [index, turn] of write.turns.entries()) {
    const same = turn.key === null ? undefined : placed.find(({ key }) => key === turn.key);
    if (same !== undefined) return { status: "duplicate", log: "turns", entry: entryOfTurn(same) };
    guardBudget(draft.record);
    const agent = turn.agent ?? agentOf(draft.record);
    const isLast = index === write.turns.length - 1;
    placed.push(
      isLast && write.wait !== undefined
        ? placeWaiting(draft, { turn: { ...turn, agent }, wait: waitAt(write.wait, context.now) }, context)
        : placeFinished(draft, { ...turn, agent }, context),
    );
  }
  return { status: "placed", turns: placed };
}

/** The wait that begins now. */
export function waitAt({ state, reason, forMs, token }: NewWait, now: number): WaitingWrite {
  return {
    resume: { state, notRun: [], asks: [] },
    waiting: { token, reason, since: now, expiresAt: forMs === null ? null : now + forMs },
  };
}

/** An amended turn keeps its key. @throws SessionError `argument_invalid` for another one */
function ofSameKey(earlier: Turn, { key, ...amendment }: NonNullable<NewTurns["amendment"]>): Amendment {
  if (key === null || key === earlier.key) return amendment;
  const known = earlier.key === null ? [] : [earlier.key];
  throw invalidArgument("key", key, known.length === 0 ? { expected: "no_field" } : { expected: "one_of", known });
}
