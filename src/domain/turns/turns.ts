/**
 * Rules of turns. A turn is appended whole, or it begins, gets chunks, and is sealed. At most one turn is in progress. It
 * is the last of the log, and its writer has a lease: the lease tells a dead writer from a slow one.
 */
import { SessionError } from "../../errors.ts";
import { branchOff, cutSegments, isShared } from "../branches/branching.ts";
import { onlyBranch } from "../branches/tree.ts";
import { guardBudget } from "../record/budget.ts";
import {
  changeOf,
  countUsage,
  draftOf,
  editable,
  headOf,
  keepsListed,
  set,
  splice,
  spliceEntry,
  type Change,
  type Draft,
} from "../record/change.ts";
import { encodeChunk, type Chunk } from "./chunk.ts";
import { newEntry, type Entry } from "../record/entry.ts";
import { endSession, stayLive, use } from "../record/lifecycle.ts";
import { grant, isGrantedTo, passLease, sealOver, type Acquisition } from "./leases.ts";
import type { SessionRecord } from "../record/record.ts";
import { guardForks, guardLegalHold } from "../record/retention.ts";
import { dropSummaries } from "../record/summary-logs.ts";
import { dropReplaced, guardReplaced, keepReplaced } from "./replaced-turns.ts";
import { appendTruncatedUsage, type TruncatedTurns } from "./truncated-usage.ts";
import { countBegun, countSealed, countTruncated } from "./counters.ts";
import { entryAt, turnBytes, type Message, type Step, type Turn, type TurnContent, type Usage } from "./turn.ts";
import { countToolCalls } from "./message-steps.ts";
import {
  guardFence,
  guardLease,
  guardSeen,
  sessionIds,
  turnOpen,
  type Context,
  type Writer,
} from "../record/guards.ts";

/** A turn to append; the rule gives it a number and a time. */
export type NewTurn = Omit<Turn, "seq" | "at" | "status"> & {
  readonly status: "done" | "failed" | "interrupted";
  /** When it began, epoch ms. @default now */
  readonly at?: number;
};

/**
 * Append a finished turn.
 * @throws SessionError `conflict`, `busy`, `fenced`, `turn_open`, `turn_too_large`, `turn_parts_exceeded`, or that of the session's state
 */
export function appendTurn(
  draft: Draft,
  { turn, writer }: { turn: NewTurn; writer: Writer },
  context: Context,
): Change {
  guardWriter(draft, writer, context);
  finish(draft, turn, context);
  return { ...changeOf(draft), keepsListed: keepsListed(draft) };
}

/** A writer of turns must be allowed to write, and must have seen all turns. */
function guardWriter(draft: Draft, writer: Writer, context: Context): void {
  guardLease(draft.record, writer.fence, context);
  guardSeen(draft.base, writer);
}

/**
 * Append a finished turn, in the draft.
 * @throws SessionError `turn_open`, `turn_too_large`, `turn_parts_exceeded`, or that of the session's state
 */
export function placeFinished(draft: Draft, turn: NewTurn, context: Context): Turn {
  const { seq, at } = finish(draft, turn, context);
  return { seq, ...turn, at: new Date(at) };
}

function finish(draft: Draft, turn: NewTurn, context: Context): Entry {
  const { counters } = draft.record;
  const entry = place(draft, turn, turn.at ?? context.now, context);
  editable(draft).counters = countSealed(countBegun(counters, turn), turn);
  countUsage(draft, { tokens: turn.usage?.totalTokens ?? 0, turns: 1 });
  return entry;
}

/** A turn to begin. */
export interface OpenTurn {
  readonly key: string | null;
  readonly agent: string;
  readonly model?: string;
  readonly input: readonly Message[];
}

/**
 * Begin a turn: its input is durable from here on. Without a lease of its own the writer takes one in the same step.
 * @throws SessionError as {@link appendTurn}, `budget_exceeded`
 */
