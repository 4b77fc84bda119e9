/**
 * What a turn says, whichever program wrote it: two exports of one conversation may write the same words as a text or as a part,
 * the arguments of a call with other spaces, and other ids of calls. The rest of a message is its form.
 */
import { isFields, type Fields } from "../../domain/turns/known-parts.ts";
import { isUnknownResult, type Message, type Turn } from "../../domain/turns/turn.ts";
import { encode, type Value } from "../../domain/values/codec.ts";
import { defined } from "../../domain/values/defined.ts";

/** The messages of a turn as texts. Results that an export wrote in place of unknown ones say nothing. */
export interface TurnWords {
  readonly input: readonly string[];
  readonly output: readonly string[];
}

export function wordsIn({ input, output }: Pick<Turn, "input" | "output">): TurnWords {
  const places = new Map<string, number>();
  for (const { tool_calls: calls } of [...input, ...output])
    for (const { id } of calls ?? []) if (!places.has(id)) places.set(id, places.size);
  const said = (messages: readonly Message[]): readonly string[] =>
    messages.filter((message) => !isUnknownResult(message)).map((message) => textOf(message, places));
  return { input: said(input), output: said(output) };
}

/** A message as a text, with the places of calls instead of their ids. */
function textOf({ role, content, tool_calls: calls, tool_call_id: id, ...rest }: Message, places: Places): string {
  const { name = null, refusal = null, audio = null, function_call: called = null } = rest;
  const said = textsOf(content).map((part) =>
    sorted(role === "tool" && typeof part === "string" ? asJson(part) : part),
  );
  const made = (calls ?? []).map((call) => [place(places, call.id), sorted(asCalled(call))]);
  const answered = id === undefined || id === null ? null : place(places, id);
  return encode([role, said, made, answered, name, refusal, sorted(audio), sorted(called)]);
}

type Places = ReadonlyMap<string, number>;

function place(places: Places, id: string): Value {
  return places.get(id) ?? id;
}

/** The parts of a content; a text for one that is only a text. */
function textsOf(content: Value | undefined): readonly Value[] {
  const parts = Array.isArray(content) ? (content as readonly Value[]) : [content ?? ""];
  return parts
    .map((part) =>
      isFields(part) && part["type"] === "text" && typeof part["text"] === "string" ? part["text"] : part,
    )
    .filter((part) => part !== "");
}

function asCalled({ id: _, ...call }: NonNullable<Message["tool_calls"]>[number]): Value {
  const { function: called } = call;
  if (!isFields(called) || typeof called["arguments"] !== "string") return call;
  return { ...call, function: { ...called, arguments: asJson(called["arguments"]) } };
}

/** The value of a JSON text, which may have other spaces elsewhere. Long integers would lose digits. */
function asJson(text: string): Value {
  if (!/^\s*[[{]/.test(text) || /\d{16}/.test(text)) return text;
  try {
    return JSON.parse(text) as Value;
  } catch {
    return text;
  }
}

/** The value with the fields of its objects in the order of their names. */
function sorted(value: Value): Value {
  if (Array.isArray(value)) return (value as readonly Value[]).map(sorted);
  if (!isFields(value)) return value;
  const names = Object.keys(value).toSorted();
  return Object.fromEntries(names.map((name) => [name, sorted(value[name]!)]));
}

/** What stands around the words of a turn: the program that wrote it, and a text of the rest. */
export interface TurnForm {
  /** "" where there is nothing around the words. */
  readonly name: string;
  readonly text: string;
}

const wordNames = new Set([
  "role",
  "content",
  "tool_calls",
  "tool_call_id",
  "name",
  "refusal",
  "audio",
  "function_call",
]);
const ownFields = "fields";

export function formOf({ input, output, model, usage }: Turn): TurnForm {
  const messages = [...input, ...output];
  const hasWordsAlone = (message: Message): boolean => Object.keys(message).every((name) => wordNames.has(name));
  if (model === undefined && usage === undefined && messages.every(hasWordsAlone)) return { name: "", text: "" };
  const around = messages.map((message) => Object.entries(message).filter(([name]) => !wordNames.has(name)));
  const formats = messages.map(({ native }) => (isFields(native ?? null) ? (native as Fields)["format"] : undefined));
  const name = formats.find((format) => typeof format === "string") ?? ownFields;
  return { name, text: encode({ around, ...defined({ model, usage }) }) };
}

/**
 * True where a turn with the arriving form takes the place of one that says the same: one program wrote both, or there is only the
 * arriving form. That of another program is another way to write the same turn.
 */
export function takesPlace({ name }: Pick<TurnForm, "name">, arriving: Pick<TurnForm, "name">): boolean {
  return arriving.name !== "" && (name === arriving.name || (name === "" && arriving.name === ownFields));
}
