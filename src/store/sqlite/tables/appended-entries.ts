import type { Entry, LogName } from "../../../domain/record/entry.ts";
import { isRefused } from "../connection/sqlite-error.ts";
import { entriesAtOnce, type Statements } from "../statements.ts";

/** The values of one entry in its statement: session, log, seq, key, at, data. */
const valuesOfOne = 6;
const valuesAtOnce = entriesAtOnce * valuesOfOne;

type Value = string | number | null;

/**
 * Entries of one batch that go behind the end of their logs. Nothing is deleted before they are written, and entries of several
 * sessions share a statement.
 */
export class AppendedEntries {
  #values: Value[] = [];

  add(session: number, log: LogName, entries: readonly Entry[]): void {
    for (const { seq, key, at, data } of entries) this.#values.push(session, log, seq, key, at, data);
  }

  /** Write what was added. A statement of the same batch that reads or deletes entries comes after this. */
  write(sql: Statements): void {
    if (this.#values.length === 0) return;
    const values = this.#values;
    this.#values = [];
    let written = 0;
    for (; values.length - written >= valuesAtOnce; written += valuesAtOnce) {
      const some = values.slice(written, written + valuesAtOnce);
      try {
        sql.insertEntries.run(...some);
      } catch (error) {
        if (!isRefused(error)) throw error;
        writeEach(sql, some);
      }
    }
    if (written < values.length) writeEach(sql, written === 0 ? values : values.slice(written));
  }
}

/** A damaged file may have entries behind the end of a log. They go, as before any other splice. */
function writeEach(sql: Statements, values: readonly Value[]): void {
  for (let from = 0; from < values.length; from += valuesOfOne) {
    const entry = values.length === valuesOfOne ? values : values.slice(from, from + valuesOfOne);
    try {
      sql.insertEntry.run(...entry);
    } catch (error) {
      if (!isRefused(error)) throw error;
      const [session = 0, log = "", seq = 0] = entry;
      sql.cutLog.run(session, log, seq);
      sql.insertEntry.run(...entry);
    }
  }
}
