/**
 * Amends the last turn: a later version takes its place, with its number, key and time. Its usage is at least that of the
 * earlier version, so counters grow by the difference, and nothing is added to the log of truncated usage.
 */
import { countUsage, headOf, set, spliceEntry, type Draft } from "../record/change.ts";
import { turnOpen, type Context } from "../record/guards.ts";
import { use } from "../record/lifecycle.ts";
import { guardForks, guardLegalHold } from "../record/retention.ts";
import { dropSummaries } from "../record/summary-logs.ts";
import { encode } from "../values/codec.ts";
import { defined } from "../values/defined.ts";
import { countAmended } from "./counters.ts";
import { entryOfTurn, type Message, type Turn, type Usage } from "./turn.ts";
import { guardTurnParts, guardTurnSize, ownAfter, type NewTurn } from "./turns.ts";

/** The later version of a turn; absent fields stay as they were. */
export type Amendment = Partial<Omit<NewTurn, "key" | "at">>;

/**
 * Amend the last turn, in the draft. `earlier`: the turn that is stored.
 * @throws SessionError `turn_open`, `session_forked`, `turn_too_large`, `turn_parts_exceeded`, that of the session's state;
 *   `legal_hold` where the amended turn lacks a message of the earlier one
 */
export function amendLast(
  draft: Draft,
  { earlier, amendment }: { readonly earlier: Turn; readonly amendment: Amendment },
  context: Context,
): Turn {
  const { record } = draft;
  const { seq } = earlier;
  if (record.openTurn !== null) throw turnOpen(record, record.openTurn);
  if (seq !== headOf(record, "turns")) throw new RangeError(`turn ${seq} of ${record.id} is not the last one`);
  const turn = amended(earlier, amendment);
  if (!extendsTurn(earlier, turn)) guardLegalHold(record);
  guardForks(record, seq - 1);
  guardTurnParts(record, turn, context);
  const { counters } = record;
  const entry = entryOfTurn(turn, counters.messages - earlier.input.length - earlier.output.length);
  guardTurnSize(record, turn, entry, context);
  // The usage of a turn that another session has is counted there; the amended turn is this session's own.
  const counted = seq > record.inherited ? earlier : withoutUsage(earlier);
  use(draft, context);
  ownAfter(draft, seq - 1);
  spliceEntry(draft, "turns", entry);
  dropSummaries(draft, seq - 1);
  set(draft, { counters: countAmended(counters, counted, turn) });
  countUsage(draft, { tokens: (turn.usage?.totalTokens ?? 0) - (counted.usage?.totalTokens ?? 0), turns: 0 });
  return turn;
}

function amended(earlier: Turn, amendment: Amendment): Turn {
  const { error, ...kept } = earlier;
  const status = amendment.status ?? earlier.status;
  return {
    ...kept,
    ...defined(amendment),
    requests: Math.max(earlier.requests, amendment.requests ?? 0),
    ...defined({
      usage: moreOf(earlier.usage, amendment.usage),
      durationMs: longerOf(earlier.durationMs, amendment.durationMs),
      // The reason of a failure goes with the failure.
      error: status === earlier.status ? error : undefined,
    }),
  };
}

function moreOf(earlier: Usage | undefined, later: Usage | undefined): Usage | undefined {
  if (earlier === undefined || later === undefined) return later ?? earlier;
  const inputTokens = Math.max(earlier.inputTokens, later.inputTokens);
  const outputTokens = Math.max(earlier.outputTokens, later.outputTokens);
  const totalTokens = Math.max(earlier.totalTokens, later.totalTokens, inputTokens + outputTokens);
  return { ...earlier, ...later, inputTokens, outputTokens, totalTokens };
}

function longerOf(earlier: number | undefined, later: number | undefined): number | undefined {
  return earlier === undefined || later === undefined ? (later ?? earlier) : Math.max(earlier, later);
}

function extendsTurn(earlier: Turn, turn: Turn): boolean {
  return beginsWith(turn.input, earlier.input) && beginsWith(turn.output, earlier.output);
}

function beginsWith(messages: readonly Message[], beginning: readonly Message[]): boolean {
  return encode(messages.slice(0, beginning.length)) === encode(beginning);
}

function withoutUsage({ usage: _, durationMs: _durationMs, ...turn }: Turn): Turn {
  return { ...turn, requests: 0 };
}
