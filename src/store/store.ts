/**
 * The contract of a store: compare, splice, and read back. The rules are in `domain/`; a store has records, logs and
 * versions, but no turns, leases or rules. The conformance suite (`perdure/testing`), which every store passes, has a case
 * for each invariant, with the same name.
 */
import type { DocumentKey, StoredDocument } from "../domain/documents/document.ts";
import type { CountedUsage, Transaction, UsageAddition } from "../domain/record/change.ts";
import type { Entry, LogName, SessionKey } from "../domain/record/entry.ts";
import type { Instance, SessionRecord, SessionState, SettledState } from "../domain/record/record.ts";
import type { SearchedWord } from "../domain/search/search-terms.ts";
import type { LabelFilter } from "../domain/values/labels.ts";
import type { ErrorDetails, SessionError } from "../errors.ts";
import type { StoreStats, StoreStatsQuery } from "./stats.ts";

/** The contract of a store of sessions. */
export interface Store {
  readonly capabilities: Capabilities;

  /**
   * Applies each transaction in which every change finds the record that it expects, and leaves all other sessions as they
   * are. Returns the outcomes in the order of the batch. A session or document occurs once in a batch, and in one commit of
   * a process at a time. A batch has at most `capabilities.batchMax` transactions.
   * INVARIANT commit-is-whole: readers see the record and the entries of a change together or not at all. A commit that fails
   *   as a whole (a full disk) throws, and nothing of the batch is kept.
   * INVARIANT stale-version-writes-nothing: a change that finds another version, or a missing or unexpected record, is a
   *   `conflict`. It writes nothing, and the outcome has the stored record.
   * INVARIANT another-commit-id-writes-nothing: a change that finds its version with another commit id is a `conflict` as
   *   well: a store that was restored from a backup counts the same versions again.
   * INVARIANT transactions-are-separate: a conflict of one transaction does not affect the others of its batch.
   * INVARIANT changes-land-together: all changes of a transaction are applied, or none.
   * INVARIANT key-is-once: a claimed key that is already in its log makes the transaction a `duplicate`, whatever the expected
   *   records are, and the outcome has the entry with the key. A key whose entry was spliced away is free again.
   * INVARIANT logs-may-begin-later: a log continues from where its first splice began, with seq 1 or any other: the first
   *   turns of a fork are in another session.
   * INVARIANT logs-grow-at-the-front: a splice whose entries have seq before `from` puts them before the existing entries and
   *   replaces nothing: a fork copies its shared turns from the last to the first, in any number of commits.
   * INVARIANT logs-move-whole: a change with `logsOf` replaces the entries of its session by all entries of the other one, of
   *   any tenant, unchanged; its own splices continue them. The change of the other session in the same transaction removes
   *   that session, or begins with empty logs. The size of the call does not depend on the logs.
   * INVARIANT removed-is-not-found: no call finds the entries of a removed session, or those that `logsOf` replaced, also while the
   *   store still deletes them, and after a process was killed meanwhile. A store deletes many entries after the commit, in
   *   bounded steps; another or a later process continues. A session that is created under the same id does not have them.
   * INVARIANT usage-adds-up: the `additions` of a transaction are added to their sums with its changes, or not at all,
   *   whatever other writers add at the same time. Writers of different sessions do not refuse each other by them.
   * INVARIANT document-is-compared: a change of a document that finds another version than the expected one, or a document
   *   where none is expected, or none where one is, is a `document_conflict`. It writes nothing, and the outcome has the
   *   stored document.
   * INVARIANT document-versions-grow: a version that is not greater than all versions of its key is a `document_conflict`
   *   as well. That includes the versions of an expired or removed document, until `deleteDocuments` deletes it.
   * INVARIANT expiry-is-kept: a put with `expiresAt: "kept"` leaves the time of expiry that the document has at the commit.
   * INVARIANT documents-land-together: the changes of documents in a transaction are applied with its changes of sessions,
   *   or none of them.
   * INVARIANT committed-is-durable: once the promise resolves, no crash loses the change (if `capabilities.durable`).
   */
  commit(batch: readonly Transaction[]): Promise<readonly Outcome[]>;

