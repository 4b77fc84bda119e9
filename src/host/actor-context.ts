import { channel } from "node:diagnostics_channel";
import type { Clock } from "../clock.ts";
import type { SessionKey } from "../domain/record/entry.ts";
import type { Actor } from "./actor.ts";
import type { WorkerSlot, Profile } from "./workers/worker-slot.ts";
import type { ResolvedHostOptions } from "./runtime/options.ts";
import type { RestartQueue } from "./restart-queue.ts";
import type { TimerWheel } from "./timer-wheel.ts";

/** What the channel `perdure:host` is told of live sessions. */
export interface HostEvent {
  readonly type:
    | "activated"
    | "restarted"
    | "message"
    | "passivated"
    | "stopped"
    | "crashed"
    | "failed"
    | "fenced"
    | "recovered"
    /** What a dead or killed one left could not be put in order now; whoever opens the session next does. */
    | "untidy";
  readonly session: SessionKey;
  readonly agent: string | undefined;
  /** Messages that wait for it. */
  readonly mailbox?: number;
  /** Of a message: from when it was taken up to its whole answer. */
  readonly ms?: number;
  readonly cause?: Error;
}

const events = channel("perdure:host");

/** Tell who listens. */
export function publishHostEvent(event: HostEvent): void {
  if (events.hasSubscribers) events.publish(event);
}

/** What an actor needs of its host. */
export interface Surroundings {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly options: ResolvedHostOptions;
  tell(event: HostEvent): void;
  /** Where a session that wakes up is to run. */
  cell(): WorkerSlot;
  /** @throws SessionError `host_full`; the signal's reason */
  enterPlace(signal: AbortSignal): Promise<void>;
  leavePlace(): void;
  /** Those whose thread ended by another's doing come back through here. */
  readonly returns: RestartQueue;
  /** An actor has nothing to do. */
  rested(): void;
  /** The actor is over. */
  forget(actor: Actor): void;
  /** Why a session cannot be had, for who asked: where it lives elsewhere, that. */
  explain(key: SessionKey, error: Error): Promise<Error>;
  idleTimeoutMs(profile: Profile): number;
  /** Say in the store that the session is given up. */
  giveUp(key: SessionKey, cause: { readonly code: string; readonly message: string }): Promise<void>;
}
