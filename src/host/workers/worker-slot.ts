/**
 * A worker slot runs the code of live sessions: in the host's thread, or in a worker thread or process. The host treats all
 * alike: it opens a session, delivers messages and passivates it; or the session's code ends, alone or with its worker.
 */
import type { SessionKey } from "../../domain/record/entry.ts";
import { describeFailedRuntime, type FailedRuntime } from "../../errors/host-problems.ts";
import { reasonOf } from "../runtime/runtime.ts";

export interface WorkerSlot {
  /**
   * Takes the session's lease and activates its runtime.
   * @throws SessionError if the session cannot be taken; RuntimeEnd if its runtime fails; the signal's reason
   */
  open(key: SessionKey, opening: Opening): Promise<Activation>;
  /** Whether another session's code is blocking the thread, so that this session's delay is not its own fault. */
  isBlockedByOther(key: SessionKey): boolean;
  /** Ends all activations of this slot; resolves when that is certain. */
  close(): Promise<void>;
  /** Heap in bytes; undefined if unknown. */
  memoryBytes(): number | undefined;
}

/** How to open a session. */
export interface Opening {
  /** Recorded in the session's events. */
  readonly reason: string;
  /** Aborts the opening; when `open` rejects, nothing of it is left. */
  readonly signal: AbortSignal;
  /** Called when the session's code ends by itself, at any time between `open` and `passivate` or `drop`. */
  readonly ended: (end: RuntimeEnd) => void;
}

/** One activation of a session in its worker slot. */
export interface Activation {
  readonly fence: number;
  /** The session's agent, and the idle timeout in its metadata. */
  readonly profile: Profile;
  /** Heap of the session's own thread or process, bytes; undefined if it shares one, or if the heap is unknown. */
  readonly memoryBytes: number | undefined;
  /**
   * Delivers a message and resolves with its answer.
   * @throws RuntimeEnd if the runtime fails
   */
  deliver(message: unknown): Promise<unknown>;
  /** The last activity that is stored, epoch ms. */
  activeAt(): Promise<number>;
  /** Whether the stored lease still belongs to this activation. */
  isCurrent(): Promise<boolean>;
  /**
   * Calls `onIdle` of the runtime.
   * @throws RuntimeEnd
   */
  notifyIdle(): Promise<void>;
  /**
   * Calls `deactivate` of the runtime, and passivates the session.
   * @throws RuntimeEnd, SessionError
   */
  passivate(reason: string): Promise<void>;
  /**
   * Ends the activation now. Resolves when its code no longer runs, or can no longer write, and the session is
   * passivated in the store, or will be. If another activation `follows` at once, that one recovers the session;
   * otherwise `drop` may be called again to do it.
   */
  drop(reason: string, next?: { readonly follows: boolean }): Promise<void>;
}

/** Facts about a session that the host has without asking the worker. */
export interface Profile {
  readonly agent: string;
  readonly timeoutMinutes: number | undefined;
}

/**
 * Which code caused the end of an activation: the session's own, that of another session on the same thread, or in
 * doubt (several sessions had started calls when the thread ended, or none had).
 */
export type Fault = "own" | "another's" | "in doubt";

/** Details of the end of an activation. */
interface RuntimeEndOptions {
  /** @default "own" */
  readonly fault?: Fault;
  /**
   * Whether the message can be delivered again to the next activation; only if the fault is not its own.
   * @default false
   */
  readonly mayRepeat?: boolean;
  readonly cause?: unknown;
}

/** The code of a session has ended. */
export class RuntimeEnd extends Error {
  readonly failure: FailedRuntime;
  readonly fault: Fault;
  readonly mayRepeat: boolean;

  constructor(failure: FailedRuntime, { fault = "own", mayRepeat = false, cause }: RuntimeEndOptions = {}) {
    super(describeFailedRuntime(failure), { cause });
    this.failure = failure;
    this.fault = fault;
    this.mayRepeat = mayRepeat;
  }
}

/** A thrown value as the end of a runtime. */
export function endOf(cause: unknown): RuntimeEnd {
  return cause instanceof RuntimeEnd ? cause : new RuntimeEnd({ how: "threw", reported: reasonOf(cause) }, { cause });
}
