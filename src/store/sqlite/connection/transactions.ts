import type { DatabaseSync, StatementSync } from "node:sqlite";

/**
 * The transactions of one connection. Each begins, works and ends without giving the event loop a turn, so no two of
 * them are ever open at once and none is left behind.
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

  /** All that `work` reads is from the same instant. */
  reading<T>(work: () => T): T {
    return this.#within(this.#begin, work);
  }

  /**
   * `work` holds the file's only write lock from the start: a transaction that took it later, after reading, could find
   * that others wrote in between, and all of it would have to be done again.
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
      // SQLite has rolled back by itself on a full disk or an I/O error; a rollback then would hide what happened.
      if (this.#database.isTransaction) this.#rollBack.run();
      throw error;
    }
  }
}
