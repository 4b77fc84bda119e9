import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { searchedMessages, tenantWord, titleSeq } from "../../../domain/search/searched-messages.ts";
import { wordsOf } from "../../../domain/search/words.ts";
import { decodeCursor, encodeCursor } from "../../cursor.ts";
import type { FoundMessage, FoundMessages, IndexProgress, MessageQuery } from "../../store.ts";
import type { Database } from "../connection/database.ts";
import { sqlInto } from "../connection/sql.ts";
import { listed } from "../find.ts";

/** The number of indexed sessions after which the statistics of the server are counted again. */
const countedAfter = 1000;

/**
 * The settings of a step. The words of its messages go to the list of pending entries of the index. A longer list and more memory
 * give the server more words at a time to merge into the index, so it looks for each different word fewer times. The last step
 * merges the list (`put_messages`), so a search reads a long list only while the index is built.
 */
const merging = "set_config('work_mem', '64MB', true), set_config('gin_pending_list_limit', '16MB', true)";

/** How long a process waits that finds another one indexing, ms. */
const pauseMs = 20;

/**
 * So many of the newest messages are checked before the index is asked, in some milliseconds of the server. Where there are no more,
 * the index is not asked.
 */
const checkedMax = 4000;

/** Of fewer sessions than this, the messages are read; of more, each found message is checked. */
const fewSessionsMax = 200;

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

/** A row of the index. */
interface Row {
  readonly tenant: string;
  readonly id: string;
  readonly logs: string;
  readonly log: string;
  readonly seq: number;
  readonly message: number;
  readonly at: number;
  readonly xid: number | string;
  /** With spaces between them. */
  readonly words: string;
}

/** The index of search. `schema/functions/message-index.ts` has the statements and their races. */
export class MessageIndex {
  readonly #call: Database["call"];
  readonly #schema: string;
  /** Names this store among those that index. */
  readonly #holder = randomUUID();
  /** The sessions that were indexed since the last count of the server's statistics. */
  #uncounted = 0;

  constructor(call: Database["call"], schema: string) {
    this.#call = call;
    this.#schema = schema;
  }

  /** Indexes some of what is new. */
  async step(): Promise<IndexProgress> {
    const [row] = await this.#call(`select ${this.#schema}.due_messages($1)::text as due`, [this.#holder]);
    const text = row?.["due"] as string | null | undefined;
    const due = typeof text === "string" ? (JSON.parse(text) as Due) : null;
    if (due === null) return { isCurrent: true, left: 0 };
    const { left, isLast = false, sessions } = due;
    if (sessions === undefined) {
      await sleep(pauseMs);
      return { isCurrent: false, left };
    }
    const given = sessions.map(({ tenant, id, logs, version, commit_id, titleMark, isWhole }) => {
      return { tenant, id, logs, version, commit_id, title_mark: titleMark, is_whole: isWhole };
    });
    const rows = sessions.flatMap(rowsOf);
    await this.#call(`select ${merging}, ${this.#schema}.put_messages($1, $2, $3)`, [
      JSON.stringify(given),
      JSON.stringify(rows),
      isLast,
    ]);
    if (isLast && rows.length === 0) await this.#mergePending();
    this.#uncounted += sessions.length;
    if (isLast && this.#uncounted >= countedAfter) {
      this.#uncounted = 0;
      // Without statistics the server takes a frequent word for a rare one until its next autovacuum.
      await this.#call(`analyze ${this.#schema}.search_messages`, []);
    }
    return { isCurrent: isLast, left: Math.max(0, left - sessions.length) };
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

function rowsOf({ tenant, id, logs, title, titleMark, createdAt, turns }: DueSession): readonly Row[] {
  const place = { tenant, id, logs };
  const scope = tenantWord(tenant);
  const titles =
    title === null || titleMark === null
      ? []
      : [
          {
            ...place,
            log: "turns",
            seq: titleSeq,
            message: 0,
            at: createdAt,
            xid: titleMark,
            words: joined([...wordsOf(title)], scope),
          },
        ];
  const messages = turns.flatMap(([log, seq, at, xid, data]): Row[] => {
    const found = searchedMessages({ seq, at, key: null, data });
    // A turn without a word has a row too, so that it is not read again.
    if (found.length === 0) return [{ ...place, log, seq, message: -1, at, xid, words: scope }];
    return found.map(({ message, words }) => ({ ...place, log, seq, message, at, xid, words: joined(words, scope) }));
  });
  return [...titles, ...messages];
}

function joined(words: readonly string[], scope: string): string {
  return words.length === 0 ? scope : `${words.join(" ")} ${scope}`;
}

