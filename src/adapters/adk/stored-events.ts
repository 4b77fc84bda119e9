/** Events of the ADK as plain data. */
import type { Value } from "../../index.ts";
import type { EventPlace } from "./events-in-turns.ts";
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
export function storedEvent(event: AdkEvent): AdkEvent {
  return plain(event) as AdkEvent;
}

function plain(value: unknown): unknown {
  if (typeof value !== "object" || value === null || value instanceof Date || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map(plain);
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, ownValues.has(name) ? (item as unknown) : plain(item)]),
  );
}

/** The value of an event's entry. */
interface EventEntry {
  readonly event: AdkEvent;
  readonly place?: EventPlace;
}

/** The value of the entry of an event. */
export function entryOf(event: AdkEvent, place: EventPlace | undefined): Value {
  return (place === undefined ? event : { event, place }) as unknown as Value;
}

/** The event of an entry. Until events had a place among the turns, the value was the event alone. */
export function readEntry(value: Value): EventEntry {
  const entry = value as unknown as EventEntry & { readonly id?: unknown };
  return entry.id === undefined && entry.place !== undefined ? entry : { event: value as unknown as AdkEvent };
}
