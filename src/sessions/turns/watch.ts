import { headOf } from "../../domain/record/change.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { turnsInSamePlaces } from "../../domain/branches/segments.ts";
import { truncatedUsageLog, type SessionKey } from "../../domain/record/entry.ts";
import { stateAt } from "../../domain/record/states.ts";
import type { Chunk } from "../../domain/turns/chunk.ts";
import { truncatedUsageOf } from "../../domain/turns/truncated-usage.ts";
import { isSealed, type Turn } from "../../domain/turns/turn.ts";
import { SessionError } from "../../errors.ts";
import { defined } from "../../domain/values/defined.ts";
import type { Core } from "../core/core.ts";
import type { Handle } from "../handle/handle.ts";
import { readLog } from "../core/log-reader.ts";
import {
  watchedTurn,
  type Found,
  type SessionView,
  type SessionWatch,
  type WatchedTurn,
} from "../polling/change-poller.ts";
import { addContext } from "../tracing/operation.ts";
import { parseWholeNumber } from "../options/arguments.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";

/** The start and the end of a watch. */
export interface WatchOptions {
  /** The number of the last turn that the caller knows; 0: from the first. @default the last one this object has seen */
  readonly after?: number;
  /** How many chunks of the turn after that the caller knows, if its answer is still arriving. @default 0 */
  readonly afterChunk?: number;
  /** Ends the watch without an error. */
  readonly signal?: AbortSignal;
}

/**
 * A change of a session. A turn comes once when it is begun, `open`, then the chunks of its answer, and once when it is
 * finished. A turn that waits comes as `waiting`, with its output so far, and as `open` again when it is resumed; its chunks
 * are numbered on. A turn that is finished when the watch first sees it comes once. Changes that happen between two reads of a
 * watch merge: the chunks of an answer that is finished by then do not come.
 */
export type SessionNews =
  | {
      readonly type: "turn";
      readonly turn: Turn;
      /** The chunks of its answer that came before, of a turn that waits or is resumed. */
      readonly chunks?: number;
    }
  | {
      readonly type: "chunk";
      /** The number of the open turn. */
      readonly turn: number;
      /** The number of the chunk in its answer, from 1. */
      readonly seq: number;
      readonly chunk: Chunk;
    }
  /** The turns after this number were truncated. */
  | { readonly type: "truncated"; readonly after: number };

/**
 * Watches the commits of all processes to a session, in order. Ends when the session expires, or with the turn that is open
 * then.
 */
export function watchSession(handle: Handle, options: WatchOptions): AsyncIterableIterator<SessionNews, void> {
  guardNames(options, "options", optionNames);
  return new Watch(handle, options);
}

const optionNames: OptionNames<WatchOptions> = { after: true, afterChunk: true, signal: true };

type Result = IteratorResult<SessionNews, void>;

/** The fields that distinguish a turn from another one that took its number after a truncation. */
interface Known {
  readonly seq: number;
  /** Epoch ms: a reader may change the date that it got. */
  readonly at: number;
  readonly key: string | null;
}

function knownOf({ seq, at, key }: WatchedTurn): Known {
  return { seq, at: Number(at), key };
}

/** A watch remembers so many of the turns that its reader has got, to find how far a truncation went. */
const knownMax = 16;

/**
 * One reader of a session's changes. The poller hands it the newest view of the session; each `next` takes one step from
 * what the reader has got towards that view. A reader that reads nothing keeps no queue.
 *
 * States: *new*, until the first `next` begins the watch; *watching*; *over*, after an error, `return`, the signal or the
 * end of the session's life.
 */
class Watch implements AsyncIterableIterator<SessionNews, void> {
  readonly #core: Core;
  readonly #key: SessionKey;
  readonly #agent: string;
  readonly #options: WatchOptions;
  #watch: SessionWatch | undefined;
  #isOver = false;
  /** The newest view, until the reader has got all of it. */
  #found: Found | undefined;
  /** The `next` that waits for a change. */
  #reading: PromiseWithResolvers<Result> | undefined;
  /** The last finished turn that the reader has got. */
  #turn = 0;
  /** The chunks of the turn after that which the reader has got; undefined before that turn came as open. */
  #chunks: number | undefined;
  /** The token under which that turn waits, if the reader has got it as one that waits. */
  #token: string | undefined;
  /** The last turns that the reader has got, the open one included. */
  #known: Known[] = [];
  /** The record up to which the turns that the reader has got are known to be the stored ones. */
  #compared: SessionRecord | undefined;
  /** The turns after this number were truncated, and the reader is to get that. */
  #cutAfter: number | undefined;
  /** Finished turns between the reader and the view. */
  #page: readonly WatchedTurn[] = [];
  #isFetching = false;

