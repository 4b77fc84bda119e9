/** Searches in the index of messages. */
import { defined } from "../../../domain/values/defined.ts";
import type { LabelFilter } from "../../../domain/values/labels.ts";
import { decodeCursor, encodeCursor } from "../../cursor.ts";
import type { FoundMessage, FoundMessages, MessageQuery } from "../../store.ts";
import type { Database, Row } from "../connection/database.ts";
import { sqlInto, type Sql } from "../connection/sql.ts";
import { listed } from "../find.ts";
import { nextWay, type Checked } from "./search-ways.ts";

/** So many of the newest messages are checked before the index of words is asked, in some milliseconds of the server. */
const checkedMax = 4000;
/** So many of them show how large a row of the index is: before the first analysis the server does not know the rows of a table. */
const sampleRows = 200;
/** The bytes of a row with its words, which are beside the table if they are long. */
const rowBytes = "100 + case when pg_column_size(message.words) > 2000 then 18 else pg_column_size(message.words) end";
/** Of so many sessions the messages are read; of more, each found message is checked. */
const fewSessionsMax = 200;
/** The same where the words are in many messages, and the newest of them have not filled the page. */
const someSessionsMax = 2000;
/** So many messages are many: to find the session of each takes the server some ten milliseconds. */
const manyMessages = 2000;

/**
 * One page. One more row than the limit is read to find out whether another page follows.
 *
 * The newest messages are checked first: a frequent word fills the page from them. If it does not, `nextWay` says where to look
 * next. Left alone the server would choose by its statistics, which have no order by time: it reads half a table by time for a
 * word that it takes to be less rare, or all messages of a word for the newest twenty. Of a few sessions all messages with the
 * words are sorted, and of some where all of a frequent word would be: sessions that pass the filter may all be old.
 */
export async function findMessages(ask: Database["ask"], schema: string, query: MessageQuery): Promise<FoundMessages> {
  const search = new MessageSearch(ask, schema, query);
  const found = await search.found();
  const messages = found.slice(0, query.limit).map(messageIn);
  return { messages, next: found.length > query.limit ? messages.at(-1)?.cursor : undefined };
}

const order = "at desc, session desc, log desc, seq desc, message desc";

/** The statements of one search. */
class MessageSearch {
  readonly #ask: Database["ask"];
  readonly #schema: string;
  readonly #query: MessageQuery;

  constructor(ask: Database["ask"], schema: string, query: MessageQuery) {
    this.#ask = ask;
    this.#schema = schema;
    this.#query = query;
  }

  /** The first ones, at most one more than the limit. */
  async found(): Promise<readonly Row[]> {
    const { limit, words } = this.#query;
    const few = this.#isFiltered() ? await this.#sessions(fewSessionsMax) : undefined;
    if (few?.length === 0) return [];
    if (few !== undefined) return await this.#all({ few });
    const { found, checked } = await this.#newest(checkedMax);
    if (checked === undefined) return found;
    // Where none of many messages is of a session that passes the filter, these sessions are few, or old.
    const isInMany = (checked.matched / checked.rows) * checked.total > manyMessages;
    const isBySessions = isInMany && this.#isFiltered();
    const some = isBySessions && found.length === 0 ? await this.#sessions(someSessionsMax) : undefined;
    if (some !== undefined) return await this.#all({ few: some });
    const way = nextWay(checked, { limit, shown: found.length, words: words.length });
    if (way.kind === "newest") {
      const more = await this.#newest(way.rows);
      if (more.checked === undefined) return more.found;
    } else if (way.kind === "since") {
      const recent = await this.#all({ since: way.at });
      if (recent.length > limit) return recent;
    }
    const rest = isBySessions && found.length > 0 ? await this.#sessions(someSessionsMax) : undefined;
    return await this.#all(defined({ few: rest }));
  }

