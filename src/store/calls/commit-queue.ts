import { keyText } from "../../domain/record/entry.ts";
import { documentText } from "../../domain/documents/document.ts";
import { isDocumentChange, type Transaction } from "../../domain/record/change.ts";
import { storeCalls } from "./traced-store.ts";
import type { Outcome, Store } from "../store.ts";
import { contextFor, type Within } from "./async-context.ts";

/** Gets the outcome of a transaction. Its calls do not throw. */
interface Receiver {
  /** Undefined if there was nothing to commit. */
  settle(outcome: Outcome | undefined): void;
  fail(error: unknown): void;
}

/**
 * A transaction of one session that is made when its batch is put together: then it is of the newest record, and what waits is
 * small.
 */
export interface LateTransaction extends Receiver {
  /** The key of the session, as `keyText` gives it. */
  readonly keyText: string;
  /** Undefined if there is nothing to commit. */
  make(): Transaction | undefined;
}

/**
 * It is of a class, because V8 allocates the objects of a literal among the old objects once most of them have survived a
 * collection. An old object keeps what it names alive until a collection of all objects.
 */
class Pending {
  readonly receiver: Receiver;
  /** Undefined until its batch is put together, if it is late. */
  transaction: Transaction | undefined;
  readonly late: LateTransaction | undefined;
  /** Runs work in the async context of the caller; set while the tracing channel has subscribers. */
  readonly within: Within | undefined = contextFor(storeCalls);
  /** The sessions and documents that it changes. */
  readonly keys: readonly string[];
  /** The characters of its entries and documents, once it is made. */
  size = 0;

  constructor(receiver: Receiver, changing: Transaction | LateTransaction) {
    this.receiver = receiver;
    if ("make" in changing) {
      this.transaction = undefined;
      this.late = changing;
      this.keys = [changing.keyText];
    } else {
      this.transaction = changing;
      this.late = undefined;
      this.keys = changing.map(textOf);
      this.size = sizeOf(changing);
    }
  }
}

const now = Promise.resolve();

/** The most characters of entries and documents in one batch, which is in memory as a whole; a larger transaction is sent alone. */
const batchSizeMax = 8 * 1024 * 1024;

/**
 * Group commit for any store: the queue gathers transactions while commits are in flight, and sends them as the next batch.
 * One writer pays one round trip; a thousand share it. At most one change of a session or document is in flight at a time.
 */
export class CommitQueue {
  readonly #store: Store;
  #pending: Pending[] = [];
  readonly #underWay = new Set<string>();
  #lanesInUse = 0;
  #scheduled = false;
  /** The number of transactions in the last batch. */
  #lastBatch = 0;
  readonly #idle: (() => void)[] = [];

  constructor(store: Store) {
    this.#store = store;
  }

