import type { DatabaseSync, SQLOutputValue, StatementSync } from "node:sqlite";
import { dateMaxMs } from "../../domain/values/limits.ts";
import type { SessionState } from "../../domain/record/record.ts";
import { sessionStates } from "../../domain/record/states.ts";
import { hasTurns } from "../../domain/branches/segments.ts";
import { feedbackLog, keptBeginning, truncatedUsageLog } from "../../domain/record/entry.ts";
import { exact } from "./record-columns.ts";
import { listedCounter } from "./schema/views.ts";
import {
  inheritedLog,
  inputMark,
  orderOf,
  sumNames,
  StatsAccumulator,
  type StoreStats,
  type StatsKind,
  type StoreStatsQuery,
  type TurnGroup,
} from "../stats.ts";

/** The rows of one step, which takes a few milliseconds of the event loop. */
const entriesAtOnce = 4000;
const sessionsAtOnce = 100;
/** The logs whose entries have facts. */
const readLogs: readonly string[] = ["turns", truncatedUsageLog, "events", feedbackLog];
/** The number of the log of truncated usage for turns that are in the session's archive. */
const archivedNumber = readLogs.length;
/** More groups than this go to a temporary table, so memory stays bounded, also with a million users. */
const groupsMax = 50_000;

/**
 * Sums over a tenant, in steps: the caller gives the event loop a turn between them. `database` is in a transaction, so the
 * sums are of one moment.
 *
 * SQLite cuts the facts out of the entries in their order on disk, some 150 bytes of a turn, and JavaScript sums them up. The
 * JSON functions and `group by` of SQLite take twice as long.
 */
export function* tallyIn(database: DatabaseSync, query: StoreStatsQuery): Generator<void, StoreStats, void> {
  const tallying = new StatsAccumulator(query);
  const groups = new SpilledGroups(database, query);
  database.exec(`
    drop table if exists temp.tallied;
    create temp table tallied (no integer primary key, id text, user text, inherited integer, usage_head integer)`);
  yield* addSessions(database, query, tallying);
  for (const rows of entriesOf(database, query)) {
    for (const row of rows) {
      const [log, at, session, user, data, bytes] = row as Facts;
      tallying.addEntry({
        log: nameOf(log),
        at,
        session: session ?? "",
        user,
        isArchived: log === archivedNumber,
        data,
        bytes,
      });
    }
    if (tallying.size > groupsMax) groups.keep(tallying.takeGroups());
    yield;
  }
  database.exec("drop table temp.tallied");
  return groups.areKept ? tallying.result(groups.take(tallying.takeGroups())) : tallying.result();
}

/** The facts of an entry, in the order of their columns. */
type Facts = [
  log: string | number,
  at: number,
  session: string | null,
  user: string | null,
  data: string,
  bytes: number,
];

/** Reads the sessions by the index on tenant and id, page by page, and keeps their numbers for the lookup of entries. */
function* addSessions(
  database: DatabaseSync,
  { tenant, by }: StoreStatsQuery,
  tallying: StatsAccumulator,
): Generator<void, void, void> {
  const page = arrays(
    database.prepare(`
    select no, id, user, state, ${exact("created_at")}, ${exact("last_activity_at")}, ${exact("state_since")},
      ${exact("expires_at")}, octet_length(data), ${fact(listedCounter("turns"))}, ${fact("$.floor.expiresAt")}, ${fact("$.inherited")},
      case when state = 'archived' then ${fact(`$.heads.${truncatedUsageLog}`)} - ${fact(`$.archive.${truncatedUsageLog}`)} end
    from sessions where tenant = ? and id > ? order by id limit ${sessionsAtOnce * 5}`),
  );
  const keep = database.prepare(
    "insert into temp.tallied (no, id, user, inherited, usage_head) values (?, ?, ?, ?, ?)",
  );
  for (let after = ""; ;) {
    const rows = page.all(tenant, after) as unknown as SQLOutputValue[][];
    for (const [
      no = 0,
      id,
      user = null,
      state,
      createdAt,
      lastActivityAt,
      stateSince,
      expiresAt,
      bytes,
      ...rest
    ] of rows) {
      const [turns, handoffExpiresAt, inherited, usageHead] = rest as (number | null)[];
      const times = [createdAt, lastActivityAt, stateSince, expiresAt].map(Number) as [number, number, number, number];
      const isReadable = turns !== null && isState(state) && times.every((time) => Math.abs(time) <= dateMaxMs);
      if (isReadable) {
        tallying.addSession({
          state,
          createdAt: times[0],
          lastActivityAt: times[1],
          stateSince: times[2],
          expiresAt: times[3],
          bytes: Number(bytes),
          turns: turns ?? 0,
          handoffExpiresAt: handoffExpiresAt ?? null,
        });
      } else tallying.missSession();
      keep.run(no, by.includes("session") ? String(id) : null, user, inherited ?? 0, usageHead ?? null);
      after = String(id);
    }
    if (rows.length === 0) return;
    yield;
  }
}

/** A number in the record; null if it is missing, or if the record is no JSON. */
function fact(path: string): string {
  const value = `json_extract(data, '${path}')`;
  return `case when json_valid(data) and typeof(${value}) in ('integer', 'real') then min(max(${value}, -9007199254740991), 9007199254740991) end`;
}

