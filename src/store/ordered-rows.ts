import type { Entry } from "../domain/record/entry.ts";
import type { Position } from "./cursor.ts";

/** Rows in the order of their positions. A page is found by bisection, so reading pages sorts nothing. */
export class OrderedRows<Row> {
  readonly #items: { readonly position: Position; readonly row: Row }[] = [];

  add(position: Position, row: Row): void {
    this.#items.splice(this.#firstNotBefore(position), 0, { position, row });
  }

  /** Replaces the row at this position. */
  replace(position: Position, row: Row): void {
    this.#items[this.#firstNotBefore(position)] = { position, row };
  }

  remove(position: Position): void {
    this.#items.splice(this.#firstNotBefore(position), 1);
  }

  clear(): void {
    this.#items.length = 0;
  }

  /** The rows after `after`, in order. No row may be written while the caller reads. */
  *following(after: Position): Generator<{ readonly position: Position; readonly row: Row }, void, undefined> {
    let index = this.#firstNotBefore(after);
    const first = this.#items[index];
    if (first !== undefined && comparePositions(first.position, after) === 0) index++;
    for (; index < this.#items.length; index++) {
      const item = this.#items[index];
      if (item !== undefined) yield item;
    }
  }

  /** The rows before `position`, the last one first. No row may be written while the caller reads. */
  *preceding(position: Position): Generator<{ readonly position: Position; readonly row: Row }, void, undefined> {
    for (let index = this.#firstNotBefore(position) - 1; index >= 0; index--) {
      const item = this.#items[index];
      if (item !== undefined) yield item;
    }
  }

  #firstNotBefore(position: Position): number {
    let [from, to] = [0, this.#items.length];
    while (from < to) {
      const middle = (from + to) >>> 1;
      const item = this.#items[middle];
      if (item !== undefined && comparePositions(item.position, position) < 0) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}

/** The entries whose key is in this range, by key; entries without a key are in none. */
export function entriesBetween(entries: Iterable<Entry>, [low, high]: readonly [low: string, high: string]): Entry[] {
  const within: { readonly key: string; readonly entry: Entry }[] = [];
  for (const entry of entries) {
    const { key } = entry;
    if (key !== null && compareTexts(key, low) >= 0 && compareTexts(key, high) < 0) within.push({ key, entry });
  }
  return within.sort((a, b) => compareTexts(a.key, b.key)).map(({ entry }) => entry);
}

/** Numbers sort by value, texts by code point; a position that is the beginning of another one sorts before it. */
export function comparePositions(a: Position, b: Position): number {
  for (const [index, left] of a.entries()) {
    const right = b[index];
    if (right === undefined) return 1;
    const order = typeof left === "number" ? left - Number(right) : compareTexts(left, String(right));
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

/** The order by code point, which is that of the bytes in UTF-8. */
function compareTexts(a: string, b: string): number {
  const shared = Math.min(a.length, b.length);
  for (let index = 0; index < shared; index++) {
    const [left, right] = [a.charCodeAt(index), b.charCodeAt(index)];
    if (left !== right) return rankOf(left) - rankOf(right);
  }
  return a.length - b.length;
}

/** UTF-16 writes code points above U+FFFF as surrogates, which are smaller numbers than some code points below. */
function rankOf(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
