/**
 * The writes of this process to one session. One commit is in flight at a time; the writes that wait for it fold into the next
 * one: their rules are applied one after the other to the newest record, and their changes are joined. Each write has its own
 * result or error.
 */
import { placed } from "../../domain/branches/segments.ts";
import { AsyncLocalStorage } from "node:async_hooks";
import {
  emptyList,
  isSame,
  joined,
  listOf,
  mayFollow,
  type Change,
  type Transaction,
} from "../../domain/record/change.ts";
import type { Entry, SessionKey } from "../../domain/record/entry.ts";
import { correlationNow } from "../tracing/correlation.ts";
import { guardHistory, sessionIds } from "../../domain/record/guards.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { SessionError } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { hasSeen, seenOf, type Seen } from "../core/seen.ts";
import type { FoldedResult, FoldOptions, Rule, WriteResult } from "../core/writable-session.ts";
import type { Within } from "../../store/calls/async-context.ts";
import type { LateTransaction } from "../../store/calls/commit-queue.ts";
import type { Outcome } from "../../store/store.ts";

/** Writes that fold into one commit at most, and the characters of their entries, from which on no further write joins. */
const foldMax = { writes: 128, characters: 1024 * 1024 } as const;
/** Tries of a write against newer records before it fails with `contended`. */
const attemptsMax = 100;

/** A view of the session, of one owner. */
export interface FoldingView {
  readonly core: Core;
  readonly key: SessionKey;
  /** The key as `keyText` gives it. */
  readonly keyText: string;
  readonly record: SessionRecord;
  /** The turns that the owner has seen. */
  readonly seen: Seen;
  learn(record: SessionRecord): void;
  /**
   * The change that the rule makes of this record, for an owner that has seen these turns; null if there is nothing to change.
   * Undefined if the change depends on more than the record, or changes other records.
   * @throws SessionError what the rule throws
   */
  changeOn(record: SessionRecord, seen: Seen, write: FoldedRule): Change | null | undefined;
  /** The change of the record `before` was committed; the same commit left `newest`. */
  applied(committed: { readonly before: SessionRecord; readonly change: Change; readonly newest: SessionRecord }): void;
  /** Commit the write in a commit of its own. */
  writeApart(rule: Rule, options: FoldOptions): Promise<WriteResult>;
}

/** The rule of a write that may fold with others. */
export interface FoldedRule {
  readonly rule: Rule;
  readonly options: FoldOptions;
  /** The name of the request or job of the caller. */
  readonly correlation: string | undefined;
}

/**
 * A write that waits, and its caller. It is of a class, because V8 allocates the objects of a literal among the old objects once
 * most of them have survived a collection. An old write keeps its caller alive until a collection of all objects.
 */
class FoldedWrite implements FoldedRule {
  readonly handle: FoldingView;
  readonly rule: Rule;
  readonly options: FoldOptions;
  readonly correlation: string | undefined;
  /** Runs work in the async context of the caller; undefined if that is the context of the loop. */
  readonly within: Within | undefined;
  readonly resolve: (result: FoldedResult) => void;
  readonly reject: (error: unknown) => void;
  /** The number of times that the store had another record, on which the write was judged again. */
  attempts = 0;

  constructor({ handle, rule, options, within, resolve, reject }: Omit<FoldedWrite, "correlation" | "attempts">) {
    this.handle = handle;
    this.rule = rule;
    this.options = options;
    this.correlation = correlationNow();
    this.within = within;
    this.resolve = resolve;
    this.reject = reject;
  }
}

/** Work that runs between the commits of the folded writes. */
interface Alone {
  readonly handle: FoldingView;
  readonly work: () => Promise<void>;
}

/** A write in a round: its change, the record that it was applied to, or its error; neither if it changes nothing. */
class Judged {
  readonly write: FoldedWrite;
  readonly before: SessionRecord;
  readonly change: Change | undefined;
  readonly error: unknown;

