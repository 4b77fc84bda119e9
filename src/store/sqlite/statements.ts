import type { DatabaseSync, StatementSync } from "node:sqlite";
import { noText } from "../entry-bytes.ts";
import { exact } from "./record-columns.ts";

/** The statements that read a part of a log, in order, up to a limit of entries. */
export type PartOfLog = "tail" | "rangeUp" | "rangeDown" | "keysUp" | "keysDown";

/** `…OfShort`: its first parameter is a number of bytes; the data of an entry that is longer is null, and is not read. */
export type Statements = Record<
  | PartOfLog
  | `${PartOfLog}OfShort`
  | "place"
  | "record"
  | "insertSession"
  | "updateSession"
  | "updateMinute"
  | "updateIndexed"
  | "renameSession"
  | "removeSession"
  | "removeLabels"
  | "insertLabels"
  | "cutLog"
  | "insertEntry"
  | "insertEntries"
  | "insertBytes"
  | "entryByKey"
  | "entriesByKeys"
  | "beat"
  | "removeInstance"
  | "deleteInstances"
  | "instances"
  | "hosts",
  StatementSync
>;

/** The entries of one insert statement, which is a fifth faster than one statement for each entry. */
export const entriesAtOnce = 8;

/**
 * Prepares all statements once: preparing costs more than running. `cuts` cuts the numbers of entries to exact numbers of
 * JavaScript, which costs a quarter more for each entry, and which only damaged entries need.
 */
export function prepareAll(database: DatabaseSync, { cuts = false }: { readonly cuts?: boolean } = {}): Statements {
  const number = (column: string): string => (cuts ? exact(column) : column);
  const sql = (text: string): StatementSync => database.prepare(text);
  // Entries, and rows that an append reads, are arrays: node:sqlite makes those a fifth faster than objects.
  const arrays = (text: string): StatementSync => {
    const statement = sql(text);
    statement.setReturnArrays(true);
    return statement;
  };
  const entries = (text: string, data = "coalesce(bytes, data)"): StatementSync =>
    arrays(`select ${number("seq")}, key, ${number("at")}, ${data} ${text}`);
  const partOfLog = <Name extends PartOfLog>(
    name: Name,
    text: string,
  ): Record<Name | `${Name}OfShort`, StatementSync> => {
    const statements = {
      [name]: entries(text),
      [`${name}OfShort`]: entries(text, "iif(octet_length(data) <= ? and bytes is null, data, null)"),
    };
    return statements as Record<Name | `${Name}OfShort`, StatementSync>;
  };
  const instances = (which: string): StatementSync =>
    sql(`
      select id, host, pid, machine, started_at as startedAt, address,
        stale_after_ms as staleAfterMs, seen_at as seenAt from instances where ${which}`);
  // A plain "?" could be 'events', which has an index of its own, so SQLite would prepare the statement again for every run to
  // choose an index. The plus keeps it from using the value.
  const ofLog = `from entries where session = (select no from sessions where tenant = ? and id = ?) and log = +?`;
  return {
    place: arrays(`
      select no, ${exact("version")}, commit_id, state, user, ${exact("active_minute")}, ${exact("state_since")},
        ${exact("sweep_at")}, ${exact("created_at")}, agent, labels
      from sessions where tenant = ? and id = ?`),
    record: arrays(`
      select no, tenant, id, ${number("version")}, commit_id, state, agent, user, ${number("created_at")},
        ${number("last_activity_at")}, ${number("active_minute")}, ${number("state_since")}, ${number("expires_at")},
        ${number("sweep_at")}, title, labels, data
      from sessions where tenant = ? and id = ?`),
    insertSession: sql(`
      insert into sessions (tenant, id, agent, version, commit_id, last_activity_at, expires_at, title, labels, data,
        state, user, active_minute, state_since, sweep_at, created_at)
      values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`),
    updateSession: sql(`
      update sessions set version = ?, commit_id = ?, last_activity_at = ?, expires_at = ?, title = ?,
        labels = ?, data = ?
      where no = ? and ? in (version, ${exact("version")}) and commit_id = ?`),
    updateMinute: sql("update sessions set active_minute = ? where no = ?"),
    updateIndexed: sql(`
      update sessions set state = ?, user = ?, active_minute = ?, state_since = ?, sweep_at = ?, created_at = ?, agent = ?
      where no = ?`),
    renameSession: sql("update sessions set tenant = ?, id = ? where no = ?"),
    removeSession: sql("delete from sessions where no = ?"),
    removeLabels: sql("delete from labels where session = ?"),
    insertLabels: sql(`
      insert into labels (session, name, value, tenant, created_at)
      select ?, key, value, ?, ? from json_each(?)`),
    cutLog: sql("delete from entries where session = ? and log = +? and seq >= ?"),
    insertEntry: sql("insert into entries (session, log, seq, key, at, data) values (?, ?, ?, ?, ?, ?)"),
    insertEntries: sql(`
      insert into entries (session, log, seq, key, at, data)
      values ${Array.from({ length: entriesAtOnce }, () => "(?, ?, ?, ?, ?, ?)").join(", ")}`),
    insertBytes: sql(`
      insert into entries (session, log, seq, key, at, data, bytes) values (?, ?, ?, ?, ?, '${noText}', ?)`),
    entryByKey: entries(`${ofLog} and key = ?`),
    // Found by key and sorted afterwards: to avoid the sort, SQLite would read the whole log.
    entriesByKeys: entries(`${ofLog} and key in (select value from json_each(?)) order by +seq`),
    ...partOfLog("tail", `from entries where session = ? and log = +? order by seq desc limit ?`),
    ...partOfLog("rangeUp", `${ofLog} and seq between ? and ? order by seq limit ?`),
    ...partOfLog("rangeDown", `${ofLog} and seq between ? and ? order by seq desc limit ?`),
    ...partOfLog("keysUp", `${ofLog} and key >= ? and key < ? order by key limit ?`),
    ...partOfLog("keysDown", `${ofLog} and key >= ? and key < ? order by key desc limit ?`),
    beat: sql(`
      insert or replace into instances (id, host, pid, machine, started_at, address, stale_after_ms, seen_at)
      values (?, ?, ?, ?, ?, ?, ?, ?)`),
    removeInstance: sql("delete from instances where id = ?"),
    deleteInstances: sql("delete from instances where seen_at < ?"),
    instances: instances("id in (select value from json_each(?))"),
    hosts: instances(`id in (
        select id from (
          select id, row_number() over (
            partition by address, machine, pid, started_at order by seen_at desc, id
          ) as place
          from instances where address is not null
        ) where place = 1
      ) order by seen_at desc, id limit 1000`),
  };
}
