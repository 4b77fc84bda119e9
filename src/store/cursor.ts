/** Where a page ended, as text that callers pass back unread: the values of the last row's sort columns. */
import type { FoundEvent } from "./store.ts";
import { invalidArgument } from "../domain/values/invalid-argument.ts";

export type Position = readonly (string | number)[];

export function encodeCursor(position: Position): string {
  return Buffer.from(JSON.stringify(position)).toString("base64url");
}

/** Where an event stands among those of its tenant. */
export function eventPosition({ session, entry }: FoundEvent): Position {
  return [entry.at, session, entry.seq];
}

/** What the cursor of a page of events is made of. */
export const eventCursor: readonly ("string" | "number")[] = ["number", "string", "number"];

/**
 * @throws SessionError `argument_invalid` for a text that no page gave out; `kinds` are the types the query expects: numbers
 *   are whole, and texts hold no NUL and no half of a surrogate pair, which not every store can compare
 */
export function decodeCursor(cursor: string, kinds: readonly ("string" | "number")[]): Position {
  let position: unknown;
  try {
    position = JSON.parse(Buffer.from(cursor, "base64url").toString());
  } catch {
    // Not JSON: falls through to the same answer as JSON of another shape.
  }
  const valid =
    Array.isArray(position) &&
    position.length === kinds.length &&
    position.every((value, index) => (kinds[index] === "number" ? Number.isSafeInteger(value) : isStorable(value)));
  if (valid) return position as Position;
  throw invalidArgument("after", cursor, { expected: "cursor" });
}

function isStorable(value: unknown): boolean {
  return typeof value === "string" && value.isWellFormed() && !value.includes("\u0000");
}
