import { setTimeout as sleep } from "node:timers/promises";
import { hasCode } from "../../../errors.ts";
import type { Database } from "../connection/database.ts";

/** Pauses of a caller that waits for the deletions of other processes. */
const pauseMs = { first: 20, longest: 1000 };

/**
 * Deletes the entries of removed logs in bounded statements, after the commit that removed the logs. The table `removed` has
 * what is left, so another or a later process continues.
 */
export class RemovedLogs {
  readonly #database: Database;
  readonly #schema: string;
  /** The deletion, while it runs. */
  #deleting: Promise<void> | undefined;
  #closed = false;

  constructor(database: Database, schema: string) {
    this.#database = database;
    this.#schema = schema;
  }

  /** Begins to delete, unless a deletion runs: that one ends only when nothing is left. */
  deleteSoon(): void {
    this.#deleting ??= this.#deleteSome().finally(() => (this.#deleting = undefined));
  }

  async #deleteSome(): Promise<void> {
    try {
      await this.#pass();
    } catch {
      // The server is away, or entries are damaged: the next heartbeat or the next new lane tries again.
    }
  }

  /** Deletes what is left, and skips logs with damaged entries. @throws SessionError the first error of those, at the end */
  async #pass(): Promise<void> {
    const failures: unknown[] = [];
    for (let isLeft = true; isLeft && !this.#closed;) {
      try {
        isLeft = await this.#step(failures.length);
      } catch (error) {
        if (!hasCode(error, "store_invalid")) throw error;
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  /**
   * Deletes until no entries are left of what was removed before this call, also by other processes.
   * @throws SessionError `store_invalid` where entries are damaged; the others are deleted
   */
  async deleteAll(): Promise<void> {
    const [row] = await this.#database.ask("select now()::text as now");
    for (let pause = pauseMs.first; ; pause = Math.min(pause * 2, pauseMs.longest)) {
      await this.#pass();
      const [found] = await this.#database.ask(
        `select exists (select from ${this.#schema}.removed where noted_at <= $1::timestamptz) as are_left`,
        [row?.["now"]],
      );
      if (found?.["are_left"] !== true) return;
      await sleep(pause);
    }
  }

  /** False if nothing is left after the skipped logs, or other processes delete it. A step that runs twice deletes more. */
  async #step(skipped: number): Promise<boolean> {
    const [row] = await this.#database.ask(`select ${this.#schema}.delete_removed($1) as deleted`, [skipped]);
    return row?.["deleted"] === true;
  }

  /** Waits for the step that runs. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#deleting;
  }
}
