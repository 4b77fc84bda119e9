/**
 * Messages of a format as canonical messages, and back. A message that its canonical form does not say in full keeps its
 * native form beside it. The native form is given back, byte for byte, to its own format while the canonical form is the
 * one that was stored with it; another format, and a message that has changed, is written from the canonical form.
 */
import type { Fields } from "../domain/turns/known-parts.ts";
import { callsIn } from "../domain/turns/message-steps.ts";
import { nativeOf, withoutNative, type NativeForm } from "../domain/request/native-form.ts";
import { closeToolCalls, parseMessages, type Message } from "../domain/turns/turn.ts";
import { base64Of, type Value } from "../domain/values/codec.ts";
import { parseArray } from "../domain/values/invalid-argument.ts";
import { defined } from "../domain/values/defined.ts";
import { formatValue } from "../domain/values/format-value.ts";
import { sameValue } from "../domain/values/same-value.ts";
import { SessionError } from "../errors.ts";
import { withCallIds } from "./calls/call-ids.ts";
import { customCallsIn } from "./calls/custom-calls.ts";
import { isListOf, type MessageFormat, type MessageFormatName } from "./message-format.ts";
import { isUnknownItem } from "./openai-items.ts";
import { formatNamed, formatOf, formatOfAll, isMessageOf, messageIn } from "./registry.ts";
import { sharegpt } from "./sharegpt.ts";
import { nodeCrypto } from "../node-crypto.ts";

/** A value of a format, and the messages in its place. */
export interface ConvertedMessage {
  readonly messages: readonly Message[];
  /** The number of parts of the value that are in its native form alone. */
  readonly aside: number;
  /** The kind of what is not read of the value, for reports. */
  readonly leftOut?: string;
}

/**
 * Messages of a framework as messages of a session, for `append`, `consult` and `write`. A message keeps its native form
 * where the message of the session does not say all of it.
 * @throws SessionError `message_invalid` for a value that is no message of this format, `argument_invalid` for an unknown
 *   format
 */
export function fromFormat(values: readonly unknown[], format: MessageFormatName): readonly Message[] {
  const converter = formatNamed(format);
  // Entries of a sparse array include its holes.
  for (const [index, value] of parseArray(values, "messages").entries())
    if (!isMessageOf(converter, value)) throw notKnown(value, `messages[${index}]`);
  return convertAll(
    values.map((value) => ({ value: messageIn(value)!, format: converter })),
    "",
  ).flatMap(({ messages }) => messages);
}

/**
 * The messages of a session in a framework's own form. What this framework wrote comes back as it was written, unless
 * the message has changed since; all else is converted. A call without a result gets a marked one in formats that demand
 * it.
 * @throws SessionError `message_invalid` for a value that is no message, `argument_invalid` for an unknown format
 */
export function toFormat(messages: readonly Message[], format: MessageFormatName): readonly Value[] {
  const converter = formatNamed(format);
  parseMessages(parseArray(messages, "messages"), "user", "messages");
  const [toolNames, customInputs] = [toolNamesIn(messages), customCallsIn(messages)];
  const written: Value[] = [];
  let changed: Message[] = [];
  const write = (from: number): void => {
    const closed = converter.pairsCalls ? withResults(changed, () => messages.slice(from)) : changed;
    for (const value of converter.fromCanonical(closed, { before: written.length, toolNames, customInputs }))
      written.push(value);
    changed = [];
  };
  for (let at = 0; at < messages.length;) {
    const native = unchangedNative(messages, at, converter);
    if (native === undefined) {
      changed.push(messages[at++]!);
      continue;
    }
    if (changed.length > 0) write(at);
    written.push(native.value);
    at += native.count ?? 1;
  }
  if (changed.length > 0) write(messages.length);
  return written;
}

/** The messages, with a marked result for each call that has none in them or in those that follow. */
function withResults(messages: readonly Message[], following: () => readonly Message[]): readonly Message[] {
  const closed = closeToolCalls(messages);
  if (closed.length === messages.length) return messages;
  const given = new Set(messages);
  const answered = new Set(following().flatMap(({ role, tool_call_id: id }) => (role === "tool" ? [id] : [])));
  return closed.filter((message) => given.has(message) || !answered.has(message.tool_call_id));
}

function toolNamesIn(messages: readonly Message[]): ReadonlyMap<string, string> {
  return new Map(messages.flatMap(callsIn).map(({ id, function: called }) => [id, called.name]));
}

/**
 * The messages of an import, each value with those in its place. The format is the given one, or the first that all values
 * fit; messages of several formats are read one by one.
 * @throws SessionError `message_invalid` for a value that is no message
 */
export function readMessages(
  values: readonly unknown[],
  place: string,
  given: MessageFormat | undefined = formatOfAll(values),
): readonly ConvertedMessage[] {
  return convertAll(
    values.map((value, index) => {
      const format = given !== undefined && isMessageOf(given, value) ? given : formatOf(value);
      const fields = messageIn(value);
      const path = `${place} messages[${index}]`;
      if (format === undefined || fields === undefined) throw notKnown(value, path);
      if (isUnknownItem({ format, value: fields })) throw notKnown(fields["type"], `${path}.type`);
      return { value: fields, format };
    }),
    `${place} `,
  );
}

interface ReadValue {
  readonly value: Fields;
  readonly format: MessageFormat;
}

