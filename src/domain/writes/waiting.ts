/**
 * Rules of turns that wait. A turn in progress may wait for a decision, such as the approval of a tool call: its writer stores
 * a state and gives up the lease. A turn that its caller has run without Perdure is written as a waiting one. The turn stays the
 * open one, without a writer, until:
 *
 * - a caller resumes it with its token, once: the turn is open again, and that caller is its writer;
 * - a caller seals it with its token: it is finished, in the same commit;
 * - it is interrupted: by a caller, by the end of its time, or with its session. Its seal is that of `recover`.
 */
import { SessionError } from "../../errors.ts";
import { changeOf, draftOf, set, splice, type Change, type Draft } from "../record/change.ts";
import { appendEvent } from "../record/event.ts";
import type { Entry } from "../record/entry.ts";
import { guardFence, guardLease, sessionIds, type Context, type Writer } from "../record/guards.ts";
import { deadlines, stayLive, use } from "../record/lifecycle.ts";
import type { SessionRecord, Waiting } from "../record/record.ts";
import { nextState } from "../record/states.ts";
import { grant, passLease, sealOver, waitedAt, waitsAt, type Acquisition } from "../turns/leases.ts";
import { entryOfTurn, type Resume, type Step, type Turn, type Usage } from "../turns/turn.ts";
import {
  appendChunks,
  guardTurnParts,
  guardTurnSize,
  placeOpen,
  type NewChunks,
  type NewTurn,
  type Sealing,
} from "../turns/turns.ts";
import { keptChunk } from "../turns/chunk.ts";
import { interruptions } from "../../errors/answer-problems.ts";
import { defined } from "../values/defined.ts";
import { encode } from "../values/codec.ts";

/** The usage of a turn up to its wait. */
export interface UsageSoFar {
  readonly usage?: Usage;
  readonly requests: number;
  readonly steps?: readonly Step[];
  readonly agent?: string;
  readonly model?: string;
}

/** How a turn waits. */
export interface Wait {
  /** The turn with its output so far. */
  readonly turn: Turn;
  readonly usageSoFar: UsageSoFar;
  readonly resume: Resume;
  readonly waiting: Waiting;
  /** The fencing token of its writer. */
  readonly fence: number;
  /** Release the lease in the same step. */
  readonly release: boolean;
  /** The last chunks of the output. */
  readonly rest: NewChunks;
}

/**
 * Let the turn in progress wait. Its chunks stay, and its entry has the output so far.
 * @throws SessionError `fenced`, `turn_not_open`, `interrupted` for a turn that was asked to stop, `turn_too_large`,
 *   `turn_parts_exceeded`, `state_too_large`, that of the session's state
 */
export function waitTurn(record: SessionRecord, wait: Wait, context: Context): Change {
  const { turn, usageSoFar, resume, waiting, fence, release, rest } = wait;
  guardFence(record, fence);
  const { seq } = turn;
  if (record.openTurn !== seq || record.waiting !== null)
    throw new SessionError("turn_not_open", { ...sessionIds(record), turn: seq });
  if (record.cancel?.turn === seq)
    throw new SessionError("interrupted", { ...sessionIds(record), turn: seq, how: "cancelled" });
  // A turn of a session that takes no writes could not be resumed.
  nextState(record, "use", context.now);
  const draft = draftOf(record);
  beginWait(draft, { turn, usageSoFar, resume, waiting, rest }, context);
  stayLive(draft, context);
  if (release) set(draft, { lease: null });
  return changeOf(draft);
}

/** A turn that waits from its first commit on. */
export interface WaitingWrite {
  readonly resume: Resume;
  readonly waiting: Waiting;
}

/**
 * Write a turn that waits behind the last one, in the draft. The lease stays as it is.
 * @throws SessionError `turn_open`, `turn_too_large`, `turn_parts_exceeded`, `state_too_large`, that of the session's state
 */
export function placeWaiting(
  draft: Draft,
  { turn, wait }: { readonly turn: NewTurn; readonly wait: WaitingWrite },
  context: Context,
): Turn {
  const { key, agent, model, input, output, usage, requests } = turn;
  const { seq, at } = placeOpen(draft, { key, agent, input, ...defined({ model }) }, context);
  const open: Turn = {
    seq,
    key,
    at: new Date(at),
    status: "open",
    agent,
    input,
    output,
    requests,
    ...defined({ model }),
  };
  const kept = output.map((message) => keptChunk({ message }));
  const chunkBytes = kept.reduce((sum, { length }) => sum + length, 0);
  const rest: NewChunks = { chunks: kept.map(({ chunk }) => chunk), chunkBytes };
  return beginWait(draft, { ...wait, turn: open, usageSoFar: { requests, ...defined({ usage }) }, rest }, context);
}