export function beginTurn(draft: Draft, beginning: Beginning, context: Context): Change {
  begin(draft, beginning, context);
  return changeOf(draft);
}

/** A turn to begin, its writer, and the lease that the writer takes with it. */
export interface Beginning {
  readonly turn: OpenTurn;
  readonly writer: Writer;
  readonly lease: Acquisition | null;
}

/**
 * Begin the last turn again, in its place: the turn that failed or was interrupted goes, and the open one has its number
 * and its key. `truncated`: the messages and the usage of the earlier try; the usage stays counted.
 * @throws SessionError as {@link beginTurn}, `legal_hold`, `session_forked`
 */
export function beginAgain(
  draft: Draft,
  { truncated, ...beginning }: Beginning & { readonly truncated: TruncatedTurns },
  context: Context,
): Change {
  const { turn, writer } = beginning;
  guardWriter(draft, writer, context);
  truncateLog(draft, { after: headOf(draft.record, "turns") - 1, truncated }, context);
  begin(draft, beginning, context);
  // The entry that bears the key goes in this very change.
  draft.claims.splice(0, draft.claims.length, ...draft.claims.filter(({ key }) => key !== turn.key));
  return changeOf(draft);
}

/** Turns to replace: those after turn `after`, their entries, their messages and their usage; no entries of turns that are kept. */
export interface Replacement {
  readonly after: number;
  readonly entries: readonly Entry[];
  readonly truncated: TruncatedTurns;
}

/**
 * Begin a turn in the place of others: the turns after `after` are truncated, and kept until the answer has begun. If the
 * answer fails before its first word, its seal puts them back.
 * @throws SessionError as {@link beginTurn}, `replaced_too_large`, `legal_hold`, `session_forked`
 */
export function beginInstead(
  draft: Draft,
  { replacement, ...beginning }: Beginning & { readonly replacement: Replacement },
  context: Context,
): Change {
  const { after, entries, truncated } = replacement;
  const before = draft.record;
  guardReplaced(before, after, entries, context.limits);
  guardWriter(draft, beginning.writer, context);
  truncateLog(draft, { after, truncated }, context);
  const isKept = draft.record.branches?.made !== before.branches?.made;
  begin(draft, beginning, context);
  keepReplaced(draft, before, isKept ? { tree: truncated.tree ?? onlyBranch } : entries);
  return changeOf(draft);
}

function begin(draft: Draft, { turn, writer, lease }: Beginning, context: Context): void {
  if (!isGrantedTo(draft.record, lease?.ticket ?? null)) guardLease(draft.record, writer.fence, context);
  guardSeen(draft.base, writer);
  guardBudget(draft.record);
  if (lease !== null) grant(draft, lease, context);
  placeOpen(draft, turn, context);
}

/**
 * Put an open turn behind the last one, in the draft, without output.
 * @throws SessionError `turn_open`, `turn_too_large`, `turn_parts_exceeded`, or that of the session's state
 */
export function placeOpen(draft: Draft, turn: OpenTurn, context: Context): Entry {
  // Left by a question whose turn was lost and repaired: this turn must not give way to them.
  dropReplaced(draft);
  const entry = place(draft, { ...turn, status: "open", output: [], requests: 0 }, context.now, context);
  set(draft, {
    openTurn: entry.seq,
    cancel: null,
    counters: countBegun(draft.record.counters, turn),
  });
  countUsage(draft, { tokens: 0, turns: 1 });
  return entry;
}

/** Put a turn behind the last one. `at`: when it began, epoch ms. */
function place(draft: Draft, turn: TurnContent, at: number, context: Context): Entry {
  const { record } = draft;
  if (record.openTurn !== null) throw turnOpen(record, record.openTurn);
  guardTurnParts(record, turn, context);
  const entry = entryAt({ seq: headOf(record, "turns") + 1, at }, turn, record.counters.messages);
  guardTurnSize(record, turn, entry, context);
  use(draft, context);
  spliceEntry(draft, "turns", entry);
  if (turn.key !== null) draft.claims.push({ log: "turns", key: turn.key });
  return entry;
}

