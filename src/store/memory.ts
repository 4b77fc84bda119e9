/**
 * A store in the memory of the process: for tests, and as the shortest reference implementation. It keeps records as rows
 * and freezes entries, so it shares no object with a caller.
 */
import { hasTurns } from "../domain/branches/segments.ts";
import { systemClock, type Clock } from "../clock.ts";
import {
  documentChanges,
  fits,
  headOf,
  sessionChanges,
  type Change,
  type CountedUsage,
  type Transaction,
  type UsageAddition,
} from "../domain/record/change.ts";
import { isRemoved, type DocumentChange } from "../domain/documents/document.ts";
import { keyText, truncatedUsageLog, type Entry, type LogName, type SessionKey } from "../domain/record/entry.ts";
import type { Instance } from "../domain/record/record.ts";
import { SessionError } from "../errors.ts";
import { encodeCursor, type Position } from "./cursor.ts";
import { bytesIn } from "./entry-bytes.ts";
import { MemoryDocuments } from "./memory/memory-documents.ts";
import { MemoryEvents, type KeptSession } from "./memory/memory-events.ts";
import { MemoryNews } from "./memory/memory-news.ts";
import { beginningOf, isBehind, isNewestFirst, matches, orders, positionOf } from "./memory/session-order.ts";
import { notedDocument, notedKey, type NotedState } from "./news.ts";
import { comparePositions, entriesBetween, OrderedRows } from "./ordered-rows.ts";
import { conflictWith, readRecord, recordOf, recordsOf, rowBytes, rowOf, type RecordRow } from "./row.ts";
import { headOfData, inheritedLog, StatsAccumulator, type StoreStats, type StoreStatsQuery } from "./stats.ts";
import { Watchers } from "./watchers.ts";
import { entryBytes, withinBytes } from "./within-bytes.ts";
import type {
  Capabilities,
  CountQuery,
  DeletedDocuments,
  DocumentQuery,
  DocumentRange,
  FoundDocuments,
  FoundEvents,
  FoundMessages,
  FoundNews,
  EventScan,
  IndexProgress,
  Loaded,
  LoadRequest,
  Look,
  NewsQuery,
  LogRange,
  Outcome,
  FoundRecords,
  SessionQuery,
  Store,
  StoreProblem,
  UsageName,
} from "./store.ts";

export interface MemoryOptions {
  /** The source of the store's time. @default the machine's clock */
  readonly clock?: Clock;
}

/** A new, empty store in memory. */
export function openMemory({ clock = systemClock }: MemoryOptions = {}): Store {
  return new MemoryStore(clock);
}

const instanceKeptMs = 86_400_000;

