import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Clock } from "../../clock.ts";
import type { Change, Transaction } from "../../domain/change.ts";
import type { Entry, SessionKey, Splice } from "../../domain/entry.ts";
import type { Instance, SessionRecord } from "../../domain/record.ts";
import { SessionError } from "../../errors.ts";
import { recordOf, rowOf, type RecordRow } from "../row.ts";
import type { Capabilities, Loaded, LoadRequest, LogRange, Outcome, Page, SessionQuery, Store } from "../store.ts";
import { findPage } from "./find.ts";
import type { Patience } from "./patience.ts";
import { recordColumns } from "./record-columns.ts";

interface Options {
  /** For error messages: the file. */
  readonly name: string;
  readonly patience: Patience;
  readonly clock: Clock;
  readonly durable: boolean;
}

/** Where a session stands, its version, and what its indexes hold. */
interface Place extends Pick<RecordRow, "version" | "state" | "user" | "activeMinute" | "stateSince" | "sweepAt"> {
  readonly no: number;
}

/** Instances not seen for so long are forgotten. */
const forgetInstanceMs = 86_400_000;

/**
 * One SQLite file. It works on the caller's thread: a worker would cost one writer more than SQLite itself does, and a
 * batch of this size holds the event loop for a few milliseconds.
 */
export class SqliteStore implements Store {
  readonly capabilities: Capabilities;
  readonly #database: DatabaseSync;
  readonly #name: string;
  readonly #patience: Patience;
  readonly #clock: Clock;
  readonly #sql: Statements;
  #closed = false;

  constructor(database: DatabaseSync, { name, patience, clock, durable }: Options) {
    this.#database = database;
    this.#name = name;
    this.#patience = patience;
    this.#clock = clock;
    this.#sql = prepareAll(database);
    this.capabilities = { durable, shared: durable, batchMax: 128, lanes: 1 };
  }

  async commit(batch: readonly Transaction[]): Promise<readonly Outcome[]> {
    return await this.#within(this.#sql.beginImmediate, () => batch.map((transaction) => this.#apply(transaction)));
  }

  /** Judge a whole transaction, then write it: nothing can come between, for the file's one write lock is ours. */
  #apply(transaction: Transaction): Outcome {
    for (const { key, claims } of transaction) {
      for (const claim of claims) {
        const entry = this.#sql.entryByKey.get(key.tenant, key.id, claim.log, claim.key);
        if (entry !== undefined) return { status: "duplicate", entry: entry as unknown as Entry };
      }
    }
    const places: (Place | undefined)[] = [];
    for (const { key, expected } of transaction) {
      const place = this.#sql.place.get(key.tenant, key.id) as Place | undefined;
      if ((place?.version ?? 0) !== expected) return { status: "conflict", current: this.#record(key) };
      places.push(place);
    }
    transaction.forEach((change, index) => this.#write(change, places[index]));
    return { status: "ok" };
  }

  #write({ record, splices }: Change, place: Place | undefined): void {
    if (record === null) {
      if (place === undefined) return;
      this.#sql.removeEntries.run(place.no);
      this.#sql.removeSession.run(place.no);
      return;
    }
    const row = rowOf(record);
    const session = place?.no ?? this.#insert(row);
    if (place !== undefined) this.#update(row, place);
    for (const splice of splices) this.#splice(session, splice);
  }