  /**
   * Returns records with the tails of their logs, in the order of the requests, and the store's time.
   * INVARIANT load-is-one-moment: a record and its tails are from the same instant.
   * INVARIANT tails-are-bounded: a tail has at most `last` entries and at most `bytesMax` bytes of data, and the last entry
   *   whatever its size.
   * INVARIANT load-returns-the-time: the result has the time also if there is no session, and without requests.
   */
  load(requests: readonly LoadRequest[]): Promise<Look>;

  /**
   * Returns entries of one log in the requested order.
   * INVARIANT keys-sort-by-code-point: a range of keys has the entries whose key is at or after its first key and before its
   *   second one, in the order of their code points, which is that of their UTF-8 bytes. Entries without a key are in none.
   * INVARIANT read-is-bounded: at most `limit` entries and at most `bytesMax` bytes of data, and the first entry whatever its
   *   size.
   */
  read(key: SessionKey, range: LogRange): Promise<readonly Entry[]>;

  /**
   * Returns one page of the matching records, by keyset, never by offset.
   * INVARIANT pages-are-complete: a record that exists and does not change meanwhile is on exactly one page.
   * INVARIANT pages-are-bounded: at most `limit` records and at most `bytesMax` bytes of their metadata and other data, and
   *   the first record whatever its size.
   * INVARIANT labels-are-found: a query with labels returns the records that have all of them, whatever they had before.
   * INVARIANT scope-is-in-the-key: a query for one tenant never returns a record of another.
   */
  find(query: SessionQuery): Promise<FoundRecords>;

  /**
   * Returns the number of matching records, counted in the store.
   * INVARIANT count-is-what-is-found: the number of records on all pages of `find`, if nothing changes meanwhile.
   */
  count(query: CountQuery): Promise<number>;

  /**
   * Returns sums over the sessions, turns and handoffs of one tenant, computed in the store. It reads the logs
   * `turns`, `truncatedUsageLog` and `events`, in the forms that `domain/` gives their entries. A store without a
   * faster way passes its rows to a `StatsAccumulator`.
   * INVARIANT stats-are-whole: each turn counts once in the whole and once in each kind of groups, also a truncated one. A
   *   turn that a fork has copied counts for the session that used it; in the fork it counts under the log `inherited`.
   * INVARIANT stats-are-one-moment: all sums are from the same instant, and no writer waits for them.
   * INVARIANT stats-are-bounded: at most `limit` groups of each kind, and `limit` days.
   */
  stats(query: StoreStatsQuery): Promise<StoreStats>;

  /**
   * Returns sums of usage, in the order of the names; zeros for a sum that does not exist. It reads each sum by its name,
   * whatever the number of turns in it.
   * INVARIANT usage-adds-up: all additions that were committed before, of any process.
   * INVARIANT scope-is-in-the-key: a sum of one tenant has no addition of another.
   * INVARIANT old-usage-is-deleted: a heartbeat removes sums whose time, the latest `until` of their additions, has passed.
   */
  usage(names: readonly UsageName[]): Promise<readonly CountedUsage[]>;

  /**
   * Returns the problems of the store below its sessions: entries without a session, wrong tables, damage that the engine
   * finds; at most a hundred of each kind. It may take as long as reading the whole store. `repair` adds missing parts and
   * removes nothing but rows that contradict a record, which they should repeat.
   * INVARIANT inspect-finds-nothing: the result is empty for a store that no other program has written to.
   */
  inspect(options?: InspectOptions): Promise<readonly StoreProblem[]>;

