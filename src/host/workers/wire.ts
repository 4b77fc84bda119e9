/** What goes between a host and its workers, each a thread or process of its own. */
import type { SessionKey } from "../../domain/record/entry.ts";
import { errorCodes, SessionError, type ErrorCode, type ErrorDetails, type RuntimeFailure } from "../../errors.ts";
import type { SessionsOptions } from "../../sessions/options/options.ts";
import type { ProcessIdentity } from "../../sessions/instances/process-identity.ts";
import type { Capabilities, Store } from "../../store/store.ts";
import { RuntimeEnd, type Profile } from "./worker-slot.ts";

/** Which of the sessions of a worker: its lives are numbered. */
export type LifeId = number;

/** What the host asks of a worker. */
export interface WorkerCalls {
  /** Load the runtime. */
  begin(start: WorkerStart): Promise<Beginning>;
  open(life: LifeId, key: SessionKey, reason: string): Promise<{ readonly fence: number; readonly profile: Profile }>;
  deliver(life: LifeId, message: unknown): Promise<Delivered>;
  /** The next part of an answer that comes in parts. */
  next(life: LifeId): Promise<IteratorResult<unknown>>;
  /** Enough of it. */
  enough(life: LifeId): Promise<void>;
  activeAt(life: LifeId): Promise<number>;
  stands(life: LifeId): Promise<boolean>;
  idle(life: LifeId): Promise<void>;
  leave(life: LifeId, reason: string): Promise<void>;
  drop(life: LifeId, reason: string): Promise<void>;
  /** Answered by a thread that nobody keeps from others. */
  breathe(): Promise<void>;
}

/** What a worker says of itself when it has begun. */
export interface Beginning {
  /** The id of the instance that will hold its leases. */
  readonly instance: string;
  readonly repeatable: boolean;
}

/** An answer: a value, or the news that it comes in parts. */
export type Delivered = { readonly value: unknown } | { readonly inParts: true };

/** What a worker asks of its host. */
export interface HostCalls {
  /** A worker has no store of its own: all of them commit through the host's. */
  store<Call extends StoreCall>(call: Call, args: Parameters<Store[Call]>): Promise<Awaited<ReturnType<Store[Call]>>>;
  /** Code that one of several sessions left running came to its end, beside any answer; its thread goes on. */
  ended(life: LifeId, how: RuntimeFailure, error: WireError): void;
  /** The heap it uses, bytes. */
  heap(bytes: number): void;
}

/** The calls of a store that can be passed on. */
export type StoreCall = Exclude<keyof Store, "capabilities" | "watch" | "close">;

export interface WorkerStart {
  /** The address of its module. */
  readonly runtime: string;
  readonly tenant: string;
  readonly sessions: SessionsOptions;
  readonly capabilities: Capabilities;
  readonly address: string | null;
  /** The host's own process. */
  readonly process: ProcessIdentity;
  /** Many sessions share it: none may end it. */
  readonly isShared: boolean;
}

/** An error as it travels; another thread has no use for its class. */
export interface WireError {
  readonly message: string;
  readonly stack: string | undefined;
  readonly code?: ErrorCode;
  readonly details?: unknown;
  readonly how?: RuntimeFailure;
}

interface Letter {
  readonly e?: unknown;
}

/** Errors keep their codes and details on the way. */
export const errorsTravel: {
  serialize(letter: unknown): unknown;
  deserialize(letter: unknown): unknown;
} = {
  serialize: (letter) =>
    (letter as Letter).e === undefined ? letter : { ...(letter as Letter), e: packError((letter as Letter).e) },
  deserialize: (letter) =>
    (letter as Letter).e === undefined
      ? letter
      : { ...(letter as Letter), e: unpackError((letter as Letter).e as WireError) },
};

export function packError(error: unknown): WireError {
  if (!(error instanceof Error)) return { message: String(error), stack: undefined };
  const { message, stack } = error;
  if (error instanceof SessionError) return { message, stack, code: error.code, details: error.details };
  if (error instanceof RuntimeEnd)
    return { message, stack: (error.cause as Error | undefined)?.stack ?? stack, how: error.how };
  return { message, stack };
}

export function unpackError({ message, stack, code, details, how }: WireError): Error {
  const cause = new Error(message);
  if (stack !== undefined) cause.stack = stack;
  if (how !== undefined) return new RuntimeEnd(how, message, { cause });
  if (code === undefined || !Object.hasOwn(errorCodes, code)) return cause;
  return new SessionError(code, details as ErrorDetails[ErrorCode], { cause });
}
