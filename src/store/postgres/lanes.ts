import { randomUUID } from "node:crypto";

/** A sequence of numbered commits. The next one is sent only after the outcome of the last is known or given up. */
export interface Lane {
  readonly id: string;
  number: number;
}

/** The lanes of one open store: as many as commits were in flight at the same time. */
export class Lanes {
  readonly #free: Lane[] = [];

  /** A lane that no other commit uses until it is given back. */
  take(): Lane {
    return this.#free.pop() ?? { id: randomUUID(), number: 0 };
  }

  giveBack(lane: Lane): void {
    this.#free.push(lane);
  }
}
