/** Names of messages that others have written in a turn: the same ones at each read, however many the turn has by then. */
import type { Message, MessageFormatName, Value } from "../../index.ts";
import { digestOf } from "./shown-messages.ts";

/** Of a turn with more messages, reads of an earlier build are looked for one behind the other. */
const allMax = 32;
/** The most messages of a read of which each length is tried. */
const lengthMax = 128;
/** The most reads of an earlier build that are looked for in one turn. */
const readsMax = 32;

/**
 * Names values in the place of the messages of a turn: a value by its content and by the number of equal ones before it.
 * @param before the number of messages before those that the values are named among; an earlier build began where its last read had ended
 */
export function places(before = 0): (value: Value) => string {
  const counts = new Map<string, number>();
  return (value) => {
    const digest = digestOf([value as unknown as Message]);
    const count = counts.get(digest) ?? 0;
    counts.set(digest, count + 1);
    return [before, digest, count].join("-");
  };
}

/** The number of messages from this one on that have one native form of the format. */
export function spanOf(messages: readonly Message[], at: number, format: MessageFormatName): number {
  const native = messages[at]?.["native"] as { readonly format?: string; readonly count?: number } | undefined;
  return native?.format === format ? Math.min(native.count ?? 1, messages.length - at) : 1;
}

/** How an earlier build made values of messages, and which of their names are stored. */
export interface EarlierValues {
  /** The values in the place of messages that were read together. */
  readonly valuesOf: (messages: readonly Message[]) => readonly Value[];
  /** False for a value that stands for a message that is missing. @default each value has a message */
  readonly hasMessage?: (value: Value, messages: readonly Message[]) => boolean;
  readonly storedOf: (names: readonly string[]) => Promise<ReadonlySet<string>>;
}

/** Messages from an index on, up to the one before another. */
interface Range {
  readonly from: number;
  readonly to: number;
}

/**
 * Finds the messages that are stored under a name of an earlier build. It named a value among those that it read together, which began
 * where its last read had ended. A message that is not found is shown, rather than lost.
 * @returns true for the index of such a message
 */
export async function knownEarlier(
  messages: readonly Message[],
  values: EarlierValues,
): Promise<(index: number) => boolean> {
  const count = messages.length;
  const known: Range[] = [];
  let starts = count <= allMax ? [...messages.keys()] : [0];
  for (let read = 0; starts.length > 0 && read < readsMax; read++) {
    const names = starts.flatMap((start) => namesFrom(messages, start, values));
    const whole = count <= allMax ? [] : namesOf(values.valuesOf(messages.slice(starts[0])), starts[0]!);
    const stored = await values.storedOf([...new Set([...names.map(({ name }) => name), ...whole])]);
    const found: readonly Range[] = [
      ...names.filter(({ name }) => stored.has(name)),
      // A longer read had all of its values.
      ...(whole.length > 0 && whole.every((name) => stored.has(name)) ? [{ from: starts[0]!, to: count }] : []),
    ];
    known.push(...found);
    const end = Math.max(0, ...found.map(({ to }) => to));
    starts = count > allMax && end > 0 && end < count ? [end] : [];
  }
  return (index) => known.some(({ from, to }) => from <= index && index < to);
}

/** The names of the values of a read that begins with a message, for each length that it may have had. */
function namesFrom(
  messages: readonly Message[],
  from: number,
  { valuesOf, hasMessage = () => true }: EarlierValues,
): readonly (Range & { readonly name: string })[] {
  /** The first message of each value. */
  const begins: number[] = [];
  const found = new Map<string, Range & { readonly name: string }>();
  for (let to = from + 1; to <= Math.min(messages.length, from + lengthMax); to++) {
    const read = messages.slice(from, to);
    const values = valuesOf(read);
    const own = values.filter((value) => hasMessage(value, read)).length;
    while (begins.length < own) begins.push(to - 1);
    // A value of which more messages are read later has another name then.
    for (const [at, name] of namesOf(values, from).entries())
      if (!found.has(name)) found.set(name, { name, from: begins[at] ?? to - 1, to });
  }
  return [...found.values()];
}

function namesOf(values: readonly Value[], from: number): readonly string[] {
  const placeOf = places(from);
  return values.map((value) => placeOf(value));
}