  constructor(write: FoldedWrite, before: SessionRecord, change: Change | undefined, error: unknown) {
    this.write = write;
    this.before = before;
    this.change = change;
    this.error = error;
  }
}

/** The queues of one process. */
class Queues {
  /** By the texts of their keys. */
  readonly all: Map<string, SessionWrites> = new Map();
  #idle: SessionWrites | undefined;

  /** No write waits in this queue. The one that became idle last stays: a lone writer needs it again at once. */
  becameIdle(queue: SessionWrites): void {
    const before = this.#idle;
    this.#idle = queue;
    if (before !== undefined && before !== queue && !before.isRunning) this.all.delete(before.keyText);
  }
}

const queuesOf = new WeakMap<Core, Queues>();

/** The queue of the writes of this process to the session of this handle. */
export function writesTo({ core, keyText: text }: FoldingView): SessionWrites {
  let queues = queuesOf.get(core);
  if (queues === undefined) {
    queues = new Queues();
    queuesOf.set(core, queues);
  }
  let writes = queues.all.get(text);
  if (writes === undefined) {
    writes = new SessionWrites(core, queues, text);
    queues.all.set(text, writes);
  }
  return writes;
}

/** Exists while writes wait or run, and until another one becomes idle. */
export class SessionWrites implements LateTransaction {
  readonly #core: Core;
  readonly #queues: Queues;
  readonly keyText: string;
  #waiting: (FoldedWrite | Alone)[] = [];
  #isRunning = false;
  /** The newest record that the writes of this queue know. */
  #newest: SessionRecord | undefined;
  /** The writes of the commit in flight, and that commit. */
  #judged: readonly Judged[] = none;
  #transaction: readonly [Change] | undefined;

