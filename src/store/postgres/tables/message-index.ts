import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { spacedMessages, titleSeq } from "../../../domain/search/searched-messages.ts";
import { spacedWords } from "../../../domain/search/words.ts";
import type { IndexProgress } from "../../store.ts";
import type { Database } from "../connection/database.ts";
import { leaseMs, wordsSeparator } from "../schema/functions/message-index.ts";

/** The number of indexed sessions after which the statistics of the server are counted again. */
const countedAfter = 1000;

/**
 * The settings of a step. The words of its messages go to the list of pending entries of the index. A longer list and more memory
 * give the server more words at a time to merge into the index, so it looks for each different word fewer times. The last step
 * merges the list (`put_words`), so a search reads a long list only while the index is built.
 */
const merging = "set_config('work_mem', '64MB', true), set_config('gin_pending_list_limit', '16MB', true)";

/** How long a process waits that finds another one indexing, ms. */
const pauseMs = 20;

/**
 * Sessions that were read ahead are written until they are this old, ms. A search may end between two steps, and what is removed
 * before the next one has to stay out of the files.
 */
const aheadMs = 1000;

/** A step reads from the first session on, which renews the lease, after so long at the latest, ms: half of the lease. */
const renewMs = leaseMs / 2;

/** The answer of `due_messages`; null: all is indexed. Without sessions another process indexes. */
interface Due {
  readonly left: number;
  /** True if no other session is due. */
  readonly isLast?: boolean;
  readonly sessions?: readonly DueSession[];
}

interface DueSession {
  readonly tenant: string;
  readonly id: string;
  readonly logs: string;
  readonly version: number;
  readonly commit_id: string;
  readonly title: string | null;
  readonly titleMark: string | null;
  readonly createdAt: number;
  readonly turns: readonly (readonly [log: string, seq: number, at: number, xid: number, data: string])[];
  /** True if these are all of its new turns. */
  readonly isWhole: boolean;
}

/** Sessions with the rows that their step writes. */
interface Batch {
  readonly left: number;
  readonly isLast: boolean;
  readonly sessions: readonly DueSession[];
  readonly rows: Rows;
}

/** Another process indexes. */
interface Elsewhere {
  readonly left: number;
  readonly rows?: undefined;
}

/** The index of search. `schema/functions/message-index.ts` has the statements and their races. */
export class MessageIndex {
  readonly #call: Database["call"];
  readonly #schema: string;
  /** Names this store among those that index. */
  readonly #holder = randomUUID();
  /** The sessions that were indexed since the last count of the server's statistics. */
  #uncounted = 0;
  #running: Promise<IndexProgress> | undefined;
  /** The step after the running one, for all callers that came meanwhile. */
  #waiting: Promise<IndexProgress> | undefined;
  /** What the last step read while it wrote. */
  #ahead: (Batch & { readonly readAt: number }) | undefined;
  /** When this store last took or renewed the lease. */
  #renewedAt = Number.NEGATIVE_INFINITY;

  constructor(call: Database["call"], schema: string) {
    this.#call = call;
    this.#schema = schema;
  }

  /** Indexes some of what is new. A step begins after the call, and steps of one store never run at the same time. */
  step(): Promise<IndexProgress> {
    if (this.#waiting !== undefined) return this.#waiting;
    if (this.#running === undefined) return this.#begin();
    const begin = (): Promise<IndexProgress> => {
      this.#waiting = undefined;
      return this.#begin();
    };
    this.#waiting = this.#running.then(begin, begin);
    return this.#waiting;
  }

  #begin(): Promise<IndexProgress> {
    const running = this.#step().finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }

  async #step(): Promise<IndexProgress> {
    const ahead = this.#takeAhead();
    const due = ahead ?? (await this.#read());
    if (due === null) return { isCurrent: true, left: 0 };
    if (due.rows === undefined) {
      await sleep(pauseMs);
      return { isCurrent: false, left: due.left };
    }
    const { left, isLast, sessions, rows } = due;
    const [marked] = await Promise.all([this.#put(due), isLast ? undefined : this.#readAhead(due)]);
    if (marked < 0) {
      this.#ahead = undefined;
      return { isCurrent: false, left };
    }
    if (isLast && rows.count === 0) await this.#mergePending();
    this.#uncounted += sessions.length;
    if (isLast && this.#uncounted >= countedAfter) {
      this.#uncounted = 0;
      // Without statistics the server takes the tenant for one with few messages until its next autovacuum.
      await this.#call(`analyze ${this.#schema}.search_messages`, []);
    }
    // A batch that was read ahead may lack what the caller committed before its call, so the next step reads once more.
    return { isCurrent: isLast && ahead === undefined, left: Math.max(0, left - sessions.length) };
  }

  #takeAhead(): Batch | undefined {
    const ahead = this.#ahead;
    this.#ahead = undefined;
    const now = performance.now();
    return ahead !== undefined && now - ahead.readAt < aheadMs && now - this.#renewedAt < renewMs ? ahead : undefined;
  }

  /** What is due, or behind a session of this batch; null if that is nothing. */
  async #read(before?: { readonly left: number; readonly last: DueSession }): Promise<Batch | Elsewhere | null> {
    if (before === undefined) this.#renewedAt = performance.now();
    const [row] = await this.#call(`select ${this.#schema}.due_messages($1, $2, $3)::text as due`, [
      this.#holder,
      before?.last.tenant ?? null,
      before?.last.id ?? null,
    ]);
    const text = row?.["due"] as string | null | undefined;
    const due = typeof text === "string" ? (JSON.parse(text) as Due) : null;
    if (due === null) return null;
    if (due.sessions === undefined) return { left: due.left };
    const { isLast = false, sessions } = due;
    return { left: before?.left ?? due.left, isLast, sessions, rows: rowsOf(sessions) };
  }

