import { SessionError } from "../../errors.ts";
import { decode, encode, encodeMade, type Value } from "../values/codec.ts";
import { newEntry, type Entry } from "../record/entry.ts";
import { formatValue } from "../values/format-value.ts";
import { isDate } from "../values/limits.ts";

/** A tool call of a model. `arguments` is the model's own text, stored byte for byte. */
export interface ToolCall {
  readonly id: string;
  readonly type?: "function";
  readonly function: { readonly name: string; readonly arguments: string };
  readonly [key: string]: Value | undefined;
}

/**
 * A message in the form of OpenAI's chat completions API, with its roles (`system`, `developer`, `user`, `assistant`,
 * `tool`, and the older `function`). All other fields are stored as they are.
 */
export interface Message {
  readonly role: "system" | "developer" | "user" | "assistant" | "tool" | "function";
  readonly content?: Value;
  readonly name?: string;
  readonly tool_calls?: readonly ToolCall[];
  /** In a `tool` message: the call it answers. */
  readonly tool_call_id?: string;
  readonly [key: string]: Value | undefined;
}

/** Messages as callers may write them: a text stands for one message, of the user in an input and of the assistant in an output. */
export type MessageInput = string | Message | readonly Message[];

/** Tokens of one turn. */
export interface Usage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly totalTokens: number;
  /** Of the input tokens, those that the provider had in its cache; absent where it does not say. */
  readonly cachedTokens?: number;
  /** Of the output tokens, those of the model's reasoning; absent where it does not say. */
  readonly reasoningTokens?: number;
  /** True if the model reported none and Perdure counted characters. */
  readonly estimated?: true;
}

/** Tokens as a caller or a model reports them. A field that is missing or NaN is unknown: Perdure estimates it. */
export interface ReportedUsage {
  readonly inputTokens?: number | null | undefined;
  readonly outputTokens?: number | null | undefined;
  /** @default the sum of the other two */
  readonly totalTokens?: number | null | undefined;
  readonly cachedTokens?: number | null | undefined;
  readonly reasoningTokens?: number | null | undefined;
  readonly estimated?: true | undefined;
}

/** One call of a model within a turn of several. */
export interface Step {
  /** The agent of the call, in a turn that several agents answered. */
  readonly agent?: string;
  readonly model?: string;
  readonly usage: Usage;
  /** From the call until the end of its answer, without the tools that it called. */
  readonly durationMs: number;
}

/** `open` is in progress, `waiting` has no writer until it is resumed; the others are sealed. */
export type TurnStatus = "open" | "waiting" | "done" | "failed" | "interrupted";

/** One exchange: input, output, the agent that answered, and the usage. */
export interface Turn {
  /** The turn's number in its session, from 1. */
  readonly seq: number;
  readonly key: string | null;
  /** When it began. */
  readonly at: Date;
  readonly status: TurnStatus;
  readonly agent: string;
  readonly model?: string;
  readonly input: readonly Message[];
  readonly output: readonly Message[];
  readonly usage?: Usage;
  /** Calls of a model within the turn. */
  readonly requests: number;
  readonly durationMs?: number;
  /** How long it waited to be resumed, ms; no part of `durationMs`. */
  readonly waitedMs?: number;
  /** The model calls of the turn, if it had several and their caller reported each. */
  readonly steps?: readonly Step[];
  /** Why the answer ended: "stop", "length", "content_filter", "tool_calls", "refusal", or the provider's own word. */
  readonly finish?: string;
  /** Why it failed or was interrupted. */
  readonly error?: { readonly code: string; readonly message: string };
}

/** A turn without its messages, for telemetry. */
export interface TurnSummary extends Pick<
  Turn,
  "seq" | "at" | "status" | "agent" | "model" | "usage" | "requests" | "durationMs" | "waitedMs" | "finish"
> {
  /** Why it failed or was interrupted. */
  readonly code?: string;
}

