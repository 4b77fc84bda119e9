import type { StatementSync } from "node:sqlite";
import type { Worker } from "node:worker_threads";
import { SessionError } from "../../../errors.ts";

/** A value of a statement. */
export type Value = string | number | null;

/** Appends to many sessions, as the values of statements, one statement after the other. */
export interface Appends {
  /** The tenants of the sessions. */
  readonly tenants: readonly string[];
  readonly updates: readonly Value[];
  readonly entries: readonly Value[];
}

/** The statements of the thread, which prepares their texts on its connection. */
interface AppendStatements {
  /** Finds the subscription of a tenant to news. */
  readonly subscription: StatementSync;
  /** Updates one record, if it is still the expected one. */
  readonly update: StatementSync;
  readonly insertOne: StatementSync;
  /** Inserts `many` entries. */
  readonly insertMany: StatementSync;
  readonly many: number;
}

interface Options {
  readonly file: string;
  readonly synchronous: "full" | "normal";
  readonly statements: AppendStatements;
}

/** Called once with the answer of the thread to a batch: whether it was written. Undefined: the thread ended before. */
type Receiver = (isWritten: boolean | undefined) => void;

/**
 * A thread with a connection of its own, which writes batches of appends, each in one transaction. It writes a whole batch or
 * nothing: where a record is not the expected one, an entry is in the way, a tenant has a subscription to news, another
 * connection has the lock, or SQLite reports any other error, the thread rolls back. The caller's thread then writes the batch.
 */
export class AppendThread {
  readonly #file: string;
  readonly #worker: Worker;
  /** In the order of the batches. */
  readonly #receivers: Receiver[] = [];
  readonly #idle: (() => void)[] = [];
  #isReady = false;
  readonly #ended = Promise.withResolvers<void>();

  constructor({ file, synchronous, statements: { subscription, update, insertOne, insertMany, many } }: Options) {
    // Node takes 3 ms to load its threads, so the first large batch loads them, and an opened store does not.
    const { Worker: Thread } = process.getBuiltinModule("node:worker_threads");
    const texts = {
      subscription: subscription.sourceSQL,
      update: update.sourceSQL,
      insertOne: insertOne.sourceSQL,
      insertMany: insertMany.sourceSQL,
    };
    this.#file = file;
    this.#worker = new Thread(threadText, { eval: true, execArgv: [], workerData: { file, synchronous, texts, many } });
    this.#worker.unref();
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
   * Writes the appends in one transaction; false if nothing was written.
   * @throws SessionError `store_unavailable` if the thread ended: the outcome is unknown
   */
  async write({ tenants, updates, entries }: Appends): Promise<boolean> {
    // A thread without work does not keep the process alive.
    this.#worker.ref();
    const isWritten = await new Promise<boolean | undefined>((resolve) => {
      this.#receivers.push(resolve);
      this.#worker.postMessage({ tenants, updates, entries }, []);
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
const subscription = database.prepare(texts.subscription);
const update = database.prepare(texts.update);
const insertOne = database.prepare(texts.insertOne);
const insertMany = database.prepare(texts.insertMany);
const valuesOfUpdate = 10;
const valuesOfEntry = 6;
const valuesOfMany = many * valuesOfEntry;

/** False if the appends do not fit what is stored. */
function insertAll({ tenants, updates, entries }) {
  if (tenants.some((tenant) => subscription.get(tenant) !== undefined)) return false;
  for (let from = 0; from < updates.length; from += valuesOfUpdate) {
    const { changes } = update.run(...updates.slice(from, from + valuesOfUpdate));
    if (changes !== 1) return false;
  }
  let from = 0;
  for (; entries.length - from >= valuesOfMany; from += valuesOfMany)
    insertMany.run(...entries.slice(from, from + valuesOfMany));
  for (; from < entries.length; from += valuesOfEntry) insertOne.run(...entries.slice(from, from + valuesOfEntry));
  return true;
}

function write(appends) {
  try {
    begin.run();
    const fits = insertAll(appends);
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
