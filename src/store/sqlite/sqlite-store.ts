import type { DatabaseSync } from "node:sqlite";
import { setImmediate as turnOfTheLoop } from "node:timers/promises";
import type { Clock } from "../../clock.ts";
import {
  documentChanges,
  fits,
  indexOfKey,
  isDocumentChange,
  sessionChanges,
  type Change,
  type CountedUsage,
  type Transaction,
} from "../../domain/record/change.ts";
import { encode } from "../../domain/values/codec.ts";
import type { Entry, SessionKey, Splice } from "../../domain/record/entry.ts";
import type { Instance } from "../../domain/record/record.ts";
import { SessionError } from "../../errors.ts";
import { isRemoved } from "../../domain/documents/document.ts";
import { bytesIn } from "../entry-bytes.ts";
import { decodeNewsCursor, notedDocument, type NotedState } from "../news.ts";
import type { FoundNews, NewsQuery } from "../store.ts";
import { conflictWith, readRecord, recordOf, rowBytes, rowOf, type RecordRow } from "../row.ts";
import type { StoreStats, StoreStatsQuery } from "../stats.ts";
import { Watchers } from "../watchers.ts";
import { withinBytes } from "../within-bytes.ts";
import type {
  Capabilities,
  CountQuery,
  DeletedDocuments,
  DocumentQuery,
  DocumentRange,
  FoundDocuments,
  FoundEvents,
  FoundMessages,
  EventScan,
  IndexProgress,
  InspectOptions,
  Loaded,
  LoadRequest,
  Look,
  LogRange,
  Outcome,
  FoundRecords,
  MessageQuery,
  SessionQuery,
  Store,
  StoreProblem,
  UsageName,
} from "../store.ts";
import { WriterThread } from "./thread/writer-thread.ts";
import { AppendedEntries } from "./tables/appended-entries.ts";
import { isAppend, keepsIndexed, KnownWrites, knownPlace, valuesOfUpdate } from "./thread/known-writes.ts";
import { Documents } from "./tables/documents.ts";
import { eventPage, deleteEvents } from "./events.ts";
import { countFound, findPage } from "./find.ts";
import { outdatedProblems, problemsIn, repairedProblems } from "./schema/inspect.ts";
import { migrate } from "./schema/schema-version.ts";
import { isMissing, isOutOfRange } from "./connection/sqlite-error.ts";
import { openReadOnly } from "./connection/database-file.ts";
import type { Patience } from "./connection/busy-retry.ts";
import { RemovedEntries } from "./upkeep/removed-entries.ts";
import { entriesAtOnce, prepareAll, type PartOfLog, type Statements } from "./statements.ts";
import { tallyIn } from "./stats.ts";
import { MessageIndex } from "./tables/message-index.ts";
import { News } from "./tables/news.ts";
import { UsageSums } from "./tables/usage-sums.ts";
import { Places, type Place } from "./connection/places.ts";
import { ForeignCommits } from "./connection/foreign-commits.ts";
import type { Transactions } from "./connection/transactions.ts";
import { vacuumInThread } from "./upkeep/vacuum.ts";

interface Options {
  readonly transactions: Transactions;
  /** The file, for error messages. */
  readonly name: string;
  readonly patience: Patience;
  readonly clock: Clock;
  readonly synchronous: "full" | "normal";
  /** The folder of the file; null for a database in memory. */
  readonly folder: string | null;
}

/** The most entries that one read fetches at once, instead of row by row. */
const readAtOnce = 64;

/** Instances that were not seen for this time are removed. */
const instanceKeptMs = 86_400_000;

/** The least number of transactions that the writer thread writes: fewer ones are written sooner on the caller's thread. */
const threadFrom = 64;

/**
 * A store in one SQLite file. It works on the caller's thread: another thread would cost a single writer more than SQLite
 * itself does. A thread of its own writes most large batches, so the event loop runs meanwhile.
 */
