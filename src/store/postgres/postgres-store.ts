import type { CountedUsage, Transaction } from "../../domain/record/change.ts";
import type { Entry, SessionKey } from "../../domain/record/entry.ts";
import type { Instance } from "../../domain/record/record.ts";
import { hasCode, SessionError } from "../../errors.ts";
import { recordOf, type RecordRow } from "../row.ts";
import type {
  Capabilities,
  CountQuery,
  DeletedDocuments,
  DocumentQuery,
  DocumentRange,
  FoundDocuments,
  FoundEvents,
  FoundMessages,
  IndexProgress,
  MessageQuery,
  EventScan,
  InspectOptions,
  Loaded,
  LoadRequest,
  Look,
  LogRange,
  Outcome,
  FoundRecords,
  SessionQuery,
  Store,
  StoreProblem,
  UsageName,
} from "../store.ts";
import { answerOf, commitCall, isOverlap, outcomesOf, type Answer, type Batch } from "./commit-call.ts";
import { readCall } from "./read-call.ts";
import { CopiedLogs, isLongCut, type Copies } from "./logs/copied-logs.ts";
import { guardGapless, guardTail } from "./log-integrity.ts";
import type { Database, Row } from "./connection/database.ts";
import type { FoundNews, NewsQuery } from "../store.ts";
import type { StoreStats, StoreStatsQuery } from "../stats.ts";
import type { Watchers } from "../watchers.ts";
import type { Hints } from "./notifications.ts";
import { countDocuments, deleteDocuments, findDocuments } from "./tables/documents.ts";
import { eventPage, deleteEvents } from "./events.ts";
import { countFound, findPage } from "./find.ts";
import { MessageIndex } from "./tables/message-index.ts";
import { findMessages } from "./tables/message-search.ts";
import { deleteNews, deletingExpired, findNews } from "./tables/news.ts";
import { Lanes, type Lane } from "./lanes.ts";
import { nowMs } from "./schema/functions/load-sessions.ts";
import { problemsIn } from "./schema/inspect.ts";
import { isMissing } from "./connection/postgres-error.ts";
import { RemovedLogs } from "./logs/removed-logs.ts";
import type { Layout } from "./schema/schema.ts";
import { isDamagedRow, slowTally } from "./slow-stats.ts";
import { hasDamage, tallyCall, tallyOf } from "./stats.ts";

interface Options {
  readonly layout: Layout;
  readonly lanes: number;
  /** Called if a table or a function is missing. It migrates the schema, or throws the reason. */
  readonly ensureSchema: () => Promise<void>;
  readonly watchers: Watchers;
  /** Undefined: no notifications to and from other instances. */
  readonly hints: Hints | undefined;
}

/** A store in a PostgreSQL database. The comment of each statement has its effect and the races that it settles. */
export class PostgresStore implements Store {
  readonly capabilities: Capabilities;
  readonly #database: Database;
  readonly #layout: Layout;
  readonly #schema: string;
  readonly #ensureSchema: () => Promise<void>;
  readonly #watchers: Watchers;
  readonly #hints: Hints | undefined;
  readonly #lanes = new Lanes();
  readonly #index: MessageIndex;
  readonly #removed: RemovedLogs;
  readonly #copied: CopiedLogs;

  constructor(database: Database, { layout, lanes, ensureSchema, watchers, hints }: Options) {
    this.#database = database;
    this.#layout = layout;
    this.#schema = layout.schema;
    this.#ensureSchema = ensureSchema;
    this.#watchers = watchers;
    this.#hints = hints;
    this.#removed = new RemovedLogs(database, layout.schema);
    this.#index = new MessageIndex((text, values) => this.#call(text, values), layout.schema);
    this.#copied = new CopiedLogs((text, values) => this.#call(text, values), layout.schema);
    this.capabilities = {
      durable: true,
      shared: true,
      batchMax: 256,
      lanes,
      scrubs: false,
      searches: true,
      folder: null,
    };
  }

