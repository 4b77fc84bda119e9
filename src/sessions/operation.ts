import { tracingChannel } from "node:diagnostics_channel";
import { SessionError } from "../errors.ts";
import type { Traced } from "../store/store-call.ts";
import { traced } from "../store/traced.ts";

/** What was called, by the name of its method; `wait` is the time that a caller stands in the queue for a session in use. */
export type OperationName =
  | "create"
  | "ensure"
  | "get"
  | "list"
  | "sweep"
  | "refresh"
  | "append"
  | "begin"
  | "seal"
  | "cancel"
  | "truncate"
  | "update"
  | "instructions"
  | "handOff"
  | "activeAgent"
  | "release"
  | "events"
  | "touch"
  | "lease"
  | "exclusive"
  | "wait"
  | "holder"
  | "recover"
  | "unlock"
  | "end"
  | "fork"
  | "archive"
  | "unarchive"
  | "hold"
  | "unhold"
  | "erase"
  | "remove"
  | `devices.${"open" | "find" | "linkCode" | "link" | "unlink" | "signOut" | "list" | "claim" | "activeAgents" | "handOff" | "release"}`
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

const operations = tracingChannel<unknown, Operation>("perdure:operation");

/** Do what was called, telling who listens; an error is told and thrown with what it befell. */
export function perform<T>(operation: Operation, work: () => Promise<T>): Promise<T> {
  return part(operation, async () => {
    try {
      return await work();
    } catch (error) {
      throw inContext(error, { command: operation.operation, ...operation });
    }
  });
}

/** Do a part of what was called, telling who listens. */
export async function part<T>(operation: Operation, work: () => Promise<T>): Promise<T> {
  return await traced(operations, operation, work);
}

/** The same error with what it befell, where it is one of ours. */
export function inContext(
  error: unknown,
  { command, tenant, session, agent }: { command: string } & Pick<Operation, "tenant" | "session" | "agent">,
): unknown {
  if (!(error instanceof SessionError)) return error;
  return error.within({
    ...(session === undefined ? {} : { sessionId: session }),
    ...(tenant === undefined ? {} : { tenant }),
    ...(agent === undefined ? {} : { agent }),
    command,
  });
}
