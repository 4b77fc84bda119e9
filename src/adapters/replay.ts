/**
 * Recorded conversations: reads them from files, and answers from them as a model.
 *
 * @module perdure/replay
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  exchangesOf,
  instructionsOf,
  SessionError,
  type Exchange,
  type Message,
  type Model,
  type ModelEvent,
  type Usage,
  type Mismatch,
} from "../index.ts";
import { invalidText, parseArray } from "../domain/values/invalid-argument.ts";
import { guardNames, guardObject, type OptionNames } from "../domain/values/option-names.ts";

export type { Exchange } from "../index.ts";

/** A recorded conversation. */
export interface Conversation {
  readonly id: string;
  /** Source of the recording, if its file names one. */
  readonly source?: string;
  /** The system messages before the first exchange, joined. */
  readonly instructions: string | undefined;
  readonly exchanges: readonly Exchange[];
}

/**
 * The conversations of a `.jsonl` file, or of all such files in a folder, by name: one `{"id", "source", "messages":
 * [{"role", "content", …}]}` per line, with messages in OpenAI's chat format.
 * @throws SessionError `argument_invalid` if the path does not exist, `message_invalid` with file and line
 */
export async function readConversations(path: string): Promise<Conversation[]> {
  // Node takes 4 ms to load its file system with streams.
  const { readdir, readFile, stat } = process.getBuiltinModule("node:fs/promises");
  const found = await stat(path).catch((error: unknown) => {
    const details = { name: "path", value: JSON.stringify(path), expected: "recordings" } as const;
    throw new SessionError("argument_invalid", details, { cause: error });
  });
  const isFolder = found.isDirectory();
  const names = isFolder ? (await readdir(path)).filter((name) => name.endsWith(".jsonl")).toSorted() : [""];
  const files = names.map((name) => (name === "" ? path : join(path, name)));
  const read = await Promise.all(files.map(async (file) => parseConversations(await readFile(file, "utf8"), file)));
  return read.flat();
}

/**
 * The conversations of a text in that format; `file` is for error messages.
 * @throws SessionError `message_invalid` with file and line
 */
export function parseConversations(text: string, file: string): Conversation[] {
  if (typeof text !== "string") throw invalidText("text", text, {});
  return text.split("\n").flatMap((line, index) => {
    if (line.trim() === "") return [];
    return [parseConversation(line, `${file}:${index + 1}`)];
  });
}

function parseConversation(line: string, place: string): Conversation {
  const invalid = (path: string, mismatch: Mismatch, cause?: unknown): SessionError =>
    new SessionError("message_invalid", { path, ...mismatch }, { cause });
  let parsed: { id?: unknown; source?: unknown; messages?: unknown } | null;
  try {
    parsed = JSON.parse(line);
  } catch (error) {
    throw invalid(place, { expected: "json" }, error);
  }
  const { id, source, messages } = parsed ?? {};
  if (typeof id !== "string") throw invalid(`${place} id`, { value: typeof id, expected: "text" });
  if (!Array.isArray(messages)) throw invalid(`${place} messages`, { value: typeof messages, expected: "array" });
  for (const [index, message] of messages.entries()) {
    const path = `${place} messages[${index}]`;
    if (typeof message !== "object" || message === null || Array.isArray(message))
      throw invalid(path, { value: typeof message, expected: "message" });
    const { role, tool_calls: calls } = message as { role?: unknown; tool_calls?: unknown };
    if (!roles.includes(role as string))
      throw invalid(`${path}.role`, { value: String(role), expected: "one_of", known: roles });
    // Everything else is checked when it is stored.
    if (calls !== undefined && calls !== null && !Array.isArray(calls))
      throw invalid(`${path}.tool_calls`, { value: typeof calls, expected: "array" });
  }
  return { id, ...(typeof source === "string" ? { source } : {}), ...split(messages) };
}

const roles = ["system", "developer", "user", "assistant", "tool", "function"];

function split(messages: readonly Message[]): Pick<Conversation, "instructions" | "exchanges"> {
  const { leading, exchanges } = exchangesOf(messages);
  return { instructions: instructionsOf(leading), exchanges };
}

/** The recording, and the pace of its replay. */
export interface ReplayOptions {
  readonly conversation: Conversation;
  /**
   * Pause before each chunk, ms.
   * @default 0
   */
  readonly delayMs?: number;
  /**
   * Length of a chunk in code points.
   * @default 24
   */
  readonly pieceLength?: number;
}

const replayNames: OptionNames<ReplayOptions> = { conversation: true, delayMs: true, pieceLength: true };

/**
 * A model that answers from a recorded conversation: it looks up the last question of the request; among equal
 * questions it takes the one whose history is most similar.
 * @throws SessionError `argument_invalid`; at the call `model_refused` for a question that was not recorded
 */
