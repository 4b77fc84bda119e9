import type { Change } from "../../domain/record/change.ts";
import type { Entry } from "../../domain/record/entry.ts";

/** The turn that a change appended. */
export function lastTurn(change: Change): Entry {
  const entry = change.splices.find(({ log }) => log === "turns")?.entries.at(-1);
  if (entry === undefined) throw new Error("the change brought no turn");
  return entry;
}
