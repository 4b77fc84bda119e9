/**
 * Lists of channels. Each element is an entry of its own, written once, which names the write of the task that has made it; the value of the channel names runs of entries:
 * `[["k2f9x1q0", 0, 998], ["m1z8h3aa", 0, 6]]`. A list that grows, loses elements or is changed in the middle writes what is new. A
 * fork that appends to the same list begins another run.
 *
 * An element is known again by its identity. An object must also have the same fields as when it was stored, so that an element
 * whose field was assigned is written again. Texts, numbers and other values without identity are compared with those of the list
 * that the channel had last.
 */

import { isMessage } from "../langchain/package-core.ts";
import { freshName, keyOf, ordinal } from "../keys/composed-keys.ts";

/** A run of elements: `from` is its first number, `to` is behind its last one. */
export type Run = readonly [list: string, from: number, to: number];

/** The place of a stored element. */
export interface Place {
  readonly list: string;
  readonly index: number;
  /** The fields that the element had; undefined for a value without identity. */
  readonly fields: readonly unknown[] | undefined;
}

/** The place of a value in the pending writes of a task: the key of the entry, the number of the write, the number in its list. */
export interface WrittenPlace {
  readonly key: string;
  readonly at: readonly [write: number, item?: number];
}

/** The elements of a channel, and their places. */
export interface PlacedList {
  readonly values: readonly unknown[];
  readonly places: readonly Place[];
}

/** What a write of a list stores. */
export interface ListPlan extends PlacedList {
  readonly runs: readonly Run[];
  /** The new elements. */
  readonly fresh: readonly { readonly key: string; readonly value: unknown; readonly index: number }[];
}

/** A list of more runs is written as a whole. */
const runsMax = 64;
/** Lists of values without identity that are remembered, for all channels of a thread. */
const rememberedMax = 64;

/** The elements of one thread that this process knows. */
export class StoredLists {
  readonly #places = new WeakMap<object, Place>();
  /** The first number behind each list that may still grow. */
  readonly #ends = new Map<string, number>();
  readonly #last = new Map<string, PlacedList>();
  readonly #written = new WeakMap<object, WrittenPlace & { readonly fields: readonly unknown[] | undefined }>();

  /** @param alone true: no list that is stored grows, since another writer may have done so */
  plan(channel: string, values: readonly unknown[], { alone }: { readonly alone: boolean }): ListPlan {
    const last = this.#last.get(channel);
    const shift = last === undefined ? 0 : Math.max(0, last.values.indexOf(values[0]));
    const known = values.map((value, index) => this.#placeOf(value, { last, index: index + shift }));
    const planned = this.#placed(values, known, alone);
    return planned.runs.length <= runsMax ? planned : this.#placed(values, [], true);
  }

  #placed(values: readonly unknown[], known: readonly (Place | undefined)[], alone: boolean): ListPlan {
    const places: Place[] = [];
    const fresh: { key: string; value: unknown; index: number }[] = [];
    let own: { list: string; end: number } | undefined;
    for (const [index, value] of values.entries()) {
      const place = known[index];
      if (place !== undefined) {
        places.push(place);
        continue;
      }
      own ??= this.#growing(alone ? undefined : places.at(-1));
      fresh.push({ key: elementKey(own.list, own.end), value, index });
      places.push({ list: own.list, index: own.end, fields: fieldsOf(value) });
      own.end++;
    }
    return { values, places, fresh, runs: runsOf(places) };
  }

  /** The list that new elements go to: that of the last stored one, if it ends there. */
  #growing(last: Place | undefined): { list: string; end: number } {
    if (last !== undefined && this.#ends.get(last.list) === last.index + 1)
      return { list: last.list, end: last.index + 1 };
    return { list: freshName(), end: 0 };
  }