  /**
   * Returns one page of the entries of the logs `events` of one tenant, by time, then session, then seq.
   * INVARIANT events-are-found: an event that exists and does not change meanwhile is on exactly one page, in order, with the
   *   agent of its session. Other entries are on none.
   * INVARIANT events-are-bounded: a page has at most `limit` events and at most `bytesMax` bytes of data, and the first event
   *   whatever its size.
   * INVARIANT scope-is-in-the-key: a scan of one tenant never returns an event of another.
   */
  events(scan: EventScan): Promise<FoundEvents>;

  /**
   * Removes at most `limit` entries of the logs `events` before a time, the oldest of each tenant first, and returns their
   * number. It is below `limit` only if no more are left, or another caller removes them at the same time. Records, other
   * logs and the numbers of the remaining entries do not change.
   * INVARIANT deleted-events-leave-the-rest: a log without its beginning is read and continued like any other.
   */
  deleteEvents(past: { readonly tenant?: string; readonly before: number; readonly limit: number }): Promise<number>;

  /**
   * Returns documents by their keys, or one page of documents by tenant, scope and key. Texts sort by code point.
   * INVARIANT documents-are-found: a document that exists and does not change meanwhile is on exactly one page, in order.
   * INVARIANT documents-are-bounded: a page has at most `limit` documents and at most `bytesMax` bytes of data, and the first
   *   document whatever its size.
   * INVARIANT expired-is-unseen: no result has a document whose `expiresAt` has passed, by the store's clock.
   * INVARIANT scope-is-in-the-key: a query for one tenant or scope never returns a document of another.
   */
  documents(query: DocumentQuery): Promise<FoundDocuments>;

  /**
   * Returns the number of documents, counted in the store.
   * INVARIANT documents-are-counted: the number of documents on all pages of `documents`, if nothing changes meanwhile.
   */
  countDocuments(range: DocumentRange): Promise<number>;

  /**
   * Deletes at most `limit` documents of one user, or at most `limit` documents that expired or were removed before a time,
   * and returns their number. It is below `limit` only if no more are left, or another caller deletes them at the same time.
   * INVARIANT deleted-documents-are-gone: nothing of a deleted document is left; the others do not change.
   */
  deleteDocuments(selection: DeletedDocuments): Promise<number>;

  /**
   * Returns one page of the news of a tenant: its sessions, streams and documents that changed after a cursor, as they are at
   * the time of the read. The call begins or renews the subscription of the tenant; commits note news while it stands, fifteen
   * minutes after its last renewal at most. Without `after`, or with a cursor that the store cannot continue, the page is a
   * reset: it has no changes, and its `next` continues from now on.
   * INVARIANT news-miss-nothing: a change that was committed after a cursor was returned is on a page behind that cursor,
   *   whichever process committed it and however late, unless a page is a reset. The record on the page is at least as new.
   * INVARIANT news-are-bounded: a page is read from at most `limit` changes and has at most `bytesMax` bytes of records, and
   *   the first record whatever its size.
   * INVARIANT news-are-subscribed: commits note nothing for a tenant without a subscription, or whose subscription has expired.
   * INVARIANT news-last: a cursor can be continued for ten minutes, also if no reader is there meanwhile.
   * INVARIANT old-news-are-deleted: reads delete news that are older, in bounded steps, and a heartbeat those of tenants whose
   *   subscription has expired.
   * INVARIANT scope-is-in-the-key: news of one tenant never have a session or document of another.
   */
  news(query: NewsQuery): Promise<FoundNews>;

  /**
   * Brings the index of `search` forward by a bounded step, and begins it at the first call; until then commits cost
   * nothing for it. Without `capabilities.searches` it returns that the index is current.
   * INVARIANT index-is-built-when-asked: after calls until one returns `isCurrent`, `search` finds every message that was
   *   committed before the first of them, whichever process committed it.
   * INVARIANT indexers-share-the-work: of several processes that call it at once, each part of the work is done by one.
   */
  index(): Promise<IndexProgress>;

