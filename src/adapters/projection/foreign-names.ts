/** Names of messages that others have written in a turn: the same ones at each read, however many the turn has by then. */
import type { Message, MessageFormatName, Value } from "../../index.ts";
import { digestOf } from "./shown-messages.ts";

/** With more messages in a turn, those that an earlier build has read are known all together. */
const stepsMax = 32;

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

/** The name of a value in the place of some messages of a turn. */
export interface EarlierName {
  readonly name: string;
  /** The index of the first of the messages. */
  readonly from: number;
  /** The index behind the last one. */
  readonly to: number;
}

/**
 * The names that an earlier build may have given. It named a value among those that it read together, which began where its last read
 * had ended.
 * @param valuesOf the values in the place of messages
 * @param hasMessage false for a value that stands for a message that is missing
 */
export function earlierNames(
  messages: readonly Message[],
  valuesOf: (messages: readonly Message[]) => readonly Value[],
  hasMessage: (value: Value, messages: readonly Message[]) => boolean = () => true,
): readonly EarlierName[] {
  const count = messages.length;
  if (count > stepsMax) {
    const placeOf = places();
    return valuesOf(messages).map((value) => ({ name: placeOf(value), from: 0, to: count }));
  }
  return messages.flatMap((_, from) => {
    /** The first message of each value. */
    const begins: number[] = [];
    const found = new Map<string, EarlierName>();
    for (let to = from + 1; to <= count; to++) {
      const read = messages.slice(from, to);
      const values = valuesOf(read);
      const own = values.filter((value) => hasMessage(value, read)).length;
      while (begins.length < own) begins.push(to - 1);
      const placeOf = places(from);
      for (const [at, value] of values.entries()) {
        const name = placeOf(value);
        // A value of which more messages are read later has another name then.
        if (!found.has(name)) found.set(name, { name, from: begins[at] ?? to - 1, to });
      }
    }
    return [...found.values()];
  });
}
