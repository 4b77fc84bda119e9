import type { SessionEvent } from "../http/wire.ts";
import { words } from "./format.ts";
import { shown } from "./mask.ts";

/** The fields that every event has. */
const ownFields = new Set([
  "seq",
  "type",
  "at",
  "category",
  "severity",
  "status",
  "correlation",
  "session",
  "sessionAgent",
]);

/** What an event says beside its type, on one line. */
export function eventText(event: SessionEvent): string {
  return Object.entries(event)
    .filter(([name, value]) => !ownFields.has(name) && value !== null)
    .map(([name, value]) => `${words(name)}: ${shown(typeof value === "string" ? value : JSON.stringify(value))}`)
    .join(" · ");
}