  /**
   * Returns one page of the messages that have all words, the newest first. It reads the words of `searchedMessages` in the
   * log `turns`, and in those of other branches, of sessions that are not archived, and of titles. A message may be found that does not have the words any
   * more: callers read it. A store without `capabilities.searches` finds nothing, and callers read all messages.
   * INVARIANT entries-are-those-of-the-store: a message has the entry of its turn or none; with a `bytesMax` at most that many bytes
   *   of entries, and one more entry.
   * INVARIANT indexed-is-found: a message that is indexed and does not change meanwhile is on exactly one page.
   * INVARIANT removed-is-not-found: no page has a message that was removed before the index was brought forward, nor one of a
   *   session that is removed.
   * INVARIANT scope-is-in-the-key: a query for one tenant never returns a message of another.
   */
  search(query: MessageQuery): Promise<FoundMessages>;

  /**
   * Records that this instance is alive: its `seenAt` becomes the store's current time. `leaving` removes the instance.
   * INVARIANT dead-instances-are-deleted: a heartbeat also removes instances that were not seen for a day.
   */
  heartbeat(instance: Omit<Instance, "seenAt">, options?: { readonly leaving?: boolean }): Promise<void>;

  /**
   * Returns the stored instances with these ids, and the store's time. `"hosts"`: those with an address, at most 1000, the
   * ones seen last.
   * INVARIANT a-host-is-listed-once: of the instances of one process (`machine`, `pid`, `startedAt`) with one address, such as a
   *   host and its workers, only the one seen last is returned, so one host with many leaves room for the others.
   */
  instances(
    ids: readonly string[] | "hosts",
  ): Promise<{ readonly now: number; readonly instances: readonly Instance[] }>;

  /**
   * Calls `wake` when this session may have changed, until the caller calls the returned function. A wake is a hint: the
   * caller reads the session to learn what changed. A session that does not exist may be watched. A key with an empty id stands
   * for the news of its tenant: a change of any session, stream or document.
   * INVARIANT own-changes-wake: a commit through this object wakes before `commit` resolves. A commit of another process may
   *   wake or not, and `wake` may be called without a change.
   */
  watch(key: SessionKey, wake: () => void): () => void;

  /**
   * Deletes what is left of removed logs, then erases removed and replaced text from the store's own files. It may rewrite all
   * files, and other writers wait meanwhile. If `capabilities.scrubs` is false it leaves the files as they are, and the
   * administrator of the database must erase the text.
   * INVARIANT removed-is-deleted: once the promise resolves, no table has entries of sessions or logs that were removed or
   *   replaced before, by this process or another one.
   * INVARIANT scrubbed-is-deleted: once the promise resolves, no file of the store has text that was removed before.
   */
  scrub(): Promise<void>;

  /** Releases everything. A second call does nothing; any other call after it throws `closed`. */
  close(): Promise<void>;
}

/** The name of a sum of usage. */
export type UsageName = Pick<UsageAddition, "tenant" | "name">;

/** A problem of a store. */
export interface StoreProblem {
  readonly kind: "orphans" | "schema" | "damage" | "rights";
  /** The problem and its place, for people. */
  readonly what: string;
  /** The repair; null if the store has none. */
  readonly fix: string | null;
  readonly repaired: boolean;
}

/** Options of `inspect`. */
export interface InspectOptions {
  /** Repairs the problems that need no removal. @default false */
  readonly repair?: boolean;
}

/** The differences between stores. The suite asserts the opposite behaviour if a field is false. */
export interface Capabilities {
  /** Acknowledged changes outlive the process. */
  readonly durable: boolean;
  /** Several processes may open the store at once. */
  readonly shared: boolean;
  /** The most transactions of one commit. */
  readonly batchMax: number;
  /** The number of commits that it serves at the same time. */
  readonly lanes: number;
  /** `scrub` erases. */
  readonly scrubs: boolean;
  /** It has an index of the words of messages. Where it has none, callers of `search` read all messages. */
  readonly searches: boolean;
  /** The folder of the store's files; null for a store in memory or behind a network. */
  readonly folder: string | null;
}