export function summaryOf({ key: _, input: _input, output: _output, error, ...summary }: Turn): TurnSummary {
  return error === undefined ? summary : { ...summary, code: error.code };
}

/** The part of a turn that its entry stores as data; number, key and time are the entry's own. */
export interface TurnData extends Omit<Turn, "seq" | "key" | "at"> {
  /** The number of messages before it in its log, so that readers need not count them. */
  readonly messagesBefore?: number;
  /** Of a turn that waits; no reader of turns gets it. */
  readonly resume?: Resume;
}

/** The part of a waiting turn that is for its resumer. */
export interface Resume {
  /** Opaque to the session. */
  readonly state: Value;
  /** The tool calls of the turn whose tools have not begun to run. */
  readonly notRun: readonly ToolCall[];
  /** Those of them that need an approval, by their ids. */
  readonly asks: readonly string[];
}

/** True for a turn that has ended. */
export function isSealed({ status }: { readonly status: string }): boolean {
  return status !== "open" && status !== "waiting";
}

/** @throws SessionError `store_invalid` for an entry that contains no turn */
export function turnOf(entry: Entry): Turn {
  const turn = readTurn(entry);
  if (typeof turn !== "string") return turn;
  throw new SessionError("store_invalid", { problem: "entry_invalid", log: "turns", seq: entry.seq });
}

/** The turn of an entry; a text says why the entry cannot be read. */
export function readTurn({ seq, key, at, data }: Entry): Turn | string {
  if (!isDate(at)) return "its time is beyond what a date holds";
  try {
    const stored = decode(data) as unknown as TurnData;
    if (typeof stored.status !== "string") return "it has no status";
    if (!areMessages(stored.input) || !areMessages(stored.output)) return "its messages cannot be read";
    if (stored.error !== undefined && typeof stored.error.code !== "string") return "its error cannot be read";
    // A copy of the rest of an object takes longer, and a page has a thousand turns.
    const turn: Record<string, unknown> = { seq, key, at: new Date(at) };
    for (const name of Object.keys(stored) as (keyof TurnData)[])
      if (name !== "messagesBefore" && name !== "resume") turn[name] = stored[name];
    return turn as unknown as Turn;
  } catch {
    return "its data cannot be read";
  }
}

/** The turns of these entries, in order, without those that cannot be read. */
export function readableTurns(entries: readonly Entry[]): readonly Turn[] {
  return entries.map(readTurn).filter((turn) => typeof turn !== "string");
}

function areMessages(value: unknown): boolean {
  return Array.isArray(value) && value.every((message) => typeof message === "object" && message !== null);
}

/** The number of messages before this turn; undefined if its entry does not store it. */
export function messagesBefore(entry: Entry): number | undefined {
  return (decode(entry.data) as unknown as TurnData).messagesBefore;
}

/** The part of a waiting turn that is for its resumer; undefined for other turns. */
export function resumeOf(entry: Entry): Resume | undefined {
  return (decode(entry.data) as unknown as TurnData).resume;
}

/** The same entry without the part of a waiting turn that is for its resumer. */
export function withoutResume(entry: Entry): Entry {
  const { resume, ...data } = decode(entry.data) as unknown as TurnData;
  return resume === undefined ? entry : { ...entry, data: encode(data) };
}

/** The entry that stores a turn. */
export function entryOfTurn(turn: Turn, messagesBefore?: number, resume?: Resume): Entry {
  return entryAt({ seq: turn.seq, at: turn.at.getTime() }, turn, messagesBefore, resume);
}

/** A turn without its place in the log. */
export type TurnContent = Omit<Turn, "seq" | "at">;

/**
 * The entry that stores a turn at this place. The usage comes before the messages, so that aggregate queries need not read them.
 */
