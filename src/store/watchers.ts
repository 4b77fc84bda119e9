import type { Transaction } from "../domain/record/change.ts";
import { keyText, type SessionKey } from "../domain/record/entry.ts";
import type { Outcome } from "./store.ts";

/** Who wants to know of changes of which sessions, within one open store. */
export class Watchers {
  readonly #wakes = new Map<string, Set<() => void>>();

  /** Call `wake` at every change of this session until the returned function is called. */
  watch(key: SessionKey, wake: () => void): () => void {
    const text = keyText(key);
    const own = (): void => wake(); // the same function may watch twice
    const wakes = this.#wakes.get(text) ?? new Set();
    this.#wakes.set(text, wakes.add(own));
    return () => {
      wakes.delete(own);
      if (wakes.size === 0 && this.#wakes.get(text) === wakes) this.#wakes.delete(text);
    };
  }

  /** What of a batch has landed was changed. */
  wakeLanded(batch: readonly Transaction[], outcomes: readonly Outcome[]): void {
    if (this.#wakes.size === 0) return;
    batch.forEach((transaction, index) => {
      if (outcomes[index]?.status === "ok") for (const { key } of transaction) this.wake(keyText(key));
    });
  }

  /** A session, by the text of its key, was changed. */
  wake(text: string): void {
    for (const wake of this.#wakes.get(text) ?? []) wake();
  }

  /** The texts of the keys of what is watched. */
  watched(): Iterable<string> {
    return this.#wakes.keys();
  }

  /** Whatever is watched may have changed. */
  wakeAll(): void {
    for (const wakes of this.#wakes.values()) for (const wake of wakes) wake();
  }
}
