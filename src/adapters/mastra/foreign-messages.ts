/** Messages of turns that other frameworks have written, as messages of Mastra. */
import { defined } from "../../domain/values/defined.ts";
import { idFor, toFormat, type Message, type Value } from "../../index.ts";
import { knownEarlier, places, spanOf } from "../projection/foreign-names.ts";
import type { ForeignMessages } from "../projection/projected-turns.ts";
import type { MastraMessage } from "./package-mastra.ts";
import { timeKey } from "./stored-message.ts";
import { fieldsOf, format, type Fields } from "./turn-messages.ts";

/** A message of Mastra in the place of a message of others and the results of its calls. */
export interface ShownMessage {
  /** The indexes of the messages among those of others in the turn, the first one first. */
  readonly indexes: readonly number[];
  readonly message: MastraMessage & { readonly createdAt: Date };
  /** The id of the message of Mastra whose call these results answer; undefined: others made the call. */
  readonly answers?: string;
}

/** What the ids of messages are made of. */
export interface ThreadNames {
  readonly sessionId: string;
  readonly threadId: string;
  readonly resourceId: string;
}

/**
 * The messages of Mastra in the place of messages of others. Their ids are always the same: an id says by the first of the messages, and
 * by the number of equal ones before it in the turn, which one it is.
 * @param indexes those of the messages to show
 */
export function shownMessagesIn(
  from: ForeignMessages,
  names: ThreadNames,
  indexes: readonly number[] = [...from.messages.keys()],
): readonly ShownMessage[] {
  const { turn, messages, calls } = from;
  const { sessionId, threadId, resourceId } = names;
  const placeOf = places();
  const ids = messages.map((message) => idOfTurn(from, sessionId, placeOf(valueOf(message))));
  return groupsOf(messages, indexes).flatMap((group) => {
    const shown = group.map((index) => messages[index]!);
    const { role: first, tool_call_id: callId = "" } = shown[0]!;
    const { call, item: answers } = (first === "tool" ? calls.get(callId) : undefined) ?? {};
    // A result by itself is shown with its call.
    if (call !== undefined) shown.unshift({ role: "assistant", content: null, tool_calls: [call] });
    return toFormat(shown, format).map((value, at) => {
      const { role, parts } = value as unknown as { readonly role: string; readonly parts: readonly Fields[] };
      const id = `${ids[group[0]!]}${at === 0 ? "" : `-${at}`}`;
      const content = { format: 2, parts: parts.flatMap(mastraPart) };
      const message = { id, role, type: "text", threadId, resourceId, createdAt: turn.at, content };
      return { indexes: group, message, ...defined({ answers }) };
    });
  });
}

/**
 * Finds the messages that the thread has under ids of an earlier build.
 * @param storedOf those of some ids that the thread has
 * @returns true for the index of such a message
 */
export async function knownEarlierIn(
  from: ForeignMessages,
  sessionId: string,
  storedOf: (ids: readonly string[]) => Promise<{ has(id: string): boolean }>,
): Promise<(index: number) => boolean> {
  return await knownEarlier(from.messages, {
    valuesOf: (messages) => toFormat(messages, format),
    storedOf: async (names) => {
      const ids = new Map(names.map((name) => [idFor(idOfTurn(from, sessionId, name)), name]));
      const stored = await storedOf([...ids.keys()]);
      return new Set([...ids].flatMap(([id, name]) => (stored.has(id) ? [name] : [])));
    },
  });
}

/** The id of the session in an id that {@link shownMessagesIn} gives; undefined for another one. */
export function sessionIdIn(messageId: string): string | undefined {
  return /^(.+)\/turn-\d+-0-[\w-]{22}-\d+-[\da-z]{11}(?:-\d+)?$/su.exec(messageId)?.[1];
}

/** True for a stored message with one of the calls of another one. */
export function hasCallsOf(stored: MastraMessage, { content }: MastraMessage): boolean {
  const ids = new Set(invocationsIn(content).map(({ toolCallId }) => toolCallId));
  return invocationsIn(stored.content).some(({ toolCallId }) => ids.has(toolCallId));
}

/** The stored message with the results that its calls have since; undefined where there are none. */
export function withResults(stored: MastraMessage, { content }: MastraMessage): MastraMessage | undefined {
  const outcomes = new Map<unknown, Fields>();
  for (const { state, toolCallId, result, errorText } of invocationsIn(content))
    if (state !== "call") outcomes.set(toolCallId, defined({ state, result, errorText }));
  const isGrown = invocationsIn(stored.content).some(
    ({ state, toolCallId }) => state === "call" && outcomes.has(toolCallId),
  );
  if (!isGrown) return undefined;
  const parts = partsOf(stored.content).map((part) => {
    const called = fieldsOf(part["toolInvocation"]);
    const outcome = called["state"] === "call" ? outcomes.get(called["toolCallId"]) : undefined;
    return outcome === undefined ? part : { ...part, toolInvocation: { ...called, ...outcome } };
  });
  return { ...stored, content: { ...fieldsOf(stored.content), parts } };
}

function invocationsIn(content: unknown): readonly Fields[] {
  return partsOf(content).map(({ toolInvocation }) => fieldsOf(toolInvocation));
}

function partsOf(content: unknown): readonly Fields[] {
  const { parts } = fieldsOf(content);
  return Array.isArray(parts) ? (parts as readonly Fields[]) : [];
}

function idOfTurn({ turn }: ForeignMessages, sessionId: string, place: string): string {
  return `${sessionId}/turn-${turn.seq}-${place}-${timeKey(turn.at.getTime())}`;
}

/** A message by itself in the form of the AI SDK, without the id that says its place among others. */
function valueOf(message: Message): Value {
  const [value] = toFormat([message], format);
  const { id: _, ...fields } = fieldsOf(value);
  return fields as Value;
}

/** The indexes of messages that are one message of Mastra: a message with the results of its calls, wherever they are behind it. */
function groupsOf(messages: readonly Message[], indexes: readonly number[]): readonly (readonly number[])[] {
  const groups: number[][] = [];
  const ofCall = new Map<string, number[]>();
  let end = 0;
  for (const index of indexes) {
    const { role, tool_call_id: id = "", tool_calls: calls = [] } = messages[index]!;
    let group = index < end ? groups.at(-1) : role === "tool" ? ofCall.get(id) : undefined;
    if (group === undefined) {
      groups.push((group = []));
      end = index + spanOf(messages, index, format);
    }
    group.push(index);
    for (const call of calls) ofCall.set(call.id, group);
  }
  return groups;
}

/** A part of the AI SDK as one of Mastra. */
function mastraPart(part: Fields): readonly object[] {
  const { type, toolCallId, input, output, errorText, state, mediaType, url, filename, text } = part;
  if (type === "file") return [defined({ type, mimeType: mediaType, data: url, filename })];
  if (type === "reasoning") return [{ type, reasoning: text, details: [{ type: "text", text }] }];
  if (typeof type !== "string") return [];
  const isCall = type === "dynamic-tool" || type.startsWith("tool-");
  if (!isCall) return [part];
  const toolName = type === "dynamic-tool" ? part["toolName"] : type.slice("tool-".length);
  const call = { toolCallId, toolName, args: input };
  const outcomes: Readonly<Record<string, object>> = {
    "output-available": { state: "result", result: output },
    "output-error": { state: "output-error", errorText },
  };
  const outcome = outcomes[String(state)] ?? { state: "call" };
  return [{ type: "tool-invocation", toolInvocation: { ...call, ...outcome } }];
}