export function entryAt(
  place: Pick<Entry, "seq" | "at">,
  turn: TurnContent,
  messagesBefore?: number,
  resume?: Resume,
): Entry {
  const { key, status, agent, model, usage, requests, durationMs, waitedMs } = turn;
  const { input, output, steps, finish, error } = turn;
  const data = {
    status,
    agent,
    model,
    usage,
    requests,
    durationMs,
    waitedMs,
    messagesBefore,
    input,
    output,
    steps,
    finish,
    error,
    resume,
  };
  const others = [
    status,
    agent,
    model,
    usage,
    requests,
    durationMs,
    waitedMs,
    messagesBefore,
    steps,
    finish,
    error,
    resume,
  ];
  // The lists of messages were made by the parser or decoded.
  return newEntry(place, key, encodeMade(data, { lists: [input, output], others }, "turn"));
}

/**
 * The bytes of a turn as its limit counts them. The native form of a message repeats the message, so the native forms of a turn
 * have the limit of a turn for themselves: the larger part counts.
 */
export function turnBytes(data: string, { input, output }: Pick<Turn, "input" | "output">): number {
  const native = nativeBytes([...input, ...output]);
  return Math.max(Buffer.byteLength(data) - native, native);
}

/** The encoded bytes of the native forms of these messages. */
export function nativeBytes(messages: readonly Message[]): number {
  return messages.reduce((sum, message) => sum + Buffer.byteLength(nativeText(message)), 0);
}

/** The encoded native form of a message; "" where it has none. */
export function nativeText({ native }: Message): string {
  return native === undefined ? "" : encode(native, "native");
}

const roles = new Set(["system", "developer", "user", "assistant", "tool", "function"]);

/**
 * Messages from an input; a text becomes one message of `role`.
 * @throws SessionError `message_invalid` with the place and the reason
 */
export function parseMessages(input: unknown, role: Message["role"], path: string): readonly Message[] {
  if (typeof input === "string") {
    if (input.trim() === "")
      throw new SessionError("message_invalid", { path, value: formatValue(input), expected: "text", min: 1 });
    return [{ role, content: input }];
  }
  if (!Array.isArray(input)) return [parseMessage(input, path)];
  // Unlike map, the loop visits the holes of a sparse array.
  const messages: Message[] = [];
  for (let index = 0; index < input.length; index++) messages.push(parseMessage(input[index], path, index));
  return messages;
}

/** The path is made where it is needed: most messages are well formed. */
function parseMessage(value: unknown, list: string, index?: number): Message {
  const pathOf = (): string => (index === undefined ? list : `${list}[${index}]`);
  if (typeof value !== "object" || value === null) {
    throw new SessionError("message_invalid", { path: pathOf(), value: formatValue(value), expected: "message" });
  }
  const message = value as Message;
  if (!roles.has(message.role)) {
    throw new SessionError("message_invalid", {
      path: `${pathOf()}.role`,
      value: formatValue(message.role),
      expected: "one_of",
      known: [...roles],
    });
  }
  if (message.tool_calls !== undefined) parseToolCalls(message.tool_calls, pathOf());
  return message;
}

function parseToolCalls(calls: unknown, path: string): void {
  const wellFormed =
    Array.isArray(calls) &&
    calls.every(
      (call: Partial<ToolCall> | null) =>
        typeof call === "object" &&
        call !== null &&
        typeof call.id === "string" &&
        typeof call.function?.name === "string" &&
        typeof call.function.arguments === "string",
    );
  // Some recorded conversations carry `tool_calls: null` beside an ordinary answer.
  if (!wellFormed && calls !== null) {
    throw new SessionError("message_invalid", {
      path: `${path}.tool_calls`,
      value: formatValue(calls),
      expected: "tool_call_list",
    });
  }
}

/**
 * The tool calls of these messages that no later one answers, in order. Pairing is by occurrence within one turn,
 * because the same id may stand for another call in a later turn, and for a second one in the same: a result answers
 * the latest message with an open call of its id.
 */
