import {
  changeOf,
  draftOf,
  headOf,
  isSame,
  mayFollow,
  turnsIdentity,
  type Change,
  type Draft,
} from "../../domain/record/change.ts";
import { readableChunks, type Chunk } from "../../domain/turns/chunk.ts";
import { keyText, type Entry, type SessionKey } from "../../domain/record/entry.ts";
import { recover, type AbandonedTurn } from "../../domain/turns/leases.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { turnOf, type Turn } from "../../domain/turns/turn.ts";
import { sessionIds, type Context, type Writer } from "../../domain/record/guards.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { Loaded, LoadRequest } from "../../store/store.ts";
import type { Committed, Core } from "./core.ts";
import { formerUserMarks } from "./fork-references.ts";
import { readLog } from "./log-reader.ts";
import { perform, type Operation, type OperationName } from "../tracing/operation.ts";
import { seenOf, type Seen } from "./seen.ts";

/** A pure rule, ready to be applied to whatever record stands; null where there is nothing to change. */
export type Rule = (draft: Draft, context: Context, writer: Writer) => Change | null;

export interface WriteOptions {
  /** Clear a dead holder's lease on the way, and seal the turn it left open. */
  readonly recovers?: "dead" | "any";
  /** Why, for the error of a turn that is sealed on the way. */
  readonly reason?: string;
  /** How many newer records it meets before it gives up. @default 100 */
  readonly attemptsMax?: number;
}

export type WriteResult =
  | { readonly status: "ok"; readonly change: Change }
  | { readonly status: "unchanged" }
  | { readonly status: "duplicate"; readonly entry: Entry };

/** A write that meets a newer record each time gives up after so many tries. */
const attemptsDefault = 100;
/**
 * The pauses of a writer under contention: the first lasts up to so long, each later one is longer by this factor, and
 * after so many appends in a row that meet no other turn the contention is over.
 */
const yields = { firstMs: 8, factor: 1.5, max: 4 } as const;
/** So many views from outside are remembered. */
const staleViewsMax = 1000;
/** A lease of unknown fate is looked after again after so long, until the store says what became of it. */
const retryMs = 2000;

/**
 * One view of one session: the newest record it knows, the turns its owner has seen, and the fence it writes under.
 * Its writes happen in order, each as a pure rule that is applied again where the record moved on meanwhile.
 */
export class Handle {
  readonly core: Core;
  #record: SessionRecord;
  /** What the owner of this handle knows of. */
  #seen: Seen;
  fence: number | null = null;
  #retired = false;
  /** What its owner had seen when it was told of a conflict last. */
  #conflictSeen: number | undefined;
  /** What its owner has seen was said from outside, where others may say the same. */
  readonly #isGiven: boolean;
  /** How often its owner was refused since its last turn landed. */
  #refusals = 0;
  /** The number of the next pause for other writers; 0 for none. */
  #yields = 0;
  #landedAt = 0;
  #last: Promise<unknown> | undefined;
  #pending = 0;

  /** `seen`: what its owner has seen of the session, where that is less than this record. */
  constructor(core: Core, record: SessionRecord, seen?: Seen) {
    this.core = core;
    this.#record = record;
    this.#isGiven = seen !== undefined && !isSame(seen, turnsIdentity(record));
    this.#seen = this.#isGiven && seen !== undefined ? seen : seenOf(record);
  }

  /** The newest record this handle knows; the store may be ahead. */
  get record(): SessionRecord {
    return this.#record;
  }

