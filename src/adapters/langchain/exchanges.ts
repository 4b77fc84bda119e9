/** Messages of LangChain as turns of a session. */
import { fromFormat, type Message, type TurnInput } from "../../index.ts";
import { defined } from "../../domain/values/defined.ts";
import { isFields } from "./fields.ts";
import { fieldsOfMessage, messageOf, nameOf, type LangchainMessage, type MessageClasses } from "./package-core.ts";

/** Messages that are one turn: `from` is the number of the first one, `to` is behind the last one. */
export interface ExchangeRange {
  readonly from: number;
  readonly to: number;
  /** True where the model has answered: the last message is an answer without calls, or another turn follows. */
  readonly isAnswered: boolean;
}

/** The kinds of messages, by the names of their classes. */
const kinds: Readonly<Record<string, string>> = {
  HumanMessage: "human",
  AIMessage: "ai",
  SystemMessage: "system",
  ToolMessage: "tool",
  FunctionMessage: "function",
  ChatMessage: "chat",
  HumanMessageChunk: "human",
  AIMessageChunk: "ai",
  SystemMessageChunk: "system",
  ToolMessageChunk: "tool",
  FunctionMessageChunk: "function",
  ChatMessageChunk: "chat",
};

function kindOf(message: LangchainMessage): string {
  return kinds[nameOf(message)] ?? "other";
}

/**
 * The turns of messages from number `from` on. A message of the user after other messages begins a turn, and so does an answer
 * after an answer: so a turn never grows behind its answer.
 */
export function exchangesIn(messages: readonly LangchainMessage[], from: number): readonly ExchangeRange[] {
  const ranges: ExchangeRange[] = [];
  let start = from;
  for (let index = from + 1; index <= messages.length; index++) {
    const [previous, message] = [messages[index - 1], messages[index]];
    if (previous === undefined) break;
    const begins = message === undefined || beginsTurn(message, previous);
    if (!begins) continue;
    ranges.push({ from: start, to: index, isAnswered: message !== undefined || endsAnswered(messages, index) });
    start = index;
  }
  return ranges;
}

function beginsTurn(message: LangchainMessage, previous: LangchainMessage): boolean {
  if (isQuestion(message)) return !isQuestion(previous);
  return isAnswer(previous) && kindOf(message) === "ai";
}

/** True for a message of the user or the system: others answer it. */
export function isQuestion(message: LangchainMessage): boolean {
  return ["human", "system"].includes(kindOf(message));
}

/** True where the first so many messages end with an answer. */
export function endsAnswered(messages: readonly LangchainMessage[], count: number): boolean {
  const last = messages[count - 1];
  return last !== undefined && isAnswer(last);
}

/** True for an answer without calls. */
function isAnswer(message: LangchainMessage): boolean {
  const { tool_calls: calls } = message as { readonly tool_calls?: unknown };
  return kindOf(message) === "ai" && !(Array.isArray(calls) && calls.length > 0);
}

/**
 * A turn of these messages. Without an answer it has the input alone, until the answer is there.
 * @throws SessionError `message_invalid` for a message that no other framework could read
 */
export function turnOf(messages: readonly LangchainMessage[], { from, to, isAnswered }: ExchangeRange): TurnInput {
  const all = messages.slice(from, to);
  const inputs = all.findIndex((message) => !isQuestion(message));
  const end = inputs === -1 ? all.length : inputs;
  const answers = isAnswered ? all.slice(end) : [];
  return {
    input: canonical(all.slice(0, end)),
    output: canonical(answers),
    status: isAnswered ? "done" : "interrupted",
    ...defined({ usage: usageOf(answers), model: modelOf(answers) }),
  };
}

/** Messages as every framework reads them. Their own forms are not stored a second time: the graph has them. */
function canonical(messages: readonly LangchainMessage[]): Message[] {
  return messages.flatMap((message) => {
    const fields = fieldsOfMessage(message);
    const data = Object.fromEntries(shownFields.map((name) => [name, fields.get(name)]));
    const converted = fromFormat([{ type: kindOf(message), data: defined(data) }], "langchain");
    return converted.map(({ native: _, ...shown }) => shown as Message);
  });
}

/** The fields of a message that other frameworks know. */
const shownFields = ["content", "name", "role", "tool_calls", "tool_call_id", "status"];

/** A message in LangChain's own stored form. */
export interface StoredForm {
  readonly type: string;
  readonly data: object;
}

/** The stored form of a message, with all its fields. */
export function storedForm(message: LangchainMessage): StoredForm {
  return { type: kindOf(message), data: Object.fromEntries(fieldsOfMessage(message)) };
}

/** The message of a stored form. @throws Error for a type that is no message */
export function messageOfForm(classes: MessageClasses, { type, data }: StoredForm): LangchainMessage {
  const name = Object.keys(kinds).find((one) => kinds[one] === type);
  return messageOf(classes, name ?? type, data);
}

function usageOf(answers: readonly LangchainMessage[]): TurnInput["usage"] {
  let [inputTokens, outputTokens, cachedTokens] = [0, 0, 0];
  let isKnown = false;
  for (const answer of answers) {
    const usage = fieldsOfMessage(answer).get("usage_metadata");
    if (!isFields(usage)) continue;
    isKnown = true;
    const { input_tokens: read, output_tokens: written, input_token_details: details } = usage;
    inputTokens += countOf(read);
    outputTokens += countOf(written);
    cachedTokens += countOf(isFields(details) ? details["cache_read"] : 0);
  }
  return isKnown ? { inputTokens, outputTokens, ...defined({ cachedTokens: cachedTokens || undefined }) } : undefined;
}

function countOf(value: unknown): number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : 0;
}

function modelOf(answers: readonly LangchainMessage[]): string | undefined {
  for (const answer of answers.toReversed()) {
    const metadata = fieldsOfMessage(answer).get("response_metadata");
    const name = isFields(metadata) ? (metadata["model_name"] ?? metadata["model"]) : undefined;
    if (typeof name === "string" && /^[ -~]{1,256}$/.test(name)) return name;
  }
  return undefined;
}
