import { tracingChannel } from "node:diagnostics_channel";
import { defined } from "../../domain/values/defined.ts";
import { SessionError } from "../../errors.ts";
import type { Traced } from "../../store/calls/store-call.ts";
import { contextFor, type Within } from "../../store/calls/async-context.ts";
import { traced } from "../../store/calls/traced.ts";

/**
 * The name of the method that was called. `wait`: the time that a caller waits in the queue for a session in use; `suspend`: a turn begins
 * to wait for its resumption; `activate`
 * and `message`: work of a host; `conflict`: conflicts are appended to a session's events.
 */
export type OperationName =
  | "open"
  | "create"
  | "ensure"
  | "get"
  | "list"
  | "listEvents"
  | "count"
  | "search"
  | "snapshot"
  | "restore"
  | "import"
  | "copy"
  | "sweep"
  | "refresh"
  | "append"
  | "begin"
  | "write"
  | "seal"
  | "suspend"
  | "waiting"
  | "resume"
  | "sealWaiting"
  | "approve"
  | "branches"
  | "compare"
  | "removeBranch"
  | "switchTo"
  | "turns"
  | "look"
  | "log"
  | "send"
  | "cancel"
  | "truncate"
  | "summarize"
  | "memory"
  | "pin"
  | "unpin"
  | "leaveOut"
  | "takeIn"
  | "rate"
  | "ratings"
  | "conflict"
  | "update"
  | "instructions"
  | "handOff"
  | "activeAgent"
  | "endHandoff"
  | "events"
  | "touch"
  | "record"
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
  | `devices.${"open" | "find" | "linkCode" | "link" | "unlink" | "listSharing" | "endSharing" | "signOut" | "list" | "claim" | "activeAgents" | "handOff" | "endHandoffs"}`
  | `attachments.${"put" | "get" | "list" | "open"}`
  | `conversations.${"list" | "create" | "open" | "get" | "rename" | "pin" | "unpin" | "remove" | "select" | "search"}`
  | `shares.${"create" | "list" | "revoke" | "open"}`
  | `documents.${"get" | "getMany" | "put" | "update" | "delete" | "touch" | "list" | "count" | "write"}`
  | `streams.${"acquire" | "append" | "finish" | "end" | "fail" | "status" | "get" | "list" | "active" | "stop" | "delete"}`
  | `keys.${"create" | "list" | "revoke" | "verify"}`;

/** Published on the tracing channel `perdure:operation` around each call of `Sessions`, `Session` and the like. */
export interface Operation extends Traced {
  readonly operation: OperationName;
  /** Undefined if the operation is about all tenants. */
  readonly tenant: string | undefined;
  /** The session's id, once it is known. */
  session?: string;
  /** The agent that the session is for. */
  agent?: string;
}

/** The ids that an error of a call carries. */
type OperationIds = Pick<Operation, "tenant" | "session" | "agent"> & { readonly command: string };

const operations = tracingChannel<unknown, Operation>("perdure:operation");

/** Run a call and publish it to the tracing channel; a {@link SessionError} is thrown with the ids of the call. */
export function traceCall<T>(operation: Operation, work: () => Promise<T>): Promise<T> {
  return areTraced() ? traceStep(operation, () => withIds(operation, work)) : withIds(operation, work);
}

async function withIds<T>(operation: Operation, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw failureOf(error, () => operation);
  }
}

/** True while the tracing channel has subscribers. */
export function areTraced(): boolean {
  return operations.hasSubscribers;
}

/** The error of a call, with the ids of the operation unless an inner call has added more specific ones. */
export function failureOf(error: unknown, about: () => Operation): unknown {
  if (!(error instanceof SessionError) || error.details.command !== undefined) return error;
  const operation = about();
  return addContext(error, { command: operation.operation, ...operation });
}

/** Run a step of a call and publish it to the tracing channel. */
export function traceStep<T>(operation: Operation, work: () => Promise<T>): Promise<T> {
  return traced(operations, operation, work);
}

/** Carries the async context of a call to the loop that answers it; undefined if the channel has no subscriber. */
export function contextOfCall(): Within | undefined {
  return contextFor(operations);
}

/** Add the ids of the operation to a {@link SessionError}; other errors stay as they are. */
export function addContext(error: unknown, { command, tenant, session, agent }: OperationIds): unknown {
  if (!(error instanceof SessionError)) return error;
  return error.withContext({
    ...defined({ sessionId: session, tenant, agent }),
    command,
  });
}
