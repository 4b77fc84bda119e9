/** Messages of LangChain: of `messages_to_dict`, `dumps` and `model_dump`. */
import { isFields } from "../domain/turns/known-parts.ts";
import type { Message, ToolCall } from "../domain/turns/turn.ts";
import type { Value } from "../domain/values/codec.ts";
import { defined } from "../domain/values/defined.ts";
import { formatValue } from "../domain/values/format-value.ts";
import { SessionError } from "../errors.ts";
import type { Expectation } from "../errors/expectations.ts";
import { noMessage, type MessageFormat } from "./message-format.ts";
import { canonicalMessage } from "./message-parts.ts";
import { resultParts, shownParts, textIn, type ShownMessage, type ShownPart } from "./shown-parts.ts";

const roles: ReadonlyMap<unknown, Message["role"]> = new Map(
  Object.entries({
    human: "user",
    HumanMessage: "user",
    ai: "assistant",
    AIMessage: "assistant",
    AIMessageChunk: "assistant",
    system: "system",
    SystemMessage: "system",
    tool: "tool",
    ToolMessage: "tool",
    function: "function",
    FunctionMessage: "function",
    developer: "developer",
  } as const),
);

/** `chat` messages name any author. */
const chatRoles: ReadonlyMap<unknown, Message["role"]> = new Map([
  ...roles,
  ["user", "user"] as const,
  ["assistant", "assistant"] as const,
]);

export const langchain: MessageFormat = {
  name: "langchain",
  version: 1,
  list: "messages",
  pairsCalls: true,
  // Lines of the logs of agents have types and contents too, and name their session.
  fits: ({ type, data, kwargs, content, uuid, sessionId }) =>
    typeof type === "string" &&
    (isFields(data) || isFields(kwargs) || content !== undefined) &&
    uuid === undefined &&
    sessionId === undefined,
  /** `{type, data}` of messages_to_dict, `{lc, type: "constructor", id: […], kwargs}` of dumps, `{type, content}` of model_dump. */
  toCanonical: (value, place) => {
    const { type, id, data, kwargs } = value;
    const isDump = type === "constructor" && isFields(kwargs);
    const fields = isDump ? kwargs : isFields(data) ? data : value;
    const named = isDump && Array.isArray(id) ? (id as readonly Value[]).at(-1) : type;
    // It asks a graph to remove a message from its state, and has no words.
    if (named === "remove" || named === "RemoveMessage") return noMessage("message removal");
    const isChat = named === "chat" || named === "ChatMessage";
    const known = isChat ? chatRoles : roles;
    const kind = isChat ? fields["role"] : named;
    const role = known.get(kind);
    if (role === undefined)
      throw invalid(`${place}.${isChat ? "role" : "type"}`, kind, {
        expected: "one_of",
        known: [...known.keys()] as string[],
      });
    const { name, tool_call_id: callId, additional_kwargs: more, status } = fields;
    // Older versions keep the calls in OpenAI's format.
    const calls = [fields["tool_calls"], isFields(more) ? more["tool_calls"] : undefined].find(
      (all) => Array.isArray(all) && all.length > 0,
    ) as readonly Value[] | undefined;
    return canonicalMessage({
      role,
      // An answer of calls alone has no text.
      content: fields["content"] === "" && calls !== undefined ? null : (fields["content"] ?? null),
      ...(typeof name === "string" ? { name } : {}),
      ...(typeof callId === "string" ? { tool_call_id: callId } : {}),
      ...(status === "error" ? { is_error: true } : {}),
      ...defined({ tool_calls: calls?.map((call) => calledTool(call, place)) }),
    });
  },
  fromCanonical: (messages, around) => shownParts(messages, around).map(writtenMessage),
};

const types = { system: "system", user: "human", assistant: "ai", tool: "tool" } as const;

function writtenMessage({ role, name, parts }: ShownMessage): Value {
  const type = types[role];
  const [first] = parts;
  if (first?.kind === "result") {
    const { id, isError } = first.result;
    const content = contentOf(resultParts(first.result));
    return { type, data: { content, tool_call_id: id, status: isError ? "error" : "success" } };
  }
  const calls = parts.flatMap((part): readonly Value[] =>
    part.kind === "call"
      ? [{ name: part.call.function.name, args: part.input, id: part.call.id, type: "tool_call" }]
      : [],
  );
  const shown = parts.filter(({ kind }) => kind === "text" || kind === "media");
  const data = {
    content: contentOf(shown),
    ...defined({ name }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
  return { type, data };
}

function contentOf(parts: readonly ShownPart[]): Value {
  if (parts.every(({ kind }) => kind === "text")) return textIn(parts);
  return parts.map((part) => (part.kind === "media" ? part.part : { type: "text", text: textIn([part]) }));
}

function calledTool(call: Value, place: string): ToolCall {
  const path = `${place}.tool_calls`;
  if (!isFields(call)) throw invalid(path, call, { expected: "object" });
  if (isFields(call["function"])) return call as unknown as ToolCall;
  const { name, args } = call;
  // Some models give their calls no ids: they get one by their order.
  const id = call["id"] ?? "";
  if (typeof id !== "string") throw invalid(`${path}.id`, id, { expected: "text" });
  if (typeof name !== "string") throw invalid(`${path}.name`, name, { expected: "text" });
  const text = typeof args === "string" ? args : JSON.stringify(args ?? {});
  return { id, type: "function", function: { name, arguments: text } };
}

function invalid(path: string, value: unknown, expectation: Expectation): SessionError {
  return new SessionError("message_invalid", { path, value: formatValue(value), ...expectation });
}
