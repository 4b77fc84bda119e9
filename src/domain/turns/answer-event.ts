/** The parts of an answer as they happen, for a reader that shows more than its text. */
import type { Value } from "../values/codec.ts";
import type { Chunk } from "./chunk.ts";
import type { Message } from "./turn.ts";

/** A part of an answer as it happens. */
export type AnswerEvent =
  /** A piece of the answer's text. */
  | { readonly type: "text"; readonly text: string }
  /** A piece of the model's reasoning; it is no part of the answer. */
  | { readonly type: "reasoning"; readonly text: string }
  /** The model calls a tool; `arguments` is JSON, as the model wrote it. */
  | { readonly type: "tool_call"; readonly id: string; readonly name: string; readonly arguments: string }
  /** The result of the call with this id. */
  | { readonly type: "tool_result"; readonly id: string; readonly content: Value; readonly isError?: true }
  /** A part in the form of the writer's framework; the text that it adds to the answer follows as an event of its own. */
  | { readonly type: "part"; readonly part: Value };

/** The events of a chunk, in order. */
export function eventsOfChunk(chunk: Chunk): readonly AnswerEvent[] {
  if ("text" in chunk) return eventsOfText(chunk.text);
  if ("reasoning" in chunk) return chunk.reasoning === "" ? [] : [{ type: "reasoning", text: chunk.reasoning }];
  if ("part" in chunk) return [{ type: "part", part: chunk.part }, ...eventsOfText(chunk.said ?? "")];
  return eventsOfMessage(chunk.message);
}

function eventsOfText(text: string): readonly AnswerEvent[] {
  return text === "" ? [] : [{ type: "text", text }];
}

/**
 * The events of a whole message: those of a stored turn have no reasoning and no parts. A result that stands for one that is
 * not known is no event: it was added when the answer had ended.
 */
export function eventsOfMessage(message: Message): readonly AnswerEvent[] {
  const { role, content } = message;
  if (message["synthetic"] === true) return [];
  if (role === "tool") {
    const result = { type: "tool_result", id: message.tool_call_id ?? "", content: content ?? null } as const;
    return [message["is_error"] === true ? { ...result, isError: true } : result];
  }
  if (role !== "assistant") return [];
  const text = typeof content === "string" ? eventsOfText(content) : [];
  const calls = (message.tool_calls ?? []).map(
    ({ id, function: { name, arguments: given } }) => ({ type: "tool_call", id, name, arguments: given }) as const,
  );
  return [...text, ...calls];
}
