/**
 * The contract of a store: compare, splice, and read back. All meaning lives in `domain/`; a store knows records, logs
 * and versions, no turns, no leases, no rules. The invariants named here bear the same names in the conformance suite
 * (`perdure/testing`), which every store passes.
 */
import type { Transaction } from "../domain/record/change.ts";
import type { Entry, LogName, SessionKey } from "../domain/record/entry.ts";
import type { Instance, SessionRecord, SessionState, SettledState } from "../domain/record/record.ts";
import type { ErrorDetails, SessionError } from "../errors.ts";
import type { StoreStats, StoreStatsQuery } from "./stats.ts";

/** Where sessions are kept. */
export interface Store {
  readonly capabilities: Capabilities;

  /**
   * Apply each transaction whose changes all find the record they expect; leave every other session untouched.
   * The outcomes stand in the order of the batch. No two changes of one batch, nor of commits under way at the same
   * time from the same process, name the same session; there are at most `capabilities.batchMax` transactions.
   * INVARIANT commit-is-whole: readers see a change's record and its entries together or not at all; where the batch
   *   fails as a whole (a full disk), it throws and nothing of it is kept.
   * INVARIANT stale-version-writes-nothing: a change that finds another version, or a missing or unexpected record, is a
   *   `conflict`, leaves no trace, and hands back the record that stands.
   * INVARIANT another-commit-id-writes-nothing: so is a change that finds its version with another commit id: a store that
   *   was restored from a backup counts the same versions again.
   * INVARIANT transactions-are-separate: one that conflicts does not touch the others of its batch.
   * INVARIANT changes-land-together: of a transaction with two changes both land or neither.
   * INVARIANT key-is-once: a claimed key that stands in its log already makes the transaction a `duplicate`, whatever
   *   the expected records say, and hands back the entry that bears it. A key whose entry was spliced away is free again.
   * INVARIANT logs-may-begin-later: a log goes on from where its first splice began, with seq 1 or any other: the first
   *   turns of a fork stand in another session.
   * INVARIANT logs-grow-at-the-front: a splice whose entries have seq before `from` puts them in front of those that stand,
   *   and replaces nothing: a fork takes over its shared turns from the last to the first, in any number of commits.
   * INVARIANT logs-move-whole: a change with `logsOf` gives its session all entries of the other one, of any tenant, as they
   *   stand, in the place of those that it had, and its own splices continue them; the other session's change in the same
   *   transaction removes it, or begins with empty logs. What the store is sent does not grow with the logs.
   * INVARIANT committed-is-durable: once the promise resolves, no crash loses the change (where `capabilities.durable`).
   */
  commit(batch: readonly Transaction[]): Promise<readonly Outcome[]>;

  /**
   * Records with the tails of their logs, in the order of the requests, and the store's time.
   * INVARIANT load-is-one-moment: a record and its tails are from the same instant.
   * INVARIANT tails-are-bounded: a tail has at most `last` entries, and at most `bytesMax` bytes of data; the last entry is
   *   there whatever its size.
   * INVARIANT load-tells-the-time: also where nothing is found, and where nothing is asked for.
   */
  load(requests: readonly LoadRequest[]): Promise<Look>;

  /**
   * Entries of one log in the order asked for; empty where there are none.
   * INVARIANT read-is-bounded: at most `limit` entries, and at most `bytesMax` bytes of data; the first entry is there
   *   whatever its size.
   */
  read(key: SessionKey, range: LogRange): Promise<readonly Entry[]>;

  /**
   * One page of the records that match, by keyset, never by offset.
   * INVARIANT pages-are-complete: what exists and does not change meanwhile appears on exactly one page.
   * INVARIANT pages-are-bounded: at most `limit` records, and at most `bytesMax` bytes of their metadata and other data;
   *   the first record is there whatever its size.
   * INVARIANT scope-is-in-the-key: a query for one tenant never shows another's.
   */
  find(query: SessionQuery): Promise<FoundRecords>;

  /**
   * How many records match, counted where they are kept.
   * INVARIANT count-is-what-is-found: as many as `find` hands out on all its pages, where nothing changes meanwhile.
   */
  count(query: CountQuery): Promise<number>;

