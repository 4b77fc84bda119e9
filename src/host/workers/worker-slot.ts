/**
 * Where the code of live sessions runs: in the host's own thread, or in a thread or process beside it. To the host all are
 * the same: a session is taken in, is spoken to, and leaves; or its code, or all that ran with it, comes to an end.
 */
import type { SessionKey } from "../../domain/record/entry.ts";
import type { RuntimeFailure } from "../../errors.ts";
import { reasonOf } from "../runtime/runtime.ts";

export interface WorkerSlot {
  /**
   * Take the session in, and wake its runtime.
   * @throws SessionError where it cannot be had; RuntimeEnd where its runtime fails; the signal's reason
   */
  open(key: SessionKey, opening: Opening): Promise<Activation>;
  /** Whether another session's code has the thread just now, so that this one cannot help being late. */
  holdsUp(key: SessionKey): boolean;
  /** All that lives here is over, now; resolves once that is certain. */
  close(): Promise<void>;
  /** Bytes that it holds; undefined where nobody can tell. */
  memoryBytes(): number | undefined;
}

/** How a session is taken in. */
export interface Opening {
  /** For its events. */
  readonly reason: string;
  /** Breaks it off; nothing of it is left when `open` rejects. */
  readonly signal: AbortSignal;
  /** Called when its code comes to its end by itself, from the taking in on until it leaves or is dropped. */
  readonly ended: (end: RuntimeEnd) => void;
}

/** One session in its cell. */
export interface Activation {
  readonly fence: number;
  /** Whom the session is for, and what its metadata says of its idle timeout. */
  readonly profile: Profile;
  /** The heap of its own thread or process, bytes; undefined where it shares one, or nobody can tell. */
  readonly memoryBytes: number | undefined;
  /** The answer to a message. @throws RuntimeEnd where its runtime fails */
  deliver(message: unknown): Promise<unknown>;
  /** The last activity that the store knows of, epoch ms. */
  activeAt(): Promise<number>;
  /** Whether the store still knows it as living here. */
  stands(): Promise<boolean>;
  /** Nobody spoke to it for its idle timeout. @throws RuntimeEnd */
  idle(): Promise<void>;
  /** Let its runtime finish, and put it to sleep. @throws RuntimeEnd, SessionError */
  leave(reason: string): Promise<void>;
  /**
   * It is over, now; resolves once its code runs no more, or can write no more, and what it left is put in order in the
   * store, or will be: also by a next life, where one `follows` at once. Without that it may be called again, to put in
   * order what a next life was to.
   */
  drop(reason: string, next?: { readonly follows: boolean }): Promise<void>;
}

/** What the host knows of a session without asking. */
export interface Profile {
  readonly agent: string;
  readonly timeoutMinutes: number | undefined;
}

/**
 * By whose doing the code of a session came to its end: its own; another's with which it shares a thread; or in doubt, where
 * more than one was at work, or none, when the thread ended.
 */
export type Fault = "own" | "another's" | "in doubt";

/** How the code of a session came to its end. */
interface Circumstances {
  /** @default "own" */
  readonly fault?: Fault;
  /** Where it was not its own doing, what it was at may be asked of the next life. @default false */
  readonly mayRepeat?: boolean;
  readonly cause?: unknown;
}

/** The code of a session came to its end. */
export class RuntimeEnd extends Error {
  readonly how: RuntimeFailure;
  readonly fault: Fault;
  readonly mayRepeat: boolean;

  constructor(how: RuntimeFailure, reason: string, { fault = "own", mayRepeat = false, cause }: Circumstances = {}) {
    super(reason, { cause });
    this.how = how;
    this.fault = fault;
    this.mayRepeat = mayRepeat;
  }
}

/** The end that something thrown brings about. */
export function endOf(cause: unknown): RuntimeEnd {
  return cause instanceof RuntimeEnd ? cause : new RuntimeEnd("threw", reasonOf(cause), { cause });
}