class MemoryStore implements Store {
  readonly capabilities: Capabilities = {
    durable: false,
    shared: false,
    batchMax: 1000,
    lanes: 1,
    scrubs: true,
    searches: false,
    folder: null,
  };
  readonly #clock: Clock;
  readonly #sessions = new Map<string, KeptSession>();
  /** The same rows in each order of `find`, so a page needs no sorting. */
  readonly #ordered = new Map<SessionQuery["order"], OrderedRows<RecordRow>>(
    orders.map((order) => [order, new OrderedRows()]),
  );
  readonly #events = new MemoryEvents(this.#sessions);
  readonly #instances = new Map<string, Instance>();
  /** Sums of usage, by tenant and name. */
  readonly #usage = new Map<string, CountedUsage & { readonly until: number }>();
  readonly #documents = new MemoryDocuments();
  readonly #news: MemoryNews;
  readonly #watchers = new Watchers();
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#news = new MemoryNews(clock);
  }

  // Each method runs synchronously, so other callers see it as one moment.

  async commit(batch: readonly Transaction[]): Promise<readonly Outcome[]> {
    this.#guardOpen();
    const outcomes: Outcome[] = [];
    const landing: [string, KeptSession | undefined][] = [];
    const additions: UsageAddition[] = [];
    const documents: DocumentChange[] = [];
    const now = this.#clock.now();
    for (const transaction of batch) {
      const outcome = this.#judge(transaction, now);
      outcomes.push(outcome);
      if (outcome.status !== "ok") continue;
      const changes = sessionChanges(transaction);
      for (const change of changes) landing.push([keyText(change.key), this.#apply(change, changes)]);
      additions.push(...changes.flatMap((change) => change.additions ?? []));
      documents.push(...documentChanges(transaction));
    }
    // Nothing can fail after this line, so a batch that throws has changed nothing.
    for (const [text, kept] of landing) {
      this.#order(this.#sessions.get(text)?.row, kept?.row);
      this.#events.replace(this.#sessions.get(text), kept);
      if (kept === undefined) this.#sessions.delete(text);
      else this.#sessions.set(text, kept);
    }
    for (const addition of additions) this.#addUsage(addition);
    for (const change of documents) this.#documents.apply(change, now);
    batch.forEach((transaction, index) => {
      if (outcomes[index]?.status === "ok") this.#news.note(transaction.flatMap((change) => notedKey(change) ?? []));
    });
    this.#watchers.wakeLanded(batch, outcomes);
    return outcomes;
  }

  #addUsage({ tokens, turns, until, ...sum }: UsageAddition): void {
    const before = this.#usage.get(usageText(sum)) ?? { tokens: 0, turns: 0, until };
    this.#usage.set(usageText(sum), {
      tokens: before.tokens + tokens,
      turns: before.turns + turns,
      until: Math.max(before.until, until),
    });
  }

  async usage(names: readonly UsageName[]): Promise<readonly CountedUsage[]> {
    this.#guardOpen();
    return names.map((name) => {
      const { tokens, turns } = this.#usage.get(usageText(name)) ?? { tokens: 0, turns: 0 };
      return { tokens, turns };
    });
  }

  #order(before: RecordRow | undefined, after: RecordRow | undefined): void {
    for (const [order, rows] of this.#ordered) {
      const [from, to] = [before && positionOf(order, before), after && positionOf(order, after)];
      if (from !== undefined && to !== undefined && after !== undefined && comparePositions(from, to) === 0) {
        rows.replace(to, after);
        continue;
      }
      if (from !== undefined) rows.remove(from);
      if (to !== undefined && after !== undefined) rows.add(to, after);
    }
  }

  #judge(transaction: Transaction, now: number): Outcome {
    const changes = sessionChanges(transaction);
    for (const { key, claims } of changes) {
      for (const claim of claims) {
        const entry = this.#log(key, claim.log).find((one) => one.key === claim.key);
        if (entry !== undefined) return { status: "duplicate", entry };
      }
    }
    for (const { key, expected } of changes) {
      const row = this.#sessions.get(keyText(key))?.row;
      if (!fits(expected, row)) return conflictWith(row);
    }
    for (const change of documentChanges(transaction)) {
      const conflict = this.#documents.conflict(change, now);
      if (conflict !== undefined) return conflict;
    }
    return { status: "ok" };
  }

  /** The session after a change that fits. */
  #apply({ key, record, splices, logsOf }: Change, changes: readonly Change[]): KeptSession | undefined {
    if (record === null) return undefined;
    const gone = changes.some(({ logsOf: given }) => given !== undefined && keyText(given) === keyText(key));
    const logs = new Map(gone ? [] : this.#sessions.get(keyText(logsOf ?? key))?.logs);
    for (const { log, from, entries } of splices) {
      const before = logs.get(log) ?? [];
      const kept = before.slice(0, Math.max(0, from - (before[0]?.seq ?? from)));
      const added = entries.map((entry) => Object.freeze({ ...entry }));
      logs.set(log, (added[0]?.seq ?? from) < from ? [...added, ...kept] : [...kept, ...added]);
    }
    return { row: rowOf(record), logs };
  }

  #log(key: SessionKey, log: LogName): readonly Entry[] {
    return this.#sessions.get(keyText(key))?.logs.get(log) ?? [];
  }

  async load(requests: readonly LoadRequest[]): Promise<Look> {
    this.#guardOpen();
    const sessions = requests.map(({ key, tails }): Loaded | undefined => {
      const kept = this.#sessions.get(keyText(key));
      if (kept === undefined) return undefined;
      return {
        record: recordOf(kept.row),
        tails: tails.map(({ log, last, bytesMax }) => {
          const entries = this.#log(key, log);
          const tail = entries.slice(Math.max(0, entries.length - last));
          return withinBytes(tail.toReversed(), entryBytes, bytesMax).toReversed();
        }),
      };
    });
    return { now: this.#clock.now(), sessions };
  }

  async read(key: SessionKey, range: LogRange): Promise<readonly Entry[]> {
    this.#guardOpen();
    const entries = this.#log(key, range.log);
    if ("keys" in range) return entries.filter((entry) => entry.key !== null && range.keys.includes(entry.key));
    const within = "between" in range ? entriesBetween(entries, range.between) : entriesFrom(entries, range);
    if (range.order === "descending") within.reverse();
    return withinBytes(within.slice(0, range.limit), entryBytes, range.bytesMax);
  }

  async find(query: SessionQuery): Promise<FoundRecords> {
    this.#guardOpen();
    const found: { readonly position: Position; readonly row: RecordRow }[] = [];
    const ordered = this.#ordered.get(query.order);
    const rows = isNewestFirst(query.order)
      ? ordered?.preceding(beginningOf(query))
      : ordered?.following(beginningOf(query));
    for (const one of rows ?? []) {
      if (isBehind(query, one.row)) break;
      if (matches(query, one.row)) found.push(one);
      if (found.length > query.limit) break;
    }
    const page = withinBytes(found.slice(0, query.limit), ({ row }) => rowBytes(row), query.bytesMax);
    const last = found.length > page.length ? page.at(-1) : undefined;
    return {
      ...recordsOf(page.map(({ row }) => row)),
      next: last && encodeCursor(isNewestFirst(query.order) ? last.position.slice(1) : last.position),
    };
  }

  async count(query: CountQuery): Promise<number> {
    this.#guardOpen();
    const asked = { ...query, order: "key", limit: 1 } as const;
    return [...this.#sessions.values()].filter(({ row }) => matches(asked, row)).length;
  }

  async stats(query: StoreStatsQuery): Promise<StoreStats> {
    this.#guardOpen();
    const tallying = new StatsAccumulator(query);
    for (const { row, logs } of this.#sessions.values()) {
      if (row.tenant !== query.tenant) continue;
      const [record] = recordsOf([row]).records;
      if (record === undefined) {
        tallying.missSession();
        continue;
      }
      const { counters, handoff, inherited } = record;
      const bytes = Buffer.byteLength(row.data);
      tallying.addSession({ ...row, turns: counters.turns, handoffExpiresAt: handoff?.expiresAt ?? null, bytes });
      for (const [log, entries] of logs)
        for (const { seq, at, data } of entries) {
          const counts = log === "turns" && seq <= inherited ? inheritedLog : hasTurns(log) ? "turns" : log;
          tallying.addEntry({
            log: counts,
            at,
            session: row.id,
            user: row.user,
            data: headOfData(data),
            isArchived: log === truncatedUsageLog && seq > headOf(record, log),
            bytes: bytesIn(log, data)?.length ?? Buffer.byteLength(data),
          });
        }
    }
    return tallying.result();
  }

  async inspect(): Promise<readonly StoreProblem[]> {
    this.#guardOpen();
    return [];
  }

  async events(scan: EventScan): Promise<FoundEvents> {
    this.#guardOpen();
    return this.#events.find(scan);
  }

  async deleteEvents(query: Parameters<Store["deleteEvents"]>[0]): Promise<number> {
    this.#guardOpen();
    return this.#events.delete(query);
  }

  async documents(query: DocumentQuery): Promise<FoundDocuments> {
    this.#guardOpen();
    return this.#documents.find(query, this.#clock.now());
  }

  async countDocuments(range: DocumentRange): Promise<number> {
    this.#guardOpen();
    return this.#documents.count(range, this.#clock.now());
  }

  async deleteDocuments(selection: DeletedDocuments): Promise<number> {
    this.#guardOpen();
    const deleted = this.#documents.delete(selection);
    this.#news.note(deleted.filter((row) => !isRemoved(row)).map(notedDocument));
    return deleted.length;
  }

  async news(query: NewsQuery): Promise<FoundNews> {
    this.#guardOpen();
    const state: NotedState = {
      session: (key) => {
        const row = this.#sessions.get(keyText(key))?.row;
        const record = row && readRecord(row);
        return { change: { session: key, record }, bytes: row === undefined ? 0 : rowBytes(row) };
      },
      document: (key) => this.#documents.find({ keys: [key] }, this.#clock.now()).documents[0]?.version,
    };
    return this.#news.find(query, state);
  }

  async index(): Promise<IndexProgress> {
    this.#guardOpen();
    return { isCurrent: true, left: 0 };
  }

  async search(): Promise<FoundMessages> {
    this.#guardOpen();
    return { messages: [], next: undefined };
  }

  async heartbeat(
    instance: Omit<Instance, "seenAt">,
    { leaving = false }: { readonly leaving?: boolean } = {},
  ): Promise<void> {
    this.#guardOpen();
    const now = this.#clock.now();
    for (const { id, seenAt } of this.#instances.values())
      if (seenAt < now - instanceKeptMs) this.#instances.delete(id);
    for (const [name, { until }] of this.#usage) if (until <= now) this.#usage.delete(name);
    this.#news.deleteExpired();
    if (leaving) this.#instances.delete(instance.id);
    else this.#instances.set(instance.id, { ...instance, seenAt: now });
  }

  async instances(
    ids: readonly string[] | "hosts",
  ): Promise<{ readonly now: number; readonly instances: readonly Instance[] }> {
    this.#guardOpen();
    const all = [...this.#instances.values()];
    const instances =
      ids === "hosts"
        ? oncePerHost(all.filter(({ address }) => address !== null))
            .toSorted((a, b) => b.seenAt - a.seenAt)
            .slice(0, 1000)
        : all.filter(({ id }) => ids.includes(id));
    return { now: this.#clock.now(), instances };
  }

  watch(key: SessionKey, wake: () => void): () => void {
    this.#guardOpen();
    return this.#watchers.watch(key, wake);
  }

  /** Removed data is not kept anywhere, apart from the keys in the news. */
  async scrub(): Promise<void> {
    this.#guardOpen();
    this.#news.clear();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#sessions.clear();
    for (const rows of this.#ordered.values()) rows.clear();
    this.#events.clear();
    this.#instances.clear();
    this.#documents.clear();
    this.#news.clear();
    this.#usage.clear();
  }

  #guardOpen(): void {
    if (this.#closed) throw new SessionError("closed", { name: "store", store: "memory:" });
  }
}

function entriesFrom(entries: readonly Entry[], { from, to }: { readonly from: number; readonly to: number }): Entry[] {
  return entries.filter(({ seq }) => seq >= from && seq <= to);
}

function usageText({ tenant, name }: UsageName): string {
  return `${tenant}\0${name}`;
}

/** The instance that was seen last, for each process and address. */
function oncePerHost(instances: readonly Instance[]): readonly Instance[] {
  const hosts = new Map<string, Instance>();
  for (const one of instances) {
    const host = JSON.stringify([one.address, one.machine, one.pid, one.startedAt]);
    if (one.seenAt > (hosts.get(host)?.seenAt ?? Number.NEGATIVE_INFINITY)) hosts.set(host, one);
  }
  return [...hosts.values()];
}
