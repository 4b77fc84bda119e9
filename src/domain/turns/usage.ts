import { encode, type Value } from "../values/codec.ts";
import { counterMax, countMax, durationMaxMs } from "../values/limits.ts";
import { knownPart } from "./known-parts.ts";
import { contentParts, hasOwnParts, partsOf } from "./message-steps.ts";
import type { Message, Step, ToolCall, Usage } from "./turn.ts";
import { defined } from "../values/defined.ts";

/** True for a count of tokens or calls: a whole number from 0 to {@link countMax}. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= countMax;
}

/** True for milliseconds of one turn: a number from 0 to a hundred years. */
export function isDurationMs(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value <= durationMaxMs;
}

/** The sum of two counters, at most {@link counterMax}: no sum becomes inexact. A negative number or NaN adds nothing. */
export function addCounts(sum: number, more: number): number {
  return more >= 0 ? Math.min(sum + more, Math.max(sum, counterMax)) : sum;
}

/**
 * The usage that a model or a caller reports. A part that is no count (missing, NaN, a text, negative, a fraction, too
 * large) is unknown: it comes from `estimate`, and the usage is marked as estimated. A total that is missing or 0 is the
 * sum of the parts, and no total is below the parts that are reported: a budget counts totals.
 */
export function parseUsage(reported: unknown, estimate: () => Usage): Usage {
  if (typeof reported !== "object" || reported === null) return estimate();
  const { inputTokens, outputTokens, totalTokens, cachedTokens, reasoningTokens, estimated } = reported as Readonly<
    Record<string, unknown>
  >;
  const isWhole = isCount(inputTokens) && isCount(outputTokens);
  const guess = isWhole ? undefined : estimate();
  const known = (isCount(inputTokens) ? inputTokens : 0) + (isCount(outputTokens) ? outputTokens : 0);
  const input = isCount(inputTokens) ? inputTokens : (guess?.inputTokens ?? 0);
  const output = isCount(outputTokens) ? outputTokens : (guess?.outputTokens ?? 0);
  const total = isCount(totalTokens) && totalTokens > 0 ? Math.max(totalTokens, known) : input + output;
  const usage: EditableUsage = {
    inputTokens: input,
    outputTokens: output,
    totalTokens: Math.min(total, countMax),
  };
  if (isCount(cachedTokens)) usage.cachedTokens = Math.min(cachedTokens, input);
  if (isCount(reasoningTokens)) usage.reasoningTokens = reasoningTokens;
  if (guess !== undefined || estimated === true) usage.estimated = true;
  return usage;
}

type EditableUsage = { -readonly [Field in keyof Usage]: Usage[Field] };

/** The steps of an answer, each with a usage and a duration that can be summed. */
export function parseSteps(steps: readonly Step[], estimate: () => Usage): readonly Step[] {
  return steps.map(({ agent, model, usage, durationMs }) => ({
    ...(isModelName(agent) ? { agent } : {}),
    ...(isModelName(model) ? { model } : {}),
    usage: parseUsage(usage, estimate),
    durationMs: isDurationMs(durationMs) ? durationMs : 0,
  }));
}

// oxlint-disable-next-line no-control-regex -- the pattern looks for control characters
const unprintable = /[\u0000-\u001f\u007f-\u009f\ud800-\udfff]/u;

/** True for the name of a model: 1 to 256 characters, no control characters. */
export function isModelName(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= 256 && !unprintable.test(value);
}

/** True for the reason of an answer's end: 1 to 64 characters, no control characters. */
export function isFinish(value: unknown): value is string {
  return isModelName(value) && value.length <= 64;
}

/** The price of a picture, a recording or a file, in tokens: some hundreds at most providers, whatever its bytes. */
const mediaTokens = 700;

/**
 * An estimate of the tokens of some messages: four for each message's frame, one for each four characters of Latin text (the
 * rule of thumb that OpenAI documents for English), more for other scripts, and a fixed price for pictures, recordings
 * and files. Used for windows, and if a provider did not count; such usage is marked.
 */
export function estimateTokens(messages: readonly Message[]): number {
  let tokens = 0;
  for (const message of messages) {
    const { content } = message;
    // Most messages have no parts, and need no list of them.
    const isText = typeof content === "string" && !hasOwnParts(message);
    const parts = isText ? [] : partsOf(message);
    let weight = isText ? textWeight(content) : 0;
    for (const part of parts) weight += partWeight(part);
    const calls = notRepeated(message.tool_calls ?? [], parts);
    if (calls.length > 0) weight += textWeight(encode(calls));
    if (weight === 0 && (content === undefined || content === null)) weight += 2;
    tokens += 4 + Math.ceil(weight / 4);
  }
  return tokens;
}

/** The calls that no part of their message repeats. */
function notRepeated(calls: readonly ToolCall[], parts: readonly Value[]): readonly ToolCall[] {
  if (calls.length === 0 || parts.length === 0) return calls;
  const ids = new Set(parts.map(knownPart).flatMap((known) => (known.kind === "call" ? [known.call.id] : [])));
  return calls.filter(({ id }) => !ids.has(id));
}

function partWeight(part: Value): number {
  const known = knownPart(part);
  switch (known.kind) {
    case "text":
      return textWeight(known.part["text"] as string);
    case "media":
      return mediaTokens * 4;
    case "call":
      return textWeight(encode(known.call)) + (known.result === undefined ? 0 : resultWeight(known.result));
    case "result":
      return resultWeight(known.result);
    case "step":
      return 0;
    case "other":
      return known.isMedia === true ? mediaTokens * 4 : textWeight(encode(part));
  }
}

function resultWeight({ content = "" }: Message): number {
  return contentParts(content).reduce<number>((sum, part) => sum + partWeight(part), 0);
}

/** Quarters of tokens: 1 for a Latin character, 2 for one of another alphabet, 3 for one of Chinese, Japanese or Korean. */
function textWeight(text: string): number {
  let weight = text.length;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code < 0x0370) continue;
    weight += (code >= 0x2e80 && code <= 0xd7ff) || (code >= 0xf900 && code <= 0xffef) ? 2 : 1;
  }
  return weight;
}

/** The sum of two usages; an estimate if either is one. */
export function addUsage(sum: Usage | undefined, usage: Usage): Usage {
  if (sum === undefined) return usage;
  const estimated = sum.estimated === true || usage.estimated === true;
  return {
    inputTokens: addCounts(sum.inputTokens, usage.inputTokens),
    outputTokens: addCounts(sum.outputTokens, usage.outputTokens),
    totalTokens: addCounts(sum.totalTokens, usage.totalTokens),
    ...defined({
      cachedTokens: addOptional(sum.cachedTokens, usage.cachedTokens),
      reasoningTokens: addOptional(sum.reasoningTokens, usage.reasoningTokens),
    }),
    ...(estimated ? { estimated } : {}),
  };
}

/** The sum of an optional count; undefined if both usages lack it. */
function addOptional(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined && other === undefined ? undefined : addCounts(one ?? 0, other ?? 0);
}

/** The estimated usage of an exchange, marked as an estimate. */
export function estimateUsage(input: readonly Message[], output: readonly Message[]): Usage {
  const inputTokens = estimateTokens(input);
  const outputTokens = output.length === 0 ? 0 : estimateTokens(output);
  return { inputTokens, outputTokens, totalTokens: inputTokens + outputTokens, estimated: true };
}
