import { SessionError } from "../errors.ts";

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Limits how many sessions are live at the same time. Each occupies a slot from before its activation until its end. */
export class Capacity {
  readonly #max: number;
  readonly #waiting = new Set<Waiter>();
  #used = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get used(): number {
    return this.#used;
  }

  get isFull(): boolean {
    return this.#used >= this.#max;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Takes a slot if one is free; returns whether it did. */
  tryAcquire(): boolean {
    if (this.isFull) return false;
    this.#used++;
    return true;
  }

  /**
   * Waits for a slot; slots are given out in order.
   * @throws the signal's reason
   */
  async acquire(signal: AbortSignal): Promise<void> {
    if (this.#waiting.size === 0 && this.tryAcquire()) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = { resolve, reject };
    const abort = (): void => {
      this.#waiting.delete(waiter); // synchronous, or `release` could still hand a slot to this waiter
      waiter.reject(signal.reason as Error);
    };
    this.#waiting.add(waiter);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  /** Gives a slot back: the longest waiter gets it. */
  release(): void {
    const next = this.#waiting.values().next().value;
    if (next === undefined) {
      this.#used--;
      return;
    }
    this.#waiting.delete(next);
    next.resolve();
  }

  fullError(): SessionError<"host_full"> {
    return new SessionError("host_full", { live: this.#used, liveMax: this.#max });
  }
}
