import { quoteBody } from "../../connection/names.ts";
import { documentRows, judgeDocuments, writeDocuments } from "./documents.ts";
import { storedText } from "./entry-bytes.ts";
import { isFollowed, noteBatch } from "./news.ts";
import {
  change,
  claim,
  isRelabelled,
  laneRow,
  lockLane,
  planOnce,
  putLabelled,
  relabelled,
  returnSettled,
  row,
  takeNumber,
  taken,
  unfit,
  usageParts,
  withLogs,
} from "./parts.ts";

/**
 * `commit_batch` applies a batch of transactions, numbered by `n`, in one statement of the caller and one transaction
 * of the server. Each statement in it sees what was committed before that statement began, so a check that follows a row
 * lock checks the newest version of the row.
 *
 * A lane numbers its batches and sends the next one only when the outcome of the last is known. The lane's row has the
 * number of the last batch that wrote something. A batch that arrives twice, because its answer was lost, is applied
 * once: the second try waits for the first, changes nothing and returns the outcome of the first, also where the
 * sessions have changed since.
 *
 * Races with other writers of a session:
 * - an update finds another version or commit id, perhaps after a wait for the row: it is refused with its log entries;
 * - an insert finds a session that another writer created first: it is refused likewise;
 * - only the transaction that has the session's row writes its entries, so entries never race.
 * Changes are sorted by key, and existing rows are locked before new ones are inserted, so two batches never wait for each
 * other. Where an outcome depends on several rows (`_locks`), all are locked before the first check.
 */
export function commitBatch(schema: string): string {
  return `
create function ${schema}.commit_batch(
  _lane uuid, _number bigint,
  _updates json, _creates json, _removals json, _moves json, _splices json, _entries json, _claims json, _additions json,
  _locks boolean
) returns json language plpgsql ${planOnce}
  set lock_timeout = '5s'
as ${quoteBody(body(schema))};`;
}

/**
 * `commit_batch_with_documents` is `commit_batch` for a batch with changes of documents. A batch locks rows in one order:
 * sessions, documents, sums of usage.
 */
export function commitWithDocuments(schema: string): string {
  return `
create function ${schema}.commit_batch_with_documents(
  _lane uuid, _number bigint,
  _updates json, _creates json, _removals json, _moves json, _splices json, _entries json, _claims json, _additions json,
  _locks boolean, _documents json
) returns json language plpgsql ${planOnce}
  set lock_timeout = '5s'
as ${quoteBody(body(schema, { documents: true }))};`;
}

