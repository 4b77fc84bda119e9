/** Messages between a host and its workers, each a thread or process. */
import type { SessionKey } from "../../domain/record/entry.ts";
import { errorCodes, SessionError, type ErrorCode, type ErrorDetails, type RuntimeFailure } from "../../errors.ts";
import type { FailedRuntime } from "../../errors/host-problems.ts";
import type { SessionsOptions } from "../../sessions/options/options.ts";
import type { ProcessIdentity } from "../../sessions/instances/process-identity.ts";
import type { Forward } from "../../store/calls/forwarding-store.ts";
import type { Capabilities } from "../../store/store.ts";
import { RuntimeEnd, type Profile } from "./worker-slot.ts";

/** Number of an activation within its worker. */
export type LifeId = number;

/** Calls from the host to a worker. */
export interface WorkerCalls {
  /** Loads the runtime. */
  start(start: WorkerStart): Promise<StartResult>;
  open(life: LifeId, key: SessionKey, reason: string): Promise<{ readonly fence: number; readonly profile: Profile }>;
  deliver(life: LifeId, message: unknown): Promise<Delivered>;
  /** The next chunk of a streamed answer. */
  next(life: LifeId): Promise<IteratorResult<unknown>>;
  /** The reader needs no more chunks. */
  stopReading(life: LifeId): Promise<void>;
  activeAt(life: LifeId): Promise<number>;
  isCurrent(life: LifeId): Promise<boolean>;
  notifyIdle(life: LifeId): Promise<void>;
  passivate(life: LifeId, reason: string): Promise<void>;
  drop(life: LifeId, reason: string): Promise<void>;
  /** Answered by a thread that is not blocked. */
  ping(): Promise<void>;
}

/** The worker's answer when it has started. */
export interface StartResult {
  readonly repeatable: boolean;
}

/** An answer: a value, or the notice that it is streamed. */
export type Delivered = { readonly value: unknown } | { readonly inParts: true };

/** Calls from a worker to its host. */
export interface HostCalls {
  /** Workers have no store of their own: all of them commit through the host's. */
  store: Forward;
  /** Code of a session failed outside of any call, in a timer for instance; its thread keeps running. */
  ended(life: LifeId, how: RuntimeFailure, error: WireError): void;
  /** Used heap, bytes. */
  heap(bytes: number): void;
}

export interface WorkerStart {
  /** URL of the runtime's module. */
  readonly runtime: string;
  readonly tenant: string;
  readonly sessions: SessionsOptions;
  readonly capabilities: Capabilities;
  readonly address: string | null;
  /** The host's process. */
  readonly process: ProcessIdentity;
  /** The worker is shared by many sessions; none may end it. */
  readonly isShared: boolean;
}

/** An error as it is sent; a class does not survive structured clone. */
export interface WireError {
  readonly message: string;
  readonly stack: string | undefined;
  readonly code?: ErrorCode;
  readonly details?: unknown;
  readonly failure?: FailedRuntime;
}

interface WireMessage {
  readonly e?: unknown;
}

/** Serialises errors with their codes and details. */
export const errorCodec: {
  serialize(letter: unknown): unknown;
  deserialize(letter: unknown): unknown;
} = {
  serialize: (letter) =>
    (letter as WireMessage).e === undefined
      ? letter
      : { ...(letter as WireMessage), e: packError((letter as WireMessage).e) },
  deserialize: (letter) =>
    (letter as WireMessage).e === undefined
      ? letter
      : { ...(letter as WireMessage), e: unpackError((letter as WireMessage).e as WireError) },
};

export function packError(error: unknown): WireError {
  if (!(error instanceof Error)) return { message: String(error), stack: undefined };
  const { message, stack } = error;
  if (error instanceof SessionError) return { message, stack, code: error.code, details: error.details };
  if (error instanceof RuntimeEnd)
    return { message, stack: (error.cause as Error | undefined)?.stack ?? stack, failure: error.failure };
  return { message, stack };
}

export function unpackError({ message, stack, code, details, failure }: WireError): Error {
  const cause = new Error(message);
  if (stack !== undefined) cause.stack = stack;
  if (failure !== undefined) return new RuntimeEnd(failure, { cause });
  if (code === undefined || !Object.hasOwn(errorCodes, code)) return cause;
  return new SessionError(code, details as ErrorDetails[ErrorCode], { cause, message });
}
