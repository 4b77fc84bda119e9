/** What an export cannot carry: the contents of messages, counted as they are stored and as they are read from the export. */
import { nativeOf } from "../domain/request/native-form.ts";
import { isFields, knownPart, type Fields, type KnownPart } from "../domain/turns/known-parts.ts";
import { callsIn, stepsOf } from "../domain/turns/message-steps.ts";
import { isUnknownResult, type Message, type ToolCall } from "../domain/turns/turn.ts";
import type { Value } from "../domain/values/codec.ts";
import { sameValue } from "../domain/values/same-value.ts";
import { messageFormats } from "../formats/registry.ts";
import { dataOf } from "../formats/shown-parts.ts";
import type { LeftOut } from "../sessions/transfer/conversation.ts";

/** The kinds of media, by the types of their parts. */
const mediaKinds: Readonly<Record<string, string>> = { image_url: "picture", input_audio: "recording", file: "file" };

/** The name of a picture, a recording or a file. */
export function mediaKind(part: Fields): string {
  return mediaKinds[part["type"] as string] ?? "file";
}

const knownFields = new Set([
  "role",
  "content",
  "name",
  "tool_calls",
  "tool_call_id",
  "is_error",
  "native",
  "synthetic",
  "refusal",
  "parts",
  "toolInvocations",
]);

/** How many contents of each kind the messages have. */
export function contentsOf(messages: readonly Message[]): LeftOut {
  const counts: Record<string, number> = {};
  const add = (kind: string, count = 1): void => {
    counts[kind] = (counts[kind] ?? 0) + count;
  };
  for (const message of messages) {
    const { role, name, is_error: isError } = message;
    if (role === "user" && !hasResultsAlone(message)) add("message of the user");
    if (role === "system" || role === "developer") add("message of the system");
    if (name != null && role !== "tool" && role !== "function") add("name");
    if (isError === true) add("mark of a failure");
    const isResult = role === "tool" && stepsOf(message).every(({ results }) => results.length === 0);
    // Formats that pair calls write one for each open call: it stands for no result.
    if (isResult && !isUnknownResult(message)) add("result");
    for (const { content, calls, results, aside } of stepsOf(message)) {
      add("call", calls.length);
      add("result", results.filter((result) => !isUnknownResult(result)).length);
      add("unshown part", aside.length);
      for (const part of content) {
        const known = knownPart(part);
        if (known.kind === "media" || isMedium(known)) add(mediaKind(part as Fields));
      }
    }
    add("unshown part", besideOf(message));
    const own = Object.entries(message).filter(([field, value]) => !knownFields.has(field) && value != null);
    add("field of a message", own.length);
  }
  return counts;
}

/** True for the results of Anthropic's calls, which are a message of the user there. */
function hasResultsAlone(message: Message): boolean {
  return stepsOf(message).every(({ content, results }) => content.length === 0 && results.length > 0);
}

function isMedium(known: KnownPart): boolean {
  return known.kind === "other" && known.isMedia === true;
}

/** The number of parts that are in the native form of a message alone. */
function besideOf(message: Message): number {
  const native = nativeOf(message);
  if (native === undefined) return 0;
  const { format, value, hash } = native;
  if (Array.isArray(value)) return value.length;
  // The adapter of a model keeps its reasoning there.
  if (hash === undefined) return 1;
  const converter = messageFormats.find(({ name }) => name === format);
  if (converter === undefined || !isFields(value) || !converter.fits(value)) return 0;
  return converter.toCanonical(value, "").aside;
}

/** What the stored messages have, and those that are read from an export have not. */
export function lostBetween(stored: readonly Message[], read: readonly Message[]): LeftOut {
  const missing = missingIn(contentsOf(stored), contentsOf(read));
  const [before, after] = [stored.flatMap(callsIn), read.flatMap(callsIn)];
  if (before.length !== after.length)
    return sumOf(missing, { "text of a call": Math.max(after.length - before.length, 0) });
  const others = (fieldOf: (call: ToolCall) => Value): number =>
    before.filter((call, index) => !sameValue(fieldOf(call), fieldOf(after[index]!))).length;
  return sumOf(missing, {
    "id of a call": others(({ id }) => id),
    "name of a tool": others(({ function: called }) => called.name),
    "form of the arguments": others(({ function: called }) => dataOf(called.arguments.trim() || "{}")),
  });
}

/** What is in the first counts, and not in the second. */
function missingIn(before: LeftOut, after: LeftOut): LeftOut {
  return Object.fromEntries(
    Object.entries(before).flatMap(([kind, count]) => {
      const missing = count - (after[kind] ?? 0);
      return missing > 0 ? [[kind, missing]] : [];
    }),
  );
}

/** The sum of several counts. */
export function sumOf(...all: readonly LeftOut[]): LeftOut {
  const sum: Record<string, number> = {};
  for (const counts of all)
    for (const [kind, count] of Object.entries(counts)) if (count > 0) sum[kind] = (sum[kind] ?? 0) + count;
  return sum;
}
