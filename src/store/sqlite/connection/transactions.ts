import type { DatabaseSync, StatementSync } from "node:sqlite";

/**
 * The transactions of one connection. Each begins, works and ends within one turn of the event loop, so two are never open at
 * the same time, and none stays open.
 */
export class Transactions {
  readonly #database: DatabaseSync;
  readonly #begin: StatementSync;
  readonly #beginImmediate: StatementSync;
  readonly #commit: StatementSync;
  readonly #rollBack: StatementSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
    this.#begin = database.prepare("begin");
    this.#beginImmediate = database.prepare("begin immediate");
    this.#commit = database.prepare("commit");
    this.#rollBack = database.prepare("rollback");
  }

  /** Runs `work` on one snapshot. */
  reading<T>(work: () => T): T {
    return this.#within(this.#begin, work);
  }

  /**
   * Runs `work` under the only write lock of the file. The lock is taken at the start: a transaction that takes it after a read
   * may find that others have written, and has to be repeated.
   */
  writing<T>(work: () => T): T {
    return this.#within(this.#beginImmediate, work);
  }

  #within<T>(begin: StatementSync, work: () => T): T {
    begin.run();
    try {
      const result = work();
      this.#commit.run();
      return result;
    } catch (error) {
      // SQLite itself rolls back on a full disk or an I/O error; another rollback would hide the error.
      if (this.#database.isTransaction) this.#rollBack.run();
      throw error;
    }
  }
}