/** The documents with these keys, or a page of a range. */
export type DocumentQuery = { readonly keys: readonly DocumentKey[] } | (DocumentRange & DocumentPaging);

/** Documents of one scope with keys within bounds, of one scope, of one user or of one tenant, or all. */
export type DocumentRange =
  | {
      readonly tenant: string;
      readonly scope: string;
      /** The first key. */
      readonly from?: string;
      /** The key after the last one. */
      readonly to?: string;
      readonly user?: never;
    }
  | {
      readonly tenant: string;
      readonly user: string;
      readonly scope?: never;
      readonly from?: never;
      readonly to?: never;
    }
  | {
      readonly tenant?: string;
      readonly scope?: never;
      readonly from?: never;
      readonly to?: never;
      readonly user?: never;
    };

/** The page of a range of documents. */
export interface DocumentPaging {
  readonly limit: number;
  /** The bytes of data (UTF-8) on the page. @default no bound */
  readonly bytesMax?: number;
  /** The page begins after this key, whether or not there is such a document. */
  readonly after?: DocumentKey;
}

/** One page of documents, or those with the given keys, in order. */
export interface FoundDocuments {
  readonly documents: readonly StoredDocument[];
  /** The last key of the page, for `after`; undefined on the last page. */
  readonly next: DocumentKey | undefined;
}

/** The documents to delete: those of a user; or those that expired or were removed before a time (epoch ms), of one tenant or of all. */
export type DeletedDocuments =
  | { readonly tenant: string; readonly user: string; readonly limit: number }
  | { readonly tenant?: string; readonly before: number; readonly limit: number };

/** The outcome of a transaction whose records can be read. */
export type Settled = Exclude<Outcome, { readonly status: "unreadable" }>;

/** The outcome of one transaction. */
export type Outcome =
  | { readonly status: "ok" }
  | {
      readonly status: "conflict";
      /** The stored record of the first change that did not fit. */
      readonly current: SessionRecord | undefined;
    }
  | {
      /** A conflict with a stored record that cannot be read. The other transactions of the batch are not affected. */
      readonly status: "unreadable";
      readonly details: ErrorDetails["session_unreadable"];
    }
  | {
      readonly status: "duplicate";
      /** The entry with the claimed key. */
      readonly entry: Entry;
    }
  | DocumentConflict;

/** The outcome of a transaction with a change of a document that does not fit. Its changes of sessions fit. */
export interface DocumentConflict {
  readonly status: "document_conflict";
  readonly key: DocumentKey;
  /** The stored document; undefined if there is none, or it has expired. */
  readonly current: StoredDocument | undefined;
  /** The greatest version of the key; 0 if it has none. A new version is greater. */
  readonly lastVersion: number;
}

/** The session to load, and the tails of its logs. */
export interface LoadRequest {
  readonly key: SessionKey;
  /** The last `last` entries of each of these logs, 0 or more, within `bytesMax` bytes of data (UTF-8; not of archives). */
  readonly tails: readonly { readonly log: LogName; readonly last: number; readonly bytesMax?: number }[];
}

/** The result of a load. */
export interface Look {
  /** The store's time, epoch ms. */
  readonly now: number;
  /** In the order of the requests; undefined if there is no such session. */
  readonly sessions: readonly (Loaded | undefined)[];
}

/** A session at one moment. */
export interface Loaded {
  readonly record: SessionRecord;
  /** One tail for each requested one, in that order, each by ascending seq. */
  readonly tails: readonly (readonly Entry[])[];
}

/**
 * Entries of `log` by seq, bounds included; or those with the given keys, then by ascending seq; or those whose key is at or
 * after the first and before the second of `between`, by key.
 */
