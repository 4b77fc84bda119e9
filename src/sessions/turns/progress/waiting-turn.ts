/** A turn that waits for a decision, as its writer and its resumer see it. */
import { encode, type Value } from "../../../domain/values/codec.ts";
import { parseDuration, type Duration } from "../../../domain/values/duration.ts";
import { invalidArgument } from "../../../domain/values/invalid-argument.ts";
import type { OptionNames } from "../../../domain/values/option-names.ts";
import type { Waiting } from "../../../domain/record/record.ts";
import type { Message, ReportedUsage, Resume, ToolCall, Turn } from "../../../domain/turns/turn.ts";
import { parseWaitingReason } from "../../options/arguments.ts";

/** How a turn waits. */
export interface WaitOptions {
  /** The data that the resumer needs, such as the run state of a framework. No model and no reader of turns gets it. */
  readonly state: Value;
  /** Why it waits, such as "approval": at most 256 characters; lists filter by it. */
  readonly reason: string;
  /** The longest wait; then the turn is sealed as interrupted. @default as long as the session lives */
  readonly expires?: Duration;
  /** The usage so far; a later seal adds its own. @default none: nothing is counted */
  readonly usage?: ReportedUsage;
  /** Calls of a model so far. @default 1 */
  readonly requests?: number;
}

export const waitNames: OptionNames<WaitOptions> = {
  state: true,
  reason: true,
  expires: true,
  usage: true,
  requests: true,
};

/** Tool calls with which a turn waits. */
export interface WaitingCalls {
  readonly notRun: readonly ToolCall[];
  readonly asks: readonly string[];
}

/** A turn that waits to be resumed. */
export interface WaitingTurn {
  /** The number of the turn. */
  readonly turn: number;
  readonly state: Value;
  readonly reason: string;
  /** When the wait began. */
  readonly since: Date;
  /** When the turn is interrupted if it is not resumed; null: it waits as long as the session lives. */
  readonly expiresAt: Date | null;
  /** Resumes the turn, once. */
  readonly token: string;
  /** The output so far. */
  readonly output: readonly Message[];
  /** The tool calls that need an approval; empty where the turn waits for something else. */
  readonly calls: readonly ToolCall[];
}

/** The reason and the longest wait; null: as long as the session lives. */
export interface ParsedWait {
  readonly reason: string;
  readonly forMs: number | null;
}

/** @throws SessionError `argument_invalid`, `duration_invalid`, `value_unstorable` */
export function parseWait({ state, reason, expires }: WaitOptions): ParsedWait {
  if (state === undefined) throw invalidArgument("state", state, { expected: "value" });
  encode(state, "state");
  return {
    reason: parseWaitingReason(reason),
    forMs: expires === undefined ? null : parseDuration(expires, "expires"),
  };
}

/** A turn that waits, as its resumer sees it. */
export function waitingTurn(
  { seq, output }: Pick<Turn, "seq" | "output">,
  { token, reason, since, expiresAt }: Waiting,
  { state, notRun, asks }: Resume,
): WaitingTurn {
  const calls = notRun.filter(({ id }) => asks.includes(id));
  return {
    turn: seq,
    state,
    reason,
    since: new Date(since),
    expiresAt: expiresAt === null ? null : new Date(expiresAt),
    token,
    output,
    calls,
  };
}
