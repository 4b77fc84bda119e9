import { quoteBody } from "../../connection/names.ts";
import { findStep, inStep, lastOfStep, nullAfterEnd, planOnce } from "./parts.ts";

/**
 * The logs of a session have a number, which the session and its entries have. The number is never used again, so no reader
 * finds the entries of a session after the session is removed or has taken over other logs. The table `removed` has the
 * numbers with entries left and the place up to which they are deleted; another or a later process continues.
 *
 * - `delete_entries` deletes the next entries of such logs, and returns the place of the last one; nulls after the end.
 * - `remove_logs` begins the deletion in the transaction that removes or replaces the logs. True if entries are left.
 * - `delete_removed` deletes some entries that were left, of the first logs after those that are skipped because their
 *   deletion failed. False if there are none, or other transactions delete them.
 */
export function removedLogs(schema: string): string {
  return `
create function ${schema}.delete_entries(
  _tenant text, _session text, _logs bigint, _after_log text, _after_seq bigint, out last_log text, out last_seq bigint
) language plpgsql ${planOnce}
as ${quoteBody(deleteEntries(schema))};
create function ${schema}.remove_logs(_tenant text, _session text, _logs bigint) returns boolean language plpgsql ${planOnce}
as ${quoteBody(removeLogs(schema))};
create function ${schema}.delete_removed(_skipped int) returns boolean language plpgsql ${planOnce}
as ${quoteBody(deleteRemoved(schema))};`;
}

const ofLogs = "entry.tenant = _tenant and entry.session = _session and entry.logs = _logs";

/** A later step begins after the deleted entries, whose places in the index a long transaction may keep. */
const deleteEntries = (schema: string): string => `
declare
  ${lastOfStep}
begin
${findStep(schema, ofLogs)}
  delete from ${schema}.entries entry
  where ${ofLogs}
    and ${inStep};
${nullAfterEnd}
end`;

const removeLogs = (schema: string): string => `
declare
  _last record;
begin
  _last := ${schema}.delete_entries(_tenant, _session, _logs, '', 0);
  if _last.last_log is null then
    ${deleteMessages(schema, "_tenant", "_session", "_logs")}
    return false;
  end if;
  insert into ${schema}.removed (tenant, session, logs, after_log, after_seq)
  values (_tenant, _session, _logs, _last.last_log, _last.last_seq);
  return true;
end`;

const deleteRemoved = (schema: string): string => `
declare
  _next record;
  _last record;
begin
  select removed.* into _next from ${schema}.removed removed where removed.due_at <= now()
  order by removed.tenant, removed.session, removed.logs offset _skipped limit 1 for update skip locked;
  if not found then return false; end if;
  _last := ${schema}.delete_entries(_next.tenant, _next.session, _next.logs, _next.after_log, _next.after_seq);
  if _last.last_log is null then
    ${deleteMessages(schema, "_next.tenant", "_next.session", "_next.logs")}
    delete from ${schema}.removed removed
    where removed.tenant = _next.tenant and removed.session = _next.session and removed.logs = _next.logs;
  else
    update ${schema}.removed removed set after_log = _last.last_log, after_seq = _last.last_seq
    where removed.tenant = _next.tenant and removed.session = _next.session and removed.logs = _next.logs;
  end if;
  return true;
end`;

/** Delete the words of the logs from the index of search. */
function deleteMessages(schema: string, tenant: string, session: string, logs: string): string {
  return `delete from ${schema}.search_messages message
    where message.tenant = ${tenant} and message.session = ${session} and message.logs = ${logs};`;
}

/** The condition that the entry is not of a removed session. */
export function isKept(schema: string): string {
  return `not exists (
    select from ${schema}.removed removed
    where removed.tenant = entry.tenant and removed.session = entry.session and removed.logs = entry.logs
  )`;
}