  /** The place of an element that is stored already. */
  #placeOf(
    value: unknown,
    { last, index }: { readonly last: PlacedList | undefined; readonly index: number },
  ): Place | undefined {
    if (typeof value === "object" && value !== null) {
      const place = this.#places.get(value);
      return place !== undefined && sameFields(fieldsOf(value), place.fields) ? place : undefined;
    }
    return last !== undefined && index < last.values.length && Object.is(last.values[index], value)
      ? last.places[index]
      : undefined;
  }

  /**
   * Remembers values that a task writes, as they are now: an element that is one of them need not be stored again. The caller names
   * the key once they are stored. A graph may change a value meanwhile, such as the id of a message; it is then another one.
   */
  writing(values: readonly unknown[]): (key: string) => void {
    const found: { readonly value: object; readonly at: WrittenPlace["at"]; readonly fields: FieldsOf }[] = [];
    const add = (value: unknown, at: WrittenPlace["at"]): void => {
      if (typeof value === "object" && value !== null && lengthOf(value) > referenceLengthMin)
        found.push({ value, at, fields: fieldsOf(value) });
    };
    for (const [write, value] of values.entries())
      if (Array.isArray(value)) for (const [item, element] of value.entries()) add(element, [write, item]);
      else add(value, [write]);
    return (key) => {
      for (const { value, at, fields } of found) this.#written.set(value, { key, at, fields });
    };
  }

  /** The write that has this value, as it is now; undefined if there is none. */
  writtenPlaceOf(value: unknown): WrittenPlace | undefined {
    const place = typeof value === "object" && value !== null ? this.#written.get(value) : undefined;
    return place !== undefined && sameFields(fieldsOf(value), place.fields) ? place : undefined;
  }

  /** The list is stored: its elements are known again. */
  remember(channel: string, { values, places }: PlacedList): void {
    let hasPlain = false;
    for (const [index, value] of values.entries()) {
      const place = places[index];
      if (place === undefined) continue;
      if (typeof value === "object" && value !== null) this.#places.set(value, place);
      else hasPlain = true;
    }
    for (const [list, , to] of runsOf(places)) this.#ends.set(list, Math.max(to, this.#ends.get(list) ?? 0));
    this.#last.delete(channel);
    if (!hasPlain) return;
    this.#last.set(channel, { values: values.slice(), places });
    const [oldest] = this.#last.keys();
    if (this.#last.size > rememberedMax && oldest !== undefined) this.#last.delete(oldest);
  }
}

/** The places of the elements of runs, which were read from the store. */
export function placesOf(runs: readonly Run[], values: readonly unknown[]): readonly Place[] {
  const places: Place[] = [];
  for (const [list, from, to] of runs)
    for (let index = from; index < to; index++) places.push({ list, index, fields: fieldsOf(values[places.length]) });
  return places;
}

export function elementKey(list: string, index: number): string {
  return keyOf("e", list, ordinal(index));
}

function runsOf(places: readonly Place[]): readonly Run[] {
  const runs: [string, number, number][] = [];
  for (const { list, index } of places) {
    const run = runs.at(-1);
    if (run?.[0] === list && run[2] === index) run[2]++;
    else runs.push([list, index, index + 1]);
  }
  return runs;
}

/** The fields of a value; undefined for one without identity. */
type FieldsOf = readonly unknown[] | undefined;

function fieldsOf(value: unknown): FieldsOf {
  if (typeof value !== "object" || value === null) return undefined;
  if (value instanceof Map || value instanceof Set) return [...value].flat();
  if (value instanceof Date) return [value.getTime()];
  return Object.values(value);
}

function sameFields(now: FieldsOf, then: FieldsOf): boolean {
  if (now === undefined || then === undefined || now.length !== then.length) return false;
  return now.every((field, index) => Object.is(field, then[index]));
}

/** A list that is stored by its elements: one of messages, or a longer one. */
export function isStoredByElements(values: readonly unknown[]): boolean {
  if (values.length === 0) return false;
  if (values.every((value) => isMessage(value))) return true;
  let length = 0;
  return values.some((value) => (length += lengthOf(value)) > inlineLengthMax);
}

/** Characters of an element that may be stored as a reference to a write. */
const referenceLengthMin = 200;
/** Characters of a list that is stored as one value. */
const inlineLengthMax = 512;

/** About the characters of a value, up to its first levels. */
export function lengthOf(value: unknown, depth = 0): number {
  if (typeof value === "string") return value.length;
  if (value instanceof Uint8Array) return value.length * 2;
  if (typeof value !== "object" || value === null || depth > 32) return 8;
  let length = 2;
  for (const item of Object.values(value)) length += lengthOf(item, depth + 1) + 8;
  return length;
}
