/** Polls sessions for the whole process: loads each session once, and hands the result to all its watches. */
import { haveSameTurns, headOf } from "../../domain/record/change.ts";
import { readChunk, type Chunk } from "../../domain/turns/chunk.ts";
import { keyText, type Entry, type SessionKey } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { readTurn, type Turn } from "../../domain/turns/turn.ts";
import { SessionError } from "../../errors.ts";
import type { Loaded, LoadRequest, Store } from "../../store/store.ts";
import { defined } from "../../domain/values/defined.ts";

/** The poll interval, if the store gives no hint, ms. */
const roundMs = 250;
/**
 * The poll interval of an answer with eager watches after a poll found a change without a hint, ms: a little less than that at
 * which answers are written.
 */
const eagerMs = 40;
/**
 * The interval as a share of the time since the last change: an answer that pauses is polled less often, down to the interval
 * of the rounds. The first polls that find nothing change no interval, because an answer may be written at longer intervals.
 */
const eagerShare = 0.5;
/** Quiet watches are polled every nth round. */
const quietRounds = 4;
/** Sessions of one load. */
const pageSize = 200;
/** Chunks of an answer that its first load asks for, and every later one. */
const chunksAtOnce = { first: 64, later: 8 };

/** A session at one moment. All watches of the process share it; it is immutable. */
export interface SessionView {
  readonly record: SessionRecord;
  /** The last turn; absent if there is none, or if no watch asks for turns. */
  readonly turn?: WatchedTurn;
  /** All chunks of the last turn's answer, if the turn is open or waits, by their numbers from 1; undefined: it cannot be read. */
  readonly chunks: readonly (Chunk | undefined)[];
}

/** A turn, or the place of one that cannot be read. */
export type WatchedTurn = Turn | (Pick<Entry, "seq" | "at" | "key"> & { readonly status: "unreadable" });

export function watchedTurn(entry: Entry): WatchedTurn {
  const turn = readTurn(entry);
  if (typeof turn !== "string") return turn;
  const { seq, at, key } = entry;
  return { seq, at, key, status: "unreadable" };
}

/** The result of a poll. */
export type Found =
  | { readonly status: "found"; readonly view: SessionView }
  | { readonly status: "missing" }
  /** The store failed; the next poll tries again. After `closed` there is none. */
  | { readonly status: "failed"; readonly error: unknown };

/** The needs of a watch. */
export interface WatchNeeds {
  /** `turns`: the last turn and the chunks of its answer; `record`: the record alone. */
  readonly needs: "turns" | "record";
  /** Poll once a second, ignore hints, and do not keep the process alive. @default false */
  readonly isQuiet?: boolean;
  /** Poll at short intervals while an answer grows and the store gives no hints. @default false */
  readonly isEager?: boolean;
  /** Called on each hint; false: the watch needs no poll for it. @default true */
  readonly onHint?: () => boolean;
}

/** One watch of one session. */
export interface SessionWatch {
  /** Poll now, in one request with other sessions that are due. */
  look(): void;
  stop(): void;
}

interface Subscription extends WatchNeeds {
  readonly notify: (found: Found) => void;
}

/** Loads sessions; one that cannot be read is its error. */
type Load = (requests: readonly LoadRequest[]) => Promise<readonly (Loaded | SessionError | undefined)[]>;

/** The environment of a poller. */
interface ChangePollerContext {
  readonly store: Pick<Store, "watch">;
  readonly load: Load;
  readonly now: () => number;
}

/**
 * One poller serves all watches of a process. A hint of the store starts a poll at once. Without hints, one request for
 * all watched sessions, four times a second, finds the changes; one for all answers that eager watches found growing, up to 25 times
 * a second. Nothing runs while there is no watch.
 */
export class ChangePoller {
  readonly #store: Pick<Store, "watch">;
  readonly #load: Load;
  readonly #topics = new Map<string, Topic>();
  /** Topics that are loaded next, even if their version has not changed. */
  readonly #due = new Set<Topic>();
  /** Watches that are not quiet: each keeps the process alive. */
  #loud = 0;
  #isLoading = false;
  #timer: NodeJS.Timeout | undefined;
  #eagerTimer: NodeJS.Timeout | undefined;
  #round = 0;
  #isClosed = false;