/** Let the open turn wait, in the draft. */
function beginWait(
  draft: Draft,
  { turn, usageSoFar, resume, waiting, rest }: Omit<Wait, "fence" | "release">,
  context: Context,
): Turn {
  const { record } = draft;
  const { seq } = turn;
  if (rest.chunks.length > 0) appendChunks(draft, rest, context);
  const kept: Turn = { ...turn, ...usageSoFar, status: "waiting" };
  guardTurnParts(record, kept, context);
  guardTurnSize(record, kept, entryOfTurn(kept), context);
  guardResumeSize(record, resume, context);
  splice(draft, "turns", seq, [entryOfTurn(kept, record.counters.messages - turn.input.length, resume)]);
  set(draft, { waiting });
  const { reason } = waiting;
  const expiresAt = waiting.expiresAt === null ? null : new Date(waiting.expiresAt);
  appendEvent(draft, { type: "turn_waiting", turn: seq, reason, expiresAt, calls: resume.asks }, context);
  return kept;
}

/** @throws SessionError `state_too_large` */
function guardResumeSize(record: SessionRecord, { state }: Resume, { limits }: Context): void {
  const bytes = Buffer.byteLength(encode(state, "state"));
  if (bytes <= limits.turnBytesMax) return;
  throw new SessionError("state_too_large", { ...sessionIds(record), bytes, bytesMax: limits.turnBytesMax });
}

/** How a turn is resumed. */
export interface Resumption {
  readonly token: string;
  /** The turn that waits under the token. */
  readonly turn: Turn;
  readonly writer: Pick<Writer, "fence">;
  /** The lease that the resumer takes with it; null: it has one. */
  readonly lease: Acquisition | null;
  /** The ids of the tool calls that were decided on. @default none: its writer continues it by itself */
  readonly decided?: { readonly approved: readonly string[]; readonly refused: readonly string[] };
}

/**
 * Resume the turn: it is open again, in the same place, and its state and output are in the chunks alone. The token is used up.
 * @throws SessionError as {@link guardToken}, `busy`, `fenced`
 */
export function resumeTurn(
  draft: Draft,
  { token, turn, writer, lease, decided }: Resumption,
  context: Context,
): Change {
  const waiting = guardToken(draft.record, token, context);
  guardLease(draft.record, writer.fence, context);
  if (lease !== null) grant(draft, lease, context);
  const waitedMs = waitedAt(turn, waiting, context.now);
  const open: Turn = { ...turn, status: "open", output: [], ...defined({ waitedMs }) };
  const before = draft.record.counters.messages - turn.input.length;
  splice(draft, "turns", turn.seq, [entryOfTurn(open, before)]);
  set(draft, { waiting: null });
  const waited = { turn: turn.seq, waitedMs: Math.max(0, context.now - waiting.since) };
  appendEvent(
    draft,
    decided === undefined ? { type: "turn_resumed", ...waited } : { type: "calls_decided", ...waited, ...decided },
    context,
  );
  use(draft, context);
  set(draft, deadlines(draft.record));
  return changeOf(draft);
}

/** How a turn that waits is sealed. */
export interface WaitEnd extends Omit<Resumption, "lease" | "decided"> {
  /** The seal of the turn as it would be open again, at a time in epoch ms. */
  readonly sealing: (open: Turn, now: number) => Sealing;
  /** The entries of the turns that the turn replaced. */
  readonly replaced: readonly Entry[];
}

/**
 * Resume the turn and seal it, in one step: no writer takes its lease, and the first waiter of the queue gets one.
 * @throws SessionError as {@link guardToken}, `busy`, `fenced`, `turn_too_large`, `turn_parts_exceeded`
 */
export function sealWaiting(
  draft: Draft,
  { token, turn, writer, sealing, replaced }: WaitEnd,
  context: Context,
): { readonly change: Change; readonly turn: Turn } {
  const waiting = guardToken(draft.record, token, context);
  guardLease(draft.record, writer.fence, context);
  const waitedMs = waitedAt(turn, waiting, context.now);
  const open: Turn = { ...turn, status: "open", ...defined({ waitedMs }) };
  const sealed: Turn = { ...open, ...sealing(open, context.now) };
  const waited = Math.max(0, context.now - waiting.since);
  appendEvent(draft, { type: "turn_resumed", turn: turn.seq, waitedMs: waited }, context);
  use(draft, context);
  const entry = sealOver(draft, sealed, replaced);
  guardTurnParts(draft.record, sealed, context);
  guardTurnSize(draft.record, sealed, entry, context);
  if (writer.fence === null) passLease(draft, context);
  set(draft, deadlines(draft.record));
  return { change: changeOf(draft), turn: sealed };
}

/**
 * The wait under this token.
 * @throws SessionError `turn_not_waiting`, `interrupted` for a turn whose time is up, that of the session's state
 */
export function guardToken(record: SessionRecord, token: string, context: Context): Waiting {
  const { waiting, openTurn } = record;
  if (waiting === null || waiting.token !== token || openTurn === null) {
    const other = waiting === null ? undefined : (openTurn ?? undefined);
    throw new SessionError("turn_not_waiting", { ...sessionIds(record), ...defined({ turn: other }) });
  }
  nextState(record, "use", context.now);
  if (!waitsAt(record, context.now))
    throw new SessionError("interrupted", { ...sessionIds(record), turn: openTurn, how: "waiting_expired" });
  return waiting;
}

/** Why a turn that waits is sealed: its time is up, else `given`. */
export function endOfWait(record: SessionRecord, given: string, now: number): string {
  return waitsAt(record, now) ? given : interruptions.waiting_expired;
}