  constructor(core: Core, queues: Queues, text: string) {
    this.#core = core;
    this.#queues = queues;
    this.keyText = text;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** Apply the rule to the newest known record, and commit its change together with those of other writes that wait. */
  write(handle: FoldingView, rule: Rule, options: FoldOptions): Promise<FoldedResult> {
    const within = this.#isRunning ? AsyncLocalStorage.snapshot() : undefined;
    return new Promise((resolve, reject) => {
      this.#add(new FoldedWrite({ handle, rule, options, within, resolve, reject }));
    });
  }

  /** Do `work` between the commits of the writes that fold. */
  alone<T>(handle: FoldingView, work: () => Promise<T>): Promise<T> {
    const within: Within = this.#isRunning ? AsyncLocalStorage.snapshot() : (run) => run();
    return new Promise((resolve, reject) => {
      this.#add({ handle, work: () => within(work).then(resolve, reject) });
    });
  }

  #add(item: FoldedWrite | Alone): void {
    this.#learn(item.handle.record);
    if (this.#waiting.length === 0) this.#waiting = listOf(item);
    else this.#waiting.push(item);
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#next();
  }

  #learn(record: SessionRecord): void {
    if (this.#newest === undefined || (!isSame(record, this.#newest) && mayFollow(record, this.#newest)))
      this.#newest = record;
  }

  /** Begin what is at the head of the queue. Each round calls this at its end. */
  #next(): void {
    const next = this.#waiting[0];
    if (next === undefined) {
      this.#isRunning = false;
      this.#newest = undefined;
      this.#judged = none;
      this.#transaction = undefined;
      this.#queues.becameIdle(this);
    } else if ("work" in next) {
      this.#waiting.shift();
      if (this.#newest !== undefined) next.handle.learn(this.#newest);
      void next.work().finally(() => {
        this.#learn(next.handle.record);
        this.#next();
      });
    } else if (next.within === undefined) {
      this.#core.commitLate(this);
    } else {
      next.within(() => this.#core.commitLate(this));
    }
  }

  /** The change of the first write, and of those that wait behind it when the commit begins. */
  make(): Transaction | undefined {
    this.#judged = none;
    const first = this.#first();
    if (this.#newest !== undefined) first.handle.learn(this.#newest);
    this.#judged = this.#judgeAll(first.handle.record, this.#core.newCommitId());
    if (this.#judged.length === this.#waiting.length) this.#waiting = [];
    else this.#waiting.splice(0, this.#judged.length);
    const change = joinedOf(this.#judged);
    this.#transaction = change && (listOf(change) as [Change]);
    return change && listOf(placed(change));
  }

  #first(): FoldedWrite {
    const [first] = this.#waiting;
    if (first === undefined || "work" in first) throw new Error("a round begins with a write");
    return first;
  }

  settle(outcome: Outcome | undefined): void {
    if (outcome?.status === "ok") {
      const judged = this.#judged;
      this.#landed(judged);
      // The callers of the commit may write again at once. A round that others wait for waits for them as well.
      if (judged.length === 1 && this.#waiting.length === 0) this.#next();
      else setImmediate(() => this.#next());
    } else {
      void this.#settleLater(() => this.#refused(outcome));
    }
  }

  fail(error: unknown): void {
    void this.#settleLater(() => this.#failed(error));
  }

  /** Do what ends the round, which may fail it. */
  async #settleLater(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      for (const { write } of this.#judged) write.reject(error);
    }
    this.#next();
  }

  async #failed(error: unknown): Promise<void> {
    const transaction = this.#transaction ?? [];
    if (this.#judged.length === 0) {
      const first = this.#first();
      this.#waiting.shift();
      first.reject(error);
    } else if (await this.#core.landedDespite(error, transaction, transaction[0]?.record?.commitId ?? "")) {
      this.#landed(this.#judged);
    } else {
      throw error;
    }
  }

  /** Nothing was written: what becomes of the writes of the round. */
  async #refused(outcome: Exclude<Outcome, { status: "ok" }> | undefined): Promise<void> {
    const judged = this.#judged;
    switch (outcome?.status) {
      case undefined:
        await (judged.length > 0 ? this.#settleUnwritten(judged) : this.#apart());
        return;
      case "duplicate":
        this.#repeated(judged, outcome.entry);
        return;
      case "conflict":
        if (outcome.current !== undefined) {
          await this.#judgeAgainOn(outcome.current, judged);
          return;
        }
        for (const { write, before } of judged) write.reject(new SessionError("session_not_found", sessionIds(before)));
        return;
      case "unreadable":
        throw new SessionError("session_unreadable", outcome.details);
      case "document_conflict":
        throw new Error("a commit without documents met a document");
    }
  }

  /**
   * Apply the rules of the writes at the head of the queue, one after the other, up to the first that needs more than the record
   * of this round.
   */
  #judgeAll(base: SessionRecord, commitId: string): readonly Judged[] {
    const judged: Judged[] = emptyList();
    let claimed: Set<string> | undefined;
    /** The state that each handle has seen once the commit lands. */
    let seen: Map<FoldingView, Seen> | undefined;
    let record = base;
    let characters = 0;
    // The fallback counts the bytes of each commit, and refuses what is too large.
    const writesMax = this.#core.isFallback ? 1 : foldMax.writes;
    for (const write of this.#waiting) {
      if ("work" in write || judged.length === writesMax || characters > foldMax.characters) break;
      const { handle } = write;
      handle.learn(base);
      // The store was put back, and this handle knows another history.
      if (!isSame(handle.record, base)) break;
      const before = record;
      const seenSoFar = seen?.get(handle) ?? handle.seen;
      let change: Change | null | undefined;
      try {
        change = handle.changeOn(before, seenSoFar, write);
      } catch (error) {
        judged.push(new Judged(write, before, undefined, error));
        continue;
      }
      if (change === undefined) break;
      if (change === null) {
        judged.push(new Judged(write, before, undefined, undefined));
        continue;
      }
      const { claims } = change;
      if (claims.some(({ key }) => claimed?.has(key) === true)) break;
      change = this.#core.named(change, commitId);
      judged.push(new Judged(write, before, change, undefined));
      record = change.record ?? record;
      // For the writes that follow, if there are any.
      if (judged.length === this.#waiting.length) break;
      claimed ??= new Set();
      for (const { key } of claims) claimed.add(key);
      for (const { entries } of change.splices) for (const { data } of entries) characters += data.length;
      if (hasSeen(seenSoFar, before)) seen = (seen ?? new Map<FoldingView, Seen>()).set(handle, seenOf(record));
    }
    return judged;
  }

  /** The first write needs more than the record of the round: it has a commit of its own. */
  async #apart(): Promise<void> {
    const { handle, rule, options, within, resolve, reject } = this.#first();
    this.#waiting.shift();
    const write = (): Promise<WriteResult> => handle.writeApart(rule, options);
    await (within === undefined ? write() : within(write)).then(resolve, reject);
    this.#learn(handle.record);
  }

  /** A key of the round is in its log already: its write is a repetition, and the others are judged again. */
  #repeated(judged: readonly Judged[], entry: Entry): void {
    const one = judged.find(({ change }) => change?.claims.some(({ key }) => key === entry.key));
    if (one === undefined) throw new Error("the entry of a claimed key has that key");
    one.write.resolve({ status: "duplicate", entry });
    this.#again(judged.filter((other) => other !== one));
  }

  #landed(judged: readonly Judged[]): void {
    const transaction = this.#transaction;
    const newest = transaction?.[0].record ?? undefined;
    if (newest !== undefined) this.#newest = newest;
    // A queue that waited long is among the old objects: what it names would survive each collection of the young ones.
    this.#judged = none;
    this.#transaction = undefined;
    this.#core.publish(judged.length === 1 ? (transaction ?? none) : changesOf(judged));
    for (const { write, before, change, error } of judged) {
      if (change !== undefined) {
        if (newest !== undefined) write.handle.applied({ before, change, newest });
        write.resolve(written);
      } else if (error === undefined) {
        write.resolve({ status: "unchanged" });
      } else {
        // The commit shows that the record of the round was the stored one, so the error is right.
        write.reject(error);
      }
    }
  }

