import type { Entry, LogName } from "../../../domain/record/entry.ts";
import { isRefused } from "../connection/sqlite-error.ts";
import { entriesAtOnce, type Statements } from "../statements.ts";

type Row = readonly [session: number, log: LogName, seq: number, key: string | null, at: number, data: string];

/**
 * Entries of one batch that go behind the end of their logs. Nothing is deleted before they are written, and entries of several
 * sessions share a statement.
 */
export class AppendedEntries {
  #rows: Row[] = [];

  add(session: number, log: LogName, entries: readonly Entry[]): void {
    for (const { seq, key, at, data } of entries) this.#rows.push([session, log, seq, key, at, data]);
  }

  /** Write what was added. A statement of the same batch that reads or deletes entries comes after this. */
  write(sql: Statements): void {
    if (this.#rows.length === 0) return;
    const rows = this.#rows;
    this.#rows = [];
    let written = 0;
    for (; rows.length - written >= entriesAtOnce; written += entriesAtOnce) {
      const some = rows.slice(written, written + entriesAtOnce);
      try {
        sql.insertEntries.run(...some.flat());
      } catch (error) {
        if (!isRefused(error)) throw error;
        for (const row of some) writeOne(sql, row);
      }
    }
    for (; written < rows.length; written++) {
      const row = rows[written];
      if (row !== undefined) writeOne(sql, row);
    }
  }
}

/** A damaged file may have entries behind the end of a log. They go, as before any other splice. */
function writeOne(sql: Statements, row: Row): void {
  try {
    sql.insertEntry.run(...row);
  } catch (error) {
    if (!isRefused(error)) throw error;
    const [session, log, seq] = row;
    sql.cutLog.run(session, log, seq);
    sql.insertEntry.run(...row);
  }
}