  /**
   * Sums over one tenant's sessions, turns and floors, made where they are kept. The logs it reads are `turns`, `spent` and
   * `events`, in the forms that `domain/` gives their entries. A store that has nothing faster hands all it has to a
   * `Tallying`.
   * INVARIANT stats-are-whole: each turn counts once in the whole and once in each kind of groups, also one that was cut off;
   *   one that a fork has a copy of counts with the session that spent it, and stands under the log `inherited` here.
   * INVARIANT stats-are-one-moment: all sums are from the same instant, and no writer waits for them.
   * INVARIANT stats-are-bounded: at most `limit` groups of each kind, and `limit` days.
   */
  stats(query: StoreStatsQuery): Promise<StoreStats>;

  /**
   * What is wrong with the store below its sessions: entries of no session, tables that are not as they should be, damage
   * that the engine itself finds; at most a hundred of each kind. It may take as long as reading the whole store. With
   * `repair` what can be mended by adding is; nothing is taken away.
   * INVARIANT inspect-finds-nothing: in a store that nobody else has written to.
   */
  inspect(options?: InspectOptions): Promise<readonly StoreProblem[]>;

  /**
   * One page of the entries of the logs `events` of one tenant's sessions, by time, then session, then seq.
   * INVARIANT events-are-found: what exists and does not change meanwhile appears on exactly one page, in order, with
   *   the agent of its session's record; what is no event never does.
   * INVARIANT events-are-bounded: a page has at most `limit` events, and at most `bytesMax` bytes of data; the first event
   *   is there whatever its size.
   * INVARIANT scope-is-in-the-key: a scan of one tenant never shows another's.
   */
  events(scan: EventScan): Promise<FoundEvents>;

  /**
   * Remove entries of logs `events` from before a time, at most `limit`, of one tenant, the oldest first, or of all; how
   * many they were; fewer than `limit` only where nothing is left to forget, or somebody else is at it. Records, other logs and the numbers of the entries that stay are left as they are.
   * INVARIANT forgotten-events-leave-the-rest: a log that lost its beginning is read, and goes on, like any other.
   */
  forgetEvents(past: { readonly tenant?: string; readonly before: number; readonly limit: number }): Promise<number>;

  /**
   * Say that this instance lives; its `seenAt` becomes the store's now. Removes it with `leaving`.
   * INVARIANT dead-instances-are-forgotten: those not seen for a day are removed on the way.
   */
  heartbeat(instance: Omit<Instance, "seenAt">, options?: { readonly leaving?: boolean }): Promise<void>;

  /**
   * These instances as the store knows them, and the store's time. Unknown ones are absent. `"hosts"`: those with an address,
   * at most 1000, the ones seen last.
   * INVARIANT a-host-is-told-once: of the instances of one process (`machine`, `pid`, `startedAt`) with one address, such as a host
   *   and its workers, the one seen last is told, so that the many of one host leave room for the others.
   */
  instances(
    ids: readonly string[] | "hosts",
  ): Promise<{ readonly now: number; readonly instances: readonly Instance[] }>;

  /**
   * Call `wake` when this session may have changed, until the returned function is called: a hint, never the truth.
   * Unknown sessions may be watched.
   * INVARIANT own-changes-wake: what was committed through this object wakes before `commit` resolves. What comes from
   *   elsewhere may wake or not, and a call may come for nothing.
   */
  watch(key: SessionKey, wake: () => void): () => void;

  /**
   * Make unreadable in the store's own files, too, what was removed or replaced before. It may write all of them anew, and
   * others' writes wait meanwhile. Where `capabilities.scrubs` is false it does nothing: the database's administrator must.
   * INVARIANT scrubbed-is-gone: no text that was removed before stands in a file of the store once the promise resolves.
   */
  scrub(): Promise<void>;

  /** Release everything. Calling it again does nothing; any other call afterwards throws `closed`. */
  close(): Promise<void>;
}

/** Something that is wrong with a store. */
export interface StoreProblem {
  readonly kind: "orphans" | "schema" | "damage";
  /** For people: what is wrong, and where. */
  readonly what: string;
  /** What mends it; null: nothing that the store could do. */
  readonly remedy: string | null;
  readonly repaired: boolean;
}

/** How to look over a store. */
export interface InspectOptions {
  /** Mend what can be mended without taking anything away. @default false */
  readonly repair?: boolean;
}

/** Where stores truly differ; the suite asserts the opposite behaviour where one is false. */
export interface Capabilities {
  /** What it acknowledged outlives the process. */
  readonly durable: boolean;
  /** Several processes may open it at once. */
  readonly shared: boolean;
  /** The most transactions that one commit takes. */
  readonly batchMax: number;
  /** How many commits it serves at the same time. */
  readonly lanes: number;
  /** `scrub` does what it says. */
  readonly scrubs: boolean;
}

