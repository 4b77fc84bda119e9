import { quoteBody } from "../../connection/names.ts";
import { nowMs } from "./load-sessions.ts";
import { planOnce } from "./parts.ts";

/**
 * The parts of `commit_batch_with_documents` for the changes of documents, which are judged and written in the order of their keys.
 * A removed document is a row that expired at time 0, without data.
 *
 * Races with other writers of a document:
 * - a stored row is locked, perhaps after a wait for another writer, and then compared;
 * - a row that another writer creates after that is compared again by the update, or noticed by the insert. All is undone,
 *   and the next try finds the row.
 */

/** A change of a document. `expected`: the version; 0: none may be stored; -1: any must be stored; null: anything. */
const change = `n int, place int, tenant text, scope text, key text, kind text, expected bigint, version bigint,
      user_id text, created_at bigint, updated_at bigint, expires_at bigint, data text`;

/** The variables of {@link judgeDocuments} and {@link writeDocuments}. */
export const documentRows = `_document record;
  _now bigint;`;

const isOf = (alias: string, { tenant, scope, key }: { tenant: string; scope: string; key: string }): string =>
  `${alias}.tenant = ${tenant} and ${alias}.scope = ${scope} and ${alias}.key = ${key}`;
const ofChange = (alias: string): string =>
  isOf(alias, { tenant: "change.tenant", scope: "change.scope", key: "change.key" });
const ofDocument = (alias: string): string =>
  isOf(alias, { tenant: "_document.tenant", scope: "_document.scope", key: "_document.key" });

const isLive = (alias: string): string => `(${alias}.expires_at is null or ${alias}.expires_at > _now)`;
const byKey = (alias: string): string =>
  `order by ${["tenant", "scope", "key"].map((column) => `${alias}.${column} collate "C"`).join(", ")}`;

/** True for a change that does not fit the row `stored`, whose columns are null where there is none. */
function unfit(change: string, stored: string): string {
  const isStored = `coalesce(${isLive(stored)} and ${stored}.version is not null, false)`;
  return `((${change}.expected = 0 and ${isStored})
      or (${change}.expected = -1 and not ${isStored})
      or (${change}.expected > 0 and not (${isStored} and ${stored}.version = ${change}.expected))
      or coalesce(${change}.version <= ${stored}.version, false)) is true`;
}

/** The changes with their stored rows, if any. */
const withStored = (schema: string): string => `
    from json_to_recordset(_documents) as change(${change})
    left join lateral (
      select found.* from ${schema}.documents found where ${ofChange("found")} limit 1
    ) stored on true`;

/** Lock the stored documents, then refuse the transactions with a change that does not fit. */
export function judgeDocuments(schema: string): string {
  return `
  for _document in
    select change.tenant, change.scope, change.key from json_to_recordset(_documents) as change(${change}) ${byKey("change")}
  loop
    perform from ${schema}.documents found where ${ofDocument("found")} for update;
  end loop;
  _now := ${nowMs};
  select _refused || coalesce(array_agg(change.n), '{}') into _refused
  ${withStored(schema)}
  where ${unfit("change", "stored")};
`;
}

/** Write the documents of the transactions that are not refused. */
export function writeDocuments(schema: string): string {
  return `
  for _document in
    select change.* from json_to_recordset(_documents) as change(${change}, keeps_expiry boolean)
    where change.n <> all (_refused) ${byKey("change")}
  loop
    if _document.kind = 'touch' then
      update ${schema}.documents document set expires_at = _document.expires_at where ${ofDocument("document")};
      continue;
    end if;
    update ${schema}.documents document set
      version = _document.version, user_id = _document.user_id, data = _document.data,
      created_at = case when ${isLive("document")} then document.created_at else _document.created_at end,
      updated_at = _document.updated_at,
      expires_at = case
        when _document.kind = 'remove' then 0
        when _document.keeps_expiry and ${isLive("document")} then document.expires_at
        else _document.expires_at
      end
    where ${ofDocument("document")} and not (${unfit("_document", "document")});
    continue when found or _document.kind = 'remove';
    insert into ${schema}.documents (
      tenant, scope, key, version, user_id, created_at, updated_at, expires_at, data
    ) values (
      _document.tenant, _document.scope, _document.key, _document.version, _document.user_id, _document.created_at,
      _document.updated_at, _document.expires_at, _document.data
    ) on conflict do nothing;
    if not found then raise serialization_failure using message = 'a document was created meanwhile'; end if;
  end loop;
`;
}

/** `document_refusals` returns, for each refused transaction, its first change of a document that does not fit. */
export function documentRefusals(schema: string): string {
  const body = `
begin
  return (
    select json_agg(json_build_object(
      'n', unfit.n, 'tenant', unfit.tenant, 'scope', unfit.scope, 'key', unfit.key, 'version', unfit.version,
      'user', unfit.user_id, 'createdAt', unfit.created_at, 'updatedAt', unfit.updated_at,
      'expiresAt', unfit.expires_at, 'data', unfit.data, 'isLive', unfit.is_live
    ))
    from (
      select distinct on (change.n) change.n, change.tenant, change.scope, change.key, stored.version, stored.user_id,
        stored.created_at, stored.updated_at, stored.expires_at, stored.data,
        coalesce(${isLive("stored")} and stored.version is not null, false) as is_live
      ${withStored(schema)}
      where change.n = any (_refused) and ${unfit("change", "stored")}
      order by change.n, change.place
    ) unfit
  );
end`;
  return `
create function ${schema}.document_refusals(_refused int[], _documents json, _now bigint) returns json
language plpgsql stable ${planOnce}
as ${quoteBody(body)};`;
}