  #insert(row: RecordRow): number {
    const { lastInsertRowid } = this.#sql.insertSession.run(
      row.tenant,
      row.id,
      row.agent,
      row.createdAt,
      row.version,
      row.lastActivityAt,
      row.expiresAt,
      row.data,
      row.state,
      row.user,
      row.activeMinute,
      row.stateSince,
      row.sweepAt,
    );
    return Number(lastInsertRowid);
  }

  #update(row: RecordRow, place: Place): void {
    const { version, lastActivityAt, expiresAt, data, agent, createdAt } = row;
    this.#sql.updateSession.run(agent, createdAt, version, lastActivityAt, expiresAt, data, place.no);
    // SQLite rewrites the entries of an index whose columns are named in an update, changed or not: an append would
    // write five more pages.
    const { state, user, activeMinute, stateSince, sweepAt } = row;
    const indexed =
      state !== place.state ||
      user !== place.user ||
      activeMinute !== place.activeMinute ||
      stateSince !== place.stateSince ||
      sweepAt !== place.sweepAt;
    if (indexed) this.#sql.updateIndexed.run(state, user, activeMinute, stateSince, sweepAt, place.no);
  }

  #splice(session: number, { log, from, entries }: Splice): void {
    this.#sql.cutLog.run(session, log, from);
    for (const { seq, key, at, data } of entries) this.#sql.insertEntry.run(session, log, seq, key, at, data);
  }

  #record(key: SessionKey): SessionRecord | undefined {
    const row = this.#sql.record.get(key.tenant, key.id);
    return row === undefined ? undefined : recordOf(row as unknown as RecordRow);
  }

  async load(requests: readonly LoadRequest[]): Promise<readonly (Loaded | undefined)[]> {
    return await this.#within(this.#sql.begin, () => {
      const now = this.#clock.now();
      return requests.map(({ key, tails }): Loaded | undefined => {
        const record = this.#record(key);
        if (record === undefined) return undefined;
        return { record, tails: tails.map(({ log, last }) => this.#tail(key, log, last)), now };
      });
    });
  }

  #tail({ tenant, id }: SessionKey, log: string, last: number): readonly Entry[] {
    if (last === 0) return [];
    return entriesOf(this.#sql.tail.all(tenant, id, log, last)).toReversed();
  }

  async read({ tenant, id }: SessionKey, range: LogRange): Promise<readonly Entry[]> {
    this.#guardOpen();
    return await this.#patience.when(() => {
      if ("keys" in range) {
        const keys = JSON.stringify(range.keys);
        return entriesOf(this.#sql.entriesByKeys.all(tenant, id, range.log, keys));
      }
      const { log, from, to, order, limit } = range;
      const statement = order === "ascending" ? this.#sql.rangeUp : this.#sql.rangeDown;
      return entriesOf(statement.all(tenant, id, log, from, to, limit));
    });
  }

  async find(query: SessionQuery): Promise<Page> {
    this.#guardOpen();
    return await this.#patience.when(() => findPage(this.#database, query));
  }

  async heartbeat(
    instance: Omit<Instance, "seenAt">,
    { leaving = false }: { readonly leaving?: boolean } = {},
  ): Promise<void> {
    const now = this.#clock.now();
    const { id, host, pid, machine, startedAt } = instance;
    await this.#within(this.#sql.beginImmediate, () => {
      if (leaving) this.#sql.removeInstance.run(id);
      else this.#sql.beat.run(id, host, pid, machine, startedAt, now);
      this.#sql.forgetInstances.run(now - forgetInstanceMs);
    });
  }

  async instances(ids: readonly string[]): Promise<{ readonly now: number; readonly instances: readonly Instance[] }> {
    this.#guardOpen();
    const rows = ids.length === 0 ? [] : await this.#patience.when(() => this.#sql.instances.all(JSON.stringify(ids)));
    return { now: this.#clock.now(), instances: rows as unknown as Instance[] };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#database.close();
  }

  #guardOpen(): void {
    if (this.#closed) throw new SessionError("closed", { name: `the store ${this.#name}` });
  }

  /** Run `work` in one transaction, which is undone where anything in it throws. */
  async #within<T>(begin: StatementSync, work: () => T): Promise<T> {
    this.#guardOpen();
    return await this.#patience.when(() => {
      this.#guardOpen();
      begin.run();
      try {
        const result = work();
        this.#sql.commit.run();
        return result;
      } catch (error) {
        this.#rollBack();
        throw error;
      }
    });
  }

  #rollBack(): void {
    try {
      this.#sql.rollBack.run();
    } catch {
      // SQLite has rolled back by itself, as it does on a full disk or an I/O error.
    }
  }
}

function entriesOf(rows: unknown[]): Entry[] {
  return rows as Entry[];
}

type Statements = ReturnType<typeof prepareAll>;

function prepareAll(
  database: DatabaseSync,
): Record<
  | "begin"
  | "beginImmediate"
  | "commit"
  | "rollBack"
  | "place"
  | "record"
  | "insertSession"
  | "updateSession"
  | "updateIndexed"
  | "removeSession"
  | "removeEntries"
  | "cutLog"
  | "insertEntry"
  | "entryByKey"
  | "entriesByKeys"
  | "tail"
  | "rangeUp"
  | "rangeDown"
  | "beat"
  | "removeInstance"
  | "forgetInstances"
  | "instances",
  StatementSync
> {
  const sql = (text: string): StatementSync => database.prepare(text);
  const ofLog = `from entries where session = (select no from sessions where tenant = ? and id = ?) and log = ?`;
  return {
    begin: sql("begin"),
    beginImmediate: sql("begin immediate"),
    commit: sql("commit"),
    rollBack: sql("rollback"),
    place: sql(`
      select no, version, state, user, active_minute as activeMinute, state_since as stateSince, sweep_at as sweepAt
      from sessions where tenant = ? and id = ?`),
    record: sql(`select ${recordColumns} from sessions where tenant = ? and id = ?`),
    insertSession: sql(`
      insert into sessions (tenant, id, agent, created_at, version, last_activity_at, expires_at, data,
        state, user, active_minute, state_since, sweep_at)
      values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`),
    updateSession: sql(`
      update sessions set agent = ?, created_at = ?, version = ?, last_activity_at = ?, expires_at = ?, data = ?
      where no = ?`),
    updateIndexed: sql(`
      update sessions set state = ?, user = ?, active_minute = ?, state_since = ?, sweep_at = ? where no = ?`),
    removeSession: sql("delete from sessions where no = ?"),
    removeEntries: sql("delete from entries where session = ?"),
    cutLog: sql("delete from entries where session = ? and log = ? and seq >= ?"),
    insertEntry: sql("insert into entries (session, log, seq, key, at, data) values (?, ?, ?, ?, ?, ?)"),
    entryByKey: sql(`select seq, key, at, data ${ofLog} and key = ?`),
    entriesByKeys: sql(`select seq, key, at, data ${ofLog} and key in (select value from json_each(?)) order by seq`),
    tail: sql(`select seq, key, at, data ${ofLog} order by seq desc limit ?`),
    rangeUp: sql(`select seq, key, at, data ${ofLog} and seq between ? and ? order by seq limit ?`),
    rangeDown: sql(`select seq, key, at, data ${ofLog} and seq between ? and ? order by seq desc limit ?`),
    beat: sql(`
      insert or replace into instances (id, host, pid, machine, started_at, seen_at) values (?, ?, ?, ?, ?, ?)`),
    removeInstance: sql("delete from instances where id = ?"),
    forgetInstances: sql("delete from instances where seen_at < ?"),
    instances: sql(`
      select id, host, pid, machine, started_at as startedAt, seen_at as seenAt
      from instances where id in (select value from json_each(?))`),
  };
}
