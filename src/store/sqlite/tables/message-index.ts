import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import { scopeMark, spacedMessages, tenantWord, titleSeq } from "../../../domain/search/searched-messages.ts";
import type { SearchedWord } from "../../../domain/search/search-terms.ts";
import { spacedWords } from "../../../domain/search/words.ts";
import type { Entry } from "../../../domain/record/entry.ts";
import { decodeCursor, encodeCursor } from "../../cursor.ts";
import type { FoundMessage, FoundMessages, IndexProgress, MessageQuery } from "../../store.ts";
import { numbersFound } from "../find.ts";
import { isTurn } from "../schema/search-tables.ts";

/** What one step indexes in some ten milliseconds. */
const stepMax = { entries: 400, bytes: 1024 * 1024 } as const;
/** A merge of the index writes about this many pages. */
const mergePages = 500;
/** Places within a second. */
const placesOfSecond = 2 ** 20;
/** The last second whose places are exact numbers, in the year 2106. */
const secondMax = 2 ** 32 - 1;
/** Of fewer sessions than this, the index itself finds the messages; of more, each found message is checked. */
const fewSessionsMax = 200;

/**
 * The index of search in a file: `schema/search-tables.ts` describes its tables. A step reads and writes in one transaction, so
 * processes that index at the same time take turns, and each row is indexed once.
 */
