import type { DatabaseSync, StatementSync } from "node:sqlite";

/** One step deletes at most so many entries, or so many bytes of them: a few milliseconds. */
const stepMax = { entries: 500, bytes: 8 * 1024 * 1024 } as const;

/**
 * Deletes the entries of removed sessions in bounded steps. A session's number is never given out again, so its entries are
 * out of every reader's sight once its row is gone, and the deletion may take its time. The table `removed` says which numbers
 * still have entries; another process, or the next one, goes on where this one stopped.
 */
export class RemovedEntries {
  readonly #some: StatementSync;
  readonly #deleteEntry: StatementSync;
  readonly #note: StatementSync;
  readonly #next: StatementSync;
  readonly #forget: StatementSync;

  constructor(database: DatabaseSync) {
    this.#some = database.prepare(
      "select rowid, octet_length(data) + ifnull(octet_length(bytes), 0) from entries where session = ?",
    );
    this.#some.setReturnArrays(true);
    this.#deleteEntry = database.prepare("delete from entries where rowid = ?");
    this.#note = database.prepare("insert into removed (session) values (?)");
    this.#next = database.prepare("select session from removed limit 1");
    this.#forget = database.prepare("delete from removed where session = ?");
  }

  /** Delete the first entries of a session that is removed in the same transaction. True where more are left. */
  begin(session: number): boolean {
    const isLeft = !this.#deleteSome(session);
    if (isLeft) this.#note.run(session);
    return isLeft;
  }

  /** Delete some entries of removed sessions, within a transaction. False where none are left. */
  step(): boolean {
    const found = this.#next.get() as { readonly session: number } | undefined;
    if (found === undefined) return false;
    if (this.#deleteSome(found.session)) this.#forget.run(found.session);
    return true;
  }

  /** True where removed sessions still have entries. */
  get isLeft(): boolean {
    return this.#next.get() !== undefined;
  }

  /** True where all entries of the session are gone. */
  #deleteSome(session: number): boolean {
    const rows: number[] = [];
    let bytes = 0;
    for (const row of this.#some.iterate(session)) {
      const [rowid, size] = row as unknown as [number, number];
      if (rows.length > 0 && bytes + size > stepMax.bytes) break;
      if (rows.length >= stepMax.entries) break;
      rows.push(rowid);
      bytes += size;
    }
    for (const rowid of rows) this.#deleteEntry.run(rowid);
    return this.#some.get(session) === undefined;
  }
}
