/** The size of the outbox: each change counts, and one that would grow the outbox beyond its limit is refused. */
import type { Change } from "../../domain/record/change.ts";
import { encode } from "../../domain/values/codec.ts";
import { eachPage } from "../../domain/values/pages.ts";
import { keyText, type Entry, type LogName } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { SessionError } from "../../errors.ts";
import type { Settled, Store } from "../../store/store.ts";
import { onceDone } from "./once-done.ts";

/**
 * The approximate bytes of a record and of an entry beside their texts, so that the limit of bytes also bounds their
 * number.
 */
const recordBytes = 2000;
const entryBytes = 200;
const pageSize = 100;

/** The sizes of one log's entries, by seq from `first` on. */
interface LogSizes {
  first: number;
  readonly sizes: number[];
}

interface StoredSizes {
  record: number;
  readonly logs: Map<LogName, LogSizes>;
}

export class OutboxBytes {
  readonly #store: Store;
  readonly #bytesMax: number;
  readonly #sizes = new Map<string, StoredSizes>();
  #total = 0;
  /** The growth by commits that are in flight. */
  #reserved = 0;
  /** Counts what an earlier process of the same file could not replay. */
  readonly #countStored = onceDone(() => this.#countAll());

  constructor(store: Store, bytesMax: number) {
    this.#store = store;
    this.#bytesMax = bytesMax;
  }

  /** Commit within the limit. @throws SessionError `outbox_full`, before anything is written */
  async within(changes: readonly Change[], commit: () => Promise<Settled>): Promise<Settled> {
    await this.#countStored();
    const grows = changes.reduce((sum, change) => sum + this.#growthOf(change), 0);
    const reserves = Math.max(0, grows);
    const bytes = this.#total + this.#reserved + grows;
    if (reserves > 0 && bytes > this.#bytesMax && !changes.every(isBookkeeping))
      throw new SessionError("outbox_full", { bytes, bytesMax: this.#bytesMax });
    this.#reserved += reserves;
    try {
      const outcome = await commit();
      if (outcome.status === "ok") for (const change of changes) this.#apply(change);
      return outcome;
    } finally {
      this.#reserved -= reserves;
    }
  }

  #growthOf({ key, record, splices }: Change): number {
    const stored = this.#sizes.get(keyText(key));
    if (record === null) return stored === undefined ? 0 : -sizeOfAll(stored);
    let grows = sizeOfRecord(record) - (stored?.record ?? 0);
    for (const { log, from, entries } of splices) {
      const before = stored?.logs.get(log);
      grows += sum(entries.map(sizeOfEntry)) - sum(before?.sizes.slice(Math.max(0, from - before.first)) ?? []);
    }
    return grows;
  }

  #apply(change: Change): void {
    const { key, record, splices } = change;
    this.#total += this.#growthOf(change);
    const text = keyText(key);
    if (record === null) {
      this.#sizes.delete(text);
      return;
    }
    const stored = this.#sizes.get(text) ?? { record: 0, logs: new Map<LogName, LogSizes>() };
    this.#sizes.set(text, stored);
    stored.record = sizeOfRecord(record);
    for (const { log, from, entries } of splices) addSizes(stored, { log, from, entries });
  }

  async #countAll(): Promise<void> {
    this.#sizes.clear();
    this.#total = 0;
    const query = { order: "key", now: 0, limit: pageSize } as const;
    for await (const { records } of eachPage((after) => this.#store.find({ ...query, ...after })))
      for (const record of records) await this.#count(record);
  }

  async #count(record: SessionRecord): Promise<void> {
    const stored: StoredSizes = { record: sizeOfRecord(record), logs: new Map() };
    for (const [log, to] of Object.entries(record.heads)) {
      for (let from = 1; from <= to;) {
        const range = { log, from, to, order: "ascending", limit: pageSize } as const;
        const entries = await this.#store.read(record, range);
        const [first, last] = [entries[0], entries.at(-1)];
        if (first === undefined || last === undefined) break;
        addSizes(stored, { log, from: first.seq, entries });
        from = last.seq + 1;
      }
    }
    this.#sizes.set(keyText(record), stored);
    this.#total += sizeOfAll(stored);
  }
}

/**
 * True for a change by which the outbox records its replay. It must not fail because the outbox is full: the replay
 * empties the outbox.
 */
function isBookkeeping({ splices }: Change): boolean {
  return splices.length > 0 && splices.every(({ log }) => log === "told");
}

function addSizes(
  stored: StoredSizes,
  { log, from, entries }: { log: LogName; from: number; entries: readonly Entry[] },
): void {
  const sizes = stored.logs.get(log) ?? { first: from, sizes: [] };
  stored.logs.set(log, sizes);
  if ((entries[0]?.seq ?? from) < from) {
    sizes.sizes.unshift(...entries.map(sizeOfEntry));
    sizes.first -= entries.length;
    return;
  }
  sizes.sizes.splice(Math.max(0, from - sizes.first), Number.POSITIVE_INFINITY, ...entries.map(sizeOfEntry));
}

function sizeOfAll({ record, logs }: StoredSizes): number {
  return record + sum([...logs.values()].map(({ sizes }) => sum(sizes)));
}

function sizeOfRecord({ metadata, title, labels }: SessionRecord): number {
  return recordBytes + 2 * encode([metadata, title, labels]).length;
}

function sizeOfEntry({ data }: Entry): number {
  return entryBytes + 2 * data.length;
}

function sum(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total + size, 0);
}