/** @throws SessionError `turn_parts_exceeded` if a turn has more tool calls than the limit */
export function guardTurnParts(record: SessionRecord, turn: Pick<Turn, "input" | "output">, context: Context): void {
  guardToolCalls(record, countToolCalls(turn.input) + countToolCalls(turn.output), context);
}

/** @throws SessionError `turn_parts_exceeded` if this many tool calls of one turn are over the limit */
export function guardToolCalls(record: SessionRecord, count: number, { limits }: Context): void {
  if (count <= limits.toolCallsMax) return;
  const exceeded = { part: "toolCalls", count, countMax: limits.toolCallsMax } as const;
  throw new SessionError("turn_parts_exceeded", { ...sessionIds(record), ...exceeded });
}

/** @throws SessionError `turn_too_large` */
export function guardTurnSize(
  record: SessionRecord,
  turn: Pick<Turn, "input" | "output">,
  { data }: Entry,
  { limits }: Context,
): void {
  // A UTF-16 unit is at most three bytes of UTF-8: short texts need no count.
  if (data.length * 3 <= limits.turnBytesMax) return;
  const bytes = turnBytes(data, turn);
  if (bytes <= limits.turnBytesMax) return;
  throw new SessionError("turn_too_large", {
    ...sessionIds(record),
    bytes,
    bytesMax: limits.turnBytesMax,
  });
}

/**
 * Append chunks of the running answer. `chunkBytes`: the size of all chunks of the turn, with these.
 * @throws SessionError `fenced`, `turn_not_open`, `turn_parts_exceeded`, `turn_too_large`
 */
export function addChunks(
  record: SessionRecord,
  { chunks, fence, chunkBytes }: NewChunks & { readonly fence: number },
  context: Context,
): Change {
  guardFence(record, fence);
  // A turn that waits has no writer, also where its former writer still has the lease.
  if (record.openTurn === null || record.waiting !== null) {
    throw new SessionError("turn_not_open", {
      ...sessionIds(record),
      turn: headOf(record, "turns"),
    });
  }
  const draft = draftOf(record);
  appendChunks(draft, { chunks, chunkBytes }, context);
  stayLive(draft, context);
  return changeOf(draft);
}

/** Chunks to append, and the size of all chunks of the turn with these. */
export interface NewChunks {
  readonly chunks: readonly Chunk[];
  readonly chunkBytes: number;
}

/** Append chunks, in the draft. @throws SessionError `turn_parts_exceeded`, `turn_too_large` */
export function appendChunks(draft: Draft, { chunks, chunkBytes }: NewChunks, context: Context): void {
  const { record } = draft;
  const { turnBytesMax, chunksMax } = context.limits;
  const count = headOf(record, "chunks") + chunks.length;
  if (count > chunksMax) {
    const exceeded = { part: "chunks", count, countMax: chunksMax } as const;
    throw new SessionError("turn_parts_exceeded", { ...sessionIds(record), ...exceeded });
  }
  if (chunkBytes > turnBytesMax) {
    throw new SessionError("turn_too_large", {
      ...sessionIds(record),
      bytes: chunkBytes,
      bytesMax: turnBytesMax,
    });
  }
  const from = headOf(record, "chunks") + 1;
  const entries = chunks.map((chunk, index) =>
    newEntry({ seq: from + index, at: context.now }, null, encodeChunk(chunk)),
  );
  splice(draft, "chunks", from, entries);
}

/** The end of a turn in progress. */
export interface Sealing {
  readonly status: "done" | "failed" | "interrupted";
  readonly output: readonly Message[];
  readonly usage?: Usage;
  /** The agent that ended the answer, if it took it over. */
  readonly agent?: string;
  readonly model?: string;
  readonly requests: number;
  readonly durationMs: number;
  readonly steps?: readonly Step[];
  readonly finish?: string;
  readonly error?: { readonly code: string; readonly message: string };
}