  /** Keeps nothing of the handle: thousands of watches would keep as many records. */
  constructor({ core, key, record, seenTurn }: Handle, options: WatchOptions) {
    this.#core = core;
    this.#key = key;
    this.#agent = record.agent;
    this.#options = { after: seenTurn, ...defined(options) };
  }

  next(): Promise<Result> {
    if (this.#reading !== undefined) {
      const again = (): Promise<Result> => this.next();
      return this.#reading.promise.then(again, again);
    }
    const reading = Promise.withResolvers<Result>();
    this.#reading = reading;
    try {
      if (this.#watch === undefined && !this.#isOver) this.#begin();
      this.#advance();
    } catch (error) {
      this.#fail(error);
    }
    return reading.promise;
  }

  async return(): Promise<Result> {
    this.#end();
    return over;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #begin(): void {
    const { after = 0, afterChunk = 0, signal } = this.#options;
    this.#turn = parseWholeNumber(after, "after", 0);
    const chunks = parseWholeNumber(afterChunk, "afterChunk", 0);
    if (chunks > 0) this.#chunks = chunks;
    this.#core.guardOpen();
    if (signal?.aborted === true) {
      this.#end();
      return;
    }
    signal?.addEventListener("abort", this.#end, { once: true });
    this.#watch = this.#core.poller.watch(this.#key, { needs: "turns", isEager: true }, (found) => {
      this.#found = found;
      this.#advance();
    });
    this.#watch.look();
  }

