import type { LifeId } from "./wire.ts";

const startedIndex = 0;
const runningIndex = 1;

/**
 * Two counters in shared memory, which the host can read when a thread no longer answers: how many calls the thread has
 * started (it starts them in the order in which they were sent), and the activation whose code has run since the last
 * of them.
 */
export class CallCounter {
  readonly memory: SharedArrayBuffer;
  readonly #counters: Int32Array;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(8)) {
    this.memory = memory;
    this.#counters = new Int32Array(memory);
  }

  /** The thread starts a call. */
  callStarted(life: LifeId): void {
    Atomics.add(this.#counters, startedIndex, 1);
    Atomics.store(this.#counters, runningIndex, life);
  }

  /** The call ended or yielded to the event loop. */
  callYielded(): void {
    Atomics.store(this.#counters, runningIndex, 0);
  }

  /** Calls that the thread has started. */
  get started(): number {
    return Atomics.load(this.#counters, startedIndex);
  }

  /** The activation whose call started last and has not yielded; undefined if none is known. */
  get running(): LifeId | undefined {
    const life = Atomics.load(this.#counters, runningIndex);
    return life === 0 ? undefined : life;
  }
}