export class MessageIndex {
  readonly #database: DatabaseSync;
  readonly #state: StatementSync;
  readonly #begin: readonly StatementSync[];
  readonly #newEntries: StatementSync;
  readonly #reach: StatementSync;
  readonly #changes: StatementSync;
  readonly #forgetChange: StatementSync;
  readonly #turn: StatementSync;
  readonly #title: StatementSync;
  readonly #tenant: StatementSync;
  readonly #places: StatementSync;
  readonly #deletePlaces: StatementSync;
  readonly #deleteWords: StatementSync;
  readonly #lastPlace: StatementSync;
  readonly #insertMessage: StatementSync;
  readonly #insertWords: StatementSync;
  readonly #merge: StatementSync;
  readonly #totalChanges: StatementSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
    const arrays = (text: string): StatementSync => {
      const statement = database.prepare(text);
      statement.setReturnArrays(true);
      return statement;
    };
    this.#state = arrays(`
      select (select up_to from search_state), (select coalesce(max(rowid), 0) from entries),
        (select count(*) from (select 1 from search_changes limit ${stepMax.entries}))`);
    this.#begin = [
      database.prepare("insert into search_state (id, up_to) values (1, 0)"),
      database.prepare(
        `insert into search_changes (session, log, seq) select no, 'turns', ${titleSeq} from sessions where title is not null`,
      ),
    ];
    this.#newEntries = arrays(`
      select entries.rowid, session, log, seq, entries.at, iif(${isTurn("log")}, entries.data, null), tenant
      from entries left join sessions on no = session where entries.rowid > ? order by entries.rowid limit ?`);
    this.#reach = database.prepare("update search_state set up_to = ?");
    this.#changes = arrays("select session, log, seq from search_changes limit ?");
    this.#forgetChange = database.prepare("delete from search_changes where session = ? and log = ? and seq = ?");
    this.#turn = arrays("select at, data, key from entries where session = ? and log = +? and seq = ?");
    this.#title = arrays("select created_at, title from sessions where no = ?");
    this.#tenant = arrays("select tenant from sessions where no = ?");
    this.#places = arrays("select place from search_messages where session = ? and log = ? and seq = ?");
    this.#deletePlaces = database.prepare("delete from search_messages where session = ? and log = ? and seq = ?");
    this.#deleteWords = database.prepare("delete from search_words where rowid = ?");
    this.#lastPlace = arrays("select max(place) from search_messages where place between ? and ?");
    this.#insertMessage = database.prepare(
      "insert into search_messages (place, session, log, seq, message, at) values (?, ?, ?, ?, ?, ?)",
    );
    this.#insertWords = database.prepare("insert into search_words (rowid, words) values (?, ?)");
    this.#merge = database.prepare("insert into search_words (search_words, rank) values ('merge', ?)");
    this.#totalChanges = arrays("select total_changes()");
  }

  progress(): IndexProgress {
    const { upTo, last, changes } = this.#stateNow();
    const left = last - (upTo ?? 0) + changes;
    return { isCurrent: upTo !== undefined && left === 0, left };
  }

  #stateNow(): { readonly upTo: number | undefined; readonly last: number; readonly changes: number } {
    const [upTo, last, changes] = this.#state.get() as unknown as [number | null, number, number];
    return { upTo: upTo ?? undefined, last, changes };
  }

  /** Indexes some changes, then some new entries. The caller holds the write lock. */
  step(): IndexProgress {
    let { upTo } = this.#stateNow();
    if (upTo === undefined) {
      for (const statement of this.#begin) statement.run();
      upTo = 0;
    }
    const places = new Places(this.#lastPlace);
    const done = this.#indexChanges(places);
    if (done < stepMax.entries) this.#indexEntries(upTo, stepMax.entries - done, places);
    return this.progress();
  }

  /** Looks at changed turns and titles again, and returns how many. */
  #indexChanges(places: Places): number {
    const changes = this.#changes.all(stepMax.entries) as unknown as readonly [number, string, number][];
    for (const [session, log, seq] of changes) {
      this.#forgetChange.run(session, log, seq);
      this.#forget(session, log, seq);
      const tenant = (this.#tenant.get(session) as unknown as [string] | undefined)?.[0];
      if (tenant === undefined) continue;
      if (seq === titleSeq) {
        const [at, title] = this.#title.get(session) as unknown as [number, string | null];
        if (title !== null) this.#add(places, { tenant, session, log, seq, at, message: 0, words: spacedWords(title) });
        continue;
      }
      const turn = this.#turn.get(session, log, seq) as unknown as TurnRow | undefined;
      if (turn !== undefined) this.#addTurn(places, { tenant, session, log, seq, at: turn[0], data: turn[1] });
    }
    return changes.length;
  }

  #indexEntries(upTo: number, limit: number, places: Places): void {
    let reached = upTo;
    let bytes = 0;
    for (const row of this.#newEntries.all(upTo, limit) as unknown as readonly EntryRow[]) {
      const [rowid, session, log, seq, at, data, tenant] = row;
      if (bytes > stepMax.bytes) break;
      reached = rowid;
      if (data === null) continue;
      bytes += data.length;
      this.#forget(session, log, seq);
      if (tenant !== null) this.#addTurn(places, { tenant, session, log, seq, at, data });
    }
    if (reached !== upTo) this.#reach.run(reached);
  }

  #forget(session: number, log: string, seq: number): void {
    const places = this.#places.all(session, log, seq) as unknown as readonly [number][];
    if (places.length === 0) return;
    for (const [place] of places) this.#deleteWords.run(place);
    this.#deletePlaces.run(session, log, seq);
  }

  #addTurn(
    places: Places,
    turn: Pick<NewMessage, "tenant" | "session" | "log" | "seq" | "at"> & { readonly data: string },
  ): void {
    const { data, ...place } = turn;
    for (const found of spacedMessages({ seq: turn.seq, at: turn.at, key: null, data }))
      this.#add(places, { ...place, ...found });
  }

  #add(places: Places, { tenant, session, log, seq, at, message, words }: NewMessage): void {
    if (words === "") return;
    const place = places.next(at);
    this.#insertMessage.run(place, session, log, seq, message, at);
    this.#insertWords.run(place, `${words} ${tenantWord(tenant)} ${sessionWord(session)}`);
  }

  /** One page. One more row than the limit is read to find out whether another page follows. */
  find(query: MessageQuery): FoundMessages {
    const { tenant, words, since, before, limit, bytesMax = Infinity, after } = query;
    const conditions = ["search_words match ?", "tenant = ?"];
    const values: SQLInputValue[] = [tenant];
    const and = (condition: string, ...bound: readonly SQLInputValue[]): void => {
      conditions.push(condition);
      values.push(...bound);
    };
    const terms = [quoted(tenantWord(tenant)), ...words.map(termOf)];
    if (hasFilter(query)) {
      const found = numbersFound(this.#database, query);
      const few = this.#database.prepare(`${found.sql} limit ${fewSessionsMax + 1}`).all(...found.values);
      if (few.length === 0) return { messages: [], next: undefined };
      if (few.length <= fewSessionsMax) terms.push(anyOf(few.map(({ no }) => Number(no))));
      else and(`no in (${found.sql})`, ...found.values);
    }
    if (since !== undefined) and("search_words.rowid >= ? and at >= ?", firstPlace(since), since);
    if (before !== undefined) and("search_words.rowid < ? and at < ?", firstPlace(before) + placesOfSecond, before);
    if (after !== undefined) and("search_words.rowid < ?", decodeCursor(after, ["number"])[0] ?? 0);
    const statement = this.#database.prepare(`
      select place, no, id, log, seq, message from search_words cross join search_messages on place = search_words.rowid
        cross join sessions on no = session
      where ${conditions.join(" and ")} order by search_words.rowid desc limit ?`);
    statement.setReturnArrays(true);
    const rows = statement.all(terms.join(" AND "), ...values, limit + 1) as unknown as readonly FoundRow[];
    const page = rows.slice(0, limit);
    const last = rows.length > limit ? page.at(-1)?.[0] : undefined;
    return { messages: this.#withEntries(page, bytesMax), next: last === undefined ? undefined : encodeCursor([last]) };
  }

  #withEntries(rows: readonly FoundRow[], bytesMax: number): readonly FoundMessage[] {
    let bytes = 0;
    const entryOf = ([, no, , log, seq]: FoundRow): Entry | undefined => {
      if (seq === titleSeq || bytes > bytesMax) return undefined;
      const [at, data, key] = (this.#turn.get(no, log, seq) as unknown as TurnRow | undefined) ?? [];
      if (at === undefined || data === undefined || key === undefined) return undefined;
      bytes += Buffer.byteLength(data);
      return { seq, key, at, data };
    };
    return rows.map((row) => {
      const [place, , session, log, seq, message] = row;
      return { session, log, seq, message, entry: entryOf(row), cursor: encodeCursor([place]) };
    });
  }

  /**
   * Forgets what was deleted, then merges the parts of the index: a deleted word is in an older part until it is merged. The
   * caller holds the write lock, and rewrites the file afterwards. False after the last step.
   */
  scrubStep(): boolean {
    if (this.#stateNow().upTo === undefined) return false;
    if (this.#indexChanges(new Places(this.#lastPlace)) > 0) return true;
    const before = this.#changesSoFar();
    // A negative number begins a merge of all parts.
    this.#merge.run(-mergePages);
    // The statement itself counts as a change.
    return this.#changesSoFar() - before > 1;
  }

  #changesSoFar(): number {
    return (this.#totalChanges.get() as unknown as [number])[0];
  }
}

type EntryRow = [
  rowid: number,
  session: number,
  log: string,
  seq: number,
  at: number,
  data: string | null,
  tenant: string | null,
];
type FoundRow = [place: number, no: number, session: string, log: string, seq: number, message: number];
type TurnRow = [at: number, data: string, key: string | null];

interface NewMessage {
  readonly tenant: string;
  readonly session: number;
  readonly log: string;
  readonly seq: number;
  readonly at: number;
  readonly message: number;
  /** With spaces between them. */
  readonly words: string;
}

/** Gives places within one transaction. */
class Places {
  readonly #last: StatementSync;
  /** The last place of a second. */
  readonly #given = new Map<number, number>();

  constructor(last: StatementSync) {
    this.#last = last;
  }

  /** The next place of a second; behind all others where the second has no place left. */
  next(at: number): number {
    const first = firstPlace(at);
    const end = first + placesOfSecond - 1;
    const last = this.#given.get(first) ?? this.#lastBetween(first, end) ?? first - 1;
    const place = last < end ? last + 1 : (this.#lastBetween(end, Number.MAX_SAFE_INTEGER) ?? end) + 1;
    this.#given.set(first, Math.min(place, end));
    return place;
  }

  #lastBetween(first: number, end: number): number | undefined {
    return (this.#last.get(first, end) as unknown as [number | null])[0] ?? undefined;
  }
}

/** The first place of the second of an instant. */
function firstPlace(at: number): number {
  return Math.min(Math.max(0, Math.floor(at / 1000)), secondMax) * placesOfSecond;
}

function hasFilter({ agent, user, guest, labels, states, ...query }: MessageQuery): boolean {
  const { activeSince, activeBefore, createdSince, createdBefore } = query;
  return [agent, user, guest, labels, states, activeSince, activeBefore, createdSince, createdBefore].some(
    (value) => value !== undefined,
  );
}

function sessionWord(no: number): string {
  return `${scopeMark}s${no}`;
}

function termOf({ word, isPrefix }: SearchedWord): string {
  return isPrefix ? `${quoted(word)} *` : quoted(word);
}

/** Words have no quote. */
function quoted(word: string): string {
  return `"${word}"`;
}

function anyOf(sessions: readonly number[]): string {
  return `(${sessions.map((no) => quoted(sessionWord(no))).join(" OR ")})`;
}
