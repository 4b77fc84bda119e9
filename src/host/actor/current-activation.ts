import type { SessionKey } from "../../domain/record/entry.ts";
import type { Activation, RuntimeEnd, WorkerSlot } from "../workers/worker-slot.ts";

/** The activation of an actor: the running code of its session, in a worker slot. */
export class CurrentActivation {
  #activation: Activation | undefined;
  /** Identifies the current activation, so that late reports of an earlier one are ignored. */
  #id: symbol | undefined;
  /** An ended activation that the next one recovers in the store. */
  #predecessor: Activation | undefined;
  #slot: WorkerSlot | undefined;

  /** Undefined before the first activation, and between two. */
  get running(): Activation | undefined {
    return this.#activation;
  }

  /** The slot of the current activation, or of the last one. */
  get slot(): WorkerSlot | undefined {
    return this.#slot;
  }

  /** Opens an activation in a slot, and occupies the slot in the same synchronous step. `ended` reports its end only. */
  async open(
    slot: WorkerSlot,
    key: SessionKey,
    { reason, signal, ended }: { reason: string; signal: AbortSignal; ended: (end: RuntimeEnd) => void },
  ): Promise<Activation> {
    const id = Symbol(key.id);
    this.#slot = slot;
    this.#id = id;
    return await slot.open(key, {
      reason,
      signal,
      ended: (end) => {
        if (this.#id === id) ended(end);
      },
    });
  }

  /** The activation is open. */
  begin(activation: Activation): void {
    this.#activation = activation;
    this.#predecessor = undefined;
  }

  /** The activation ended with its state saved. */
  passivated(): void {
    this.#activation = undefined;
    this.#id = undefined;
  }

  /** Ends the activation. When this resolves, none of its code runs or writes any more. */
  async drop(reason: string, next: { readonly follows: boolean }): Promise<void> {
    const activation = this.#activation ?? this.#predecessor;
    this.#activation = undefined;
    this.#predecessor = next.follows ? activation : undefined;
    this.#id = undefined;
    await activation?.drop(reason, next);
  }
}