  /** Gives the waiting `next` its result, if there is one. */
  #advance(): void {
    const reading = this.#reading;
    if (reading === undefined || this.#isFetching) return;
    try {
      const result = this.#isOver ? over : this.#result();
      if (result === undefined) return;
      this.#reading = undefined;
      reading.resolve(result);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** The result of a `next`; undefined while there is none. */
  #result(): Result | undefined {
    if (this.#found === undefined) return undefined;
    const view = this.#viewOf(this.#found);
    const step = this.#step(view);
    if (step === "compare" || step === "read") {
      void this.#fetch(view, step);
      return undefined;
    }
    if (step !== undefined) return step;
    this.#found = undefined;
    if (!isOver(view.record, this.#core.now())) return undefined;
    this.#end();
    return over;
  }

  /** @throws SessionError `session_not_found`, or the store's */
  #viewOf(found: Found): SessionView {
    if (found.status === "found") return found.view;
    if (found.status === "failed") throw found.error;
    const { tenant, id: sessionId } = this.#key;
    throw new SessionError("session_not_found", { sessionId, tenant, agent: this.#agent });
  }

  /**
   * The next change on the way to a view; undefined at its end. "compare": turns that the reader has got may have been
   * truncated; "read": finished turns before the last one come first.
   */
  #step(view: SessionView): Result | "compare" | "read" | undefined {
    const { record, turn, chunks } = view;
    const head = headOf(record, "turns");
    if (this.#cutAfter !== undefined) return this.#truncate(this.#cutAfter);
    if (this.#mayBeCut(view)) return "compare";
    this.#compared = record;
    // The reader says that it knows this turn. Another one may take its place.
    if (this.#known.length === 0 && turn?.seq === this.#turn && isFinished(turn)) this.#remember(knownOf(turn));
    if (head === this.#turn) return this.#chunks === undefined ? undefined : this.#truncate(head);
    if (turn === undefined) return undefined;
    const next = this.#turn + 1;
    const reached = next < turn.seq ? this.#page[next - (this.#page[0]?.seq ?? next)] : turn;
    if (reached === undefined) return "read";
    if (reached === turn) this.#page = [];
    // Another turn has taken the place of the open one.
    if (this.#chunks !== undefined && this.#isAnother(reached)) return this.#truncate(this.#turn);
    if (reached.status === "unreadable") {
      // It may be readable once it is sealed.
      if (record.openTurn === reached.seq) return undefined;
      this.#pass(reached);
      return this.#step(view);
    }
    if (isSealed(reached)) {
      this.#turn = reached.seq;
      this.#chunks = undefined;
      return this.#give(reached);
    }
    if (this.#chunks === undefined) {
      // The output of a turn that waits is in its entry too.
      const isOpen = reached.status === "open";
      this.#chunks = isOpen ? 0 : chunks.length;
      if (isOpen) return this.#give(reached);
    }
    if (reached.status === "open" && this.#token !== undefined) return this.#giveAgain(reached, this.#chunks);
    while (this.#chunks < chunks.length) {
      const chunk = chunks[this.#chunks++];
      if (chunk !== undefined) return resultOfChunk(chunk, { turn: reached.seq, seq: this.#chunks });
    }
    const token = record.waiting?.token;
    if (token === undefined || token === this.#token) return undefined;
    return this.#giveAgain(reached, this.#chunks, token);
  }

  /** A turn that waits under the token, or without one a turn that was resumed. */
  #giveAgain(turn: Turn, chunks: number, token?: string): Result {
    this.#remember(knownOf(turn));
    this.#token = token;
    return { done: false, value: { type: "turn", turn, chunks } };
  }

  #give(turn: Turn): Result {
    const { known, result } = sharedOf(turn);
    this.#remember(known);
    return result;
  }

  /** Passes over a finished turn that cannot be read. */
  #pass(turn: WatchedTurn): void {
    this.#turn = turn.seq;
    this.#chunks = undefined;
    this.#remember(knownOf(turn));
  }

  #remember(known: Known): void {
    this.#token = undefined;
    if (this.#known.at(-1)?.seq === known.seq) this.#known.pop();
    if (this.#known.push(known) > knownMax) this.#known.shift();
  }

  #truncate(after: number): Result {
    this.#turn = after;
    this.#chunks = undefined;
    this.#token = undefined;
    this.#cutAfter = undefined;
    this.#known = this.#known.filter(({ seq }) => seq <= after);
    this.#page = [];
    return { done: false, value: { type: "truncated", after } };
  }

  /** Whether turns that the reader has got may have been truncated, and others appended, since the last view. */
  #mayBeCut({ record, turn }: SessionView): boolean {
    if (headOf(record, "turns") < this.#turn) return true;
    if (turn?.seq === this.#turn && this.#isAnother(turn)) return true;
    const before = this.#compared;
    if (before === undefined) return false;
    // Each truncation of turns adds to the log of truncated usage; if a fork shares the turns, it lowers their number.
    return (
      record.createdAt !== before.createdAt ||
      record.branches?.current !== before.branches?.current ||
      headOf(record, truncatedUsageLog) !== headOf(before, truncatedUsageLog) ||
      record.inherited < before.inherited
    );
  }

  /** Whether this turn has the number of the last one that the reader has got, and is not the same. */
  #isAnother(turn: WatchedTurn): boolean {
    const { seq, at, key } = knownOf(turn);
    const known = this.#known.at(-1);
    return known?.seq === seq && (known.at !== at || known.key !== key);
  }

  /** Reads the turns between those of the reader and a view. */
  async #fetch(view: SessionView, what: "compare" | "read"): Promise<void> {
    this.#isFetching = true;
    try {
      if (what === "compare") await this.#compare(view);
      else await this.#read(view);
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#isFetching = false;
    }
    this.#advance();
  }

  /** Finds how many of the turns that the reader has got are the stored ones. */
  async #compare(view: SessionView): Promise<void> {
    const { record } = view;
    const last = Math.min(this.#turn, headOf(record, "turns"));
    const before = this.#compared;
    let after = Math.min(last, before === undefined ? last : await turnsKept(this.#core, before, record));
    const known = this.#known.filter(({ seq }) => seq <= last);
    for (let from = known[0]?.seq ?? last + 1; from <= last;) {
      const turns = await pageOf(this.#core, view, { from, to: last });
      for (const { seq, at, key } of turns.map(knownOf)) {
        const one = known.find((of) => of.seq === seq);
        if (one === undefined) continue;
        const isKept = one.at === at && one.key === key;
        after = isKept ? Math.max(after, seq) : Math.min(after, seq - 1);
      }
      from = (turns.at(-1)?.seq ?? last) + 1;
    }
    this.#compared = record;
    if (after < this.#turn) this.#cutAfter = after;
  }

  async #read(view: SessionView): Promise<void> {
    const page = await pageOf(this.#core, view, { from: this.#turn + 1, to: (view.turn?.seq ?? 1) - 1 });
    if (this.#isOver) return;
    this.#page = page;
    // They were truncated meanwhile: the next view has that.
    if (page.length === 0 && viewIn(this.#found) === view) this.#found = undefined;
  }

  #fail(error: unknown): void {
    const reading = this.#reading;
    this.#reading = undefined;
    this.#end();
    const { tenant, id: session } = this.#key;
    reading?.reject(addContext(error, { command: "watch", tenant, session, agent: this.#agent }));
  }

  readonly #end = (): void => {
    this.#isOver = true;
    this.#options.signal?.removeEventListener("abort", this.#end);
    this.#watch?.stop();
    this.#found = undefined;
    this.#page = [];
    const reading = this.#reading;
    this.#reading = undefined;
    reading?.resolve(over);
  };
}

const over: Result = { done: true, value: undefined };

/** A session is over at its expiry or its end, but an open turn continues to its own end. */
function isOver(record: SessionRecord, now: number): boolean {
  const state = stateAt(record, now);
  return state !== "active" && state !== "inactive" && record.openTurn === null;
}

function isFinished(turn: WatchedTurn): boolean {
  return turn.status === "unreadable" || isSealed(turn);
}

/**
 * The turns at the beginning of a session that no truncation and no switch to another branch since an earlier record can have
 * replaced, so that a reader learns of the turns that it has and this watch does not remember.
 */
async function turnsKept(core: Core, before: SessionRecord, record: SessionRecord): Promise<number> {
  const [from, to] = [headOf(before, truncatedUsageLog) + 1, headOf(record, truncatedUsageLog)];
  if (record.createdAt !== before.createdAt || to < from - 1) return 0;
  let truncated = before.inherited - record.inherited;
  if (from <= to) {
    const { readMax: limit, readBytesMax: bytesMax } = core.options.limits;
    const usage = await readLog(core, record, {
      log: truncatedUsageLog,
      from,
      to,
      order: "ascending",
      limit,
      bytesMax,
    });
    if (usage.at(-1)?.seq !== to) return 0;
    for (const entry of usage) truncated += truncatedUsageOf(entry).turns;
  }
  return Math.max(0, Math.min(turnsInSamePlaces(before, record), headOf(before, "turns") - truncated));
}

function viewIn(found: Found | undefined): SessionView | undefined {
  return found?.status === "found" ? found.view : undefined;
}

/** The result that all watches of a turn give to their readers, and the part that they keep. */
interface SharedTurn {
  readonly result: Result;
  readonly known: Known;
}

const turnsShared = new WeakMap<Turn, SharedTurn>();
const chunksShared = new WeakMap<Chunk, Result>();

function sharedOf(turn: Turn): SharedTurn {
  let shared = turnsShared.get(turn);
  if (shared === undefined) {
    shared = { result: { done: false, value: { type: "turn", turn } }, known: knownOf(turn) };
    turnsShared.set(turn, shared);
  }
  return shared;
}

function resultOfChunk(chunk: Chunk, { turn, seq }: { readonly turn: number; readonly seq: number }): Result {
  let result = chunksShared.get(chunk);
  if (result === undefined) {
    result = { done: false, value: { type: "chunk", turn, seq, chunk } };
    chunksShared.set(chunk, result);
  }
  return result;
}

/** Numbers of turns, bounds included. */
interface Range {
  readonly from: number;
  readonly to: number;
}

/** The last page of turns that was read for a view: watches that are equally far behind share it. */
const pagesOf = new WeakMap<SessionView, Range & { readonly turns: Promise<readonly WatchedTurn[]> }>();

/** A page of the turns of a view. */
async function pageOf(core: Core, view: SessionView, { from, to }: Range): Promise<readonly WatchedTurn[]> {
  const known = pagesOf.get(view);
  if (known?.from === from && known.to === to) return await known.turns;
  const { readMax: limit, readBytesMax: bytesMax } = core.options.limits;
  const range = { log: "turns", from, to, order: "ascending", limit, bytesMax } as const;
  const turns = readLog(core, view.record, range).then((entries) => entries.map(watchedTurn));
  pagesOf.set(view, { from, to, turns });
  try {
    return await turns;
  } catch (error) {
    // The next watch reads it again.
    pagesOf.delete(view);
    throw error;
  }
}