export class SqliteStore implements Store {
  readonly capabilities: Capabilities;
  readonly #database: DatabaseSync;
  readonly #transactions: Transactions;
  readonly #name: string;
  readonly #patience: Patience;
  readonly #clock: Clock;
  #prepared: Statements | undefined;
  #preparedRemoved: RemovedEntries | undefined;
  #preparedUsage: UsageSums | undefined;
  #preparedDocuments: Documents | undefined;
  #preparedNews: News | undefined;
  #preparedIndex: MessageIndex | undefined;
  /** The file may have entries of removed sessions, also of an earlier process. */
  #mayHaveRemoved = true;
  /** The deletion of entries of removed sessions, while it runs. */
  #deleting: Promise<void> | undefined;
  /** The vacuum of the file, while it runs: SQLite lets no other connection write meanwhile. */
  #vacuuming: Promise<void> | undefined;
  #cutting: Statements | undefined;
  readonly #places = new Places();
  readonly #watchers = new Watchers();
  #foreignCommits: ForeignCommits | undefined;
  readonly #synchronous: Options["synchronous"];
  /** Started by the first large batch; null: it cannot be started. */
  #thread: WriterThread | null | undefined;
  /** Writes of the caller's thread that wait for another thread. */
  #waitingWrites = 0;
  #closed = false;

  constructor(database: DatabaseSync, { transactions, name, patience, clock, synchronous, folder }: Options) {
    this.#database = database;
    this.#transactions = transactions;
    this.#name = name;
    this.#patience = patience;
    this.#clock = clock;
    this.#synchronous = synchronous;
    try {
      this.#prepared = prepareAll(database);
    } catch (error) {
      // A call that needs a statement throws this error; `inspect` works.
      if (!isMissing(error)) throw error;
    }
    const durable = folder !== null;
    // The caller's thread makes the second batch while the writer thread writes the first one.
    const lanes = durable ? 2 : 1;
    this.capabilities = { durable, shared: durable, batchMax: 256, lanes, scrubs: true, searches: true, folder };
  }