function isState(state: unknown): state is SessionState {
  return (sessionStates as readonly unknown[]).includes(state);
}

/** The facts of the tenant's entries, in portions. */
function* entriesOf(database: DatabaseSync, { since = 0 }: StoreStatsQuery): Generator<unknown[], void, void> {
  const cut = `instr(entry.data, '${inputMark}')`;
  const isInherited = "entry.seq <= tallied.inherited and entry.log = 'turns'";
  const head = `iif(${cut} > 0, substr(entry.data, 1, ${cut} - 1) || '}', entry.data)`;
  // A log is returned by its number: a text for each row costs a tenth of the time.
  const facts = `
    select case when ${isInherited} then '${inheritedLog}' else case entry.log ${readLogs.map((log, number) => `when '${log}' then ${log === truncatedUsageLog ? `iif(entry.seq > tallied.usage_head, ${archivedNumber}, ${number})` : number}`).join(" ")} else entry.log end end,
      ${exact("entry.at")}, tallied.id, tallied.user,
      case when ${isInherited} then '' else case entry.log when 'turns' then ${head}
        when '${truncatedUsageLog}' then entry.data when 'events' then entry.data when '${feedbackLog}' then entry.data else iif(entry.log glob '${keptBeginning}*', ${head}, '') end end,
      coalesce(length(entry.bytes), octet_length(entry.data))`;
  if (ownsMost(database)) {
    // In the order on disk: most rows that are read are of the tenant.
    const page = arrays(
      database.prepare(`
      ${facts} from entries entry cross join temp.tallied on tallied.no = entry.session
      where entry.rowid > ? and entry.rowid <= ? and entry.at >= ?`),
    );
    const last = numberOf(database, "select max(rowid) from entries");
    for (let from = 0; from < last; from += entriesAtOnce) yield page.all(from, from + entriesAtOnce, since);
  } else {
    const page = arrays(
      database.prepare(`
      ${facts} from temp.tallied cross join entries entry on entry.session = tallied.no
      where tallied.no > ? and tallied.no <= ? and entry.at >= ?`),
    );
    const next = arrays(
      database.prepare(`
      select max(no) from (select no from temp.tallied where no > ? order by no limit ${sessionsAtOnce})`),
    );
    for (let from = 0; ;) {
      const [to = null] = next.get(from) as unknown as (number | null)[];
      if (to === null) return;
      yield page.all(from, to, since);
      from = to;
    }
  }
}

function nameOf(log: string | number): string {
  if (log === archivedNumber) return truncatedUsageLog;
  if (typeof log === "string") return hasTurns(log) ? "turns" : log;
  return readLogs[log] ?? "";
}

function ownsMost(database: DatabaseSync): boolean {
  const own = numberOf(database, "select count(*) from temp.tallied");
  return own * 4 >= numberOf(database, "select count(*) from sessions");
}

function numberOf(database: DatabaseSync, sql: string): number {
  const [value] = arrays(database.prepare(sql)).get() as unknown as (number | null)[];
  return value ?? 0;
}

function arrays(statement: StatementSync): StatementSync {
  statement.setReturnArrays(true);
  return statement;
}

/** Groups that are too many for memory. The group without a name has the empty text, which is no valid name. */
class SpilledGroups {
  readonly #database: DatabaseSync;
  readonly #query: StoreStatsQuery;
  areKept = false;

  constructor(database: DatabaseSync, query: StoreStatsQuery) {
    this.#database = database;
    this.#query = query;
  }

  keep(groups: readonly (readonly [StatsKind, TurnGroup])[]): void {
    if (!this.areKept) {
      this.#database.exec(`
        drop table if exists temp.groups;
        create temp table groups (kind text, key, ${sumNames.join(", ")}, primary key (kind, key)) without rowid`);
      this.areKept = true;
    }
    const added = sumNames.map((name) =>
      name === "longestMs" ? `${name} = max(${name}, excluded.${name})` : `${name} = ${name} + excluded.${name}`,
    );
    const add = this.#database.prepare(`
      insert into temp.groups values (?, ?${", ?".repeat(sumNames.length)})
      on conflict (kind, key) do update set ${added.join(", ")}`);
    for (const [kind, { key, ...sums }] of groups) add.run(kind, key ?? "", ...sumNames.map((name) => sums[name]));
  }

  /** All stored groups, merged with these. */
  take(groups: readonly (readonly [StatsKind, TurnGroup])[]): StoreStats["groups"] {
    this.keep(groups);
    const { by, limit } = this.#query;
    const taken = by.map((kind) => {
      const order = kind === "day" || kind === "hour" ? "key desc" : "totalTokens desc, key";
      const rows = this.#database
        .prepare(`select key, ${sumNames.join(", ")} from temp.groups where kind = ? order by ${order} limit ?`)
        .all(kind, limit) as unknown as TurnGroup[];
      return [kind, rows.map((row) => ({ ...row, key: row.key === "" ? null : row.key })).toSorted(orderOf(kind))];
    });
    this.#database.exec("drop table temp.groups");
    return Object.fromEntries(taken) as StoreStats["groups"];
  }
}