  /** Reads what follows the sessions of a batch while they are written. Fails never: the next step reads again. */
  async #readAhead({ sessions, left }: Batch): Promise<void> {
    const last = sessions.at(-1);
    if (last === undefined || !last.isWhole) return;
    const readAt = performance.now();
    const before = { last, left: Math.max(0, left - sessions.length) };
    const next = await this.#read(before).catch(() => null);
    if (next?.rows !== undefined && next.sessions.length > 0) this.#ahead = { ...next, readAt };
  }

  /** The number of sessions that are indexed with it; below 0 if another process has the lease. */
  async #put({ sessions, rows, isLast }: Batch): Promise<number> {
    const given = sessions.map(({ tenant, id, logs, version, commit_id, isWhole }) => {
      return { tenant, id, logs, version, commit_id, is_whole: isWhole };
    });
    const [row] = await this.#call(
      `select ${merging}, ${this.#schema}.put_words($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) as marked`,
      [this.#holder, JSON.stringify(given), ...rows.columns(), isLast],
    );
    return Number(row?.["marked"]);
  }

  /**
   * Merges the words that a process which ended before its last step left in the list of pending entries. The server lets the
   * owner of the index do so. For another role the list stays until the next step with a row.
   */
  async #mergePending(): Promise<void> {
    const name = `${this.#schema}.search_messages_words`;
    await this.#call(
      `select gin_clean_pending_list(oid) from pg_class where oid = to_regclass($1) and pg_has_role(relowner, 'usage')`,
      [name],
    );
  }
}

/** A row of the index. */
interface Row {
  /** The place of its session in the batch, from 1. */
  readonly place: number;
  readonly log: string;
  readonly seq: number;
  readonly message: number;
  readonly at: number;
  readonly xid: number | string;
  /** With spaces between them. */
  readonly words: string;
}

/** The rows of a batch, column by column. */
class Rows {
  readonly #place: number[] = [];
  readonly #log: number[] = [];
  readonly #seq: number[] = [];
  readonly #message: number[] = [];
  readonly #at: number[] = [];
  readonly #xid: (number | string)[] = [];
  readonly #words: string[] = [];
  /** The place of each name of a log, from 1. */
  readonly #logs = new Map<string, number>();

  get count(): number {
    return this.#place.length;
  }

  add({ place, log, seq, message, at, xid, words }: Row): void {
    const known = this.#logs.get(log) ?? this.#logs.size + 1;
    this.#logs.set(log, known);
    this.#place.push(place);
    this.#log.push(known);
    this.#seq.push(seq);
    this.#message.push(message);
    this.#at.push(at);
    this.#xid.push(xid);
    this.#words.push(words);
  }

  /** The parameters of `put_words` from `_logs` to `_words`. */
  columns(): readonly string[] {
    const columns = [this.#place, this.#log, this.#seq, this.#message, this.#at, this.#xid];
    return [
      JSON.stringify([...this.#logs.keys()]),
      ...columns.map((column) => `{${column.join(",")}}`),
      this.#words.join(wordsSeparator),
    ];
  }
}

function rowsOf(sessions: readonly DueSession[]): Rows {
  const rows = new Rows();
  for (const [index, { title, titleMark, createdAt, turns }] of sessions.entries()) {
    const place = index + 1;
    if (title !== null && titleMark !== null) {
      const words = spacedWords(title);
      rows.add({ place, log: "turns", seq: titleSeq, message: 0, at: createdAt, xid: titleMark, words });
    }
    for (const [log, seq, at, xid, data] of turns) {
      const found = spacedMessages({ seq, at, key: null, data });
      // A turn without a word has a row too, so that it is not read again.
      if (found.length === 0) rows.add({ place, log, seq, message: -1, at, xid, words: "" });
      for (const { message, words } of found) rows.add({ place, log, seq, message, at, xid, words });
    }
  }
  return rows;
}
