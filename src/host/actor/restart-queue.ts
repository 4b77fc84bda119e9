/** Maximum number of concurrent restarts, and the pause between two starts, ms. */
const concurrentMax = 64;
const intervalMs = 4;

/** A session's place in the restart queue. */
export interface QueuedRestart {
  /** Resolves to true when it is the session's turn, to false if the session left the queue. */
  readonly turn: Promise<boolean>;
  /** A caller now waits for the session: move it before the sessions without waiting callers. */
  prioritize(): void;
  /** Ends the turn, or gives up the place. */
  leave(): void;
}

/**
 * Staggers the restarts of all sessions of a thread that ended. Sessions with waiting callers restart first. Restarts
 * are paced, so that sessions on other threads do not slow down.
 */
export class RestartQueue {
  readonly #awaited = new Set<(isTurn: boolean) => void>();
  readonly #others = new Set<(isTurn: boolean) => void>();
  readonly #onEmpty: () => void;
  #running = 0;
  #isClosed = false;
  /** Runs between two starts. */
  #pause: NodeJS.Timeout | undefined;

  constructor(onEmpty: () => void) {
    this.#onEmpty = onEmpty;
  }

  enter(isAwaited: boolean): QueuedRestart {
    const { promise: turn, resolve } = Promise.withResolvers<boolean>();
    let isRunning = false;
    const settle = (isTurn: boolean): void => {
      isRunning = isTurn;
      resolve(isTurn);
    };
    (isAwaited ? this.#awaited : this.#others).add(settle);
    this.#startNext();
    return {
      turn,
      prioritize: () => {
        if (this.#others.delete(settle)) this.#awaited.add(settle);
      },
      leave: () => {
        if (isRunning) this.#running--;
        else if (this.#awaited.delete(settle) || this.#others.delete(settle)) settle(false);
        else return;
        isRunning = false;
        if (this.#running + this.#awaited.size + this.#others.size === 0) this.#onEmpty();
        else this.#startNext();
      },
    };
  }

  /** Starts no more restarts. The sessions in the queue leave it when their host stops them. */
  close(): void {
    clearTimeout(this.#pause);
    this.#isClosed = true;
  }

  #startNext(): void {
    if (this.#isClosed || this.#pause !== undefined || this.#running >= concurrentMax) return;
    this.#startOne();
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      if (this.#running < concurrentMax && this.#awaited.size + this.#others.size > 0) this.#startNext();
    }, intervalMs);
  }

  #startOne(): void {
    for (const waiting of [this.#awaited, this.#others]) {
      const [settle] = waiting;
      if (settle === undefined) continue;
      waiting.delete(settle);
      this.#running++;
      settle(true);
      return;
    }
  }
}
