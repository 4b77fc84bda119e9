/**
 * The entries of a named log as a stream that can be resumed at any instance. The id of an event is the number of its entry and
 * a hash of it: a log that was rewritten since is found.
 */
import { createHash } from "node:crypto";
import { formatValue } from "../../domain/values/format-value.ts";
import { SessionError } from "../../errors.ts";
import type { LogEntry, Session } from "../../index.ts";
import { toJson } from "../../protocol/json.ts";
import { wireLogEntry } from "../../protocol/written.ts";
import type { StreamEvent, StreamReader } from "./event-stream.ts";

/** The last entry that a client has received. */
export interface ReceivedEntry {
  readonly seq: number;
  readonly hash: string;
}

/** @throws SessionError `request_invalid` for an id that is not one of a log's events */
export function parseEntryId(id: string): ReceivedEntry {
  const match = /^(\d{1,15})\.([\w-]{16})$/.exec(id);
  if (match !== null) return { seq: Number(match[1]), hash: match[2] ?? "" };
  throw new SessionError("request_invalid", {
    path: "header last-event-id",
    value: formatValue(id),
    expected: "event_id",
  });
}

/** The start of a stream: a number, or the last entry that the client has received. */
export interface FollowedLog {
  readonly name: string;
  readonly after: number;
  readonly received: ReceivedEntry | undefined;
}

/** The entries after a place, and `done` once the session's life ends. */
export async function* followedLog(
  session: Session,
  { name, after, received }: FollowedLog,
  { signal }: StreamReader,
): AsyncGenerator<StreamEvent, void, void> {
  const log = session.log(name);
  // The entry that the client has is read again, and everything after it.
  const start = received === undefined ? after : received.seq - 1;
  let expected = received;
  for await (const entry of log.follow({ after: start, signal })) {
    const id = idOf(entry);
    if (expected === undefined) yield { event: "entry", id, data: wireLogEntry(name, entry) };
    else if (id !== `${expected.seq}.${expected.hash}`) throw rewritten(session, name);
    expected = undefined;
  }
  if (!signal.aborted) yield { event: "done", data: {} };
}

/** @throws SessionError `conflict` where the log ends before the last entry that the client has */
export function guardReceived(session: Session, { name, received }: FollowedLog): void {
  const { logs } = session.info;
  const end = Object.hasOwn(logs, name) ? (logs[name]?.end ?? 0) : 0;
  if (received !== undefined && received.seq > end) throw rewritten(session, name);
}

function idOf({ seq, ...entry }: LogEntry): string {
  return `${seq}.${createHash("sha256").update(toJson(entry)).digest("base64url").slice(0, 16)}`;
}

function rewritten({ id, info }: Session, log: string): SessionError {
  return new SessionError("conflict", { sessionId: id, tenant: info.tenant, log, seenVersion: info.version });
}
