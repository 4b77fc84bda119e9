/** Parses a finished turn that the caller appends. */
import { parseId } from "../../domain/values/ids.ts";
import type { SessionError } from "../../errors.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import type { OptionNames } from "../../domain/values/option-names.ts";
import { countMax, durationMaxMs } from "../../domain/values/limits.ts";
import {
  parseMessages,
  type MessageInput,
  type ReportedUsage,
  type Turn,
  type Usage,
} from "../../domain/turns/turn.ts";
import type { NewTurn } from "../../domain/turns/turns.ts";
import { estimateUsage, isCount, isDurationMs, isFinish, isModelName, parseUsage } from "../../domain/turns/usage.ts";
import { parseOneOf } from "../options/arguments.ts";

/** A finished exchange to append. */
export interface TurnInput {
  /** The input; a text is one message of the user. */
  readonly input: MessageInput;
  /** The output; a text is one message of the assistant. @default no output */
  readonly output?: MessageInput;
  /** The agent that answered. @default the active agent, else the session's agent */
  readonly agent?: string;
  readonly model?: string;
  /**
   * The tokens, as far as they are known; a field that is missing or NaN is estimated.
   * @default none, which counts nothing
   */
  readonly usage?: ReportedUsage;
  readonly durationMs?: number;
  /** Calls of a model. @default 1 if there is output with a model or usage, else 0 */
  readonly requests?: number;
  /** @default "done" */
  readonly status?: "done" | "failed" | "interrupted";
  /** Why the answer ended, such as "stop" or "length". */
  readonly finish?: string;
}

export const turnInputNames: OptionNames<TurnInput> = {
  input: true,
  output: true,
  agent: true,
  model: true,
  usage: true,
  durationMs: true,
  requests: true,
  status: true,
  finish: true,
};

const sealedStatuses = ["done", "failed", "interrupted"] as const;

/** @throws SessionError `argument_invalid`, `message_invalid`, `id_invalid` */
export function newTurn(turn: TurnInput, { agent, key }: { agent: string; key: string | null }): NewTurn {
  const output = turn.output === undefined ? [] : parseMessages(turn.output, "assistant", "output");
  const hasModel = turn.model !== undefined || turn.usage !== undefined;
  const { status = "done", requests = hasModel && output.length > 0 ? 1 : 0, model, usage, durationMs, finish } = turn;
  parseOneOf(status, "status", sealedStatuses);
  const input = parseMessages(turn.input, "user", "input");
  const parsed: EditableTurn = {
    key: key === null ? null : parseId(key, "key"),
    status,
    agent,
    input,
    output,
    requests: parseCount(requests, "requests"),
  };
  // Field by field: a thousand appends may wait with their turns.
  if (model !== undefined) parsed.model = parseModelName(model);
  if (usage !== undefined) parsed.usage = usageOf(usage, { input, output });
  if (durationMs !== undefined) parsed.durationMs = parseDurationMs(durationMs);
  if (finish !== undefined) parsed.finish = parseFinish(finish);
  return parsed;
}

type EditableTurn = { -readonly [Field in keyof NewTurn]: NewTurn[Field] };

const usageNames = ["inputTokens", "outputTokens", "totalTokens", "cachedTokens", "reasoningTokens"] as const;
const usageFields: readonly string[] = [...usageNames, "estimated"];

/** @throws SessionError `argument_invalid` for a value that is not a count: an error of the caller */
function usageOf(usage: ReportedUsage, { input, output }: Pick<Turn, "input" | "output">): Usage {
  for (const name of Object.keys(usage ?? {})) {
    if (!usageFields.includes(name))
      throw invalidArgument("field of usage", name, { expected: "one_of", known: usageFields });
  }
  for (const name of usageNames) {
    const value: unknown = usage?.[name];
    const isUnknown = value === undefined || value === null || Number.isNaN(value);
    if (!isUnknown && !isCount(value)) throw notCount(value, `usage.${name}`);
  }
  return parseUsage(usage, () => estimateUsage(input, output));
}

/** @throws SessionError `argument_invalid` */
export function parseModelName(name: string): string {
  if (isModelName(name)) return name;
  throw invalidArgument("model", name, { expected: "name", min: 1, max: 256 });
}

function parseFinish(finish: string): string {
  if (isFinish(finish)) return finish;
  throw invalidArgument("finish", finish, { expected: "name", min: 1, max: 64 });
}

function parseDurationMs(ms: number): number {
  if (isDurationMs(ms)) return ms;
  throw invalidArgument("durationMs", ms, { expected: "whole_number", min: 0, max: durationMaxMs });
}

function parseCount(value: unknown, name: string): number {
  if (isCount(value)) return value;
  throw notCount(value, name);
}

function notCount(value: unknown, name: string): SessionError {
  return invalidArgument(name, value, { expected: "whole_number", min: 0, max: countMax });
}
