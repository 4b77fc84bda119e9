import { keyText, type SessionKey } from "../domain/entry.ts";
import type { Store } from "../store/store.ts";

/** One who looks at a session; `version` is the newest it has seen. */
interface Watch {
  readonly key: SessionKey;
  version: number;
  readonly wake: () => void;
}

/** How long a change of another process may go unseen where the store gives no hint, ms. */
const everyMs = 250;
/** Sessions per question to the store. */
const pageSize = 200;

/**
 * Looks after all sessions that are watched in this process: the store's hints where they come, and one question for
 * all of them a few times a second, which is the truth. Nothing runs while nobody watches.
 */
export class Lookout {
  readonly #store: Store;
  readonly #watches = new Set<Watch>();
  #timer: NodeJS.Timeout | undefined;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Call `wake` when the session has changed since the version last said to have been seen; now and then for nothing. */
  watch(key: SessionKey, wake: () => void): { saw(version: number): void; stop(): void } {
    const watch: Watch = { key, version: 0, wake };
    const unhint = this.#store.watch(key, wake);
    this.#watches.add(watch);
    this.#schedule();
    return {
      saw(version) {
        watch.version = version;
      },
      stop: () => {
        unhint();
        this.#watches.delete(watch);
        if (this.#watches.size > 0) return;
        clearTimeout(this.#timer);
        this.#timer = undefined;
      },
    };
  }

  /** Wake whoever watches, to find that all is closed; an iterator that was left lying about holds no process open. */
  close(): void {
    clearTimeout(this.#timer);
    for (const { wake } of this.#watches) wake();
    this.#watches.clear();
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => void this.#look(), everyMs);
  }

  async #look(): Promise<void> {
    const watches = [...this.#watches];
    for (let start = 0; start < watches.length; start += pageSize) {
      const page = watches.slice(start, start + pageSize);
      try {
        await this.#compare(page);
      } catch {
        // The store is away: who reads is told so there, and here the next look tries again.
        for (const { wake } of page) wake();
      }
    }
    this.#timer = undefined;
    if (this.#watches.size > 0) this.#schedule();
  }

  async #compare(watches: readonly Watch[]): Promise<void> {
    const keys = new Map(watches.map(({ key }) => [keyText(key), key]));
    const loaded = await this.#store.load([...keys.values()].map((key) => ({ key, tails: [] })));
    const versions = new Map([...keys.keys()].map((text, index) => [text, loaded[index]?.record.version]));
    for (const { key, version, wake } of watches) if (versions.get(keyText(key)) !== version) wake();
  }
}