export type LogRange =
  | {
      readonly log: LogName;
      readonly from: number;
      readonly to: number;
      readonly order: "ascending" | "descending";
      readonly limit: number;
      /** The bytes of data (UTF-8; not of archives) that are read. @default no bound */
      readonly bytesMax?: number;
    }
  | { readonly log: LogName; readonly keys: readonly string[] }
  | {
      readonly log: LogName;
      readonly between: readonly [low: string, high: string];
      readonly order: "ascending" | "descending";
      readonly limit: number;
      /** The bytes of data (UTF-8; not of archives) that are read. @default no bound */
      readonly bytesMax?: number;
    };

/**
 * A page of records, in one of these orders:
 * - `key`: records of one tenant by id, or of all by tenant and id. A record that exists all the time is found once, whatever
 *   changes meanwhile;
 * - `recent`: records of one tenant by the last activity, newest first, then by id, the last one first;
 * - `created`: records of one tenant by their creation, newest first, then by id, the last one first;
 * - `due`: live records (`active`, `inactive`) whose `sweepAt` is at most `before`, oldest first, then by tenant and id, of
 *   one tenant or of all;
 * - `settled`: records in `states` whose `stateSince` is less than `before`, oldest first, then by tenant and id, of one
 *   tenant or of all, of one agent or user or of any.
 * Texts sort by code point, which is the order of their UTF-8 bytes.
 */
export type SessionQuery =
  | (SessionFilter & {
      readonly order: "key";
      readonly tenant?: string;
      readonly limit: number;
      readonly bytesMax?: number;
      readonly after?: string;
    })
  | (SessionFilter & {
      readonly order: "recent" | "created";
      readonly tenant: string;
      readonly limit: number;
      readonly bytesMax?: number;
      /** The `next` of the page before. */
      readonly after?: string;
    })
  | {
      readonly order: "due";
      readonly tenant?: string;
      readonly before: number;
      readonly limit: number;
      readonly bytesMax?: number;
      readonly after?: string;
    }
  | {
      readonly order: "settled";
      readonly tenant?: string;
      readonly agent?: string;
      readonly user?: string;
      readonly states: readonly SettledState[];
      readonly before: number;
      readonly limit: number;
      readonly bytesMax?: number;
      readonly after?: string;
    };

/** A filter of sessions; an absent field matches all. */
export interface SessionFilter {
  readonly agent?: string;
  readonly user?: string;
  /** Sessions that name no user and whose ids begin with this text: those of a device. */
  readonly guest?: string;
  /** All of these labels, with this value or, for true, any. */
  readonly labels?: LabelFilter;
  /** The states at `now`: a live record that is past its `expiresAt` counts as `expired`. */
  readonly states?: readonly SessionState[];
  readonly now: number;
  /** Last activity at or after this, epoch ms. */
  readonly activeSince?: number;
  /** Last activity before this, epoch ms. */
  readonly activeBefore?: number;
  /** Created at or after this, epoch ms. */
  readonly createdSince?: number;
  /** Created before this, epoch ms. */
  readonly createdBefore?: number;
}

/** The sessions to count, of one tenant or of all. */
export interface CountQuery extends SessionFilter {
  readonly tenant?: string;
}

/** How far the index of `search` is. */
export interface IndexProgress {
  /** It has all that was committed before this call. */
  readonly isCurrent: boolean;
  /** About how many entries are left. */
  readonly left: number;
}

/** The messages to search. */
export interface MessageQuery extends SessionFilter {
  readonly tenant: string;
  /** All of these words; at least one. */
  readonly words: readonly SearchedWord[];
  /** Only messages of turns that began at or after this, and titles of sessions created then, epoch ms. */
  readonly since?: number;
  /** Only those before this, epoch ms. */
  readonly before?: number;
  readonly limit: number;
  /** The bytes of the entries on the page (UTF-8); those behind are left out. @default no bound */
  readonly bytesMax?: number;
  /** The `next` of the page before, or the `cursor` of a message. */
  readonly after?: string;
}

