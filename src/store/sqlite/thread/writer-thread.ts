import type { StatementSync } from "node:sqlite";
import type { Worker } from "node:worker_threads";
import { SessionError } from "../../../errors.ts";

/** A value of a statement. */
export type Value = string | number | null;

/** Changes of many sessions, as the values of statements: of each kind one statement after the other. */
export interface Writes {
  /** The tenants of the sessions. */
  readonly tenants: readonly string[];
  /** Keys that no entry may have. */
  readonly claims: readonly Value[];
  readonly updates: readonly Value[];
  /** Logs and the seq from which on their entries are deleted, before the new entries are written. */
  readonly cuts: readonly Value[];
  readonly entries: readonly Value[];
}

/** The statements of the thread, which prepares their texts on its connection. */
interface ThreadStatements {
  /** Finds the subscription of a tenant to news. */
  readonly subscription: StatementSync;
  /** Finds the entry of a key. */
  readonly entryByKey: StatementSync;
  /** Updates one record, if it is still the expected one. */
  readonly update: StatementSync;
  readonly cut: StatementSync;
  readonly insertOne: StatementSync;
  /** Inserts `many` entries. */
  readonly insertMany: StatementSync;
  readonly many: number;
}

interface Options {
  readonly file: string;
  readonly synchronous: "full" | "normal";
  readonly statements: ThreadStatements;
}

/** Called once with the answer of the thread to a batch: whether it was written. Undefined: the thread ended before. */
type Receiver = (isWritten: boolean | undefined) => void;

/**
 * A thread with a connection of its own, which writes large batches, each in one transaction. It writes a whole batch or
 * nothing: where a record is not the expected one, a key or an entry is there, a tenant has a subscription to news, another
 * connection has the lock, or SQLite reports any other error, the thread rolls back. The caller's thread then writes the batch.
 */
export class WriterThread {
  readonly #file: string;
  readonly #worker: Worker;
  /** In the order of the batches. */
  readonly #receivers: Receiver[] = [];
  readonly #idle: (() => void)[] = [];
  #isReady = false;
  readonly #ended = Promise.withResolvers<void>();

  constructor({ file, synchronous, statements: { many, ...statements } }: Options) {
    // Node takes 3 ms to load its threads, so the first large batch loads them, and an opened store does not.
    const { Worker: Thread } = process.getBuiltinModule("node:worker_threads");
    const named = Object.entries(statements).map(([name, { sourceSQL }]) => [name, sourceSQL] as const);
    const workerData = { file, synchronous, many, texts: Object.fromEntries(named) };
    this.#file = file;
    this.#worker = new Thread(threadText, { eval: true, execArgv: [], workerData });
    this.#worker.on("message", (answer: "ready" | boolean) => {
      if (answer === "ready") this.#isReady = true;
      else this.#answered(answer);
    });
    // The thread could not open the file, or had no memory left: its end follows.
    this.#worker.on("error", () => (this.#isReady = false));
    this.#worker.once("exit", () => {
      this.#isReady = false;
      while (this.isBusy) this.#answered(undefined);
      this.#ended.resolve();
    });
    // After the listener of messages, which keeps the process alive.
    this.#worker.unref();
  }

  /** True from the time that the thread has its connection to its end. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** True while a batch is in flight. */
  get isBusy(): boolean {
    return this.#receivers.length > 0;
  }

  /** Resolves when no batch is in flight. */
  async idle(): Promise<void> {
    if (this.isBusy) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /**
   * Writes the batch in one transaction; false if nothing was written.
   * @throws SessionError `store_unavailable` if the thread ended: the outcome is unknown
   */
  async write({ tenants, claims, updates, cuts, entries }: Writes): Promise<boolean> {
    // A thread without work does not keep the process alive.
    this.#worker.ref();
    const isWritten = await new Promise<boolean | undefined>((resolve) => {
      this.#receivers.push(resolve);
      this.#worker.postMessage({ tenants, claims, updates, cuts, entries }, []);
    });
    if (isWritten === undefined)
      throw new SessionError("store_unavailable", { store: this.#file, problem: "unreachable" });
    return isWritten;
  }

  /** Ends the thread behind its batches. Resolves when its connection is closed. */
  async close(): Promise<void> {
    this.#worker.ref();
    this.#worker.postMessage("close", []);
    await this.#ended.promise;
  }

  #answered(isWritten: boolean | undefined): void {
    this.#receivers.shift()?.(isWritten);
    if (this.isBusy) return;
    this.#worker.unref();
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}

/** A text instead of a module: a program that is bundled into one file has no file of the thread. */
const threadText = `
const { DatabaseSync } = require("node:sqlite");
const { parentPort, workerData: { file, synchronous, texts, many } } = require("node:worker_threads");
const database = new DatabaseSync(file, { timeout: 0 });
database.exec("pragma synchronous = " + synchronous);
const [begin, commit, rollBack] = ["begin immediate", "commit", "rollback"].map((text) => database.prepare(text));
const { subscription, entryByKey, update, cut, insertOne, insertMany } = Object.fromEntries(
  Object.entries(texts).map(([name, text]) => [name, database.prepare(text)]),
);
const valuesOf = { claim: 4, update: 10, cut: 3, entry: 6, entries: 6 * many };

/** False once a statement answers false; take gets the values of one statement after the other. */
function every(values, size, take) {
  for (let from = 0; from < values.length; from += size)
    if (take(values.slice(from, from + size)) === false) return false;
  return true;
}

const insert = (values) => {
  if (values.length === valuesOf.entries) insertMany.run(...values);
  else every(values, valuesOf.entry, (entry) => void insertOne.run(...entry));
};

/** False if the batch does not fit what is stored. */
function writeAll({ tenants, claims, updates, cuts, entries }) {
  return (
    tenants.every((tenant) => subscription.get(tenant) === undefined) &&
    every(claims, valuesOf.claim, (claim) => entryByKey.get(...claim) === undefined) &&
    every(updates, valuesOf.update, (values) => update.run(...values).changes === 1) &&
    every(cuts, valuesOf.cut, (values) => void cut.run(...values)) &&
    every(entries, valuesOf.entries, insert)
  );
}

function write(batch) {
  try {
    begin.run();
    const fits = writeAll(batch);
    if (fits) commit.run();
    return fits;
  } catch {
    return false;
  } finally {
    if (database.isTransaction) rollBack.run();
  }
}

parentPort.on("message", (message) => {
  if (message !== "close") {
    parentPort.postMessage(write(message));
    return;
  }
  database.close();
  parentPort.close();
});
parentPort.postMessage("ready");
`;
