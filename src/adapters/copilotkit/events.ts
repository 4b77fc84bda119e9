/** The events of one run: joined for the store, and closed where their run broke off. */
import { sameValue, SessionError, type Value } from "../../index.ts";
import type { AgUiEvent, AgUiInput, AgUiMessage } from "./package-copilotkit.ts";

/** Any field of an event or a message. */
export type Fields = Readonly<Record<string, unknown>>;

export function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

/** The field as a text; undefined where it is none. */
export function textOf(value: unknown, name: string): string | undefined {
  const field = fieldsOf(value)[name];
  return typeof field === "string" ? field : undefined;
}

export function event(type: string, fields: Fields = {}): AgUiEvent {
  return { type, ...fields };
}

/**
 * Refuses what the store keeps and JSON does not: the runtime sends events as JSON, which fails at a bigint and makes a text of a
 * date. The store refuses the other values, also those that contain themselves.
 * @throws SessionError `value_unstorable` with the path of the value
 */
export function guardJson(value: unknown, path: string, ancestors: ReadonlySet<unknown> = new Set()): void {
  if (typeof value !== "bigint" && (typeof value !== "object" || value === null || ancestors.has(value))) return;
  if (typeof value === "bigint" || value instanceof Date || value instanceof Uint8Array) {
    const kind = typeof value === "bigint" ? "a bigint" : value instanceof Date ? "a Date" : "bytes";
    throw new SessionError("value_unstorable", { path: path.slice(0, 200), value: kind, expected: "json" });
  }
  const within = new Set([...ancestors, value]);
  for (const [name, item] of Object.entries(value))
    if (typeof item === "object" || typeof item === "bigint")
      guardJson(item, Array.isArray(value) ? `${path}[${name}]` : `${path}.${name}`, within);
}

/** True for an event that ends a run. */
export function isEnd({ type }: AgUiEvent): boolean {
  return type === "RUN_FINISHED" || type === "RUN_ERROR";
}

/** The fields of these events that grow by their next event. */
const growing: Readonly<Record<string, string>> = {
  TEXT_MESSAGE_CONTENT: "delta",
  TOOL_CALL_ARGS: "delta",
  REASONING_MESSAGE_CONTENT: "delta",
  THINKING_TEXT_MESSAGE_CONTENT: "delta",
  STATE_DELTA: "delta",
  ACTIVITY_DELTA: "patch",
};

/** Adds an event to a list: consecutive pieces of one text, or of one patch, become one event. The order stays. */
export function addJoined(events: AgUiEvent[], next: AgUiEvent): void {
  const last = events.at(-1);
  const joined = last === undefined ? undefined : joinedOf(last, next);
  if (joined === undefined) events.push(next);
  else events[events.length - 1] = joined;
}

function joinedOf(last: AgUiEvent, next: AgUiEvent): AgUiEvent | undefined {
  const name = Object.hasOwn(growing, next.type) ? growing[next.type] : undefined;
  if (name === undefined || last.type !== next.type) return undefined;
  const { [name]: before, timestamp: _at, ...about } = fieldsOf(last);
  const { [name]: added, timestamp: _atNext, ...aboutNext } = fieldsOf(next);
  if (!sameValue(about as Value, aboutNext as Value)) return undefined;
  const grown = (value: unknown): AgUiEvent => ({ ...last, [name]: value });
  if (typeof before === "string" && typeof added === "string") return grown(before + added);
  if (Array.isArray(before) && Array.isArray(added)) return grown([...(before as unknown[]), ...(added as unknown[])]);
  return undefined;
}

/**
 * The event as it is stored. The upstream's copy of an event is left out, and of the input of a run all but its new messages: the
 * client sends the rest again with its next run.
 */
export function storedEvent(given: AgUiEvent, input: AgUiInput, added: readonly AgUiMessage[]): AgUiEvent {
  const { rawEvent: _, ...fields } = fieldsOf(given);
  const stored = fields as unknown as AgUiEvent;
  if (given.type !== "RUN_STARTED" || fields["input"] !== undefined) return stored;
  const { threadId, runId } = input;
  const about = { threadId, runId, state: {}, messages: added, tools: [], context: [], forwardedProps: {} };
  return { ...stored, input: about } as AgUiEvent;
}

/** Why a run has no event that ends it. */
export type BrokenOff =
  | { readonly how: "stopped" }
  | { readonly how: "failed"; readonly message: string; readonly code: string };

/** The end of a run whose process has ended. */
export const lost: BrokenOff = {
  how: "failed",
  message: "The run was interrupted: its process has ended.",
  code: "INCOMPLETE_STREAM",
};

/** The events that are missing from a run: the ends of its messages and calls, and its own. None if it has ended. */
export function closingEvents(
  events: readonly AgUiEvent[],
  run: Pick<AgUiInput, "threadId" | "runId">,
  broken: BrokenOff,
): AgUiEvent[] {
  const last = events.at(-1);
  if (last !== undefined && isEnd(last)) return [];
  const open = new Map<string, AgUiEvent>();
  const calls = new Map<string, { hasEnd: boolean; hasResult: boolean }>();
  for (const given of events) {
    const id = textOf(given, "messageId") ?? "";
    const callId = textOf(given, "toolCallId") ?? "";
    const message = /^(TEXT_MESSAGE|REASONING_MESSAGE|REASONING)_(START|END)$/.exec(given.type);
    if (message?.[2] === "START") open.set(`${message[1]} ${id}`, event(`${message[1]}_END`, { messageId: id }));
    else if (message !== null) open.delete(`${message[1]} ${id}`);
    else if (given.type === "TOOL_CALL_START") calls.set(callId, { hasEnd: false, hasResult: false });
    const call = calls.get(callId);
    if (given.type === "TOOL_CALL_END" && call !== undefined) call.hasEnd = true;
    if (given.type === "TOOL_CALL_RESULT" && call !== undefined) call.hasResult = true;
  }
  const isStopped = broken.how === "stopped";
  const result = isStopped
    ? { status: "stopped", reason: "stop_requested", message: "Run stopped by user" }
    : { status: "error", reason: "missing_terminal_event", message: broken.message };
  const closing = [...open.values()].toReversed();
  for (const [toolCallId, { hasEnd, hasResult }] of calls) {
    const about = { toolCallId, messageId: `${toolCallId}-result`, role: "tool", content: JSON.stringify(result) };
    if (!hasEnd) closing.push(event("TOOL_CALL_END", { toolCallId }));
    if (!hasResult) closing.push(event("TOOL_CALL_RESULT", about));
  }
  const { threadId, runId } = run;
  if (events.length === 0) closing.unshift(event("RUN_STARTED", { threadId, runId }));
  closing.push(
    isStopped
      ? event("RUN_FINISHED", { threadId, runId })
      : event("RUN_ERROR", { message: broken.message, code: broken.code }),
  );
  return closing;
}