  /** Each commit waits for each asynchronous function between its caller and the driver, so there are few. */
  async commit(batch: readonly Transaction[]): Promise<readonly Outcome[]> {
    this.#database.guardOpen();
    if (batch.length === 0) return [];
    const lane = this.#lanes.take();
    let outcomes: readonly Outcome[];
    try {
      const answer = await this.#send(lane, batch);
      outcomes = answer === null ? batch.map(() => landed) : await this.#judge(lane, batch, answer);
    } finally {
      this.#lanes.giveBack(lane);
    }
    this.#watchers.wakeLanded(batch, outcomes);
    this.#hints?.say(batch, outcomes);
    return outcomes;
  }

  /** The outcomes of a batch with this answer. What an earlier try refused is sent again. */
  async #judge(lane: Lane, batch: readonly Transaction[], first: Answer): Promise<readonly Outcome[]> {
    const outcomes = new Map<Transaction, Outcome>();
    let answer = first;
    for (let pending = batch; ; answer = await this.#send(lane, pending)) {
      if (answer !== null && "left" in answer && answer.left) this.#removed.deleteSoon();
      const judged = outcomesOf(answer, pending.length);
      pending.forEach((transaction, n) => {
        const outcome = judged[n];
        if (outcome !== undefined) outcomes.set(transaction, outcome);
      });
      pending = pending.filter((one) => !outcomes.has(one));
      if (pending.length === 0) break;
    }
    return batch.map((transaction) => outcomes.get(transaction) as Outcome);
  }

  /** Sends a batch. Logs of which the batch moves or cuts many entries are copied before, in bounded statements. */
  async #send(lane: Lane, batch: readonly Transaction[]): Promise<Answer> {
    try {
      if (!batch.some(moves)) return await this.#sendNumbered(lane, { batch, copies: noCopies });
      return await this.#sendWith(lane, { batch, copies: await this.#copied.ofMoves(batch) });
    } catch (error) {
      if (isOverlap(error)) return await this.#sendWith(lane, { batch, copies: new Map(), overlaps: true });
      if (!isLongCut(error)) throw error;
      const copies = new Map([...(await this.#copied.ofMoves(batch)), ...(await this.#copied.ofCuts(batch))]);
      return await this.#sendWith(lane, { batch, copies });
    }
  }

  async #sendWith(lane: Lane, sent: Batch): Promise<Answer> {
    try {
      return await this.#sendNumbered(lane, sent);
    } finally {
      if (sent.copies.size > 0) await this.#discard(sent.copies);
    }
  }

  async #discard(copies: Copies): Promise<void> {
    try {
      await this.#copied.discard(copies);
      this.#removed.deleteSoon();
    } catch {
      // The server is away: another process deletes the copies once they are due.
    }
  }

  /** Sends a batch under the next number of the lane, until its outcome is known. */
  async #sendNumbered(lane: Lane, sent: Batch): Promise<Answer> {
    lane.number++;
    const { text, values } = commitCall(this.#schema, lane, sent);
    try {
      const [row] = await this.#withSchema(() => this.#database.answer(text, values));
      return answerOf(row?.["answer"] as string | null);
    } catch (error) {
      return await this.#settle(lane, error);
    }
  }

  /**
   * The last try failed, and an earlier one may have committed, or may arrive later. The server returns the outcome of
   * the batch, or takes its number, so a change that is reported as failed is never applied.
   */
  async #settle(lane: Lane, error: unknown): Promise<Answer> {
    if (!(error instanceof SessionError) || error.code === "closed") throw error;
    const number = lane.number++;
    let row: Row | undefined;
    try {
      [row] = await this.#database.askOnce(`select ${this.#schema}.bar_commit($1, $2)::text as refused`, [
        lane.id,
        number,
      ]);
    } catch {
      throw inDoubt(error); // the first error has the cause
    }
    const refused = parsed(row?.["refused"]);
    if (refused === null) throw error;
    return { settled: refused as number[] };
  }

  async load(requests: readonly LoadRequest[]): Promise<Look> {
    this.#database.guardOpen();
    const [request, ...more] = requests;
    if (request !== undefined && more.length === 0 && isLone(request)) return await this.#loadOne(request);
    const sessions = requests.map(({ key: { tenant, id } }, request) => ({ request, tenant, id }));
    const tails = requests.flatMap(({ key: { tenant, id }, tails }, request) =>
      tails
        .map(({ log, last, bytesMax }, tail) => ({ request, tail, tenant, id, log, last, bytes_max: bytesMax }))
        .filter(({ last }) => last > 0),
    );
    const rows = await this.#call(`select request, tail, seq, key, at, data from ${this.#schema}.load_many($1, $2)`, [
      JSON.stringify(sessions),
      JSON.stringify(tails),
    ]);
    return this.#assemble(requests, rows);
  }

  async #loadOne({ key: { tenant, id }, tails }: LoadRequest): Promise<Look> {
    const [tail] = tails;
    const [head, ...rows] = await this.#call(
      `select seq, key, at, data from ${this.#schema}.load_one($1, $2, $3, $4)`,
      [tenant, id, tail?.log ?? null, tail?.last ?? 0],
    );
    const now = Number(head?.["at"]);
    const row = parsed(head?.["data"]) as RecordRow | null;
    if (row === null) return { now, sessions: [undefined] };
    return { now, sessions: [this.#loaded(row, tails, tail === undefined ? [] : [rows.map(entryOf).toReversed()])] };
  }

  /** @throws SessionError `session_unreadable`, `store_invalid` */
  #loaded(row: RecordRow, tails: LoadRequest["tails"], entries: readonly (readonly Entry[])[]): Loaded {
    const record = recordOf(row);
    tails.forEach((tail, index) => guardTail(entries[index] ?? [], { store: this.#database.name, record, ...tail }));
    return { record, tails: entries };
  }

  #assemble(requests: readonly LoadRequest[], rows: readonly Row[]): Look {
    const logs = requests.map(({ tails }) => tails.map((): Entry[] => []));
    const heads: (RecordRow | undefined)[] = requests.map(() => undefined);
    let now = Number.NaN;
    for (const row of rows) {
      const request = Number(row["request"]);
      if (row["request"] === null) now = Number(row["at"]);
      else if (row["tail"] === null) heads[request] = parsed(row["data"]) as RecordRow;
      else logs[request]?.[Number(row["tail"])]?.push(entryOf(row));
    }
    const sessions = requests.map(({ tails }, request) => {
      const head = heads[request];
      if (head === undefined) return undefined;
      return this.#loaded(
        head,
        tails,
        (logs[request] ?? []).map((log) => log.sort((a, b) => a.seq - b.seq)),
      );
    });
    return { now, sessions };
  }

  async read(key: SessionKey, range: LogRange): Promise<readonly Entry[]> {
    this.#database.guardOpen();
    const { text, values } = readCall(this.#schema, key, range);
    const read = (await this.#call(text, values)).map(entryOf);
    if ("from" in range) guardGapless(read, { store: this.#database.name, key, ...range });
    return read;
  }

  async find(query: SessionQuery): Promise<FoundRecords> {
    this.#database.guardOpen();
    return await findPage((text, values) => this.#ask(text, values), this.#schema, query);
  }

  async count(query: CountQuery): Promise<number> {
    this.#database.guardOpen();
    return await countFound(
      (text, values) => this.#withSchema(() => this.#database.administer(text, values)),
      this.#schema,
      query,
    );
  }

  async stats(query: StoreStatsQuery): Promise<StoreStats> {
    this.#database.guardOpen();
    const { text, values } = tallyCall(this.#schema, query);
    const administer: Database["ask"] = (sql, bound) => this.#withSchema(() => this.#database.administer(sql, bound));
    try {
      const rows = await administer(text, values);
      if (!hasDamage(rows)) return tallyOf(rows, query);
    } catch (error) {
      if (!isDamagedRow(error)) throw error;
    }
    return await slowTally(administer, this.#schema, query);
  }

  async usage(names: readonly UsageName[]): Promise<readonly CountedUsage[]> {
    this.#database.guardOpen();
    const rows = await this.#ask(
      `select coalesce(usage_sum.tokens, 0)::bigint as tokens, coalesce(usage_sum.turns, 0)::bigint as turns
       from json_to_recordset($1::json) as wanted(no int, tenant text, name text)
       cross join lateral (
         select sum(part.tokens) as tokens, sum(part.turns) as turns from ${this.#schema}.usage_sums part
         where part.tenant = wanted.tenant and part.name = wanted.name
       ) usage_sum
       order by wanted.no`,
      [JSON.stringify(names.map(({ tenant, name }, no) => ({ no, tenant, name })))],
    );
    return rows.map(({ tokens, turns }) => ({ tokens: Number(tokens), turns: Number(turns) }));
  }

  async inspect({ repair = false }: InspectOptions = {}): Promise<readonly StoreProblem[]> {
    this.#database.guardOpen();
    return await problemsIn(this.#database, this.#layout, repair);
  }

  async events(scan: EventScan): Promise<FoundEvents> {
    this.#database.guardOpen();
    return await eventPage((text, values) => this.#ask(text, values), this.#schema, scan);
  }

  async deleteEvents(past: Parameters<Store["deleteEvents"]>[0]): Promise<number> {
    this.#database.guardOpen();
    return await deleteEvents((text, values) => this.#ask(text, values), this.#schema, past);
  }

  async documents(query: DocumentQuery): Promise<FoundDocuments> {
    this.#database.guardOpen();
    return await findDocuments((text, values) => this.#ask(text, values), this.#schema, query);
  }

  async countDocuments(range: DocumentRange): Promise<number> {
    this.#database.guardOpen();
    return await countDocuments(
      (text, values) => this.#withSchema(() => this.#database.administer(text, values)),
      this.#schema,
      range,
    );
  }

  async deleteDocuments(selection: DeletedDocuments): Promise<number> {
    this.#database.guardOpen();
    return await deleteDocuments((text, values) => this.#ask(text, values), this.#schema, selection);
  }

  async news(query: NewsQuery): Promise<FoundNews> {
    this.#database.guardOpen();
    return await findNews((text, values) => this.#call(text, values), this.#schema, query);
  }

  async index(): Promise<IndexProgress> {
    this.#database.guardOpen();
    return await this.#index.step();
  }

  async search(query: MessageQuery): Promise<FoundMessages> {
    this.#database.guardOpen();
    return await findMessages((text, values) => this.#ask(text, values), this.#schema, query);
  }

  async heartbeat(
    { id, host, pid, machine, startedAt, address, staleAfterMs }: Omit<Instance, "seenAt">,
    { leaving = false }: { readonly leaving?: boolean } = {},
  ): Promise<void> {
    this.#database.guardOpen();
    const instances = `${this.#schema}.instances`;
    if (leaving) {
      await this.#ask(`delete from ${instances} where id = $1`, [id]);
      return;
    }
    // The delete skips rows that another instance deletes at the same time.
    const [row] = await this.#ask(
      `with deleted as (
         delete from ${instances} where id in (
           select id from ${instances} where seen_at < ${nowMs} - 86400000 and id <> $1 limit 100 for update skip locked
         )
       ), ${deletingExpired(this.#schema)}, forgotten_usage as (
         delete from ${this.#schema}.usage_sums where (tenant, name, part) in (
           select tenant, name, part from ${this.#schema}.usage_sums where until <= ${nowMs}
           order by until limit 1000 for update skip locked
         )
       )
       insert into ${instances} (id, host, pid, machine, started_at, address, stale_after_ms, seen_at)
         values ($1, $2, $3, $4, $5, $6, $7, ${nowMs})
       on conflict (id) do update set host = excluded.host, pid = excluded.pid, machine = excluded.machine,
         started_at = excluded.started_at, address = excluded.address,
         stale_after_ms = excluded.stale_after_ms, seen_at = excluded.seen_at
       returning exists (select from ${this.#schema}.removed removed where removed.due_at <= now()) as are_left`,
      [id, host, pid, machine, startedAt, address, staleAfterMs],
    );
    // A process that was killed has left them.
    if (row?.["are_left"] === true) this.#removed.deleteSoon();
  }

  async instances(
    ids: readonly string[] | "hosts",
  ): Promise<{ readonly now: number; readonly instances: readonly Instance[] }> {
    this.#database.guardOpen();
    const which =
      ids === "hosts"
        ? `id in (
             select distinct on (address, machine, pid, started_at) id from ${this.#schema}.instances
             where address is not null order by address, machine, pid, started_at, seen_at desc, id
           ) order by seen_at desc, id limit 1000`
        : "id = any (array(select json_array_elements_text($1::json)))";
    const [row] = await this.#ask(
      `select ${nowMs} as now, (
         select json_agg(json_build_object('id', id, 'host', host, 'pid', pid, 'machine', machine,
           'startedAt', started_at, 'address', address, 'staleAfterMs', stale_after_ms, 'seenAt', seen_at))::text
         from (select * from ${this.#schema}.instances where ${which}) as found
       ) as instances`,
      ids === "hosts" ? [] : [JSON.stringify(ids)],
    );
    return { now: Number(row?.["now"]), instances: (parsed(row?.["instances"]) ?? []) as Instance[] };
  }

  watch(key: SessionKey, wake: () => void): () => void {
    this.#database.guardOpen();
    this.#hints?.listen();
    return this.#watchers.watch(key, wake);
  }

  /** The server itself removes dead rows from its files, its write-ahead log, its copies and its backups. */
  async scrub(): Promise<void> {
    this.#database.guardOpen();
    await this.#removed.deleteAll();
    await deleteNews((text, values) => this.#ask(text, values), this.#schema);
    await this.#ask(`select ${this.#schema}.forget_messages()`);
  }

  async close(): Promise<void> {
    await this.#removed.close();
    await this.#hints?.close();
    await this.#database.close();
  }

  #ask(text: string, values?: readonly unknown[]): Promise<readonly Row[]> {
    return this.#withSchema(() => this.#database.ask(text, values));
  }

  #call(text: string, values: readonly unknown[]): Promise<readonly Row[]> {
    return this.#withSchema(() => this.#database.call(text, values));
  }

  /** Runs `work`. A statement that misses a table or a function has met a missing or a newer schema. */
  async #withSchema<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!isMissing(error)) throw error;
      await this.#ensureSchema();
      return await work();
    }
  }
}

const landed: Outcome = { status: "ok" };
const noCopies: Copies = new Map();

/** True for a request that `load_one` can answer. */
function isLone({ tails: [tail, ...more] }: LoadRequest): boolean {
  return more.length === 0 && (tail === undefined || (tail.bytesMax === undefined && tail.last > 0));
}

/** True if a change takes over the logs of another session. */
function moves(transaction: Transaction): boolean {
  return transaction.some((change) => "logsOf" in change);
}

/** The same error, where it is unknown whether the commit was applied. */
function inDoubt(error: SessionError): SessionError {
  if (!hasCode(error, "store_unavailable")) return error;
  const details = { ...error.details, problem: "outcome_unknown" } as const;
  return new SessionError("store_unavailable", details, { cause: error.cause, reported: error.message });
}

function parsed(text: unknown): unknown {
  return typeof text === "string" ? JSON.parse(text) : null;
}

function entryOf({ seq, key, at, data }: Row): Entry {
  return { seq: Number(seq), key: key as string | null, at: Number(at), data: String(data) };
}