  /** No write of the round changes anything. An error is right on a record that was read after the write began. */
  async #settleUnwritten(judged: readonly Judged[]): Promise<void> {
    const doubtful: Judged[] = [];
    for (const one of judged) {
      const { write, error } = one;
      if (error === undefined) write.resolve({ status: "unchanged" });
      else if (write.attempts > 0 || !(error instanceof SessionError)) write.reject(error);
      else doubtful.push(one);
    }
    const [first] = doubtful;
    if (first === undefined) return;
    const { record } = await this.#core.load(first.write.handle.key);
    if (!isSame(record, first.before)) await this.#judgeAgainOn(record, doubtful);
    else for (const { write, error } of doubtful) write.reject(error);
  }

  /** The store has another record: the whole round is judged again on it. */
  async #judgeAgainOn(current: SessionRecord, judged: readonly Judged[]): Promise<void> {
    // The view may have learnt a newer record than this answer since.
    guardHistory(judged[0]?.before ?? current, current);
    this.#newest = current;
    const again = judged.filter(({ write }) => ++write.attempts < attemptsMax);
    this.#again(again);
    for (const { write, before } of judged)
      if (write.attempts === attemptsMax)
        write.reject(new SessionError("contended", { ...sessionIds(before), attempts: attemptsMax }));
    const attempts = Math.max(...again.map(({ write }) => write.attempts));
    if (attempts > 3) await this.#core.pause(Math.min(attempts, 20));
  }

  /** Put writes back at the head of the queue. */
  #again(judged: readonly Judged[]): void {
    this.#waiting.unshift(...judged.map(({ write }) => write));
  }
}

const none: readonly never[] = [];
const written: FoldedResult = { status: "ok" };

function changesOf(judged: readonly Judged[]): readonly Change[] {
  return judged.flatMap(({ change }) => change ?? []);
}

/** The one change of a round; undefined if no write changes anything. */
function joinedOf(judged: readonly Judged[]): Change | undefined {
  if (judged.length === 1) return judged[0]?.change;
  const [first, ...others] = changesOf(judged);
  return first && joined([first, ...others]);
}