/**
 * One page. One more row than the limit is read to find out whether another page follows.
 *
 * The newest messages are checked first: a frequent word fills the page from them. A word that does not is rare, so the index has
 * few messages to read and to sort. The server would choose between the two by its statistics, which have frequent words alone: it
 * reads half a table by time for a word that it takes to be less rare. Of a few sessions all messages with the words are sorted.
 */
export async function findMessages(ask: Database["ask"], schema: string, query: MessageQuery): Promise<FoundMessages> {
  const { tenant, words, since, before, limit, after, ...filter } = query;
  const values: unknown[] = [];
  const sql = sqlInto(values);
  // The word of the tenant is left out: the server would look up each message of the other words in the long list of this one.
  const terms = words.map(({ word, isPrefix }) => `${quoted(word)}${isPrefix ? ":*" : ""}`);
  const places = [sql`message.tenant = ${tenant}`];
  if (since !== undefined) places.push(sql`message.at >= ${since}`);
  if (before !== undefined) places.push(sql`message.at < ${before}`);
  if (after !== undefined) {
    const [at, session, log, seq, message] = decodeCursor(after, ["number", "string", "string", "number", "number"]);
    places.push(
      `(message.at, message.session, message.log, message.seq, message.message) < ${sql`(${at}::bigint, ${session}::text, ${log}::text, ${seq}::bigint, ${message}::int)`}`,
    );
  }
  const isFiltered = Object.entries(filter).some(([name, value]) => name !== "now" && value !== undefined);
  const few = isFiltered ? await fewSessions(ask, schema, query) : undefined;
  if (few?.length === 0) return { messages: [], next: undefined };
  if (few !== undefined)
    places.push(sql`message.session = any (array(select json_array_elements_text(${JSON.stringify(few)}::json)))`);
  // The limit keeps the server from joining all sessions of the tenant first.
  const matching = listed(sql, schema, { ...filter, order: "key", tenant, limit: 0 });
  const order = "at desc, session desc, log desc, seq desc, message desc";
  const hasWords = `message.words @@ ${sql`${terms.join(" & ")}::tsquery`} and message.message >= 0`;
  const table = `${schema}.search_messages message where ${places.join(" and ")}`;
  const shownOf = (messages: string): string => `
    select message.session, message.log, message.seq, message.message, message.at
    from (${messages}) message
    cross join lateral (
      select from ${schema}.sessions session
      where session.id = message.session and session.logs = message.logs and ${matching.join(" and ")} limit 1
    ) shown
    order by ${order} limit ${sql`${limit + 1}`}`;
  const all = `
    matched as materialized (
      select session, logs, log, seq, message, at from ${table} and ${hasWords}
    ), found as (${shownOf(`select * from matched order by ${order} offset 0`)})`;
  const newest = (): string => `
    newest as materialized (
      ${shownOf(`select * from (select * from ${table} order by ${order} limit ${checkedMax}) message where ${hasWords}`)}
    ), checked as materialized (
      select (select count(*) from newest) > ${sql`${limit}`}
        or not exists (select from ${table} order by ${order} offset ${checkedMax}) as is_enough
    )`;
  const rows = await ask(
    few !== undefined
      ? `with ${all} select * from found order by ${order}`
      : `with ${newest()}, ${all}
        select * from newest where (select is_enough from checked)
        union all select * from found where not (select is_enough from checked)
        order by ${order}`,
    values,
  );
  const found = rows.map((row): FoundMessage & { readonly at: number } => ({
    session: String(row["session"]),
    log: String(row["log"]),
    seq: Number(row["seq"]),
    message: Number(row["message"]),
    at: Number(row["at"]),
  }));
  const page = found.slice(0, limit);
  const last = found.length > limit ? page.at(-1) : undefined;
  return {
    messages: page.map(({ session, log, seq, message }) => ({ session, log, seq, message })),
    next: last && encodeCursor([last.at, last.session, last.log, last.seq, last.message]),
  };
}

/** The sessions that pass the filter; undefined if they are many. */
async function fewSessions(
  ask: Database["ask"],
  schema: string,
  { tenant, words: _words, since: _since, before: _before, limit: _limit, after: _after, ...filter }: MessageQuery,
): Promise<readonly string[] | undefined> {
  const values: unknown[] = [];
  const sql = sqlInto(values);
  const matching = listed(sql, schema, { ...filter, order: "key", tenant, limit: 0 });
  const rows = await ask(
    `select session.id from ${schema}.sessions session
     where ${matching.join(" and ")} limit ${sql`${fewSessionsMax + 1}`}`,
    values,
  );
  return rows.length > fewSessionsMax ? undefined : rows.map(({ id }) => String(id));
}

/** Words have no quote and no backslash. */
function quoted(word: string): string {
  return `'${word}'`;
}