  get #sql(): Statements {
    this.#prepared ??= prepareAll(this.#database);
    return this.#prepared;
  }

  get #usage(): UsageSums {
    this.#preparedUsage ??= new UsageSums(this.#database);
    return this.#preparedUsage;
  }

  get #documents(): Documents {
    this.#preparedDocuments ??= new Documents(this.#database);
    return this.#preparedDocuments;
  }

  get #news(): News {
    this.#preparedNews ??= new News(this.#database, this.#clock);
    return this.#preparedNews;
  }

  get #index(): MessageIndex {
    this.#preparedIndex ??= new MessageIndex(this.#database);
    return this.#preparedIndex;
  }

  get #removed(): RemovedEntries {
    this.#preparedRemoved ??= new RemovedEntries(this.#database);
    return this.#preparedRemoved;
  }

  /** Reads entries. If one has a number that is not exact in JavaScript, it reads again with statements that cut numbers. */
  #reading<T>(read: (sql: Statements) => T): T {
    try {
      return read(this.#sql);
    } catch (error) {
      if (!isOutOfRange(error)) throw error;
      return read(this.#cuttingSql);
    }
  }

  /** The statements that cut numbers. */
  get #cuttingSql(): Statements {
    return (this.#cutting ??= prepareAll(this.#database, { cuts: true }));
  }

  commit(batch: readonly Transaction[]): Promise<readonly Outcome[]> {
    return batch.length < threadFrom ? this.#commitHere(batch) : this.#commitMany(batch);
  }

  async #commitMany(batch: readonly Transaction[]): Promise<readonly Outcome[]> {
    const thread = this.#readyThread();
    const writes = thread && KnownWrites.of(batch, this.#places);
    if (thread === undefined || writes === undefined || this.#hears(writes.tenants) || !(await thread.write(writes)))
      return await this.#commitHere(batch);
    writes.landed(this.#places);
    const outcomes = batch.map(() => applied);
    this.#watchers.wakeLanded(batch, outcomes);
    return outcomes;
  }

  /** The writer thread, if it may write the next batch. */
  #readyThread(): WriterThread | undefined {
    // Writes that wait come first: a thread that always has a batch would keep them waiting for ever.
    if (!this.capabilities.durable || this.#closed || this.#vacuuming !== undefined || this.#waitingWrites > 0)
      return undefined;
    if (this.#thread === undefined) this.#thread = this.#startThread();
    return this.#thread?.isReady === true ? this.#thread : undefined;
  }

  #startThread(): WriterThread | null {
    try {
      const { updateSession, entryByKey, cutLog, insertEntry, insertEntries } = this.#sql;
      return new WriterThread({
        file: this.#name,
        synchronous: this.#synchronous,
        statements: {
          subscription: this.#news.subscription,
          entryByKey,
          update: updateSession,
          cut: cutLog,
          insertOne: insertEntry,
          insertMany: insertEntries,
          many: entriesAtOnce,
        },
      });
    } catch {
      // Node may have no right to start threads.
      return null;
    }
  }

  /** True if one of the tenants has a subscription to news, which the writer thread does not note. */
  #hears(tenants: readonly string[]): boolean {
    try {
      return tenants.some((tenant) => this.#news.hasSubscription(tenant));
    } catch {
      return true; // The write that follows reports what is wrong.
    }
  }

  #commitHere(batch: readonly Transaction[]): Promise<readonly Outcome[]> {
    return this.#write(
      () => {
        const outcomes = this.#applyAll(batch);
        this.#news.noteApplied(batch, outcomes);
        return outcomes;
      },
      (outcomes) => {
        this.#watchers.wakeLanded(batch, outcomes);
        if (this.#mayHaveRemoved) this.#deleteRemoved();
      },
    );
  }

  #applyAll(batch: readonly Transaction[]): readonly Outcome[] {
    const appended = new AppendedEntries();
    const outcomes = batch.map((transaction) => {
      const outcome = this.#applyKnown(transaction, appended);
      if (outcome !== undefined) return outcome;
      appended.write(this.#sql);
      return this.#applyChecked(transaction);
    });
    appended.write(this.#sql);
    return outcomes;
  }

  /**
   * Writes a change of one session that this connection wrote last, without a look for its row: the update compares the version
   * and the commit id. Undefined for any other transaction, and if the update finds another record.
   */
  #applyKnown(transaction: Transaction, appended: AppendedEntries): Outcome | undefined {
    const place = knownPlace(transaction, this.#places);
    const [change] = transaction;
    if (place === undefined || change === undefined || isDocumentChange(change)) return undefined;
    const { record, splices, claims, additions } = change;
    if (record === null || claims.length > 0) return undefined;
    const row = rowOf(record);
    if (!this.#update(row, place)) return undefined;
    this.#label(place.no, row, place);
    for (const splice of splices) {
      if (isAppend(splice, place)) {
        appended.add(place.no, splice.log, splice.entries);
      } else {
        appended.write(this.#sql);
        this.#splice(place.no, splice);
      }
    }
    this.#places.wrote(place, row, record.heads);
    if (additions !== undefined) for (const addition of additions) this.#usage.add(addition);
    return applied;
  }

  /** Checks a whole transaction, then writes it. This connection has the only write lock, so no write comes between. */
  #applyChecked(transaction: Transaction): Outcome {
    const changes = sessionChanges(transaction);
    const documents = documentChanges(transaction);
    const now = this.#clock.now();
    for (const { key, claims } of changes) {
      for (const claim of claims) {
        const entry = this.#reading((sql) => sql.entryByKey.get(key.tenant, key.id, claim.log, claim.key));
        if (entry !== undefined) return { status: "duplicate", entry: entryOf(entry) };
      }
    }
    const places: (Place | undefined)[] = [];
    for (const { key, expected } of changes) {
      const row = this.#sql.place.get(key.tenant, key.id);
      const place = row === undefined ? undefined : placeOf(row);
      if (!fits(expected, place)) return conflictWith(this.#row(key)?.row);
      places.push(place);
    }
    for (const change of documents) {
      const conflict = this.#documents.conflict(change, now);
      if (conflict !== undefined) return conflict;
    }
    for (const [index, change] of changes.entries()) {
      if (change.logsOf === undefined) continue;
      const other = indexOfKey(changes, change.logsOf);
      this.#remove(places[index]);
      // The entries have the number of the session, so they move with it.
      [places[index], places[other]] = [this.#renamed(places[other], change.key), undefined];
    }
    changes.forEach((change, index) => this.#put(change, places[index]));
    for (const { additions = [] } of changes) for (const addition of additions) this.#usage.add(addition);
    for (const change of documents) this.#documents.apply(change, now);
    return applied;
  }

  #renamed(place: Place | undefined, { tenant, id }: SessionKey): Place | undefined {
    if (place === undefined) return undefined;
    this.#sql.renameSession.run(tenant, id, place.no);
    return this.#unlabelled(place);
  }

  #remove(place: Place | undefined): void {
    if (place === undefined) return;
    this.#sql.removeSession.run(this.#unlabelled(place).no);
    if (this.#removed.begin(place.no)) this.#mayHaveRemoved = true;
  }

  /** Removes the rows of the labels. */
  #unlabelled(place: Place): Place {
    if (place.labels === null) return place;
    this.#sql.removeLabels.run(place.no);
    return { ...place, labels: null };
  }

  /** Writes the rows of the labels, if they differ from those of the place. */
  #label(session: number, { tenant, createdAt, labels }: RecordRow, place: Place | undefined): void {
    const before = place?.labels ?? null;
    if (labels === before && (labels === null || createdAt === place?.createdAt)) return;
    if (place !== undefined) this.#unlabelled(place);
    if (labels !== null) this.#sql.insertLabels.run(session, tenant, createdAt, labels);
  }

  #put({ key, record, splices }: Change, place: Place | undefined): void {
    if (record === null) {
      this.#remove(place);
      return;
    }
    const row = rowOf(record);
    if (place !== undefined) this.#update(row, place);
    const no = place?.no ?? this.#insert(row);
    this.#label(no, row, place);
    for (const splice of splices) this.#splice(no, splice);
    this.#places.set(key, row, record.heads, no);
  }

  #insert(row: RecordRow): number {
    const { lastInsertRowid } = this.#sql.insertSession.run(
      row.tenant,
      row.id,
      row.agent,
      row.version,
      row.commitId,
      row.lastActivityAt,
      row.expiresAt,
      row.title,
      row.labels,
      row.data,
      row.state,
      row.user,
      row.activeMinute,
      row.stateSince,
      row.sweepAt,
      row.createdAt,
    );
    return Number(lastInsertRowid);
  }

  /** False if the row has another version or commit id than its place. */
  #update(row: RecordRow, place: Place): boolean {
    const { changes } = this.#sql.updateSession.run(...valuesOfUpdate(row, place));
    if (changes === 0) return false;
    // SQLite rewrites the entries of an index if an update names its columns, changed or not. Most appends change none of
    // them, and one append a minute changes the minute alone.
    const { state, user, activeMinute, stateSince, sweepAt, createdAt, agent } = row;
    if (!keepsIndexed(row, place))
      this.#sql.updateIndexed.run(state, user, activeMinute, stateSince, sweepAt, createdAt, agent, place.no);
    else if (activeMinute !== place.activeMinute) this.#sql.updateMinute.run(activeMinute, place.no);
    return true;
  }

  #splice(session: number, { log, from, entries }: Splice): void {
    this.#sql.cutLog.run(session, log, from);
    let inserted = 0;
    // An archive has few entries, which are large.
    for (; log !== "archive" && entries.length - inserted >= entriesAtOnce; inserted += entriesAtOnce) {
      const some = entries.slice(inserted, inserted + entriesAtOnce);
      this.#sql.insertEntries.run(...some.flatMap(({ seq, key, at, data }) => [session, log, seq, key, at, data]));
    }
    for (const { seq, key, at, data } of inserted === 0 ? entries : entries.slice(inserted)) {
      const bytes = bytesIn(log, data);
      if (bytes === undefined) this.#sql.insertEntry.run(session, log, seq, key, at, data);
      else this.#sql.insertBytes.run(session, log, seq, key, at, bytes);
    }
  }

  /** The row of a session, and its number in `entries`. */
  #row({ tenant, id }: SessionKey): { readonly no: number; readonly row: RecordRow } | undefined {
    let found = this.#reading((sql) => sql.record.get(tenant, id)) as unknown as Cells | undefined;
    // node:sqlite passes the least integer of 64 bits, which is not exact either.
    if (found?.every(isExact) === false) found = this.#cuttingSql.record.get(tenant, id) as unknown as Cells;
    return found && { no: Number(found[0]), row: rowOfCells(found) };
  }

  async load(requests: readonly LoadRequest[]): Promise<Look> {
    const look = (): Look => ({ now: this.#clock.now(), sessions: requests.map((request) => this.#loaded(request)) });
    // One statement is a transaction by itself.
    const isOneRead = requests.length === 1 && requests[0]?.tails.length === 0;
    return await this.#run(isOneRead ? look : () => this.#transactions.reading(look));
  }

  #loaded({ key, tails }: LoadRequest): Loaded | undefined {
    const found = this.#row(key);
    return found && { record: recordOf(found.row), tails: tails.map((tail) => this.#tail(found.no, tail)) };
  }

  #tail(session: number, { log, last, bytesMax }: LoadRequest["tails"][number]): readonly Entry[] {
    if (last === 0) return [];
    return this.#part("tail", [session, log], { limit: last, bytesMax }).toReversed();
  }

  async read({ tenant, id }: SessionKey, range: LogRange): Promise<readonly Entry[]> {
    return await this.#run(() => {
      if ("keys" in range) {
        const keys = JSON.stringify(range.keys);
        return this.#reading((sql) => sql.entriesByKeys.all(tenant, id, range.log, keys)).map(entryOf);
      }
      const { log, order, limit, bytesMax } = range;
      const isUp = order === "ascending";
      const [name, from, to] =
        "between" in range
          ? ([isUp ? "keysUp" : "keysDown", ...range.between] as const)
          : ([isUp ? "rangeUp" : "rangeDown", range.from, range.to] as const);
      return this.#part(name, [tenant, id, log, from, to], { limit, bytesMax });
    });
  }

  /**
   * The first entries of a part of a log. node:sqlite returns all rows at once in half the time that it takes row by row, but
   * would read entries beyond `bytesMax`. So a few entries are read at once if each has at most its share of `bytesMax`.
   */
  #part(
    name: PartOfLog,
    place: readonly (string | number)[],
    { limit, bytesMax }: { readonly limit: number; readonly bytesMax: number | undefined },
  ): Entry[] {
    return this.#reading((sql): readonly unknown[] => {
      if (bytesMax === undefined) return sql[name].all(...place, limit);
      if (limit <= readAtOnce) {
        const rows = sql[`${name}OfShort`].all(Math.floor(bytesMax / limit), ...place, limit);
        if (rows.every(hasData)) return rows;
      }
      return withinBytes(sql[name].iterate(...place, limit), dataBytes, bytesMax);
    }).map(entryOf);
  }

  async find(query: SessionQuery): Promise<FoundRecords> {
    return await this.#run(() => findPage(this.#database, query));
  }

  async count(query: CountQuery): Promise<number> {
    return await this.#run(() => countFound(this.#database, query));
  }

  /** Uses a connection of its own, whose snapshot lasts while others write. A store in memory has one connection and no other writer. */
  async stats(query: StoreStatsQuery): Promise<StoreStats> {
    if (!this.capabilities.durable) {
      return await this.#run(() => this.#transactions.reading(() => drained(tallyIn(this.#database, query))));
    }
    const database = await this.#run(() => {
      const opened = openReadOnly(this.#name);
      opened.exec("begin");
      return opened;
    });
    try {
      const sums = tallyIn(database, query);
      for (;;) {
        const step = await this.#run(() => sums.next());
        if (step.done === true) return step.value;
        await turnOfTheLoop();
      }
    } finally {
      database.close();
    }
  }

  async usage(names: readonly UsageName[]): Promise<readonly CountedUsage[]> {
    return await this.#run(() => names.map((name) => this.#usage.sum(name)));
  }

  async inspect({ repair = false }: InspectOptions = {}): Promise<readonly StoreProblem[]> {
    const steps = repair ? await this.#write(() => migrate(this.#database, this.#name)) : [];
    const migrated = outdatedProblems(steps, true);
    const found = await this.#run(() => this.#transactions.reading(() => problemsIn(this.#database, this.#name)));
    if (!repair || found.every(({ fix }) => fix === null)) return [...migrated, ...found];
    const repaired = await this.#write(() => repairedProblems(this.#database, found));
    const isRepaired = ({ kind, what }: StoreProblem): boolean =>
      kind === "schema" || repaired.some((problem) => problem.what === what);
    return [...migrated, ...found.filter((problem) => !isRepaired(problem)), ...repaired];
  }

  async events(scan: EventScan): Promise<FoundEvents> {
    return await this.#run(() => eventPage(this.#database, scan));
  }

  async deleteEvents(past: Parameters<Store["deleteEvents"]>[0]): Promise<number> {
    return await this.#write(() => deleteEvents(this.#database, past));
  }

  async documents(query: DocumentQuery): Promise<FoundDocuments> {
    return await this.#run(() => this.#documents.find(query, this.#clock.now()));
  }

  async countDocuments(range: DocumentRange): Promise<number> {
    return await this.#run(() => this.#documents.count(range, this.#clock.now()));
  }

  async deleteDocuments(selection: DeletedDocuments): Promise<number> {
    return await this.#write(() => {
      const deleted = this.#documents.delete(selection);
      this.#news.note(deleted.filter((row) => !isRemoved(row)).map(notedDocument));
      return deleted.length;
    });
  }

  async news(query: NewsQuery): Promise<FoundNews> {
    if (query.after !== undefined) decodeNewsCursor(query.after);
    const { tenant } = query;
    for (;;) {
      if (await this.#run(() => this.#news.needsUpkeep(tenant))) await this.#write(() => this.#news.keepUp(tenant));
      const found = await this.#run(() => this.#transactions.reading(() => this.#news.find(query, this.#notedState())));
      if (found !== undefined) return found;
    }
  }

  #notedState(): NotedState {
    const now = this.#clock.now();
    return {
      session: (key) => {
        const row = this.#row(key)?.row;
        return {
          change: { session: key, record: row && readRecord(row) },
          bytes: row === undefined ? 0 : rowBytes(row),
        };
      },
      document: (key) => this.#documents.find({ keys: [key] }, now).documents[0]?.version,
    };
  }

  async index(): Promise<IndexProgress> {
    const progress = await this.#run(() => this.#index.progress());
    return progress.isCurrent ? progress : await this.#write(() => this.#index.step());
  }

  async search(query: MessageQuery): Promise<FoundMessages> {
    return await this.#run(() => this.#transactions.reading(() => this.#index.find(query)));
  }

  async heartbeat(
    instance: Omit<Instance, "seenAt">,
    { leaving = false }: { readonly leaving?: boolean } = {},
  ): Promise<void> {
    const now = this.#clock.now();
    const { id, host, pid, machine, startedAt, address, staleAfterMs } = instance;
    await this.#write(() => {
      if (leaving) this.#sql.removeInstance.run(id);
      else this.#sql.beat.run(id, host, pid, machine, startedAt, address, staleAfterMs, now);
      this.#sql.deleteInstances.run(now - instanceKeptMs);
      this.#usage.deleteOld(now);
      this.#news.deleteExpired();
      // A process that was killed has left them.
      if (this.#removed.isLeft) this.#mayHaveRemoved = true;
    });
    if (this.#mayHaveRemoved) this.#deleteRemoved();
  }

  async instances(
    ids: readonly string[] | "hosts",
  ): Promise<{ readonly now: number; readonly instances: readonly Instance[] }> {
    return await this.#run(() => {
      const rows = ids === "hosts" ? this.#sql.hosts.all() : this.#sql.instances.all(JSON.stringify(ids));
      return { now: this.#clock.now(), instances: rows as unknown as Instance[] };
    });
  }

  watch(key: SessionKey, wake: () => void): () => void {
    this.#guardOpen();
    const unwatch = this.#watchers.watch(key, wake);
    if (this.capabilities.shared) {
      this.#foreignCommits ??= new ForeignCommits(this.#database, this.#watchers);
      this.#foreignCommits.start();
    }
    return unwatch;
  }

  /**
   * Deleted text remains in free pages, in unused parts of other pages, and in the write-ahead log. `vacuum` rewrites the
   * file; the checkpoint copies the log into the file and truncates it once no other connection reads from it. Writes of this
   * process wait until the file is written.
   */
  async scrub(): Promise<void> {
    while (await this.#write(() => this.#removed.step())) await turnOfTheLoop();
    await this.#write(() => this.#news.clear());
    while (await this.#write(() => this.#index.scrubStep())) await turnOfTheLoop();
    if (!this.capabilities.durable) return await this.#run(() => this.#database.exec("vacuum"));
    while (this.#vacuuming !== undefined) await this.#vacuuming;
    this.#guardOpen();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#vacuuming = promise;
    try {
      await vacuumInThread(this.#name, this.#patience.busyTimeoutMs);
    } catch (error) {
      throw this.#patience.failureOf(error, this.#patience.busyTimeoutMs);
    } finally {
      this.#vacuuming = undefined;
      resolve();
    }
  }

  /** Deletes the entries of removed sessions in steps, with turns of the event loop between them. */
  #deleteRemoved(): void {
    this.#mayHaveRemoved = false;
    this.#deleting ??= this.#deleteAllRemoved().finally(() => (this.#deleting = undefined));
  }

  async #deleteAllRemoved(): Promise<void> {
    try {
      while (!this.#closed && (await this.#write(() => this.#removed.step()))) await turnOfTheLoop();
    } catch {
      // The disk is full, or the file is locked for long: the deletion continues after the next commit.
      this.#mayHaveRemoved = true;
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#foreignCommits?.stop();
    await this.#deleting;
    await this.#vacuuming;
    await this.#thread?.close();
    this.#database.close();
  }

  /** Runs `work` in one transaction, which is rolled back if `work` throws, and `landed` once it is committed. */
  #write<T>(work: () => T, landed?: (result: T) => void): Promise<T> {
    if (this.#otherWriter() !== undefined) return this.#writeLater(work, landed);
    return this.#run(() => {
      const result = this.#transactions.writing(work);
      landed?.(result);
      return result;
    });
  }

  /** Waits for the other threads of this store, however long a vacuum takes, and then as for any other writer. */
  async #writeLater<T>(work: () => T, landed: ((result: T) => void) | undefined): Promise<T> {
    this.#waitingWrites++;
    for (let writer = this.#otherWriter(); writer !== undefined; writer = this.#otherWriter()) await writer;
    this.#waitingWrites--;
    return await this.#write(work, landed);
  }

  /** Resolves when the thread of this store that writes now has ended its work; undefined if none writes. */
  #otherWriter(): Promise<void> | undefined {
    return this.#vacuuming ?? (this.#thread?.isBusy === true ? this.#thread.idle() : undefined);
  }

  /** Runs `work`, and retries it while another process has the lock. The store may be closed during the wait. */
  #run<T>(work: () => T): Promise<T> {
    return this.#patience.when(() => {
      this.#guardOpen();
      return work();
    });
  }

  #guardOpen(): void {
    if (this.#closed) throw new SessionError("closed", { name: "store", store: this.#name });
  }
}

