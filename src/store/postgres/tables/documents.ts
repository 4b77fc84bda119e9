import { documentKeyOf } from "../../documents.ts";
import type { StoredDocument } from "../../../domain/documents/document.ts";
import type { DeletedDocuments, DocumentPaging, DocumentQuery, DocumentRange, FoundDocuments } from "../../store.ts";
import { entryBytes, pageOf } from "../../within-bytes.ts";
import type { Database, Row } from "../connection/database.ts";
import { sqlInto, type Sql } from "../connection/sql.ts";
import { notingDeleted } from "./news.ts";
import { nowMs } from "../schema/functions/load-sessions.ts";

const columns = "tenant, scope, key, version, user_id, created_at, updated_at, expires_at, data";
// The subquery reads the time once for all rows.
const live = `(expires_at is null or expires_at > (select ${nowMs}))`;
const byKey = "order by tenant, scope, key";

/** The documents with these keys, or a page. One more row than the limit is read to find out whether another page follows. */
export async function findDocuments(
  ask: Database["ask"],
  schema: string,
  query: DocumentQuery,
): Promise<FoundDocuments> {
  if ("keys" in query) {
    const [one, ...others] = query.keys;
    if (one !== undefined && others.length === 0) {
      const rows = await ask(
        `select ${columns} from ${schema}.documents where tenant = $1 and scope = $2 and key = $3 and ${live}`,
        [one.tenant, one.scope, one.key],
      );
      return { documents: rows.map(documentOf), next: undefined };
    }
    // Key by key: for all keys at once the server may read the whole table.
    const rows = await ask(
      `select document.* from json_to_recordset($1::json) as wanted(tenant text, scope text, key text)
       cross join lateral (
         select ${columns} from ${schema}.documents document
         where document.tenant = wanted.tenant and document.scope = wanted.scope and document.key = wanted.key and ${live}
         limit 1
       ) document
       ${byKey}`,
      [JSON.stringify(query.keys)],
    );
    return { documents: rows.map(documentOf), next: undefined };
  }
  const values: unknown[] = [];
  const sql = sqlInto(values);
  const found = `
    from ${schema}.documents where ${conditionsOf(sql, query).join(" and ")} ${byKey} limit ${sql`${query.limit + 1}`}`;
  // The size of a text is in its header: texts over the limit are neither read nor sent, except the first one over it.
  const bounded = (bytesMax: number): string => `
    select * from (
      select ${columns}, row_number() over (${byKey}) as place, sum(octet_length(data)) over (
        ${byKey} rows between unbounded preceding and 1 preceding
      ) as ahead ${found}
    ) document
    where ahead <= ${sql`${bytesMax}`} or place <= 2 ${byKey}`;
  const rows = await ask(query.bytesMax === undefined ? `select ${columns} ${found}` : bounded(query.bytesMax), values);
  const { page, hasMore } = pageOf(rows.map(documentOf), entryBytes, query);
  const last = hasMore ? page.at(-1) : undefined;
  return { documents: page, next: last && documentKeyOf(last) };
}

export async function countDocuments(ask: Database["ask"], schema: string, range: DocumentRange): Promise<number> {
  const values: unknown[] = [];
  const conditions = conditionsOf(sqlInto(values), range);
  const [row] = await ask(
    `select count(*) as count from ${schema}.documents where ${conditions.join(" and ")}`,
    values,
  );
  return Number(row?.["count"]);
}

/** Deletes documents. The deletion of expired ones skips those that another transaction writes or deletes at the same time. */
export async function deleteDocuments(
  ask: Database["ask"],
  schema: string,
  selection: DeletedDocuments,
): Promise<number> {
  const values: unknown[] = [];
  const sql = sqlInto(values);
  const expired = ({ tenant, before }: { readonly tenant?: string; readonly before: number }): string =>
    `expires_at is not null and ${sql`expires_at < ${before} and updated_at < ${before}`} and ${tenant === undefined ? "true" : sql`tenant = ${tenant}`}`;
  // An erasure must not pass over a document that is being written, so it waits, in the order in which commits lock rows.
  const past =
    "user" in selection
      ? `${sql`tenant = ${selection.tenant} and user_id = ${selection.user}`}
         ${byKey} limit ${sql`${selection.limit}`} for update`
      : `${expired(selection)} order by expires_at limit ${sql`${selection.limit}`} for update skip locked`;
  const [row] = await ask(
    `with past as materialized (
       select tenant, scope, key from ${schema}.documents where ${past}
     ), deleted as (
       delete from ${schema}.documents document using past
       where document.tenant = past.tenant and document.scope = past.scope and document.key = past.key
       returning document.tenant, document.scope, document.key, document.expires_at
     ), noted as (
       ${notingDeleted(schema)}
     )
     select count(*) as count from deleted`,
    values,
  );
  return Number(row?.["count"]);
}

function conditionsOf(sql: Sql, range: DocumentRange & Partial<DocumentPaging>): string[] {
  const { tenant, scope, user, after } = range;
  const conditions = [live];
  if (tenant !== undefined) conditions.push(sql`tenant = ${tenant}`);
  if (user !== undefined) conditions.push(sql`user_id = ${user}`);
  if (scope !== undefined) {
    conditions.push(sql`scope = ${scope}`);
    if (range.from !== undefined) conditions.push(sql`key >= ${range.from}`);
    if (range.to !== undefined) conditions.push(sql`key < ${range.to}`);
    if (after !== undefined) conditions.push(sql`key > ${after.key}`);
  } else if (after !== undefined) {
    conditions.push(`(tenant, scope, key) > ${sql`(${after.tenant}, ${after.scope}, ${after.key})`}`);
  }
  return conditions;
}

function documentOf(row: Row): StoredDocument {
  const { tenant, scope, key, version, user_id, created_at, updated_at, expires_at, data } = row;
  return {
    tenant: String(tenant),
    scope: String(scope),
    key: String(key),
    version: Number(version),
    user: user_id as string | null,
    createdAt: Number(created_at),
    updatedAt: Number(updated_at),
    expiresAt: expires_at === null ? null : Number(expires_at),
    data: String(data),
  };
}