/** What became of one transaction that could be judged. */
export type Settled = Exclude<Outcome, { readonly status: "unreadable" }>;

/** What became of one transaction. */
export type Outcome =
  | { readonly status: "ok" }
  | {
      readonly status: "conflict";
      /** The record that stands in the place of the first change that did not fit. */
      readonly current: SessionRecord | undefined;
    }
  | {
      /** As `conflict`, and the record that stands cannot be read. The other transactions of the batch are not touched. */
      readonly status: "unreadable";
      readonly details: ErrorDetails["session_unreadable"];
    }
  | {
      readonly status: "duplicate";
      /** The entry that bears the claimed key. */
      readonly entry: Entry;
    };

/** Which session to load, and how much of its logs. */
export interface LoadRequest {
  readonly key: SessionKey;
  /** The last `last` entries of each of these logs, 0 or more, within `bytesMax` bytes of data (UTF-8; not of archives). */
  readonly tails: readonly { readonly log: LogName; readonly last: number; readonly bytesMax?: number }[];
}

/** What a load finds. */
export interface Look {
  /** The store's time, epoch ms. */
  readonly now: number;
  /** In the order of the requests; undefined where there is no such session. */
  readonly sessions: readonly (Loaded | undefined)[];
}

/** A session as it was at one moment. */
export interface Loaded {
  readonly record: SessionRecord;
  /** As many tails as were asked for, in that order, each with its seq ascending. */
  readonly tails: readonly (readonly Entry[])[];
}

/** Entries of `log` by seq, bounds included, or those with the given keys, then by ascending seq. */
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
  | { readonly log: LogName; readonly keys: readonly string[] };

/**
 * Which records, in which order:
 * - `key`: one tenant's, by id, or all, by tenant and id: what stands throughout is found once, whatever changes meanwhile;
 * - `recent`: one tenant's, by the minute of the last activity, newest first, then by id;
 * - `due`: live ones (`active`, `inactive`) whose `sweepAt` is at most `before`, oldest first, then by tenant and id, of
 *   one tenant or of all;
 * - `settled`: ones in `states` whose `stateSince` is less than `before`, oldest first, then by tenant and id, of one
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
      readonly order: "recent";
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

/** Which sessions of a list; what is left out does not matter. */
export interface SessionFilter {
  readonly agent?: string;
  readonly user?: string;
  /** As they hold at `now`: a live record whose `expiresAt` has come counts as `expired`. */
  readonly states?: readonly SessionState[];
  readonly now: number;
  /** Last activity at or after this, epoch ms. */
  readonly activeSince?: number;
  /** Last activity before this, epoch ms. */
  readonly activeBefore?: number;
}

/** Which sessions to count: one tenant's, or all. */
export interface CountQuery extends SessionFilter {
  readonly tenant?: string;
}

/** Which events, in which order. */
export interface EventScan {
  readonly tenant: string;
  /** Those of this session. */
  readonly session?: string;
  /** Those of sessions for this agent. */
  readonly agent?: string;
  /** Those whose text begins with one of these. */
  readonly beginnings?: readonly string[];
  /** Those at or after this, epoch ms. */
  readonly since?: number;
  /** Those before this, epoch ms. */
  readonly before?: number;
  /** `descending` turns the whole order round. */
  readonly order: "ascending" | "descending";
  readonly limit: number;
  /** The bytes of data (UTF-8) on the page. @default no bound */
  readonly bytesMax?: number;
  /** The `next` of the page before. */
  readonly after?: string;
}

/** An event, and whose it is. */
export interface FoundEvent {
  /** The id of its session. */
  readonly session: string;
  /** The agent of that session. */
  readonly agent: string;
  readonly entry: Entry;
}

/** One page of events. */
export interface FoundEvents {
  /** As many as the scan's limit; fewer on the last page, and where `bytesMax` is reached. */
  readonly events: readonly FoundEvent[];
  /** Where the next page begins; undefined where nothing follows. Opaque: pass it back as `after`. */
  readonly next: string | undefined;
}

/** One page of records. */
export interface FoundRecords {
  /** With `unreadable`, as many as the query's limit; fewer on the last page, and where `bytesMax` is reached. */
  readonly records: readonly SessionRecord[];
  /** Rows of the page that cannot be read: one of them never fails the page. */
  readonly unreadable: readonly SessionError<"session_unreadable">[];
  /** Where the next page begins; undefined where nothing follows. Opaque: pass it back as `after`. */
  readonly next: string | undefined;
}
