/** The end of a page as an opaque text for callers: the values of the last row's sort columns. */
import type { FoundEvent } from "./store.ts";
import { invalidArgument } from "../domain/values/invalid-argument.ts";

export type Position = readonly (string | number)[];

export function encodeCursor(position: Position): string {
  return Buffer.from(JSON.stringify(position)).toString("base64url");
}

/** The position of an event among those of its tenant. */
export function eventPosition({ session, entry }: FoundEvent): Position {
  return [entry.at, session, entry.seq];
}

/** The parts of the cursor of a page of events. */
export const eventCursor: readonly ("string" | "number")[] = ["number", "string", "number"];

/**
 * `kinds`: the types that the query expects. Numbers are whole, and texts have no NUL and no half of a surrogate pair,
 * because not every store can compare those.
 * @throws SessionError `argument_invalid` for a text that is no cursor of this kind
 */
export function decodeCursor(cursor: string, kinds: readonly ("string" | "number")[]): Position {
  let position: unknown;
  try {
    position = JSON.parse(Buffer.from(cursor, "base64url").toString());
  } catch {
    // No JSON: the same error as for JSON of another shape.
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
