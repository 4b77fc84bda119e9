import { sessionChanges, type Transaction } from "../domain/record/change.ts";
import { keyText, type SessionKey } from "../domain/record/entry.ts";
import { isNewsKey, newsKey, newsTenant } from "./news.ts";
import type { Outcome } from "./store.ts";

interface Watched {
  readonly key: SessionKey;
  readonly wakes: Set<() => void>;
}

/** The watchers of sessions, and of the news of tenants, within one open store. */
export class Watchers {
  /** Watched tenants. */
  #tenants = 0;
  readonly #watched = new Map<string, Watched>();

  /** Call `wake` at every change of this session, or of this tenant, until the returned function is called. */
  watch(key: SessionKey, wake: () => void): () => void {
    const text = keyText(key);
    const own = (): void => wake(); // the same function may watch twice
    const known = this.#watched.get(text);
    const watched = known ?? { key, wakes: new Set() };
    if (known === undefined && isNewsKey(key)) this.#tenants++;
    this.#watched.set(text, watched);
    watched.wakes.add(own);
    return () => {
      watched.wakes.delete(own);
      if (watched.wakes.size > 0 || this.#watched.get(text) !== watched) return;
      this.#watched.delete(text);
      if (isNewsKey(key)) this.#tenants--;
    };
  }

  /** Wake the watchers of every session, and of every tenant, that the batch has changed. */
  wakeLanded(batch: readonly Transaction[], outcomes: readonly Outcome[]): void {
    if (this.#watched.size === 0) return;
    const tenants = new Set<string>();
    batch.forEach((transaction, index) => {
      if (outcomes[index]?.status !== "ok") return;
      for (const { key } of sessionChanges(transaction)) this.wake(keyText(key));
      if (this.#tenants > 0) for (const change of transaction) tenants.add(newsTenant(change));
    });
    for (const tenant of tenants) this.wake(keyText(newsKey(tenant)));
  }

  /** Wake the watchers of one session, given by the text of its key. */
  wake(text: string): void {
    for (const wake of this.#watched.get(text)?.wakes ?? []) wake();
  }

  wakeAll(): void {
    for (const { wakes } of this.#watched.values()) for (const wake of wakes) wake();
  }

  /** Number of watched sessions. */
  get size(): number {
    return this.#watched.size;
  }

  /** The watched sessions: the text of each key, and the key. */
  *watched(): Iterable<readonly [text: string, key: SessionKey]> {
    for (const [text, { key }] of this.#watched) yield [text, key];
  }
}
