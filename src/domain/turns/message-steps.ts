/** Messages by the parts that they hold, in whichever known shape those are written. */
import type { Value } from "../values/codec.ts";
import { isFields, knownPart, type KnownPart } from "./known-parts.ts";
import { isNotRunResult, type Message, type ToolCall } from "./turn.ts";

/** Words and calls that a message says at once, and the results of those calls that the same message holds. */
export interface MessageStep {
  /** Texts, pictures, recordings and files; media that chat completions do not take are as they were written. */
  readonly content: readonly Value[];
  readonly calls: readonly ToolCall[];
  readonly results: readonly Message[];
  /** Parts that no model is shown. */
  readonly aside: readonly Value[];
}

/** The parts of a message: its content, or those of a UIMessage or of Gemini's content, which have a field of their own. */
export function partsOf(message: Message): readonly Value[] {
  return ownParts(message) ?? contentParts(message.content);
}

/** All text of a content; "" where it is blank. A value that is no part is JSON. */
export function textOf(content: Value | undefined): string {
  if (typeof content === "string") return content.trim() === "" ? "" : content;
  const texts = contentParts(content).flatMap((part) => {
    const known = knownPart(part);
    return known.kind === "text" ? [known.part["text"] as string] : [];
  });
  return texts.join("\n\n");
}

/** True for a message whose parts have a field of their own. */
export function hasOwnParts(message: Message): boolean {
  return ownParts(message) !== undefined;
}

/** The parts of a content; none where it is blank. */
export function contentParts(content: Value | undefined): readonly Value[] {
  const isBlank = content === undefined || content === null || (typeof content === "string" && content.trim() === "");
  if (isBlank) return [];
  return Array.isArray(content) ? (content as readonly Value[]) : [content];
}

function ownParts(message: Message): readonly Value[] | undefined {
  const { parts, toolInvocations } = message;
  if (Array.isArray(parts)) {
    const items = parts as readonly Value[];
    const isKnown = items.some((part) => isFields(part) && knownPart(part).kind !== "other");
    return isKnown ? items : undefined;
  }
  if (!Array.isArray(toolInvocations) || toolInvocations.length === 0) return undefined;
  const invoked = toolInvocations as readonly Value[];
  return [
    ...contentParts(message.content),
    ...invoked.map((toolInvocation): Value => ({ type: "tool-invocation", toolInvocation })),
  ];
}

/**
 * The steps of a message, at least one. A border of steps ends one, and so does a text after a call whose result the
 * message holds: the model wrote it with that result. A call that `tool_calls` of the message repeats stands once.
 */
export function stepsOf(message: Message): readonly MessageStep[] {
  const { role, tool_calls: listed } = message;
  const steps: MutableStep[] = [newStep()];
  const own = new Map((listed ?? []).map((call) => [call.id, call]));
  const repeated = new Set<string>();
  for (const part of partsOf(message)) {
    const known = knownPart(part);
    let step = steps.at(-1)!;
    const ends = known.kind === "step" || (known.kind === "text" && step.results.length > 0 && role === "assistant");
    if (ends) steps.push((step = newStep()));
    addPart(step, known, part);
    if (known.kind !== "call") continue;
    const { id } = known.call;
    const listedCall = own.get(id);
    if (listedCall === undefined) continue;
    repeated.add(id);
    step.calls[step.calls.length - 1] = listedCall;
  }
  steps[0]!.calls.unshift(...(listed ?? []).filter(({ id }) => !repeated.has(id)));
  const filled = steps.filter((step) => Object.values(step).some((list: readonly unknown[]) => list.length > 0));
  return filled.length === 0 ? [newStep()] : filled;
}

type MutableStep = { -readonly [Name in keyof MessageStep]: MessageStep[Name][number][] };

function newStep(): MutableStep {
  return { content: [], calls: [], results: [], aside: [] };
}

function addPart(step: MutableStep, known: KnownPart, part: Value): void {
  switch (known.kind) {
    case "text":
    case "media":
      step.content.push(known.part);
      break;
    case "call":
      step.calls.push(known.call);
      if (known.result !== undefined) step.results.push(known.result);
      break;
    case "result":
      step.results.push(known.result);
      break;
    case "other":
      (known.isMedia === true ? step.content : step.aside).push(part);
      break;
    case "step":
  }
}

/** How many tool calls these messages hold. */
export function countToolCalls(messages: readonly Message[]): number {
  return messages.reduce((count, message) => count + callsIn(message).length, 0);
}

/** True if a tool call of these messages has run, or may have. */
export function mayHaveRunTools(messages: readonly Message[]): boolean {
  return countToolCalls(messages) > messages.filter(isNotRunResult).length;
}

/** The tool calls of a message. */
export function callsIn(message: Message): readonly ToolCall[] {
  const { role, content, tool_calls: calls } = message;
  const isPlain = role !== "assistant" || (typeof content === "string" && !hasOwnParts(message));
  return isPlain ? (calls ?? []) : stepsOf(message).flatMap((step) => step.calls);
}

/** The first part of a message that is a tool call or a result of one; undefined if there is none. */
export function exchangePart(message: Message): Value | undefined {
  return partsOf(message).find((part) => ["call", "result"].includes(knownPart(part).kind));
}
