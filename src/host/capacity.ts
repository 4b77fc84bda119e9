import { SessionError } from "../errors.ts";

interface Waiter {
  readonly enter: () => void;
  readonly leave: (error: Error) => void;
}

/** How many sessions may be live at once. Each holds a place from before it is taken in until it is gone. */
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

  /** True where a place was free. */
  tryEnter(): boolean {
    if (this.isFull) return false;
    this.#used++;
    return true;
  }

  /** Wait for a place, in order. @throws the signal's reason */
  async enter(signal: AbortSignal): Promise<void> {
    if (this.#waiting.size === 0 && this.tryEnter()) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = { enter: resolve, leave: reject };
    const abort = (): void => {
      this.#waiting.delete(waiter); // at once, or a place could still be given to it
      waiter.leave(signal.reason as Error);
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

  /** A place is given back: to who has waited longest. */
  exit(): void {
    const next = this.#waiting.values().next().value;
    if (next === undefined) {
      this.#used--;
      return;
    }
    this.#waiting.delete(next);
    next.enter();
  }

  full(): SessionError<"host_full"> {
    return new SessionError("host_full", { live: this.#used, liveMax: this.#max });
  }
}