export function danglingToolCalls(messages: readonly Message[]): readonly ToolCall[] {
  return unanswered(messages).map(({ call }) => call);
}

/**
 * The messages with each dangling tool call closed by a marked result, so that a provider accepts the history. The tools of
 * the calls in `waiting` have not begun to run.
 */
export function closeToolCalls(messages: readonly Message[], waiting: readonly ToolCall[] = []): readonly Message[] {
  const dangling = unanswered(messages);
  if (dangling.length === 0) return messages;
  // Some programs give several calls one id: all of them must wait, or any of them may have run.
  const countOf = (calls: readonly ToolCall[], id: string): number => calls.filter((call) => call.id === id).length;
  const calls = waiting.length === 0 ? [] : dangling.map(({ call }) => call);
  const resultOf = (call: ToolCall): Message => {
    const waits = waiting.length > 0 && countOf(waiting, call.id) >= countOf(calls, call.id);
    return waits ? notRunResult(call) : unknownResult(call);
  };
  const closed: Message[] = [];
  // The dangling calls come in the order of their messages; those before `next` are passed, those before `owed` closed.
  let next = 0;
  let owed = 0;
  const closePassed = (): void => {
    for (const { call } of dangling.slice(owed, next)) closed.push(resultOf(call));
    owed = next;
  };
  for (const [at, message] of messages.entries()) {
    // A result must follow the message that made the call, before any other message.
    if (message.role !== "tool") closePassed();
    closed.push(message);
    while (dangling[next]?.madeAt === at) next++;
  }
  closePassed();
  return closed;
}

/** A call, the index of the message that made it, and that of its result, if there is one. */
export interface ToolCallPair {
  readonly call: ToolCall;
  readonly madeAt: number;
  readonly answeredAt?: number;
}

/**
 * The tool calls of these messages, in order, each with its result. Pairs in one pass: the open calls of each id are a
 * stack, because a result answers the latest message with such a call. Within that message it answers the first one:
 * some programs give all calls of a message one id, or none.
 */
export function pairToolCalls(messages: readonly Message[]): readonly ToolCallPair[] {
  const pairs: ToolCallPair[] = [];
  const stacks = new Map<string | undefined, number[]>();
  for (const [at, message] of messages.entries()) {
    const calls = message.tool_calls ?? [];
    const first = pairs.length;
    for (const call of calls) pairs.push({ call, madeAt: at });
    // The last call goes onto the stack first, so that the first one is on top.
    for (let index = pairs.length - 1; index >= first; index--) {
      const { id } = pairs[index]!.call;
      const stack = stacks.get(id);
      if (stack === undefined) stacks.set(id, [index]);
      else stack.push(index);
    }
    if (message.role !== "tool") continue;
    const open = stacks.get(message.tool_call_id)?.pop();
    if (open !== undefined) pairs[open] = { ...pairs[open]!, answeredAt: at };
  }
  return pairs;
}

function unanswered(messages: readonly Message[]): readonly ToolCallPair[] {
  return pairToolCalls(messages).filter(({ answeredAt }) => answeredAt === undefined);
}

const unknown = "The call was interrupted before its result was known; it may or may not have had effects.";

/** The marked result of a call that was interrupted. */
export function unknownResult(call: ToolCall): Message {
  return { role: "tool", tool_call_id: call.id, content: unknown, synthetic: true };
}

/** True for the words of such a result: other formats have no mark. */
export function isUnknownResult({ role, content }: Message): boolean {
  return role === "tool" && content === unknown;
}

const notRun = "The call did not run: the answer ended before it.";

/** The marked result of a call whose tool did not begin to run. */
function notRunResult(call: ToolCall): Message {
  return { role: "tool", tool_call_id: call.id, content: notRun, synthetic: true };
}

/** True for the result of a call that did not run. */
export function isNotRunResult(message: Message): boolean {
  return message.role === "tool" && message["synthetic"] === true && message.content === notRun;
}
