/**
 * The items of the snapshots that this process has saved last, so that the next save to a session reads none of them. They count while the
 * store has the snapshot of that save. A snapshot that another process has saved has another name.
 */
import { encodeValue } from "../../index.ts";
import { itemsIn, type Items, type StoredSnapshot } from "./stored-snapshot.ts";

/** The size of the items of all sessions, in characters of their texts. */
const lengthMax = 8 * 1024 * 1024;

/** The items of the last snapshot of a session. */
interface Kept {
  readonly save: string;
  readonly items: Items;
  readonly length: number;
}

/** The items that a store keeps. */
export class KeptItems {
  /** By the ids of sessions; the session that was used last is the last one. */
  readonly #all = new Map<string, Kept>();
  #length = 0;

  /** The items of a stored snapshot; undefined: they are not kept. */
  of(sessionId: string, { save }: StoredSnapshot): Items | undefined {
    const kept = this.#all.get(sessionId);
    return kept !== undefined && kept.save === save ? kept.items : undefined;
  }

  /** Keeps the items of a snapshot that was saved, in place of those before it, and drops those of sessions that were used least recently. */
  keep(sessionId: string, { save }: StoredSnapshot, items: Items): void {
    this.#drop(sessionId);
    if (save === undefined) return;
    let length = 0;
    for (const item of itemsIn(items)) length += item.length ??= encodeValue(item.value).length;
    this.#all.set(sessionId, { save, items, length });
    this.#length += length;
    for (const id of this.#all.keys()) {
      if (this.#length <= lengthMax) return;
      this.#drop(id);
    }
  }

  #drop(sessionId: string): void {
    this.#length -= this.#all.get(sessionId)?.length ?? 0;
    this.#all.delete(sessionId);
  }
}