  /** The store's time, epoch ms. */
  readonly #now: () => number;

  constructor({ store, load, now }: ChangePollerContext) {
    this.#store = store;
    this.#load = load;
    this.#now = now;
  }

  /** Number of watched sessions. */
  get size(): number {
    return this.#topics.size;
  }

  /** Call `notify` whenever a poll finds a change of the session, and after each `look`. */
  watch(key: SessionKey, needs: WatchNeeds, notify: (found: Found) => void): SessionWatch {
    if (this.#isClosed) {
      queueMicrotask(() => notify({ status: "failed", error: closedError() }));
      return { look: () => undefined, stop: () => undefined };
    }
    const text = keyText(key);
    const topic = this.#topics.get(text) ?? new Topic(key);
    this.#topics.set(text, topic);
    const subscription: Subscription = { ...needs, notify };
    topic.subscriptions.add(subscription);
    const isLoud = needs.isQuiet !== true;
    if (isLoud) {
      this.#loud++;
      topic.unhint ??= this.#store.watch(key, () => {
        // Hints say sooner than any interval that the session changes.
        topic.eager = undefined;
        if (topic.wantsHint()) this.#lookAt(topic);
      });
    }
    this.#schedule();
    return {
      look: () => this.#lookAt(topic),
      stop: () => {
        if (!topic.subscriptions.delete(subscription)) return;
        if (isLoud) this.#loud--;
        if (topic.isQuiet) topic.dropHints();
        if (topic.subscriptions.size === 0) {
          this.#due.delete(topic);
          this.#topics.delete(text);
        }
        this.#schedule();
      },
    };
  }

  /** The record of a watched session, as the last poll found it; undefined if the session is not watched. */
  recordOf(key: SessionKey): SessionRecord | undefined {
    return this.#topics.get(keyText(key))?.record;
  }

  /** End all watches with the error `closed`. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#eagerTimer);
    const error = closedError();
    for (const topic of this.#topics.values()) {
      topic.dropHints();
      topic.notify({ status: "failed", error });
    }
    this.#topics.clear();
    this.#due.clear();
  }

  #schedule(): void {
    if (this.#isClosed) return;
    if (this.#topics.size === 0) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      return;
    }
    this.#timer ??= setTimeout(() => void this.#poll(), roundMs);
    // A watch keeps the process alive; a turn in progress does not.
    if (this.#loud === 0) this.#timer.unref();
    else this.#timer.ref();
  }

  async #poll(): Promise<void> {
    this.#round++;
    const isQuietRound = this.#round % quietRounds === 0;
    const topics = [...this.#topics.values()].filter(
      (topic) => topic.eager === undefined && (isQuietRound || !topic.isQuiet),
    );
    // A topic that was loaded since the last round is known already.
    const stale = topics.filter((topic) => !topic.isFresh && !this.#due.has(topic));
    for (const topic of topics) topic.isFresh = false;
    for (let start = 0; start < stale.length; start += pageSize)
      await this.#compare(stale.slice(start, start + pageSize));
    this.#timer = undefined;
    this.#schedule();
  }

  /** `tookMs`: the time of the poll before, which is part of the interval. */
  #scheduleEager(tookMs = 0): void {
    if (this.#isClosed || this.#eagerTimer !== undefined) return;
    if ([...this.#topics.values()].every(({ eager }) => eager === undefined)) return;
    this.#eagerTimer = setTimeout(() => void this.#pollEager(), Math.max(eagerMs - tookMs, eagerMs / 2));
    if (this.#loud === 0) this.#eagerTimer.unref();
  }

  /** Poll the growing answers whose interval has passed, in one request. */
  async #pollEager(): Promise<void> {
    const startedAt = performance.now();
    const due = [...this.#topics.values()].filter((topic) => topic.isEagerlyDue() && !this.#due.has(topic));
    for (let start = 0; start < due.length; start += pageSize) await this.#compare(due.slice(start, start + pageSize));
    this.#eagerTimer = undefined;
    this.#scheduleEager(performance.now() - startedAt);
  }

  /** Load what each topic expects: the record to compare, or its turns as well while an answer is streamed. */
  async #compare(topics: readonly Topic[]): Promise<void> {
    const requests = topics.map((topic) => (topic.isStreaming ? topic.request() : topic.recordRequest()));
    await this.#each(topics, requests, (topic, loaded, { tails }) => {
      const hasFound = topic.hasFound(loaded?.record);
      topic.polled(loaded?.record, { hasChanged: !hasFound });
      if (hasFound) {
        if (topic.eager === undefined) topic.isStreaming = false;
        // No commit marks the end of its time to live.
        if (this.#now() >= topic.expiresAt) this.#lookAt(topic);
      } else if (loaded !== undefined && tails.length === 0 && topic.needsTurns) this.#lookAt(topic);
      else this.#take(topic, loaded);
      // This round's own load says nothing about the next one.
      topic.isFresh = false;
    });
    this.#scheduleEager();
  }

  #lookAt(topic: Topic): void {
    if (this.#isClosed || topic.subscriptions.size === 0) return;
    this.#due.add(topic);
    if (this.#isLoading) return;
    this.#isLoading = true;
    // Hints that arrive together become one request.
    setImmediate(() => void this.#loadDue());
  }

  async #loadDue(): Promise<void> {
    while (this.#due.size > 0) {
      const topics = [...this.#due].slice(0, pageSize);
      for (const topic of topics) this.#due.delete(topic);
      const requests = topics.map((topic) => topic.request());
      await this.#each(topics, requests, (topic, loaded) => this.#take(topic, loaded));
    }
    this.#isLoading = false;
  }

  /** Load the topics in one call, and use the result of each. */
  async #each(
    topics: readonly Topic[],
    requests: readonly LoadRequest[],
    use: (topic: Topic, loaded: Loaded | undefined, request: LoadRequest) => void,
  ): Promise<void> {
    try {
      const loaded = await this.#load(requests);
      topics.forEach((topic, index) => {
        const [request, one] = [requests[index], loaded[index]];
        if (request === undefined) return;
        try {
          if (one instanceof SessionError) throw one;
          use(topic, one, request);
        } catch (error) {
          // This session cannot be read; the others of the load can.
          topic.notify({ status: "failed", error });
        }
      });
    } catch (error) {
      for (const topic of topics) topic.notify({ status: "failed", error });
    }
  }

  #take(topic: Topic, loaded: Loaded | undefined): void {
    const view = topic.viewOf(loaded);
    if (view === "incomplete") this.#lookAt(topic);
    else topic.take(view, this.#now());
  }
}

function closedError(): SessionError {
  return new SessionError("closed", { name: "sessions" });
}

/** A watched session. */
class Topic {
  readonly key: SessionKey;
  readonly subscriptions = new Set<Subscription>();
  unhint: (() => void) | undefined;
  /** It was loaded since the last round, by a hint or a look. */
  isFresh = false;
  /** Its last load found new chunks of an open turn, so the next poll loads the turns at once. */
  isStreaming = false;
  /** The times since the last change and since the last poll, ms; undefined: it is polled in the rounds. */
  eager: { unchangedMs: number; waitedMs: number } | undefined;
  /** The last loaded record; undefined if the session was missing, or is not loaded yet. */
  record: SessionRecord | undefined;
  #isLoaded = false;
  /** When the session expires without a commit, epoch ms; Infinity once its watches know that it has expired. */
  expiresAt = Infinity;
  #view: SessionView | undefined;
  /** Chunks of the answer that the next load asks for. */
  #chunks = chunksAtOnce.first;

  constructor(key: SessionKey) {
    this.key = key;
  }

  get isQuiet(): boolean {
    for (const { isQuiet = false } of this.subscriptions) if (!isQuiet) return false;
    return true;
  }

  get needsTurns(): boolean {
    for (const { needs } of this.subscriptions) if (needs === "turns") return true;
    return false;
  }

  /** Pass a hint to the watches: true if one of them needs a poll. */
  wantsHint(): boolean {
    let wants = false;
    for (const { isQuiet = false, onHint } of this.subscriptions)
      if (!isQuiet && (onHint === undefined || onHint())) wants = true;
    return wants;
  }

  /** After a poll that no hint has led to. */
  polled(record: SessionRecord | undefined, { hasChanged }: { readonly hasChanged: boolean }): void {
    const isAnswered = record !== undefined && record.openTurn !== null && record.waiting === null;
    if (!isAnswered || ![...this.subscriptions].some(({ isEager }) => isEager === true)) {
      this.eager = undefined;
      return;
    }
    const unchangedMs = hasChanged ? 0 : (this.eager?.unchangedMs ?? Infinity);
    this.eager = unchangedMs * eagerShare < roundMs ? { unchangedMs, waitedMs: 0 } : undefined;
  }

  /** Counts an interval of the eager polls; true if the topic is polled now. */
  isEagerlyDue(): boolean {
    if (this.eager === undefined) return false;
    this.eager.unchangedMs += eagerMs;
    this.eager.waitedMs += eagerMs;
    return this.eager.waitedMs >= this.eager.unchangedMs * eagerShare;
  }

  /** Whether this is the record that was loaded last. A session that is missing at the first load is news. */
  hasFound(record: SessionRecord | undefined): boolean {
    return this.#isLoaded && this.record?.version === record?.version && this.record?.commitId === record?.commitId;
  }

  dropHints(): void {
    this.unhint?.();
    this.unhint = undefined;
  }

  recordRequest(): LoadRequest {
    return { key: this.key, tails: [] };
  }

  request(): LoadRequest {
    if (!this.needsTurns) return this.recordRequest();
    return {
      key: this.key,
      tails: [
        { log: "turns", last: 1 },
        { log: "chunks", last: this.#chunks },
      ],
    };
  }

  /** The loaded view, with the chunks of the known one; "incomplete" if there are more new chunks than were asked for. */
  viewOf(loaded: Loaded | undefined): SessionView | "incomplete" | undefined {
    if (loaded === undefined) return undefined;
    const { record, tails } = loaded;
    const [turns, entries = []] = tails;
    if (turns === undefined) return { record, chunks: [] };
    const known = this.#view !== undefined && haveSameTurns(this.#view.record, record) ? this.#view : undefined;
    const chunks = extended(known?.chunks ?? [], entries, headOf(record, "chunks"));
    if (chunks === undefined) {
      this.#chunks = headOf(record, "chunks");
      return "incomplete";
    }
    this.#chunks = record.openTurn === null ? chunksAtOnce.first : chunksAtOnce.later;
    const [last] = turns;
    const turn = known?.turn ?? (last === undefined ? undefined : watchedTurn(last));
    return { record, ...defined({ turn }), chunks };
  }

  take(view: SessionView | undefined, now: number): void {
    const expiresAt = view?.record.expiresAt ?? Infinity;
    this.expiresAt = now < expiresAt ? expiresAt : Infinity;
    this.isFresh = true;
    this.#isLoaded = true;
    this.isStreaming = view?.turn?.status === "open";
    this.#view = view?.turn === undefined ? undefined : view;
    this.record = view?.record;
    this.notify(view === undefined ? { status: "missing" } : { status: "found", view });
  }

  notify(found: Found): void {
    for (const { notify } of this.subscriptions) notify(found);
  }
}

/** The chunks up to number `head`; undefined if some are missing between the known and the loaded ones. */
function extended(
  known: SessionView["chunks"],
  entries: readonly Entry[],
  head: number,
): SessionView["chunks"] | undefined {
  if (known.length >= head) return known.length === head ? known : known.slice(0, head);
  const added = entries.filter(({ seq }) => seq > known.length);
  if (added.length < head - known.length) return undefined;
  return [...known, ...added.map(readChunk)];
}
