import { randomUUID } from "node:crypto";

/** A sequence of numbered commits. The next one is sent only after the outcome of the last is known or given up. */
export interface Lane {
  readonly id: string;
  number: number;
}

/** The lanes of one open store: as many as commits were in flight at the same time. */
export class Lanes {
  readonly #free: Lane[] = [];

  /** Runs `work` with a lane that no other commit uses meanwhile. */
  async within<T>(work: (lane: Lane) => Promise<T>): Promise<T> {
    const lane = this.#free.pop() ?? { id: randomUUID(), number: 0 };
    try {
      return await work(lane);
    } finally {
      this.#free.push(lane);
    }
  }
}
