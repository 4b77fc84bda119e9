import type { DatabaseSync, StatementSync } from "node:sqlite";

/** The most entries and bytes that one step deletes in a few milliseconds. */
const stepMax = { entries: 500, bytes: 8 * 1024 * 1024 } as const;

/**
 * Deletes the entries of removed sessions in bounded steps. The number of a session is never used again, so no reader finds
 * its entries after its row is deleted. The table `removed` has the numbers with entries left; another or a later process
 * continues the deletion.
 */
export class RemovedEntries {
  readonly #some: StatementSync;
  readonly #deleteEntry: StatementSync;
  readonly #note: StatementSync;
  readonly #next: StatementSync;
  readonly #deleteMark: StatementSync;

  constructor(database: DatabaseSync) {
    this.#some = database.prepare(
      "select rowid, octet_length(data) + ifnull(octet_length(bytes), 0) from entries where session = ?",
    );
    this.#some.setReturnArrays(true);
    this.#deleteEntry = database.prepare("delete from entries where rowid = ?");
    this.#note = database.prepare("insert into removed (session) values (?)");
    this.#next = database.prepare("select session from removed limit 1");
    this.#deleteMark = database.prepare("delete from removed where session = ?");
  }

  /** Deletes the first entries of a session that the same transaction removes. True if more are left. */
  begin(session: number): boolean {
    const isLeft = !this.#deleteSome(session);
    if (isLeft) this.#note.run(session);
    return isLeft;
  }

  /** Deletes some entries of removed sessions, within a transaction. False if none are left. */
  step(): boolean {
    const found = this.#next.get() as { readonly session: number } | undefined;
    if (found === undefined) return false;
    if (this.#deleteSome(found.session)) this.#deleteMark.run(found.session);
    return true;
  }

  /** True if removed sessions have entries left. */
  get isLeft(): boolean {
    return this.#next.get() !== undefined;
  }

  /** True if all entries of the session are deleted. */
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
