import { channel } from "node:diagnostics_channel";
import type { Clock } from "../../clock.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import type { WorkerSlot, Profile } from "../workers/worker-slot.ts";
import type { ResolvedHostOptions } from "../runtime/options.ts";
import type { RestartQueue } from "./restart-queue.ts";
import type { TimerWheel } from "./timer-wheel.ts";

/** An event of a live session, published on the diagnostics channel `perdure:host`. */
export interface HostEvent {
  readonly type:
    | "activated"
    | "restarted"
    | "message"
    /** A request without a message, which `updateActivity` reported. */
    | "request"
    | "passivated"
    | "stopped"
    | "crashed"
    | "failed"
    | "fenced"
    | "recovered"
    /** The host could not recover a session after its death or `kill`; the next process that opens the session does. */
    | "untidy";
  readonly session: SessionKey;
  readonly agent: string | undefined;
  /** Messages in the session's mailbox. */
  readonly mailbox?: number;
  /** Duration of a message, from its start to the end of its answer, or of a request as it was reported. */
  readonly ms?: number;
  readonly cause?: Error;
}

const events = channel("perdure:host");

/** Publishes an event on `perdure:host` if the channel has subscribers. */
export function publishHostEvent(event: HostEvent): void {
  if (events.hasSubscribers) events.publish(event);
}

/** The parts of the host that an actor calls. */
export interface ActorContext {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly options: ResolvedHostOptions;
  publish(event: HostEvent): void;
  /** The worker slot in which a session's next activation runs. */
  freeWorkerSlot(): WorkerSlot;
  /**
   * Takes one of the `maxSessions` slots. A session that cannot be activated takes none from another.
   * @throws SessionError `host_full`, `session_not_found`, that of the session's state; the signal's reason
   */
  takeSlot(key: SessionKey, signal: AbortSignal): Promise<void>;
  giveSlotBack(): void;
  /** Sessions whose thread was ended by another session restart through this queue. */
  readonly restartQueue: RestartQueue;
  /** Called when an actor has no more work. */
  becameIdle(): void;
  /** Removes the actor of a session that has ended. */
  forget(key: SessionKey): void;
  /** Turns an activation error into the error for the caller: `not_owner` if another host has the session. */
  explain(key: SessionKey, error: Error): Promise<Error>;
  idleTimeoutMs(profile: Profile): number;
  /** Records in the store that the session failed too often. */
  recordFailure(key: SessionKey, cause: { readonly code: string; readonly message: string }): Promise<void>;
}