/** A turn in progress and its end. */
export interface SealedTurn {
  readonly open: Turn;
  readonly sealing: Sealing;
  readonly fence: number;
  /** The lease is released too. */
  readonly release: boolean;
  /** The entries of the turns that it replaced. */
  readonly replaced: readonly Entry[];
  /** The session ends in the same step, for this reason. */
  readonly endReason?: string | undefined;
  /** The last chunks of a stream, which keeps them. */
  readonly rest?: NewChunks | undefined;
}

/**
 * Seal the turn in progress: the sealed turn replaces the open one, and its chunks are deleted, in the same step.
 * @throws SessionError `fenced`, `turn_not_open`, `turn_too_large`, `turn_parts_exceeded`
 */
export function sealTurn(
  draft: Draft,
  { open, sealing, fence, release, replaced, endReason, rest }: SealedTurn,
  context: Context,
): Change {
  const { record } = draft;
  guardFence(record, fence);
  if (record.openTurn !== open.seq || record.waiting !== null)
    throw new SessionError("turn_not_open", { ...sessionIds(record), turn: open.seq });
  const turn = { ...open, ...sealing };
  if (rest !== undefined && rest.chunks.length > 0) appendChunks(draft, rest, context);
  const entry = sealOver(draft, turn, replaced);
  // Without output it is hardly larger than at its beginning, and it must end regardless of the limits.
  if (sealing.output.length > 0 || sealing.steps !== undefined) {
    guardTurnParts(record, turn, context);
    guardTurnSize(record, turn, entry, context);
  }
  stayLive(draft, context);
  const ended = endReason === undefined ? null : endSession(draft, { fence, reason: endReason }, context);
  if (ended !== null) return ended;
  if (release) passLease(draft, context);
  return changeOf(draft);
}

/**
 * Truncate the log of turns after turn `after`. `truncated`: the messages and usage of those turns; the usage stays counted.
 * @throws SessionError `conflict`, `busy`, `fenced`, `turn_open`, `legal_hold`, `session_forked`
 */
export function truncateTurns(
  draft: Draft,
  { writer, ...truncation }: Truncation & { readonly writer: Writer },
  context: Context,
): Change {
  guardWriter(draft, writer, context);
  truncateLog(draft, truncation, context);
  return changeOf(draft);
}

interface Truncation {
  readonly after: number;
  readonly truncated: TruncatedTurns;
}

/**
 * Truncate the log of turns, in the draft. Turns that another branch shares, or is to keep, stay in the store.
 * @throws SessionError `turn_open`, `legal_hold`, `session_forked`, `branches_exceeded`, or that of the session's state
 */
export function truncateLog(draft: Draft, { after, truncated }: Truncation, context: Context): void {
  const { record } = draft;
  if (record.openTurn !== null) throw turnOpen(record, record.openTurn);
  const tree = truncated.tree ?? onlyBranch;
  if (truncated.isKept === true || isShared(record, after)) {
    branchOff(draft, { after, messages: record.counters.messages - truncated.messages, tree }, context);
    return;
  }
  guardLegalHold(record);
  guardForks(record, after);
  const turns = headOf(record, "turns") - after;
  use(draft, context);
  if (cutSegments(draft, { after, tree }, context)) ownAfter(draft, after);
  set(draft, {
    counters: countTruncated(draft.record.counters, { turns, messages: truncated.messages }),
  });
  splice(draft, "turns", after + 1, []);
  dropSummaries(draft, after);
  appendTruncatedUsage(draft, truncated.usage);
}

/** The turns after this one are the session's own from here on: it shares none of them. */
export function ownAfter(draft: Draft, after: number): void {
  const { parent, inherited } = draft.record;
  const shared = parent === null || parent.at <= after ? parent : { ...parent, at: after };
  set(draft, { parent: after === 0 ? null : shared, inherited: Math.min(inherited, after) });
}