  get key(): SessionKey {
    return { tenant: this.#record.tenant, id: this.#record.id };
  }

  /** From here on nothing is written through this view: its owner is over, whether or not its code still runs. */
  retire(): void {
    this.#retired = true;
  }

  /** Another view of the same session, with a fence of its own. */
  anotherView(): Handle {
    const handle = new Handle(this.core, this.#record);
    handle.#retired = this.#retired;
    handle.#seen = this.#seen;
    return handle;
  }

  /** Know and have seen what another view of the same owner has. */
  follow(other: Handle): void {
    this.learn(other.#record);
    if (other.#seen.version > this.#seen.version) this.#seen = other.#seen;
  }

  /** The number of the last turn its owner has seen. */
  get seenTurn(): number {
    return this.#seen.turn;
  }

  /**
   * True once for what its owner had seen. What was said from outside may be anything: there, once for each change of the turns
   * that was met, whoever met it.
   */
  isNewConflict({ seenVersion, storedVersion }: { seenVersion: number; storedVersion: number }): boolean {
    if (this.#conflictSeen === seenVersion) return false;
    this.#conflictSeen = seenVersion;
    if (!this.#isGiven) return true;
    const { staleViews } = this.core;
    const view = `${keyText(this.key)} ${storedVersion}`;
    if (staleViews.has(view)) return false;
    staleViews.add(view);
    const [oldest] = staleViews;
    if (staleViews.size > staleViewsMax && oldest !== undefined) staleViews.delete(oldest);
    return true;
  }

  /** Know a record that was loaded elsewhere in this process, where it is newer. */
  learn(record: SessionRecord): void {
    if (!isSame(record, this.#record) && mayFollow(record, this.#record)) this.#record = record;
  }

  /** Its owner was told of a conflict. */
  refused(): void {
    this.#refusals++;
  }

  /** Turns of its owner have landed. */
  landed(): void {
    if (this.#refusals > 0) this.#yields = 1;
    else if (this.#yields > 0) this.#yields = (this.#yields + 1) % (yields.max + 1);
    this.#landedAt = this.core.options.clock.now();
    this.#refusals = 0;
  }

  /**
   * Make room for other writers of the session before turns are written. The writer of the last turn knows the newest
   * version and needs one round trip. A refused writer needs two, so it is refused for as long as the first one goes on.
   * A writer that was refused since its turn before the last one therefore pauses before its next turn. The pauses grow
   * while no other turn comes, because the other writers may not get a processor or a lock in a short one.
   */
  async makeRoom(): Promise<void> {
    if (this.#yields === 0 || this.#refusals > 0) return;
    const pauseMs = yields.firstMs * yields.factor ** (this.#yields - 1);
    if (this.core.options.clock.now() - this.#landedAt < pauseMs) await this.core.pause(pauseMs);
  }

  /** Load the newest record, without counting it as seen. */
  async peek(tails: LoadRequest["tails"] = []): Promise<Loaded> {
    const loaded = await this.core.load(this.key, tails);
    this.learn(loaded.record);
    return loaded;
  }

  /** Load the newest record and count its turns as seen, also where the store was put back to an earlier state. */
  async refresh(tails: LoadRequest["tails"] = []): Promise<Loaded> {
    const loaded = await this.peek(tails);
    this.#record = loaded.record;
    this.#seen = seenOf(loaded.record);
    return loaded;
  }

  /** Do what its owner called, behind what was called earlier. */
  operate<T>(operation: OperationName, work: () => Promise<T>): Promise<T> {
    return perform(this.about(operation), () => this.inOrder(work));
  }

  /** What to tell of an operation on this session. */
  about(operation: OperationName): Operation {
    const { tenant, id, agent } = this.#record;
    return { operation, tenant, session: id, agent };
  }

  /** Queue an operation behind the earlier ones of this handle. */
  async inOrder<T>(operation: () => Promise<T>): Promise<T> {
    this.core.guardOpen();
    const { pendingMax } = this.core.options.limits;
    if (this.#pending >= pendingMax) {
      throw new SessionError("queue_full", {
        ...sessionIds(this.#record),
        waiting: this.#pending,
        waitingMax: pendingMax,
      });
    }
    const before = this.#last;
    this.#pending++;
    const result = before === undefined ? operation() : before.then(operation, operation);
    this.#last = result;
    try {
      return await result;
    } finally {
      this.#pending--;
      if (this.#last === result) this.#last = undefined;
    }
  }

  /**
   * Apply the rule to the record that stands and commit what it says.
   * @throws SessionError what the rule throws on the newest record, `session_not_found`, `contended`, or the store's
   */
  async write(rule: Rule, options: WriteOptions = {}): Promise<WriteResult> {
    const { fence } = this;
    try {
      return await this.#write(rule, options);
    } catch (error) {
      const lost = hasCode(error, "fenced") || hasCode(error, "session_not_found");
      if (lost && fence !== null) this.core.loseLease(this.key, fence);
      throw error;
    }
  }

  async #write(
    rule: Rule,
    { recovers, reason = "its writer is gone", attemptsMax = attemptsDefault }: WriteOptions,
  ): Promise<WriteResult> {
    // The record may come from a list, which does not tell the time.
    if (!this.core.knowsTime) await this.core.hearTime();
    for (let attempt = 1; attempt <= attemptsMax; attempt++) {
      const record = this.#record;
      if (this.#retired) {
        throw new SessionError("fenced", {
          ...sessionIds(record),
          fence: this.fence ?? 0,
          storedFence: record.fence,
        });
      }
      let change: Change | null;
      try {
        const draft = draftOf(record);
        if (recovers !== undefined) await this.#recover(draft, recovers, reason);
        change = rule(draft, this.core.context(), this.#writer());
      } catch (error) {
        // The rule may have judged a record that is out of date: only the newest one may refuse.
        if (error instanceof SessionError && (await this.#movedOn(record))) continue;
        throw error;
      }
      if (change === null) return { status: "unchanged" };
      const inherited = record.parent === null ? undefined : await this.#inherited(record, change);
      if (inherited !== undefined) return { status: "duplicate", entry: inherited };

      const beside = change.record === null ? [] : await formerUserMarks(this.core, record, change.record);
      const outcome = await this.#commit(change, beside);
      if (outcome.status === "duplicate") return outcome;
      if (outcome.status === "ok") {
        const [written] = outcome.changes;
        if (written === undefined) throw new Error("a commit of one change has one change");
        this.#applied(written);
        return { status: "ok", change: written };
      }
      if (beside.length > 0) {
        // The mark may be what others wrote, and not the session.
        await this.#movedOn(record);
        continue;
      }
      if (outcome.current === undefined) throw new SessionError("session_not_found", sessionIds(record));
      guardHistory(record, outcome.current);
      this.#record = outcome.current;
      if (attempt > 3) await this.core.pause(Math.min(attempt, 20));
    }
    throw new SessionError("contended", { ...sessionIds(this.#record), attempts: attemptsMax });
  }

  /** The entry that bears a claimed key already, among the turns that a fork shares: the store looks at its own rows only. */
  async #inherited(record: SessionRecord, { claims }: Change): Promise<Entry | undefined> {
    for (const { log, key } of claims) {
      const [entry] = await readLog(this.core, record, { log, keys: [key] });
      if (entry !== undefined) return entry;
    }
    return undefined;
  }

  /** Clear a dead holder's lease, seal the turn it left open, and nothing else. */
  async recoverAbandoned(options: WriteOptions = { recovers: "dead" }): Promise<WriteResult> {
    return await this.write((draft) => (draft.record === draft.base ? null : changeOf(draft)), options);
  }

  async #commit(change: Change, beside: readonly Change[]): Promise<Committed> {
    const { instance } = this.core;
    const lease = change.record?.lease;
    const granted = lease?.instance === instance.id && lease.fence === change.record?.version;
    // Known from before it lands, or another handle of this process could take it for a stray.
    if (granted) instance.use(change.key, lease.fence);
    try {
      const outcome = await this.core.commit([change, ...beside]);
      if (granted && outcome.status !== "ok") instance.disuse(change.key, lease.fence);
      return outcome;
    } catch (error) {
      if (granted) this.abandon(lease.fence);
      throw error;
    }
  }

  /**
   * Nobody here will use this lease, and the store could not be told. It must not hold anybody up for as long as this
   * process lives: whoever comes next in this process clears it, or a chore does once the store is there again.
   */
  abandon(fence: number): void {
    this.core.instance.disuse(this.key, fence);
    this.anotherView().#putInOrderLater();
  }

  #putInOrderLater(): void {
    this.core.schedule(retryMs, async () => {
      try {
        await this.peek();
        await this.recoverAbandoned();
      } catch (error) {
        if (!hasCode(error, "session_not_found") && !hasCode(error, "closed")) this.#putInOrderLater();
      }
    });
  }

  #applied(change: Change): void {
    // A removed session leaves the handle at the record it last had.
    if (change.record === null) return;
    const record = change.record;
    const hadSeenAll = isSame(this.#seen, turnsIdentity(this.#record));
    this.#record = record;
    if (hadSeenAll) this.#seen = seenOf(record);
  }

  #writer(): Writer {
    return {
      instance: this.core.instance.id,
      fence: this.fence,
      seen: this.#seen,
      seenTurn: this.#seen.turn,
    };
  }

  async #movedOn(record: SessionRecord): Promise<boolean> {
    const { record: newest } = await this.core.load(this.key);
    if (isSame(newest, record)) return false;
    guardHistory(record, newest);
    this.#record = newest;
    return true;
  }

  /** Put a dead holder's affairs in order, in the draft. */
  async #recover(draft: Draft, recovers: "dead" | "any", reason: string): Promise<void> {
    const { lease, openTurn } = draft.record;
    const abandoned = lease === null ? openTurn !== null : lease.fence !== this.fence;
    if (!abandoned) return;
    if (lease !== null && recovers === "dead" && (await this.core.instance.isAlive(this.key, lease))) return;
    const remains = openTurn === null ? null : await this.#remains(draft.record, openTurn);
    // Whoever takes over from any holder asks nobody whether that one lives.
    const to = recovers === "any" ? this.core.instance.id : null;
    recover(draft, remains, { reason, to }, this.core.context());
  }

  /**
   * The open turn and the pieces of its answer that can be read: a damaged piece must not keep the session from being
   * recovered. @throws SessionError `store_invalid` where the turn itself cannot be read
   */
  async #remains(record: SessionRecord, seq: number): Promise<AbandonedTurn> {
    const { store, options } = this.core;
    const [entry] = await store.read(this.key, {
      log: "turns",
      from: seq,
      to: seq,
      order: "ascending",
      limit: 1,
    });
    const turn = entry === undefined ? undefined : readableTurn(entry);
    if (turn === undefined) {
      throw new SessionError("store_invalid", {
        store: `of session ${record.id}`,
        reason: `its record speaks of the open turn ${seq}, which the log does not hold or which cannot be read; run "perdure doctor --repair"`,
      });
    }
    const chunks: Chunk[] = [];
    const written = headOf(record, "chunks");
    const limit = options.limits.readMax;
    for (let from = 1; from <= written;) {
      const range = { log: "chunks", from, to: written, order: "ascending", limit } as const;
      const page = await store.read(this.key, range);
      chunks.push(...readableChunks(page));
      const last = page.at(-1);
      if (last === undefined) break;
      from = last.seq + 1;
    }
    return { turn, chunks, written };
  }

  /** The entry of the turns that bears this key. */
  async entryByKey(key: string): Promise<Entry | undefined> {
    const [entry] = await readLog(this.core, this.#record, { log: "turns", keys: [key] });
    return entry;
  }
}

function readableTurn(entry: Entry): Turn | undefined {
  try {
    const turn = turnOf(entry);
    return Array.isArray(turn.input) ? turn : undefined;
  } catch {
    // The caller names the turn in its error.
    return undefined;
  }
}

/**
 * What was committed stands: a record that cannot have come from a known one was put there with the store's files.
 * @throws SessionError `store_restored`
 */
function guardHistory(known: SessionRecord, current: SessionRecord): void {
  if (mayFollow(current, known)) return;
  throw new SessionError("store_restored", {
    ...sessionIds(known),
    seenTurn: headOf(known, "turns"),
    storedTurn: headOf(current, "turns"),
    seenVersion: known.version,
    storedVersion: current.version,
  });
}