/** A message that has the words of a search. */
export interface FoundMessage {
  /** The id of its session. */
  readonly session: string;
  /** The log that has its turn: `turns`, or that of a segment of a branch. */
  readonly log: LogName;
  /** The number of its turn in that log; 0: it is the title of the session. */
  readonly seq: number;
  /** The place of the message in its turn, from 0. */
  readonly message: number;
  /** The entry of its turn, as it was when the message was found; undefined for a title, and where callers have to read it. */
  readonly entry: Entry | undefined;
  /** Continues behind this message, for `after`. */
  readonly cursor: string;
}

/** One page of messages. */
export interface FoundMessages {
  readonly messages: readonly FoundMessage[];
  /** The cursor of the next page, for `after`; undefined on the last page. */
  readonly next: string | undefined;
}

/** A page of news. */
export interface NewsQuery {
  readonly tenant: string;
  /** The `next` of the page before. @default from now on */
  readonly after?: string;
  /** The most changes that the page is read from. */
  readonly limit: number;
  /** The bytes of the records on the page (UTF-8). @default no bound */
  readonly bytesMax?: number;
}

/** One page of news. */
export interface FoundNews {
  /** Changes before this page may be missing: the reader has no cursor, or one of another store or too old a one. */
  readonly isReset: boolean;
  /** The changed sessions and documents, each once. */
  readonly changes: readonly FoundChange[];
  /** The cursor of the next page; undefined while commits that may not know of the subscription are under way. */
  readonly next: string | undefined;
  /** More changes may be stored behind the page; false only if the page has all that were stored when it was read. */
  readonly hasMore: boolean;
}

/** A session or a document that changed, as it is at the time of the read. */
export type FoundChange =
  | {
      /** The key of a session, or of a stream in the scope of the tenant's streams. */
      readonly session: SessionKey;
      /** Undefined: it is removed. */
      readonly record: SessionRecord | SessionError<"session_unreadable"> | undefined;
    }
  | {
      readonly document: DocumentKey;
      /** Undefined: it is removed or expired. */
      readonly version: number | undefined;
    };

/** A page of events: filter, order and limits. */
export interface EventScan {
  readonly tenant: string;
  /** Only events of this session. */
  readonly session?: string;
  /** Only events of sessions of this agent. */
  readonly agent?: string;
  /** Only events whose text begins with one of these. */
  readonly beginnings?: readonly string[];
  /** Only events at or after this time, epoch ms. */
  readonly since?: number;
  /** Only events before this time, epoch ms. */
  readonly before?: number;
  /** `descending` reverses the whole order. */
  readonly order: "ascending" | "descending";
  readonly limit: number;
  /** The bytes of data (UTF-8) on the page. @default no bound */
  readonly bytesMax?: number;
  /** The `next` of the page before. */
  readonly after?: string;
}

/** An event with its session and agent. */
export interface FoundEvent {
  /** The id of its session. */
  readonly session: string;
  /** The agent of that session. */
  readonly agent: string;
  readonly entry: Entry;
}

/** One page of events. */
export interface FoundEvents {
  /** At most the limit of the scan; fewer on the last page, and if `bytesMax` is reached. */
  readonly events: readonly FoundEvent[];
  /** The cursor of the next page, for `after`; undefined on the last page. */
  readonly next: string | undefined;
}

/** One page of records. */
export interface FoundRecords {
  /** Together with `unreadable` at most the limit of the query; fewer on the last page, and if `bytesMax` is reached. */
  readonly records: readonly SessionRecord[];
  /** Rows of the page that cannot be read. Such a row never fails the page. */
  readonly unreadable: readonly SessionError<"session_unreadable">[];
  /** The cursor of the next page, for `after`; undefined on the last page. */
  readonly next: string | undefined;
}
