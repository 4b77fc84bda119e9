import { quoteBody } from "../../connection/names.ts";
import { findStep, inStep, lastOfStep, nullAfterEnd, planOnce, withLogs } from "./parts.ts";

/** The most entries and bytes that a commit moves, or cuts from the end of a log, itself. A move does not write the bytes. */
export const commitMax: { readonly entries: number; readonly bytes: number } = {
  entries: 50_000,
  bytes: 256 * 1024 * 1024,
};
/** A copy that is not continued for this time is deleted. */
const copyingTime = "interval '1 minute'";
/** The error of a commit that cuts more than {@link commitMax}. */
export const cutTooLong = "PDCUT";

/**
 * A commit that moves or cuts many entries gives its session a copy of the logs that were made before, under a new number,
 * and removes the logs with the old number. No session has the new number until then, so no reader finds the copy. The table
 * `removed` has it while it is made; where the process is killed, another one deletes it.
 *
 * - `copy_logs` notes the copy, copies the next entries of a session except those that are cut, and returns the place of the
 *   last one; nulls after the end. A step that runs twice copies the same entries.
 * - `take_copy` gives a session its copy, in the transaction that expects the version of the session that was copied.
 * - `cut_log` deletes the entries of a log from a seq on, and raises {@link cutTooLong} where they are too many.
 * - `long_cuts` returns the places of the splices for which `cut_log` would raise.
 */
export function copiedLogs(schema: string): string {
  return `
create function ${schema}.copy_logs(
  _tenant text, _session text, _logs bigint, _from_tenant text, _from_id text, _cuts json, _after_log text, _after_seq bigint,
  out last_log text, out last_seq bigint
) language plpgsql ${planOnce}
as ${quoteBody(copyLogs(schema))};
create function ${schema}.take_copy(_tenant text, _session text, _logs bigint) returns void language plpgsql ${planOnce}
as ${quoteBody(takeCopy(schema))};
create function ${schema}.is_long_cut(_tenant text, _session text, _logs bigint, _log text, _from bigint) returns boolean
language plpgsql ${planOnce}
as ${quoteBody(isLongCut(schema))};
create function ${schema}.cut_log(_tenant text, _session text, _logs bigint, _log text, _from bigint) returns void
language plpgsql ${planOnce}
as ${quoteBody(cutLog(schema))};
create function ${schema}.long_cuts(_splices json) returns setof int language plpgsql ${planOnce}
as ${quoteBody(longCuts(schema))};`;
}

/** Another process deletes a copy once it is due, so a copy that was due may lack entries. */
const isGoingOn = `removed.tenant = _tenant and removed.session = _session and removed.logs = _logs
    and removed.due_at > clock_timestamp() and removed.after_log = ''`;
const notInTime = "raise serialization_failure using message = 'the copy of the logs was not continued in time';";

const given = "entry.tenant = _from_tenant and entry.session = _from_id and entry.logs = _given";

/** The entries that are cut count towards the entries of a step, so no step passes over many of them. */
const copyLogs = (schema: string): string => `
declare
  _given bigint;
  ${lastOfStep}
begin
  if _after_log = '' then
    insert into ${schema}.removed (tenant, session, logs, due_at)
    values (_tenant, _session, _logs, clock_timestamp() + ${copyingTime})
    on conflict do nothing;
  end if;
  update ${schema}.removed removed set due_at = clock_timestamp() + ${copyingTime}
  where ${isGoingOn};
  if not found then ${notInTime} end if;
  select session.logs into _given from ${schema}.sessions session
  where session.tenant = _from_tenant and session.id = _from_id;
${findStep(schema, given)}
  insert into ${schema}.entries (tenant, session, logs, log, seq, key, at, data, bytes)
  select _tenant, _session, _logs, entry.log, entry.seq, entry.key, entry.at, entry.data, entry.bytes
  from ${schema}.entries entry
  where ${given}
    and ${inStep}
    and not exists (
      select from json_to_recordset(_cuts) as cut(log text, "from" bigint)
      where cut.log = entry.log and cut."from" <= entry.seq
    )
  on conflict do nothing;
${nullAfterEnd}
end`;

const takeCopy = (schema: string): string => `
begin
  delete from ${schema}.removed removed
  where ${isGoingOn};
  if not found then ${notInTime} end if;
  update ${schema}.sessions session set logs = _logs where session.tenant = _tenant and session.id = _session;
end`;

const isLongCut = (schema: string): string => `
begin
  return (
    select count(*) > ${commitMax.entries}
      or coalesce(sum(octet_length(cut.data) + coalesce(octet_length(cut.bytes), 0)), 0) > ${commitMax.bytes}
    from (
      select entry.* from ${schema}.entries entry
      where entry.tenant = _tenant and entry.session = _session and entry.logs = _logs and entry.log = _log
        and entry.seq >= _from
      order by entry.seq limit ${commitMax.entries + 1}
    ) cut
  );
end`;

const cutLog = (schema: string): string => `
begin
  if ${schema}.is_long_cut(_tenant, _session, _logs, _log, _from) then
    raise exception using errcode = '${cutTooLong}', message = 'a commit cuts many entries of a log';
  end if;
  delete from ${schema}.entries entry
  where entry.tenant = _tenant and entry.session = _session and entry.logs = _logs and entry.log = _log
    and entry.seq >= _from;
end`;

const longCuts = (schema: string): string => `
begin
  return query
    select splice.place from json_to_recordset(_splices) as splice(place int, tenant text, id text, log text, "from" bigint)
    ${withLogs(schema, "splice")}
    where ${schema}.is_long_cut(splice.tenant, splice.id, session.logs, splice.log, splice."from");
end`;