function convertAll(read: readonly ReadValue[], place: string): readonly ConvertedMessage[] {
  const pathOf = (index: number): string => `${place}messages[${index}]`;
  const canonical = read.map(({ value, format }, index) => {
    guardCalls(value, pathOf(index));
    return format.toCanonical(value, pathOf(index));
  });
  const identified = withCallIds(
    canonical.map(({ messages }) => messages),
    (index) => read[index]!.format === sharegpt,
  );
  // The conversions below read calls as they are in messages.
  for (const [index, messages] of identified.entries())
    for (const message of messages) parseMessages(message, "user", pathOf(index));
  const converted = read.map(({ value, format }, index) => ({
    value,
    format,
    messages: identified[index]!,
    aside: canonical[index]!.aside,
    ...defined({ leftOut: canonical[index]!.leftOut }),
  }));
  const toolNames = toolNamesIn(messagesIn(converted));
  const complete = converted.map((one) => saysAll(one, toolNames));
  // Messages that are complete by themselves may be written as one, or in another order, beside their neighbours.
  for (let from = 0; from < converted.length;) {
    const { format } = converted[from]!;
    let to = from;
    while (complete[to] === true && converted[to]?.format === format) to++;
    const run = converted.slice(from, to);
    const isAlone = run.length < 2 && !(format.pairsCalls && messagesIn(run).some(hasCalls));
    if (!isAlone && run.length > 0 && !comesBack(run, () => messagesIn(converted.slice(to)), toolNames))
      complete.fill(false, from, to);
    from = Math.max(to, from + 1);
  }
  return converted.map((one, index) => (complete[index] === true ? one : withNative(one)));
}

/** @throws SessionError `message_invalid` for calls that are no list of objects */
function guardCalls({ tool_calls: calls }: Fields, path: string): void {
  if (calls === undefined || calls === null || isListOf(calls, () => true)) return;
  const details = { path: `${path}.tool_calls`, value: formatValue(calls), expected: "tool_call_list" } as const;
  throw new SessionError("message_invalid", details);
}

interface ConvertedValue extends ConvertedMessage, ReadValue {}

/** Ids that are made from the place of a message differ from those that messages bring: a message keeps its own id. */
const noPlace = Number.POSITIVE_INFINITY;

/** True where the canonical form says all of a value. */
function saysAll({ value, format, messages }: ConvertedValue, toolNames: ReadonlyMap<string, string>): boolean {
  return sameValue(format.fromCanonical(messages, { before: noPlace, toolNames }), [value]);
}

/** True where neighbours are written as they were. */
function comesBack(
  run: readonly ConvertedValue[],
  following: () => readonly Message[],
  toolNames: ReadonlyMap<string, string>,
): boolean {
  const [{ format }] = run as readonly [ConvertedValue];
  const messages = messagesIn(run);
  const closed = format.pairsCalls ? withResults(messages, following) : messages;
  const back = format.fromCanonical(closed, { before: noPlace, toolNames });
  return sameValue(
    back,
    run.map(({ value }) => value),
  );
}

function hasCalls(message: Message): boolean {
  return callsIn(message).length > 0;
}

function messagesIn(converted: readonly ConvertedMessage[]): readonly Message[] {
  return converted.flatMap(({ messages }) => messages);
}

/** The first of the messages has the native form. A value without messages is not kept. */
function withNative(one: ConvertedValue): ConvertedValue {
  const { value, format, messages } = one;
  const [first, ...others] = messages;
  if (first === undefined) return one;
  const native: NativeForm = {
    format: format.name,
    version: format.version,
    value,
    hash: hashOf(messages),
    ...(others.length === 0 ? {} : { count: messages.length }),
  };
  return { ...one, messages: [{ ...first, native: native as unknown as Value }, ...others] };
}

/** The native form of the messages from this one on, if it is of this format and they are unchanged. */
function unchangedNative(messages: readonly Message[], at: number, format: MessageFormat): NativeForm | undefined {
  const native = nativeOf(messages[at]!);
  if (native?.format !== format.name || native.version !== format.version) return undefined;
  const { hash: known, count = 1 } = native;
  if (known === undefined || !Number.isSafeInteger(count) || count < 1 || at + count > messages.length)
    return undefined;
  return hashOf(messages.slice(at, at + count)) === known ? native : undefined;
}

/** The hash of the canonical form of some messages. The order of fields does not count, nor does a field without a value. */
function hashOf(messages: readonly Message[]): string {
  const text = canonicalText(messages.map(withoutNative));
  return nodeCrypto().hash("sha256", text, "base64url").slice(0, 22);
}

function canonicalText(value: Value): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value !== "object" || value === null) return `${value}${typeof value === "bigint" ? "n" : ""}`;
  if (value instanceof Date) return `date ${value.getTime()}`;
  if (value instanceof Uint8Array) return `bytes ${base64Of(value)}`;
  if (Array.isArray(value)) return `[${(value as readonly Value[]).map(canonicalText).join()}]`;
  const fields = value as Fields;
  const names = Object.keys(fields).filter((name) => fields[name] !== undefined);
  return `{${names
    .toSorted()
    .map((name) => `${JSON.stringify(name)}:${canonicalText(fields[name]!)}`)
    .join()}}`;
}

function notKnown(value: unknown, path: string): SessionError {
  return new SessionError("message_invalid", { path, value: formatValue(value), expected: "known_message" });
}
