/**
 * Tells a turn from another one with its number: after a truncation, or on another branch. The turns before one that stayed are the
 * same too, because branches share the turns before those in which they differ.
 */
import { encode } from "../values/codec.ts";
import { hashOf } from "../values/ids.ts";
import type { Turn } from "../turns/turn.ts";

/** As long as it begins in the same way, an amended turn is the same turn: for marks and ratings. */
export function turnIdentity({ at, key, input }: Pick<Turn, "at" | "key" | "input">): string {
  return `${at.getTime()}.${hashOf(encode([key, input[0] ?? null]))}`;
}

/** An amended turn is another one: for summaries, which repeat its words. */
export function contentIdentity({ at, key, status, input, output }: Turn): string {
  return `${at.getTime()}.${hashOf(encode([key, status]))}${hashOf(encode(input))}${hashOf(encode(output))}`;
}
