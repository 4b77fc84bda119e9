import type { SessionKey } from "../../domain/record/entry.ts";
import type { TimerWheel } from "./timer-wheel.ts";
import { RuntimeEnd, type WorkerSlot } from "../workers/worker-slot.ts";

/** Extension of a timeout while another session blocks the thread, ms. */
const blockedMs = 100;

/**
 * The step that an actor is in: an answer, an activation, a passivation, or the wait before an activation. A timeout,
 * `kill` or the end of the runtime interrupts it.
 */
export class CurrentStep {
  readonly #wheel: TimerWheel;
  #interrupt: ((error: Error) => void) | undefined;

  constructor(wheel: TimerWheel) {
    this.#wheel = wheel;
  }

  /** Interrupts the step; false if there is none. */
  interrupt(error: Error): boolean {
    if (this.#interrupt === undefined) return false;
    this.#interrupt(error);
    return true;
  }

  /** Lets a timeout interrupt a step too, until `done`. `slot`: where it runs. */
  begin(
    ms: number,
    interrupt: (error: Error) => void,
    { key, slot }: { readonly key: SessionKey; readonly slot: () => WorkerSlot | undefined },
  ): { done(): void } {
    let alarm = this.#wheel.after(ms, () => timeUp(), { holds: true });
    const timeUp = (): void => {
      // A session that another one blocks gets more time; the blocking one has a deadline of its own.
      if (slot()?.isBlockedByOther(key) === true) alarm = this.#wheel.after(blockedMs, timeUp, { holds: true });
      else interrupt(new RuntimeEnd({ how: "deadline", step: "call", limitMs: ms }));
    };
    this.#interrupt = interrupt;
    return {
      done: () => {
        alarm.cancel();
        if (this.#interrupt === interrupt) this.#interrupt = undefined;
      },
    };
  }

  /** Begins a wait without a timeout, until `done`. */
  wait(interrupt: () => void): { done(): void } {
    this.#interrupt = interrupt;
    return { done: () => (this.#interrupt = undefined) };
  }
}
