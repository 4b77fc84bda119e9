/**
 * The items of a session of OpenAI's Agents SDK, and the turns that they are stored in. A message of the user or of the
 * system after an answer begins a turn; every other item extends the last one.
 */
import { formatValue } from "../../domain/values/format-value.ts";
import { fromFormat, hasCode, sameValue, SessionError, toFormat, type Message, type Value } from "../../index.ts";

/** An item as the Agents SDK has it: `AgentInputItem` is one. */
export type AgentItem = object;

/** Any field of an item. */
export function fieldsOf(item: unknown): Readonly<Record<string, unknown>> {
  return typeof item === "object" && item !== null ? (item as Readonly<Record<string, unknown>>) : {};
}

/** The messages of a turn. */
export interface Exchange {
  readonly input: readonly Message[];
  readonly output: readonly Message[];
}

const format = "openai-agents";

/** The items of a turn. Those that this adapter stored are as they were; others are converted. */
export function itemsOf({ input, output }: Exchange): readonly Value[] {
  return toFormat([...input, ...output], format);
}

/** The turn that more items extend, and the turns that they begin behind it. */
export interface Placed {
  /** The given turn with the items that extend it; undefined if none does. */
  readonly extended: Exchange | undefined;
  readonly begun: readonly Exchange[];
}

/**
 * The places of items behind the last turn; undefined: there is none.
 * @throws SessionError `message_invalid` for a value that is no item
 */
export function placeItems(last: Exchange | undefined, items: readonly AgentItem[]): Placed {
  const turns: { readonly input: Message[]; readonly output: Message[] }[] = [];
  if (last !== undefined) turns.push({ input: [...last.input], output: [...last.output] });
  let isExtended = false;
  for (const [index, item] of items.entries()) {
    const isInput = isInputItem(item);
    let turn = turns.at(-1);
    if (turn === undefined || (isInput && turn.output.length > 0)) turns.push((turn = { input: [], output: [] }));
    else if (turns.length === 1 && last !== undefined) isExtended = true;
    (isInput ? turn.input : turn.output).push(...messagesOf(item, index));
  }
  const begun = last === undefined ? turns : turns.slice(1);
  return isExtended ? { extended: turns[0], begun } : { extended: undefined, begun };
}

function isInputItem(item: AgentItem): boolean {
  const { role } = fieldsOf(item);
  return role === "user" || role === "system" || role === "developer";
}

/**
 * The message of an item that is a text and nothing else, which says all of the item. Most items are such, and the general conversion
 * compares each with what it would be written as.
 */
function textMessage(item: AgentItem): Message | undefined {
  const { type, role, content, status, ...others } = fieldsOf(item);
  if (type !== "message" || Object.keys(others).length > 0) return undefined;
  if (role === "user") return status === undefined && isText(content) ? { role, content } : undefined;
  if (role !== "assistant" || status !== "completed" || !Array.isArray(content) || content.length !== 1)
    return undefined;
  const { type: kind, text, ...more } = fieldsOf(content[0]);
  const isWhole = kind === "output_text" && isText(text) && Object.keys(more).length === 0;
  return isWhole ? { role, content: text } : undefined;
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

/** Each item is converted by itself: it comes back as it was whatever stands beside it later. */
function messagesOf(item: AgentItem, index: number): readonly Message[] {
  const text = textMessage(item);
  if (text !== undefined) return [text];
  const { type, name } = fieldsOf(item);
  // Without a name it would be a message without a text to every other framework.
  if (type === "function_call" && !isText(name))
    throw new SessionError("message_invalid", {
      path: `items[${index}].name`,
      value: formatValue(name),
      expected: "text",
      min: 1,
    });
  try {
    return fromFormat([item], format);
  } catch (error) {
    if (!hasCode(error, "message_invalid")) throw error;
    throw new SessionError("message_invalid", { ...error.details, path: `items[${index}]` }, { cause: error });
  }
}

/** The turn with its first items alone. Messages that are kept as a whole stay as they are. */
export function cutItems(turn: Exchange, count: number): Exchange {
  const items = itemsOf(turn);
  for (let end = turn.input.length + turn.output.length; ; end--) {
    const kept = {
      input: turn.input.slice(0, end),
      output: turn.output.slice(0, Math.max(0, end - turn.input.length)),
    };
    const own = itemsOf(kept);
    if (own.length <= count && sameValue(own, items.slice(0, own.length)))
      return joinItems(kept, items.slice(own.length, count) as readonly AgentItem[]);
  }
}

/** The turn with more items, all of which stay in it. */
export function joinItems(turn: Exchange, items: readonly AgentItem[]): Exchange {
  const { extended = turn, begun } = placeItems(turn, items);
  return {
    input: extended.input,
    output: [...extended.output, ...begun.flatMap(({ input, output }) => [...input, ...output])],
  };
}
