/** Recorded conversations: read them from files, and let a model answer from them. */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SessionError, type Message, type Model, type Usage } from "../index.ts";

/** What was asked and what was answered, tool calls and their results included. */
export interface Exchange {
  readonly input: readonly Message[];
  readonly output: readonly Message[];
}

/** A recorded conversation. */
export interface Conversation {
  readonly id: string;
  /** The system messages ahead of the first exchange, joined. */
  readonly instructions: string | undefined;
  readonly exchanges: readonly Exchange[];
}

/**
 * The conversations of a `.jsonl` file, or of all such files in a folder, by name: one
 * `{"id", "messages": [{"role", "content", …}]}` a line, the messages as OpenAI's chat format has them.
 * @throws SessionError `message_invalid` with file and line
 */
export async function readConversations(path: string): Promise<Conversation[]> {
  const isFolder = (await stat(path)).isDirectory();
  const names = isFolder ? (await readdir(path)).filter((name) => name.endsWith(".jsonl")).toSorted() : [""];
  const files = names.map((name) => (name === "" ? path : join(path, name)));
  const read = await Promise.all(files.map(async (file) => parseConversations(await readFile(file, "utf8"), file)));
  return read.flat();
}

/** The conversations of a text in that form; `file` is for the messages of errors. */
export function parseConversations(text: string, file: string): Conversation[] {
  return text.split("\n").flatMap((line, index) => {
    if (line.trim() === "") return [];
    const place = `${file}:${index + 1}`;
    let parsed: { id?: unknown; messages?: unknown };
    try {
      parsed = JSON.parse(line);
    } catch (error) {
      throw new SessionError("message_invalid", { path: place, reason: "is not JSON" }, { cause: error });
    }
    if (typeof parsed?.id !== "string" || !Array.isArray(parsed.messages)) {
      throw new SessionError("message_invalid", { path: place, reason: "has no id or no messages" });
    }
    return [{ id: parsed.id, ...split(parsed.messages) }];
  });
}

/** An exchange begins with a message of the user and goes on to the next one. */
function split(messages: readonly Message[]): Pick<Conversation, "instructions" | "exchanges"> {
  const first = messages.findIndex(({ role }) => role !== "system" && role !== "developer");
  const leading = messages.slice(0, Math.max(first, 0));
  const exchanges: { input: Message[]; output: Message[] }[] = [];
  for (const message of messages.slice(leading.length)) {
    let current = exchanges.at(-1);
    const asks = message.role === "user";
    if (current === undefined || (asks && current.output.length > 0))
      exchanges.push((current = { input: [], output: [] }));
    (asks ? current.input : current.output).push(message);
  }
  const instructions = leading
    .map(({ content }) => (typeof content === "string" ? content : JSON.stringify(content)))
    .join("\n\n");
  return { instructions: instructions === "" ? undefined : instructions, exchanges };
}

/** What to replay, and how fast. */
export interface ReplayOptions {
  readonly conversation: Conversation;
  /** The pause before each piece, ms. @default 0 */
  readonly delayMs?: number;
  /** The characters of a piece. @default 24 */
  readonly pieceLength?: number;
}

/**
 * A model that answers from a recorded conversation: the last question of the request is looked up in it, and among
 * equal questions the one whose past is most like the request's.
 * @throws SessionError at the call: `model_refused` for a question that was not recorded
 */
export function replayModel({ conversation, delayMs = 0, pieceLength = 24 }: ReplayOptions): Model {
  return async function* answer({ messages, signal }) {
    const { output } = lookUp(conversation, messages);
    yield { type: "model", model: "replay" };
    for (const message of output) {
      const { role, content, tool_calls: calls } = message;
      if (role !== "assistant" || typeof content !== "string" || (calls?.length ?? 0) > 0) {
        yield { type: "message", message };
        continue;
      }
      for (let start = 0; start < content.length; start += pieceLength) {
        if (delayMs > 0) await sleep(delayMs, undefined, { signal });
        signal.throwIfAborted();
        yield { type: "text", text: content.slice(start, start + pieceLength) };
      }
    }
    yield { type: "usage", usage: countedAs(messages, output) };
  };
}

function lookUp({ id, exchanges }: Conversation, messages: readonly Message[]): Exchange {
  let best: { exchange: Exchange; likeness: number } | undefined;
  for (const [index, exchange] of exchanges.entries()) {
    const past = exchanges.slice(0, index).flatMap(({ input, output }) => [...input, ...output]);
    const likeness = commonTail([...past, ...exchange.input], messages);
    if (likeness >= exchange.input.length && likeness > (best?.likeness ?? 0)) best = { exchange, likeness };
  }
  if (best !== undefined) return best.exchange;
  throw new SessionError("model_refused", { reason: `the conversation ${id} has no such question` });
}

/** How many messages from the end on are the same, by role and content. */
function commonTail(a: readonly Message[], b: readonly Message[]): number {
  let length = 0;
  for (;;) {
    const left = a.at(-1 - length);
    const right = b.at(-1 - length);
    const same = left !== undefined && left.role === right?.role && left.content === right.content;
    if (!same) return length;
    length++;
  }
}

/** Tokens as a provider might count them: one for each four characters. */
function countedAs(input: readonly Message[], output: readonly Message[]): Usage {
  const count = (messages: readonly Message[]): number => Math.ceil(JSON.stringify(messages).length / 4);
  const [inputTokens, outputTokens] = [count(input), count(output)];
  return { inputTokens, outputTokens, totalTokens: inputTokens + outputTokens };
}
