/** Counts what a conversation has no place for. */
import { isFields, type Fields } from "../../domain/turns/known-parts.ts";
import type { Value } from "../../domain/values/codec.ts";
import { clip, printable } from "../../domain/values/format-value.ts";
import type { LeftOut } from "../../sessions/transfer/conversation.ts";
import { says } from "./about.ts";
import { listOf } from "./lists.ts";

/** The most types that are counted each by itself. */
const typesMax = 20;

/** Counts the rest of a list that an API gave in pages: nothing says how many pages follow. */
export function pagesBehind(...lists: readonly (Value | undefined)[]): LeftOut {
  return lists.some((list) => isFields(list ?? null) && (list as Fields)["has_more"] === true)
    ? { "further page": 1 }
    : {};
}

/** The counts by the kind of a thing: a noun in the singular, such as `branch`. */
export class LeftOutCounts {
  readonly #counts = new Map<string, number>();
  readonly #types = new Set<string>();

  add(kind: string, count = 1): void {
    if (count > 0) this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + count);
  }

  /** Counts a line of a log by its type. */
  addLine(line: Value): void {
    const type = isFields(line) ? line["type"] : undefined;
    if (typeof type !== "string") {
      this.add("line without a type");
      return;
    }
    this.addTyped("line", type);
  }

  /** Counts a thing by its type, such as a line of a log. */
  addTyped(thing: string, type: string): void {
    if (this.#types.size < typesMax) this.#types.add(type);
    this.add(this.#types.has(type) ? `${thing} of type ${printable(clip(type, 40))}` : `${thing} of another type`);
  }

  /** The objects of a list. The other items of a damaged list are counted as unreadable ones of this kind. */
  fieldsIn(value: Value | undefined, kind: string): readonly Fields[] {
    const list = listOf(value);
    const found = list.filter(isFields);
    this.add(`unreadable ${kind}`, list.filter((item) => !isFields(item) && says(item)).length);
    return found;
  }

  get all(): LeftOut {
    return Object.fromEntries(this.#counts);
  }
}
