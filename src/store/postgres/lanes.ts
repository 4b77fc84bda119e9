import { randomUUID } from "node:crypto";

/** One line of commits, each numbered, the next one sent only when the fate of the last is known or given up. */
export interface Lane {
  readonly id: string;
  number: number;
}

/** The lanes of one open store: as many as commits were ever under way at once. */
export class Lanes {
  readonly #free: Lane[] = [];

  /** Work in a lane that nobody else uses meanwhile. */
  async within<T>(work: (lane: Lane) => Promise<T>): Promise<T> {
    const lane = this.#free.pop() ?? { id: randomUUID(), number: 0 };
    try {
      return await work(lane);
    } finally {
      this.#free.push(lane);
    }
  }
}
