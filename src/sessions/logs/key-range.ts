/** Ranges of keys, by code point. */
import { parseId } from "../../domain/values/ids.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";

/** The keys from one, included, to another, not included; or the keys that begin with a prefix. Without bounds, all keys. */
export type KeyRange = { readonly from?: string; readonly to?: string } | { readonly prefix: string };

const rangeNames: OptionNames<{ from: string; to: string; prefix: string }> = { from: true, to: true, prefix: true };

/** Keys have no control characters: the first key of all, and a text behind the last one. */
const lowest = " ";
const highest = "\u{10ffff}".repeat(129);

/** @throws SessionError `id_invalid`, `argument_invalid` */
export function boundsOf(range: KeyRange): readonly [low: string, high: string] {
  const isObject = typeof range === "object" && range !== null;
  if (!isObject) throw invalidArgument("range", range, { expected: "object" });
  guardNames(range, "range", rangeNames);
  if (!("prefix" in range)) {
    const { from, to } = range;
    return [from === undefined ? lowest : parseId(from, "from"), to === undefined ? highest : parseId(to, "to")];
  }
  const { prefix, ...others } = range;
  const [other] = Object.keys(others);
  if (other !== undefined) throw invalidArgument(other, "beside prefix", { expected: "no_field" });
  if (prefix === "") return [lowest, highest];
  parseId(prefix, "prefix");
  return [prefix, successorOf(prefix)];
}

/** The first text by code point that does not begin with this prefix and is behind all that do. */
export function successorOf(prefix: string): string {
  const points = Array.from(prefix, (character) => character.codePointAt(0) ?? 0);
  while (points.at(-1) === 0x10ffff) points.pop();
  const last = points.pop();
  if (last === undefined) return highest;
  // Surrogates are no characters.
  return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1);
}

/** The first key behind this one. */
export function keyAfter(key: string): string {
  return `${key}${lowest}`;
}