  #isFiltered(): boolean {
    const {
      tenant: _tenant,
      words: _words,
      since: _since,
      before: _before,
      limit: _limit,
      bytesMax: _bytesMax,
      after: _after,
      now: _now,
      ...filter
    } = this.#query;
    return Object.values(filter).some((value) => value !== undefined);
  }

  /**
   * Those among so many of the newest messages. Without `checked` these are all: they fill the page, or there are no other
   * messages. The counts are read only where they are not.
   */
  async #newest(rows: number): Promise<{ readonly found: readonly Row[]; readonly checked: Checked | undefined }> {
    const values: unknown[] = [];
    const sql = sqlInto(values);
    const table = this.#table(sql, {});
    const name = `${this.#schema}.search_messages`;
    const answer = await this.#ask(
      `with matched as materialized (
        select session, logs, log, seq, message, at
        from (select * from ${table} order by ${order} limit ${rows}) message where ${this.#hasWords(sql)}
        order by ${order}
      ), found as materialized (
        ${this.#shown(sql, `select * from matched order by ${order} offset 0`)}
      ), checked as materialized (
        select case when (select count(*) from found) <= ${sql`${this.#query.limit}`} then (
          select at from ${table} order by ${order} offset ${rows} limit 1
        ) end as reached
      )
      select shown.*, checked.reached,
        case when reached is not null then (select count(*) from matched) end as matched,
        case when reached is not null then (select message.at from ${table} order by ${order} limit 1) end as begun,
        case when reached is not null then pg_relation_size(to_regclass(${sql`${name}`})) / (
          select avg(${rowBytes}) from (select words from ${table} order by ${order} limit ${sampleRows}) message
        ) end as total
      from checked left join (${this.#withEntries(sql, "found")}) shown on true
      order by ${order}`,
      values,
    );
    const { reached, matched, begun, total } = answer[0] ?? {};
    return {
      found: answer.filter(({ session }) => session !== null),
      checked:
        reached == null
          ? undefined
          : { rows, matched: Number(matched), from: Number(begun), to: Number(reached), total: Number(total) },
    };
  }

  /** Those that the index of words has. */
  async #all(among: { readonly few?: readonly string[]; readonly since?: number }): Promise<readonly Row[]> {
    const values: unknown[] = [];
    const sql = sqlInto(values);
    return await this.#ask(
      `with matched as materialized (
        select session, logs, log, seq, message, at from ${this.#table(sql, among)} and ${this.#hasWords(sql)}
      ), found as materialized (
        ${this.#shown(sql, `select * from matched order by ${order} offset 0`)}
      )
      ${this.#withEntries(sql, "found")} order by ${order}`,
      values,
    );
  }

  #table(sql: Sql, { few, since: from }: { readonly few?: readonly string[]; readonly since?: number }): string {
    const { tenant, since, before, after } = this.#query;
    const places = [sql`message.tenant = ${tenant}`];
    if (since !== undefined) places.push(sql`message.at >= ${since}`);
    if (from !== undefined) places.push(sql`message.at >= ${from}`);
    if (before !== undefined) places.push(sql`message.at < ${before}`);
    if (after !== undefined) {
      const [at, session, log, seq, message] = decodeCursor(after, ["number", "string", "string", "number", "number"]);
      places.push(
        `(message.at, message.session, message.log, message.seq, message.message) < ${sql`(${at}::bigint, ${session}::text, ${log}::text, ${seq}::bigint, ${message}::int)`}`,
      );
    }
    if (few !== undefined)
      places.push(sql`message.session = any (array(select json_array_elements_text(${JSON.stringify(few)}::json)))`);
    return `${this.#schema}.search_messages message where ${places.join(" and ")}`;
  }

  #hasWords(sql: Sql): string {
    const terms = this.#query.words.map(({ word, isPrefix }) => `${quoted(word)}${isPrefix ? ":*" : ""}`);
    return `message.words @@ ${sql`${terms.join(" & ")}::tsquery`} and message.message >= 0`;
  }

  /** Of messages in their order, the first ones whose sessions pass the filter. The inner limit keeps the server from joining all sessions of the tenant first. */
  #shown(sql: Sql, messages: string): string {
    return `
      select message.session, message.logs, message.log, message.seq, message.message, message.at
      from (${messages}) message
      cross join lateral (
        select from ${this.#schema}.sessions session
        where session.id = message.session and session.logs = message.logs and ${this.#matchingRow(sql).join(" and ")} limit 1
      ) shown
      order by ${order} limit ${sql`${this.#query.limit + 1}`}`;
  }

  /** Those that were found, with the entries of their turns up to the bytes of the query: a text behind them is not read. */
  #withEntries(sql: Sql, found: string): string {
    const { tenant, bytesMax } = this.#query;
    const isWithin =
      bytesMax === undefined
        ? "true"
        : sql`sum(entry.size) over (order by found.at desc, found.session desc, found.log desc, found.seq desc, found.message desc) <= ${bytesMax}`;
    return `
      select found.session, found.log, found.seq, found.message, found.at, entry.key as entry_key, entry.at as entry_at,
        case when ${isWithin} then ${this.#schema}.entry_text(entry.data, entry.bytes) end as entry_data
      from ${found} found
      left join lateral (
        select stored.key, stored.at, stored.data, stored.bytes, octet_length(stored.data) as size from ${this.#schema}.entries stored
        where stored.tenant = ${sql`${tenant}`} and stored.session = found.session and stored.logs = found.logs
          and stored.log = found.log and stored.seq = found.seq limit 1
      ) entry on true`;
  }

  /**
   * The filter for one session. Its labels are read from its row: before the first analysis the server looks for the row of
   * `labels` in the index by value, among all sessions with that value.
   */
  #matchingRow(sql: Sql): readonly string[] {
    const labels = Object.entries(this.#query.labels ?? {}).map(([name, value]) => {
      const found = sql`session.labels::json ->> ${name}::text`;
      return value === true ? `${found} is not null` : `${found} = ${sql`${value}`}`;
    });
    return [...this.#matching(sql), ...labels];
  }

  #matching(sql: Sql, labels: LabelFilter = {}): readonly string[] {
    const {
      words: _words,
      since: _since,
      before: _before,
      limit: _limit,
      bytesMax: _bytesMax,
      after: _after,
      labels: _labels,
      ...filter
    } = this.#query;
    return listed(sql, this.#schema, { ...filter, labels, order: "key", limit: 0 });
  }

  /** The sessions that pass the filter; undefined if they are more than this. */
  async #sessions(max: number): Promise<readonly string[] | undefined> {
    const values: unknown[] = [];
    const sql = sqlInto(values);
    const rows = await this.#ask(
      `select session.id from ${this.#schema}.sessions session
       where ${this.#matching(sql, this.#query.labels).join(" and ")} limit ${sql`${max + 1}`}`,
      values,
    );
    return rows.length > max ? undefined : rows.map(({ id }) => String(id));
  }
}

function messageIn(row: Row): FoundMessage {
  const [session, log] = [String(row["session"]), String(row["log"])];
  const [seq, message] = [Number(row["seq"]), Number(row["message"])];
  const { entry_key: key, entry_at: at, entry_data: data } = row;
  return {
    session,
    log,
    seq,
    message,
    entry:
      data === null
        ? undefined
        : { seq, key: key === null ? null : String(row["entry_key"]), at: Number(at), data: String(row["entry_data"]) },
    cursor: encodeCursor([Number(row["at"]), session, log, seq, message]),
  };
}

/** Words have no quote and no backslash. */
function quoted(word: string): string {
  return `'${word}'`;
}
