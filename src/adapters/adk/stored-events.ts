/** Events of the ADK as plain data. */
import type { Value } from "../../index.ts";
import type { AdkEvent } from "./package-adk.ts";

/** Fields whose values are the program's own: a class instance in them has a meaning that plain data has not. */
const ownValues: ReadonlySet<string> = new Set([
  "agentState",
  "args",
  "customMetadata",
  "output",
  "payload",
  "response",
  "stateDelta",
]);

/**
 * The event as it is stored. Objects of the ADK's classes, such as confirmations of tools, become plain ones, and the brand of the event
 * is left out: the ADK needs neither when it reads them.
 */
export function storedEvent(event: AdkEvent): Value {
  return plain(event) as Value;
}

function plain(value: unknown): unknown {
  if (typeof value !== "object" || value === null || value instanceof Date || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map(plain);
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, ownValues.has(name) ? (item as unknown) : plain(item)]),
  );
}
