/** Where a page ended, as text that callers pass back unread: the values of the last row's sort columns. */
import { SessionError } from "../errors.ts";
import { formatValue } from "../domain/values/format-value.ts";
import type { FoundEvent } from "./store.ts";

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
  throw new SessionError("argument_invalid", {
    name: "after",
    value: formatValue(cursor),
    expected: "the next of the page before, passed back as it was",
  });
}

function isStorable(value: unknown): boolean {
  return typeof value === "string" && value.isWellFormed() && !value.includes("\u0000");
}
