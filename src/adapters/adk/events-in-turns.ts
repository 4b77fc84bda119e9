/**
 * The contents of events as messages of turns. A text of the user begins a turn, and all other events extend the last one, so that calls
 * and their results are in one turn. A turn that has grown long is followed by another one without an input: an event writes its turn
 * again.
 *
 * Why these are no `ProjectedTurns`, which are for frameworks whose transcript counts: the turns of the ADK count. An event whose message
 * another writer has truncated is none any more, so each event has a place among the turns, in place of a mark in them. The object of a
 * session has its last turn, so an append reads nothing.
 */
import { countMax } from "../../domain/values/limits.ts";
import { defined } from "../../domain/values/defined.ts";
import { encodeValue, type Message, type Turn, type TurnInput, type TurnsWrite } from "../../index.ts";
import { digestOf, hasOpenCalls, isQuestion, shownMessages, turnOfMessages } from "../projection/shown-messages.ts";
import type { AdkEvent } from "./package-adk.ts";

/** The last turn of a session. */
export type LastTurn = Pick<Turn, "seq" | "input" | "output" | "requests" | "usage">;

/** The messages of a turn that an event is. */
export interface EventMessages {
  /** The number of messages of the turn before them. */
  readonly from: number;
  /** The number of messages of the turn up to their end. */
  readonly to: number;
  /** The digest of these first messages of the turn. */
  readonly digest: string;
}

/** The place of an event among the turns. */
export interface EventPlace {
  /** The turn of the event; for an event that says nothing, the last turn before it. */
  readonly turn: number;
  readonly messages?: EventMessages;
}

/** The place of an event, and the turn to write with it. */
export interface PlacedEvent {
  readonly place: EventPlace;
  readonly turns?: TurnsWrite;
}

/** A turn that is longer gets no more messages, once all of its calls have results. */
const [messagesMax, lengthMax] = [64, 32_768] as const;

/** The messages of an event. Calls and results without an id get one of their place, as the calls of the turn so far have. */
export function messagesOf({ id, author, content }: AdkEvent, before: readonly Message[]): readonly Message[] {
  if (typeof content !== "object" || content === null) return [];
  const { role = author === "user" ? "user" : "model", parts } = content;
  if (!Array.isArray(parts)) return [];
  const open = before.flatMap(({ tool_calls: calls = [] }) => calls);
  const identified = parts.map((part: unknown, index) => {
    const { functionCall: call, functionResponse: response } = part as Fields;
    if (isWithoutId(call)) return { ...(part as object), functionCall: { ...call, id: `${id}-${index}` } };
    if (!isWithoutId(response)) return part;
    const answered = open.findLast(({ function: { name } }) => name === response["name"])?.id;
    return { ...(part as object), functionResponse: { ...response, id: answered ?? `${id}-${index}` } };
  });
  return shownMessages({ role, parts: identified }, "gemini");
}

type Fields = Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>;

function isWithoutId(value: Fields[string]): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && (value["id"] ?? "") === "";
}

/** An event behind the last turn. */
export function placedEvent(event: AdkEvent, last: LastTurn | undefined): PlacedEvent {
  const before = last === undefined ? [] : [...last.input, ...last.output];
  const messages = messagesOf(event, before);
  const [first] = messages;
  if (first === undefined) return { place: { turn: last?.seq ?? 0 } };
  if (last === undefined || isQuestion(first) || isFull(before))
    return placed(event, messages, { turn: (last?.seq ?? 0) + 1, from: 0, before: [], last: undefined });
  return placed(event, messages, { turn: last.seq, from: before.length, before, last });
}

/** A later version of a stored event; undefined where its turn has other messages behind it, and stays as it is. */
export function replacedEvent(
  event: AdkEvent,
  { turn, messages: stored }: EventPlace,
  last: LastTurn | undefined,
): PlacedEvent | undefined {
  if (stored === undefined || last?.seq !== turn) return undefined;
  const all = [...last.input, ...last.output];
  if (all.length !== stored.to || digestOf(all) !== stored.digest) return undefined;
  const before = all.slice(0, stored.from);
  const messages = messagesOf(event, before);
  if (messages.length === 0) return undefined;
  return placed({ ...event, usageMetadata: undefined }, messages, { turn, from: stored.from, before, last });
}

interface Extent {
  readonly turn: number;
  readonly from: number;
  /** The messages of the turn before those of the event. */
  readonly before: readonly Message[];
  /** The turn that is amended; undefined: the event begins one. */
  readonly last: LastTurn | undefined;
}

function placed(event: AdkEvent, messages: readonly Message[], { turn: seq, from, before, last }: Extent): PlacedEvent {
  const all = [...before, ...messages];
  const usage = sumOf(last?.usage, usageOf(event));
  const isAnswer = event.author !== "user" && messages.some(({ role }) => role === "assistant");
  const turn: TurnInput = {
    ...turnOfMessages(all),
    requests: (last?.requests ?? 0) + (isAnswer ? 1 : 0),
    ...defined({ usage, model: modelOf(event) }),
  };
  return {
    place: { turn: seq, messages: { from, to: all.length, digest: digestOf(all) } },
    turns: last === undefined ? { turns: [turn] } : { from: seq, amends: true, turns: [turn] },
  };
}

function isFull(messages: readonly Message[]): boolean {
  const isLong = messages.length >= messagesMax || encodeValue(messages).length >= lengthMax;
  return isLong && !hasOpenCalls(messages);
}

/** Counts of tokens. */
interface Tokens {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly totalTokens: number;
  readonly cachedTokens?: number;
  readonly reasoningTokens?: number;
}

/** The tokens that the model reports with an event. */
function usageOf({ usageMetadata: usage }: AdkEvent): Tokens | undefined {
  if (typeof usage !== "object" || usage === null) return undefined;
  const counts = usage as Readonly<Record<string, unknown>>;
  const [reasoningTokens, cachedTokens] = [counts["thoughtsTokenCount"], counts["cachedContentTokenCount"]].map(
    countOf,
  );
  const inputTokens = capped(countOf(counts["promptTokenCount"]), countOf(counts["toolUsePromptTokenCount"]));
  const outputTokens = capped(countOf(counts["candidatesTokenCount"]), reasoningTokens);
  const totalTokens = Math.max(countOf(counts["totalTokenCount"]), capped(inputTokens, outputTokens));
  const parts = { cachedTokens: cachedTokens || undefined, reasoningTokens: reasoningTokens || undefined };
  return { inputTokens, outputTokens, totalTokens, ...defined(parts) };
}

function countOf(value: unknown): number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? Math.min(value, countMax) : 0;
}

function capped(a = 0, b = 0): number {
  return Math.min(a + b, countMax);
}

function sumOf(a: Tokens | undefined, b: Tokens | undefined): Tokens | undefined {
  if (a === undefined || b === undefined) return b ?? a;
  const [cachedTokens, reasoningTokens] = [
    capped(a.cachedTokens, b.cachedTokens),
    capped(a.reasoningTokens, b.reasoningTokens),
  ];
  return {
    inputTokens: capped(a.inputTokens, b.inputTokens),
    outputTokens: capped(a.outputTokens, b.outputTokens),
    totalTokens: capped(a.totalTokens, b.totalTokens),
    ...defined({ cachedTokens: cachedTokens || undefined, reasoningTokens: reasoningTokens || undefined }),
  };
}

function modelOf({ modelVersion }: AdkEvent): string | undefined {
  return typeof modelVersion === "string" && /^[ -~]{1,256}$/.test(modelVersion) ? modelVersion : undefined;
}
