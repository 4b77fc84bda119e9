/** Counts what a conversation has no place for. */
import type { LeftOut } from "../../sessions/transfer/conversation.ts";

/** The counts by the kind of a thing: a noun in the singular, such as `branch`. */
export class LeftOutCounts {
  readonly #counts = new Map<string, number>();

  add(kind: string, count = 1): void {
    if (count > 0) this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + count);
  }

  get all(): LeftOut {
    return Object.fromEntries(this.#counts);
  }
}
