/**
 * The problems of live sessions and of the hosts that run them. An error carries a code with its ids and numbers; the
 * words for its message are made here.
 */

/** How the code of a live session failed. */
export type RuntimeFailure = "threw" | "exited" | "memory" | "deadline";

/** A failure of the code of a live session. */
export interface FailedRuntime {
  readonly how: RuntimeFailure;
  /** The message of the error that the code threw, or that ended its worker. */
  readonly reported?: string;
  /** Of `deadline`: the step that took too long. `stall`: the code blocked its thread. */
  readonly step?: "call" | "stop" | "stall";
  readonly limitMs?: number;
  /** Of `exited`: the exit code or the signal. */
  readonly exit?: string;
  /** The session that ended the shared thread; absent if it is the session itself, or if several may have done it. */
  readonly causedBy?: string;
}

const deadlines = { call: "it took more than", stop: "it did not stop within", stall: "it blocked its thread for" };

export function describeFailedRuntime({ causedBy, ...failure }: FailedRuntime): string {
  const description = describeFailure(failure);
  return causedBy === undefined ? description : `session ${causedBy} ended the thread that both ran in: ${description}`;
}

function describeFailure({ how, reported, step = "call", limitMs, exit }: FailedRuntime): string {
  if (how === "deadline" && limitMs !== undefined) return `${deadlines[step]} ${limitMs} ms`;
  if (reported !== undefined) return reported;
  if (how === "memory") return "it exceeded its memory limit";
  return exit === undefined ? "no cause is known" : `its worker ended with ${exit}`;
}

/** The problem of a module that should export a runtime. */
export interface InvalidRuntime {
  /** The URL of the module. */
  readonly module: string;
  readonly problem:
    | "hook_invalid"
    | "message_handler_missing"
    | "not_imported"
    | "not_object"
    | "repeatable_invalid"
    | "worker_ended";
  /** Of `hook_invalid`: the hook that is no function. */
  readonly hook?: "activate" | "onIdle" | "deactivate";
  /** Of `not_object`: the default export. */
  readonly value?: string;
  /** The message of the error that the module threw, or that ended its worker. */
  readonly reported?: string;
}

const invalidRuntimes: { readonly [Problem in InvalidRuntime["problem"]]: (details: InvalidRuntime) => string } = {
  hook_invalid: (d) => `its ${d.hook} is not a function`,
  message_handler_missing: () => "it has no function onMessage",
  not_imported: (d) => `it cannot be imported: ${d.reported}`,
  not_object: (d) => `it exports ${d.value} as default, not a runtime`,
  repeatable_invalid: () => "its repeatable is neither true nor false",
  worker_ended: (d) => `it ended its worker: ${d.reported}`,
};

export function describeInvalidRuntime(details: InvalidRuntime): string {
  return `${details.module} exports no runtime: ${invalidRuntimes[details.problem](details)}`;
}

/** How a live session stopped before it handled a message. */
export type SessionStop = "ended" | "stopped" | "killed" | "host_stopped";

const stops: { readonly [How in SessionStop]: string } = {
  ended: "ended",
  stopped: "was stopped",
  killed: "was killed",
  host_stopped: "was stopped with its host",
};

export function describeStop(how: SessionStop): string {
  return stops[how];
}

/** The host that has the session and does not answer. */
export interface UnreachableOwner {
  readonly sessionId: string;
  readonly address: string;
  /** `left`: it has left; `silent`: it sends no heartbeat; `no_response`: the request failed. */
  readonly problem: "left" | "silent" | "no_response";
  /** Of `silent`: the last heartbeat, epoch ms. */
  readonly seenAt?: number;
  /** Of `no_response`: the text of the HTTP client. */
  readonly reported?: string;
}

export function describeUnreachableOwner({ problem, seenAt, reported }: UnreachableOwner): string {
  if (problem === "left") return "it has left";
  if (problem === "no_response") return `the request failed (${reported})`;
  return seenAt === undefined ? "it sends no heartbeat" : `its last heartbeat was at ${new Date(seenAt).toISOString()}`;
}