  /** Rejects only if the store failed: a refused transaction is an outcome. */
  commit(transaction: Transaction): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const settle = (outcome: Outcome | undefined): void => void (outcome === undefined || resolve(outcome));
      this.#add(new Pending({ settle, fail: reject }, transaction));
    });
  }

  commitLate(late: LateTransaction): void {
    this.#add(new Pending(late, late));
  }

  #add(pending: Pending): void {
    this.#pending.push(pending);
    this.#schedule();
  }

  /** Resolves when no transaction is pending or in flight. */
  async drain(): Promise<void> {
    if (this.#pending.length === 0 && this.#lanesInUse === 0) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /**
   * The queue sends a batch after a turn of the event loop: more transactions may arrive, and timers and sockets run between
   * the commits of a store that works on this thread. The transaction of a lone writer is sent at once.
   */
  #schedule(): void {
    const waiting = this.#pending.length;
    if (this.#scheduled || waiting === 0) return;
    // Every store has a lane.
    if (this.#lanesInUse > 0 && this.#lanesInUse >= this.#store.capabilities.lanes) return;
    this.#scheduled = true;
    // `queueMicrotask` of Node makes an object for async hooks, which a promise does not need.
    if (waiting === 1 && this.#lastBatch <= 1) void now.then(this.#sendNext);
    else setImmediate(this.#sendNext);
  }

  readonly #sendNext = (): void => {
    this.#scheduled = false;
    const batch = this.#take();
    if (batch.length === 0) {
      this.#idled();
      return;
    }
    this.#lastBatch = batch.length;
    void this.#send(batch);
  };

  #take(): Pending[] {
    const batchMax = this.#pending.length === 1 ? 1 : this.#store.capabilities.batchMax;
    const batch: Pending[] = [];
    const later: Pending[] = [];
    let looked = 0;
    let size = 0;
    for (const pending of this.#pending) {
      // A hundred thousand transactions may wait, so a batch reads no more of them than it needs.
      if (batch.length === batchMax || (batch.length > 0 && size + pending.size > batchSizeMax)) break;
      looked++;
      const free = this.#isFree(pending);
      if (free && pending.transaction === undefined && !made(pending)) continue;
      if (free && batch.length > 0 && size + pending.size > batchSizeMax) {
        later.push(pending);
      } else if (free) {
        for (const key of pending.keys) this.#underWay.add(key);
        batch.push(pending);
        size += pending.size;
      } else {
        later.push(pending);
      }
    }
    if (later.length === 0 && looked === this.#pending.length) this.#pending = [];
    else if (later.length === 0) this.#pending.splice(0, looked);
    else this.#pending = [...later, ...this.#pending.slice(looked)];
    return batch;
  }

  /** True if no change of its sessions and documents is in flight. */
  #isFree({ keys }: Pending): boolean {
    for (const key of keys) if (this.#underWay.has(key)) return false;
    return true;
  }

  async #send(batch: readonly Pending[]): Promise<void> {
    this.#lanesInUse++;
    this.#schedule();
    try {
      const transactions = batch.map(({ transaction = [] }) => transaction);
      // A batch is published in the context of its first transaction: that of the queue is of an earlier caller.
      const within = batch[0]?.within;
      const outcomes = await (within === undefined
        ? this.#store.commit(transactions)
        : within(() => this.#store.commit(transactions)));
      for (const [index, { receiver }] of batch.entries()) {
        const outcome = outcomes[index];
        if (outcome === undefined)
          receiver.fail(new Error(`the store gave ${outcomes.length} outcomes for ${batch.length}`));
        else receiver.settle(outcome);
      }
    } catch (error) {
      for (const { receiver } of batch) receiver.fail(error);
    }
    for (const pending of batch) {
      for (const key of pending.keys) this.#underWay.delete(key);
      // One that waited long is among the old objects: what it names would survive each collection of the young ones.
      pending.transaction = undefined;
    }
    this.#lanesInUse--;
    if (this.#pending.length > 0) this.#schedule();
    else this.#idled();
  }

  #idled(): void {
    if (this.#idle.length === 0 || this.#pending.length > 0 || this.#lanesInUse > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}

/** Make the transaction; false if there is nothing to commit. */
function made(pending: Pending): boolean {
  try {
    pending.transaction = pending.late?.make();
  } catch (error) {
    pending.receiver.fail(error);
    return false;
  }
  if (pending.transaction === undefined) {
    pending.receiver.settle(undefined);
    return false;
  }
  pending.size = sizeOf(pending.transaction);
  return true;
}

/** The key of a change as a text. The text of a document has three parts, so it is never that of a session. */
function textOf(change: Transaction[number]): string {
  return isDocumentChange(change) ? documentText(change.document) : keyText(change.key);
}

function sizeOf(transaction: Transaction): number {
  let size = 0;
  for (const change of transaction) {
    if (isDocumentChange(change)) {
      if (change.kind === "put") size += change.data.length;
      continue;
    }
    const { splices, logsOf } = change;
    // A store may need long to move logs, so such a transaction has a batch of its own.
    if (logsOf !== undefined) return Infinity;
    for (const { entries } of splices) for (const { data } of entries) size += data.length;
  }
  return size;
}
