/** Ranges of keys, by code point. */
import { parseId } from "../../domain/values/ids.ts";
import { highestKey, lowestKey, successorOf } from "../../domain/values/key-order.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";

/** The keys from one, included, to another, not included; or the keys that begin with a prefix. Without bounds, all keys. */
export type KeyRange = { readonly from?: string; readonly to?: string } | { readonly prefix: string };

const rangeNames: OptionNames<{ from: string; to: string; prefix: string }> = { from: true, to: true, prefix: true };

/** @throws SessionError `id_invalid`, `argument_invalid` */
export function boundsOf(range: KeyRange): readonly [low: string, high: string] {
  const isObject = typeof range === "object" && range !== null;
  if (!isObject) throw invalidArgument("range", range, { expected: "object" });
  guardNames(range, "range", rangeNames);
  if (!("prefix" in range)) {
    const { from, to } = range;
    return [from === undefined ? lowestKey : parseId(from, "from"), to === undefined ? highestKey : parseId(to, "to")];
  }
  const { prefix, ...others } = range;
  const [other] = Object.keys(others);
  if (other !== undefined) throw invalidArgument(other, "beside prefix", { expected: "no_field" });
  if (prefix === "") return [lowestKey, highestKey];
  parseId(prefix, "prefix");
  return [prefix, successorOf(prefix)];
}

/** The first key behind this one. */
export function keyAfter(key: string): string {
  return `${key}${lowestKey}`;
}
