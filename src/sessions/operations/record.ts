/** Records an event of the application. */
import type { Value } from "../../domain/values/codec.ts";
import type { Entry } from "../../domain/record/entry.ts";
import {
  eventOf,
  eventSeverities,
  isAppEventType,
  recordAppEvent,
  type AppEventData,
  type AppEventType,
  type EventSeverity,
  type SessionEvent,
} from "../../domain/record/event.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import type { Handle } from "../handle/handle.ts";
import { parseOneOf } from "../options/arguments.ts";

/** An event of the application. */
export interface AppEvent {
  /** `app.` and up to 60 lower case letters, digits, `_`, `.` and `-`, a letter first. */
  readonly type: AppEventType;
  /** @default null */
  readonly data?: Value;
  /** @default "info" */
  readonly severity?: EventSeverity;
}

const eventNames: OptionNames<AppEvent> = { type: true, data: true, severity: true };

/** An event that was recorded. */
export type RecordedEvent = SessionEvent & AppEventData;

/** @throws SessionError as `Session.record` */
export async function recordOn(handle: Handle, event: AppEvent): Promise<RecordedEvent> {
  guardNames(event, "event", eventNames);
  const { type, data = null, severity = "info" } = event;
  if (!isAppEventType(type)) throw invalidArgument("type", type, { expected: "app_event_type" });
  parseOneOf(severity, "severity", eventSeverities);
  let entry: Entry | undefined;
  await handle.write((draft, context) => {
    const change = recordAppEvent(draft, { type, data, severity }, context);
    entry = change.splices.find(({ log }) => log === "events")?.entries.at(-1);
    return change;
  });
  if (entry === undefined) throw new Error("the change has the event");
  return eventOf(entry) as RecordedEvent;
}