const applied: Outcome = { status: "ok" };

/** The number of a session in `entries`, and the columns of its row, in the order of {@link rowOfCells}. */
type Cells = readonly unknown[];

function isExact(cell: unknown): boolean {
  return typeof cell !== "number" || Number.isSafeInteger(cell);
}

function rowOfCells(cells: Cells): RecordRow {
  return {
    tenant: cells[1],
    id: cells[2],
    version: cells[3],
    commitId: cells[4],
    state: cells[5],
    agent: cells[6],
    user: cells[7],
    createdAt: cells[8],
    lastActivityAt: cells[9],
    activeMinute: cells[10],
    stateSince: cells[11],
    expiresAt: cells[12],
    sweepAt: cells[13],
    title: cells[14],
    labels: cells[15],
    data: cells[16],
  } as RecordRow;
}

function drained<T>(steps: Generator<void, T, void>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** The place in a row of `no, version, commit_id, state, user, active_minute, state_since, sweep_at, created_at, agent, labels`. */
function placeOf(row: unknown): Place {
  const [no, version, commitId, state, user, activeMinute, stateSince, sweepAt, createdAt, agent, labels] = row as [
    number,
    number,
    string,
    Place["state"],
    string | null,
    number,
    number,
    number,
    number,
    string,
    string | null,
  ];
  return { no, version, commitId, state, user, activeMinute, stateSince, sweepAt, createdAt, agent, labels };
}

/** False for an entry that a statement of short entries does not read. */
function hasData(row: unknown): boolean {
  return (row as readonly unknown[])[3] !== null;
}

/** The size of the data in a row of {@link entryOf}. */
function dataBytes(row: unknown): number {
  const data = (row as readonly unknown[])[3] as string | Uint8Array;
  return typeof data === "string" ? Buffer.byteLength(data) : data.length;
}

/** The entry in a row of `seq, key, at, data`. */
function entryOf(row: unknown): Entry {
  const [seq, key, at, data] = row as [number, string | null, number, string | Uint8Array];
  return { seq, key, at, data: typeof data === "string" ? data : encode(data) };
}