export function replayModel(options: ReplayOptions): Model {
  guardNames(options, "options", replayNames);
  const { conversation, delayMs = 0, pieceLength = 24 } = options;
  guardObject(conversation, "conversation");
  parseArray(conversation.exchanges, "conversation.exchanges");
  const check = (name: string, value: number, min: number): void => {
    if (Number.isSafeInteger(value) && value >= min) return;
    throw new SessionError("argument_invalid", { name, value: String(value), expected: "whole_number", min });
  };
  check("delayMs", delayMs, 0);
  check("pieceLength", pieceLength, 1);
  return async function* answer({ messages, signal }) {
    signal.throwIfAborted();
    const { output } = lookUp(conversation, messages);
    yield { type: "model", model: "replay" };
    for (const event of eventsOf(output, pieceLength)) {
      // An abort ends the pause; the signal's own reason is thrown below.
      if (delayMs > 0 && event.type === "text") await sleep(delayMs, undefined, { signal }).catch(() => undefined);
      signal.throwIfAborted();
      yield event;
    }
    yield { type: "usage", usage: estimate(messages, output) };
  };
}

/** The recorded messages as an endpoint would send them; the chunks form the same messages again. */
function* eventsOf(output: readonly Message[], pieceLength: number): Generator<ModelEvent, void, undefined> {
  for (const [index, message] of output.entries()) {
    const { role, content, tool_calls: calls, ...rest } = message;
    const isText = role === "assistant" && typeof content === "string" && content !== "";
    // Consecutive texts would merge into one message, and so would a text and the calls after it.
    const standsAlone =
      calls === undefined && Object.keys(rest).length === 0 && output[index + 1]?.role !== "assistant";
    if (!isText || (!standsAlone && calls == null)) {
      yield { type: "message", message };
      continue;
    }
    // By code points, so that no emoji is cut in two.
    for (const text of content.match(new RegExp(`[^]{1,${pieceLength}}`, "gu")) ?? []) yield { type: "text", text };
    if (calls != null) yield { type: "message", message: { ...message, content: null } };
  }
}

function lookUp({ id, exchanges }: Conversation, messages: readonly Message[]): Exchange {
  const asked = joinQuestions(messages).filter(isQuestion);
  const past: Message[] = [];
  let best: { exchange: Exchange; likeness: readonly [questions: number, messages: number] } | undefined;
  for (const exchange of exchanges) {
    const input = joinQuestions(exchange.input);
    past.push(...input);
    // Questions first: an aborted answer is in the request's history, but in no recording.
    const questions = commonTail(past.filter(isQuestion), asked);
    const likeness = [questions, commonTail(past, messages)] as const;
    const [bestQuestions, bestMessages] = best?.likeness ?? [0, 0];
    const isCloser = questions > bestQuestions || (questions === bestQuestions && likeness[1] > bestMessages);
    if (questions >= input.length && isCloser) best = { exchange, likeness };
    past.push(...exchange.output);
  }
  if (best !== undefined) return best.exchange;
  throw new SessionError("model_refused", { problem: "question_unknown", conversation: id });
}

/** Questions in a row as one, as a request holds them. */
function joinQuestions(messages: readonly Message[]): readonly Message[] {
  const joined: Message[] = [];
  for (const message of messages) {
    const last = joined.at(-1);
    const isJoined =
      message.role === "user" &&
      last?.role === "user" &&
      typeof last.content === "string" &&
      typeof message.content === "string";
    if (isJoined) joined[joined.length - 1] = { ...last, content: `${last.content}\n\n${message.content}` };
    else joined.push(message);
  }
  return joined;
}

function isQuestion({ role }: Message): boolean {
  return role === "user";
}

/** Length of the common tail of two histories, by role and content. */
function commonTail(a: readonly Message[], b: readonly Message[]): number {
  // Node takes 4 ms to load this module.
  const { isDeepStrictEqual } = process.getBuiltinModule("node:util");
  let length = 0;
  for (;;) {
    const left = a.at(-1 - length);
    const right = b.at(-1 - length);
    const same = left !== undefined && left.role === right?.role && isDeepStrictEqual(left.content, right.content);
    if (!same) return length;
    length++;
  }
}

/** Estimated usage, marked so: one token per four characters. */
function estimate(input: readonly Message[], output: readonly Message[]): Usage {
  const count = (messages: readonly Message[]): number => Math.ceil(JSON.stringify(messages).length / 4);
  const [inputTokens, outputTokens] = [count(input), count(output)];
  return { inputTokens, outputTokens, totalTokens: inputTokens + outputTokens, estimated: true };
}
