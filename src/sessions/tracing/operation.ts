import { tracingChannel } from "node:diagnostics_channel";
import { SessionError } from "../../errors.ts";
import type { Traced } from "../../store/calls/store-call.ts";
import { contextFor, type Within } from "../../store/calls/async-context.ts";
import { traced } from "../../store/calls/traced.ts";

/**
 * What was called, by the name of its method; `wait` is the time that a caller stands in the queue for a session in use,
 * `activate` and `message` are what a host does, `conflict` tells the record of events that a caller met others' turns.
 */
export type OperationName =
  | "open"
  | "create"
  | "ensure"
  | "get"
  | "list"
  | "count"
  | "snapshot"
  | "restore"
  | "import"
  | "copyTo"
  | "sweep"
  | "refresh"
  | "append"
  | "begin"
  | "write"
  | "seal"
  | "turns"
  | "send"
  | "cancel"
  | "truncate"
  | "conflict"
  | "update"
  | "instructions"
  | "handOff"
  | "activeAgent"
  | "endHandoff"
  | "events"
  | "touch"
  | "lease"
  | "lease.renew"
  | "lease.release"
  | "exclusive"
  | "wait"
  | "leaseHolder"
  | "activate"
  | "message"
  | "recover"
  | "breakLease"
  | "end"
  | "fork"
  | "archive"
  | "unarchive"
  | "setLegalHold"
  | "clearLegalHold"
  | "erase"
  | "remove"
  | `devices.${"open" | "find" | "linkCode" | "link" | "unlink" | "sharing" | "endSharing" | "signOut" | "list" | "claim" | "activeAgents" | "handOff" | "release"}`
  | `keys.${"create" | "list" | "revoke" | "verify"}`;

/** What is published on the tracing channel `perdure:operation` around each call of `Sessions`, `Session` and the like. */
export interface Operation extends Traced {
  readonly operation: OperationName;
  /** Undefined where it concerns all tenants. */
  readonly tenant: string | undefined;
  /** The session's id, once it is known. */
  session?: string;
  /** The agent that the session is for. */
  agent?: string;
}

/** A call that failed. */
type Befallen = Pick<Operation, "tenant" | "session" | "agent"> & { readonly command: string };

const operations = tracingChannel<unknown, Operation>("perdure:operation");

/** Do what was called, telling who listens; an error is told and thrown with what it befell. */
export function perform<T>(operation: Operation, work: () => Promise<T>): Promise<T> {
  return part(operation, () => outward(operation, work));
}

async function outward<T>(operation: Operation, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    // What was called within it knows better.
    if (error instanceof SessionError && error.details.command !== undefined) throw error;
    throw inContext(error, { command: operation.operation, ...operation });
  }
}

/** Do a part of what was called, telling who listens. */
export function part<T>(operation: Operation, work: () => Promise<T>): Promise<T> {
  return traced(operations, operation, work);
}

/** The async context of a call that somebody else's loop will answer; undefined where nobody listens. */
export function contextOfCall(): Within | undefined {
  return contextFor(operations);
}

/** The same error with what it befell, where it is one of ours. */
export function inContext(error: unknown, { command, tenant, session, agent }: Befallen): unknown {
  if (!(error instanceof SessionError)) return error;
  return error.within({
    ...(session === undefined ? {} : { sessionId: session }),
    ...(tenant === undefined ? {} : { tenant }),
    ...(agent === undefined ? {} : { agent }),
    command,
  });
}
