/** Parts of a conversation that no model is shown: they are kept beside the message that follows them. */
import { isFields, type Fields } from "../../domain/turns/known-parts.ts";
import type { Message } from "../../domain/turns/turn.ts";
import type { Value } from "../../domain/values/codec.ts";
import { sameValue } from "../../domain/values/same-value.ts";
import { dataOf } from "../../formats/shown-parts.ts";
import { says } from "./about.ts";

/** The message, with values that stand beside it in the form `format`. A native form that it has stays. */
export function withBeside(message: Message, format: string, beside: readonly Value[]): Message {
  if (beside.length === 0) return message;
  const { native } = message;
  if (isFields(native)) return { ...message, native: { ...native, beside: { format, value: [...beside] } } };
  // A form with a hash is sent to no model, and this one is that of no canonical form: no export takes it for the message.
  return { ...message, native: { format, version: 1, value: [...beside], hash: "" } };
}

/** The names of the fields that a form reads. All others are kept. */
export interface ReadNames {
  /** Those that are wholly in a place of their own, or counted. @default none */
  readonly placed?: readonly string[];
  /** Those with the words, the calls and the results: what the message does not say of them is kept. @default none */
  readonly words?: readonly string[];
}

/** The fields of a message that are not in the stored values that were made of it; undefined for none. */
export function besideOf(
  source: Fields,
  stored: readonly Value[],
  { placed = [], words = [] }: ReadNames,
): Fields | undefined {
  const said = new Said(stored);
  const rest = Object.entries(source).flatMap(([name, value]): readonly (readonly [string, Value])[] => {
    if (placed.includes(name) || !says(value)) return [];
    const beyond = words.includes(name) ? said.beyond(value) : value;
    return beyond === undefined ? [] : [[name, beyond]];
  });
  return rest.length === 0 ? undefined : Object.fromEntries(rest);
}

/** A shorter text counts as said only where it is a whole text of the message. */
const pieceLengthMin = 40;

/** The most characters that are compared for one message: what comes behind them is kept, also where the message says it. */
const comparedMax = 2 ** 28;
/** A comparison costs as much as this many characters. */
const comparisonLength = 1000;

/** What some stored values say. */
class Said {
  readonly #texts = new Set<string>();
  /** The arguments of calls, and results, whose text is JSON; undefined until they are needed. */
  #objects: readonly Value[] | undefined;
  #compared = 0;

  constructor(stored: readonly Value[]) {
    for (const value of stored) this.#add(value);
  }

  /** What the value says beyond that; undefined for nothing. An item of a list keeps its place. */
  beyond(value: Value): Value | undefined {
    if (typeof value === "string") return this.#saysText(value) ? undefined : value;
    if (typeof value !== "object" || value === null) return value ?? undefined;
    this.#objects ??= [...this.#texts].map(dataOf).filter((data) => typeof data !== "string");
    if (!says(value) || this.#saysObject(this.#objects, value)) return undefined;
    if (Array.isArray(value)) {
      const items = (value as readonly Value[]).map((item) => this.beyond(item) ?? null);
      return items.every((item) => item === null) ? undefined : items;
    }
    const rest = Object.entries(value as Fields).flatMap(([name, field]) => {
      const beyond = this.beyond(field);
      return beyond === undefined ? [] : [[name, beyond] as const];
    });
    return rest.length === 0 ? undefined : Object.fromEntries(rest);
  }

  #saysText(text: string): boolean {
    if (text === "" || this.#texts.has(text)) return true;
    if (text.length < pieceLengthMin) return false;
    for (const one of this.#texts) {
      if (!this.#mayCompare(one.length)) return false;
      if (one.includes(text)) return true;
    }
    return false;
  }

  #saysObject(objects: readonly Value[], value: Value): boolean {
    for (const object of objects) {
      if (!this.#mayCompare(0)) return false;
      if (sameValue(object, value)) return true;
    }
    return false;
  }

  #mayCompare(length: number): boolean {
    this.#compared += length + comparisonLength;
    return this.#compared <= comparedMax;
  }

  #add(value: Value): void {
    if (typeof value === "string") this.#texts.add(value);
    else if (Array.isArray(value)) for (const item of value as readonly Value[]) this.#add(item);
    else if (isFields(value)) for (const field of Object.values(value)) this.#add(field);
  }
}
