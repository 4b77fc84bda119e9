import type { LifeId } from "./wire.ts";

const begun = 0;
const inside = 1;

/**
 * What a thread that says nothing any more still tells its host, in memory they share: how many calls it has begun, of
 * those that were sent to it in this order, and whose code has been running since it took up the last of them.
 */
export class CallCounter {
  readonly memory: SharedArrayBuffer;
  readonly #cells: Int32Array;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(8)) {
    this.memory = memory;
    this.#cells = new Int32Array(memory);
  }

  /** A call was taken up. */
  enter(life: LifeId): void {
    Atomics.add(this.#cells, begun, 1);
    Atomics.store(this.#cells, inside, life);
  }

  /** What was taken up gave way to other work, or came to its end. */
  leave(): void {
    Atomics.store(this.#cells, inside, 0);
  }

  /** How many calls were taken up. */
  get begun(): number {
    return Atomics.load(this.#cells, begun);
  }

  /** Who was let in last and did not give way since; undefined where nobody, or nobody knows who. */
  get inside(): LifeId | undefined {
    const life = Atomics.load(this.#cells, inside);
    return life === 0 ? undefined : life;
  }
}