const body = (schema: string, { documents = false }: { readonly documents?: boolean } = {}): string => `
declare
  ${laneRow}
  ${taken}
  _refused int[] := '{}';
  _change record;
  _logs bigint;
  ${relabelled}${documents ? `\n  ${documentRows}` : ""}
begin
${lockLane}
  if _claims is not null then
    select coalesce(array_agg(claim.n), '{}') into _refused
    from json_to_recordset(_claims) as claim(${claim})
    ${withLogs(schema, "claim")}
    cross join lateral (
      select from ${schema}.entries found
      where found.tenant = claim.tenant and found.session = claim.id and found.logs = session.logs
        and found.log = claim.log and found.key = claim.key
      limit 1
    ) entry;
  end if;

  if _locks then
    for _change in
      select change.tenant, change.id from (
        select * from json_to_recordset(_updates) as change(${change})
        union all
        select * from json_to_recordset(_removals) as change(${change})
      ) change
      order by change.tenant collate "C", change.id collate "C"
    loop
      perform from ${schema}.sessions session
      where session.tenant = _change.tenant and session.id = _change.id for update;
    end loop;

    select _refused || coalesce(array_agg(change.n), '{}') into _refused
    from (
      select * from json_to_recordset(_updates) as change(${change})
      union all
      select * from json_to_recordset(_creates) as change(${change})
      union all
      select * from json_to_recordset(_removals) as change(${change})
    ) change
    left join lateral (
      select found.* from ${schema}.sessions found where found.tenant = change.tenant and found.id = change.id limit 1
    ) session on true
    where ${unfit};
  end if;
${documents ? judgeDocuments(schema) : ""}
  if _updates is not null then
    for _change in select * from json_to_recordset(_updates) as change(${change}, ${row}) loop
      continue when _change.n = any (_refused);
      update ${schema}.sessions session set
        version = _change.version, commit_id = _change.commit_id, state = _change.state, agent = _change.agent,
        user_id = _change.user_id, last_activity_at = _change.last_activity_at, active_minute = _change.active_minute,
        state_since = _change.state_since, expires_at = _change.expires_at, sweep_at = _change.sweep_at,
        data = _change.data, title = _change.title, is_indexed = false
      where session.tenant = _change.tenant and session.id = _change.id
        and session.version = _change.expected_version and session.commit_id = _change.expected_commit
      returning ${isRelabelled(ofChange)} into _isRelabelled;
      if not found then
        _refused := _refused || _change.n;
      elsif _isRelabelled then
        ${putLabelled(schema, ofChange)}
      end if;
    end loop;
  end if;

  if _creates is not null then
    for _change in select * from json_to_recordset(_creates) as change(${change}, ${row}, logs bigint) loop
      continue when _change.n = any (_refused);
      insert into ${schema}.sessions (
        tenant, id, version, commit_id, state, agent, user_id, created_at, last_activity_at, active_minute, state_since,
        expires_at, sweep_at, data, logs, title, labels
      ) values (
        _change.tenant, _change.id, _change.version, _change.commit_id, _change.state, _change.agent, _change.user_id,
        _change.created_at, _change.last_activity_at, _change.active_minute, _change.state_since, _change.expires_at, _change.sweep_at,
        _change.data, _change.logs, _change.title, _change.labels
      ) on conflict do nothing;
      if not found then
        -- The transaction may have changed other rows: all is undone, and the next try finds the other writer's session.
        if _locks then raise serialization_failure using message = 'a session was created meanwhile'; end if;
        _refused := _refused || _change.n;
      end if;
    end loop;
  end if;

  if _moves is not null then
    -- Both sessions are locked, because the rows of both change in this transaction.
    for _change in
      select move.*, session.logs as replaced, giver.logs as given
      from json_to_recordset(_moves)
        as move(n int, tenant text, id text, logs bigint, copied boolean, from_tenant text, from_id text, from_logs bigint)
      ${withLogs(schema, "move")}
      cross join lateral (
        select found.logs from ${schema}.sessions found
        where found.tenant = move.from_tenant and found.id = move.from_id limit 1
      ) giver
      where move.n <> all (_refused)
    loop
      if _change.copied then
        perform ${schema}.take_copy(_change.tenant, _change.id, _change.logs);
        if (_change.from_tenant, _change.from_id) <> (_change.tenant, _change.id) then
          update ${schema}.sessions session set logs = _change.from_logs
          where session.tenant = _change.from_tenant and session.id = _change.from_id;
          _left := ${schema}.remove_logs(_change.from_tenant, _change.from_id, _change.given) or _left;
        end if;
      else
        update ${schema}.sessions session set logs = _change.logs
        where session.tenant = _change.tenant and session.id = _change.id;
        update ${schema}.entries entry set tenant = _change.tenant, session = _change.id, logs = _change.logs
        where entry.tenant = _change.from_tenant and entry.session = _change.from_id and entry.logs = _change.given;
      end if;
      _left := ${schema}.remove_logs(_change.tenant, _change.id, _change.replaced) or _left;
    end loop;
  end if;

  if _removals is not null then
    for _change in select * from json_to_recordset(_removals) as change(${change}) loop
      continue when _change.n = any (_refused);
      delete from ${schema}.sessions session where session.tenant = _change.tenant and session.id = _change.id
      returning session.logs into _logs;
      _left := ${schema}.remove_logs(_change.tenant, _change.id, _logs) or _left;
    end loop;
  end if;

  if _splices is not null then
    for _change in
      select splice.*, session.logs
      from json_to_recordset(_splices) as splice(n int, tenant text, id text, log text, "from" bigint)
      ${withLogs(schema, "splice")}
      cross join lateral (
        select from ${schema}.entries entry
        where entry.tenant = splice.tenant and entry.session = splice.id and entry.logs = session.logs
          and entry.log = splice.log and entry.seq >= splice."from"
        limit 1
      ) standing
      where splice.n <> all (_refused)
    loop
      perform ${schema}.cut_log(_change.tenant, _change.id, _change.logs, _change.log, _change."from");
    end loop;
  end if;
  if _entries is not null then
    insert into ${schema}.entries (tenant, session, logs, log, seq, key, at, data, bytes)
    select entry.tenant, entry.id, session.logs, entry.log, entry.seq, entry.key, entry.at,
      ${storedText("entry.data", "kept.bytes")}, kept.bytes
    from json_to_recordset(_entries)
      as entry(n int, tenant text, id text, log text, seq bigint, key text, at bigint, data text)
    ${withLogs(schema, "entry")}
    cross join lateral (
      select case when entry.log = 'archive' and entry.key is null then ${schema}.text_bytes(entry.data) end as bytes
      offset 0
    ) kept
    where entry.n <> all (_refused);
  end if;
${documents ? writeDocuments(schema) : ""}
  if _additions is not null then
    -- The last rows that are locked, in order. A sum has parts, so that lanes which add to it at the same time rarely wait.
    insert into ${schema}.usage_sums as usage_sum (tenant, name, part, tokens, turns, until)
    select addition.tenant, addition.name, (uuid_hash_extended(_lane, 0) & ${usageParts - 1})::int,
      sum(addition.tokens), sum(addition.turns), max(addition.until)
    from json_to_recordset(_additions)
      as addition(n int, tenant text, name text, tokens bigint, turns bigint, until bigint)
    where addition.n <> all (_refused)
    group by addition.tenant, addition.name
    order by addition.tenant collate "C", addition.name collate "C"
    on conflict (tenant, name, part) do update set tokens = usage_sum.tokens + excluded.tokens,
      turns = usage_sum.turns + excluded.turns, until = greatest(usage_sum.until, excluded.until);
  end if;

  if exists (
    select from (
      select * from json_to_recordset(_updates) as change(n int)
      union all
      select * from json_to_recordset(_creates) as change(n int)
      union all
      select * from json_to_recordset(_removals) as change(n int)${
        documents
          ? `
      union all
      select * from json_to_recordset(_documents) as change(n int)`
          : ""
      }
    ) change
    where change.n <> all (_refused)
  ) then
    ${takeNumber(schema, { refused: "_refused", isFollowed: isFollowed(schema, "true") }).replaceAll("\n", "\n  ")}
  else
    ${returnSettled(schema).trim().replaceAll("\n", "\n  ")}
  end if;
${noteBatch(schema, { documents })}
  if cardinality(_refused) = 0 and not _left then return null; end if;
  return ${
    documents
      ? `json_build_object(
    'sessions', ${reasons(schema)},
    'documents', ${schema}.document_refusals(_refused, _documents, _now)
  )`
      : reasons(schema)
  };
end`;

const ofChange = (column: string): string => `_change.${column}`;

const reasons = (schema: string): string =>
  `${schema}.refusal_reasons(_refused, _updates, _creates, _removals, _claims, _left)`;
