import type { DatabaseSync, StatementSync } from "node:sqlite";
import {
  documentAfter,
  documentFits,
  type DocumentChange,
  type DocumentKey,
  type StoredDocument,
} from "../../../domain/documents/document.ts";
import { documentConflict, documentKeyOf } from "../../documents.ts";
import type {
  DeletedDocuments,
  DocumentConflict,
  DocumentPaging,
  DocumentQuery,
  DocumentRange,
  FoundDocuments,
} from "../../store.ts";
import { entryBytes, pageOf } from "../../within-bytes.ts";
import { exact } from "../record-columns.ts";
import { Where } from "../where.ts";

const columns = `tenant, scope, key, ${exact("version")} as version, user, ${exact("created_at")} as createdAt,
  ${exact("updated_at")} as updatedAt, ${exact("expires_at")} as expiresAt, data`;

const live = "(expires_at is null or expires_at > ?)";

/**
 * The documents of a file. A removed document is a row that expired at time 0, without data. The rows are
 * found by an index of their keys and are not part of it: a document may have a megabyte.
 */
export class Documents {
  readonly #database: DatabaseSync;
  readonly #place: StatementSync;
  readonly #row: StatementSync;
  readonly #byKeys: StatementSync;
  readonly #put: StatementSync;
  readonly #touch: StatementSync;
  readonly #deleteOfUser: StatementSync;
  readonly #deleteExpired: StatementSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
    const one = "tenant = ? and scope = ? and key = ?";
    this.#place = database.prepare(`
      select ${exact("version")} as version, ${exact("expires_at")} as expiresAt, ${exact("created_at")} as createdAt
      from documents where ${one}`);
    this.#row = database.prepare(`select ${columns} from documents where ${one}`);
    this.#byKeys = database.prepare(`
      select ${columns} from documents
      where (tenant, scope, key) in (select value ->> 'tenant', value ->> 'scope', value ->> 'key' from json_each(?))
        and ${live}
      order by tenant, scope, key`);
    this.#put = database.prepare(`
      insert into documents (tenant, scope, key, version, user, created_at, updated_at, expires_at, data)
      values (?, ?, ?, ?, ?, ?, ?, ?, ?)
      on conflict (tenant, scope, key) do update set version = excluded.version, user = excluded.user,
        created_at = excluded.created_at, updated_at = excluded.updated_at, expires_at = excluded.expires_at,
        data = excluded.data`);
    this.#touch = database.prepare(`update documents set expires_at = ? where ${one}`);
    const first = (where: string, order: string): string =>
      `delete from documents where rowid in (select rowid from documents where ${where} order by ${order} limit ?)
       returning tenant, scope, key, ${exact("expires_at")} as expiresAt`;
    this.#deleteOfUser = database.prepare(first("tenant = ? and user = ?", "rowid"));
    // The condition of the index, and a plus, so that SQLite uses it.
    this.#deleteExpired = database.prepare(
      first(
        "expires_at is not null and expires_at < ? and updated_at < ? and +tenant = coalesce(?, tenant)",
        "expires_at",
      ),
    );
  }

  /** The outcome of a change that does not fit; undefined for one that fits. */
  conflict(change: DocumentChange, now: number): DocumentConflict | undefined {
    const { tenant, scope, key } = change.document;
    const place = this.#place.get(tenant, scope, key) as unknown as Place | undefined;
    if (documentFits(change, place, now)) return undefined;
    return documentConflict(change.document, this.#rowOf(change.document), now);
  }

  /** Writes a change that fits. */
  apply(change: DocumentChange, now: number): void {
    const { tenant, scope, key } = change.document;
    if (change.kind === "touch") {
      this.#touch.run(change.expiresAt, tenant, scope, key);
      return;
    }
    const place = this.#place.get(tenant, scope, key) as unknown as Place | undefined;
    // The columns that the new row takes from the old one.
    const before = place && { ...change.document, ...place, user: null, updatedAt: 0, data: "" };
    const row = documentAfter(change, before, now);
    if (row === undefined) return;
    const { version, user, createdAt, updatedAt, expiresAt, data } = row;
    this.#put.run(tenant, scope, key, version, user, createdAt, updatedAt, expiresAt, data);
  }

  #rowOf({ tenant, scope, key }: DocumentKey): StoredDocument | undefined {
    const row = this.#row.get(tenant, scope, key) as unknown as StoredDocument | undefined;
    return row && { ...row };
  }

  find(query: DocumentQuery, now: number): FoundDocuments {
    if ("keys" in query) {
      const rows = this.#byKeys.all(JSON.stringify(query.keys), now) as unknown as StoredDocument[];
      return { documents: rows.map((row) => ({ ...row })), next: undefined };
    }
    const where = whereOf(query, now);
    const statement = this.#database.prepare(`
      select ${columns} from documents where ${where.conditions.join(" and ")} order by tenant, scope, key limit ?`);
    const rows = statement.iterate(...where.values, query.limit + 1) as unknown as Iterable<StoredDocument>;
    const { page, hasMore } = pageOf(rows, entryBytes, query);
    const last = hasMore ? page.at(-1) : undefined;
    return { documents: page, next: last && documentKeyOf(last) };
  }

  count(range: DocumentRange, now: number): number {
    const where = whereOf(range, now);
    const statement = this.#database.prepare(
      `select count(*) as count from documents where ${where.conditions.join(" and ")}`,
    );
    return Number(statement.get(...where.values)?.["count"]);
  }

  /** Deletes documents, and returns their keys. */
  delete(selection: DeletedDocuments): readonly (DocumentKey & Pick<StoredDocument, "expiresAt">)[] {
    const rows =
      "user" in selection
        ? this.#deleteOfUser.all(selection.tenant, selection.user, selection.limit)
        : this.#deleteExpired.all(selection.before, selection.before, selection.tenant ?? null, selection.limit);
    return rows as unknown as (DocumentKey & Pick<StoredDocument, "expiresAt">)[];
  }
}

type Place = Pick<StoredDocument, "version" | "expiresAt" | "createdAt">;

function whereOf(range: DocumentRange & Partial<DocumentPaging>, now: number): Where {
  const where = new Where();
  const { tenant, scope, user, after } = range;
  if (tenant !== undefined) where.and("tenant = ?", tenant);
  if (user !== undefined) where.and("user = ?", user);
  if (scope !== undefined) {
    where.and("scope = ?", scope);
    if (range.from !== undefined) where.and("key >= ?", range.from);
    if (range.to !== undefined) where.and("key < ?", range.to);
    if (after !== undefined) where.and("key > ?", after.key);
  } else if (after !== undefined) {
    where.and("(tenant, scope, key) > (?, ?, ?)", after.tenant, after.scope, after.key);
  }
  where.and(live, now);
  return where;
}
