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
import { recentResets } from "../../domain/record/lifecycle.ts";
import { recover, type AbandonedTurn } from "../../domain/turns/leases.ts";
import { hasReplaced, replacedKeysLog, replacedLog, replacedTurnOf } from "../../domain/turns/replaced-turns.ts";
import type { Lease, SessionRecord } from "../../domain/record/record.ts";
import { readTurn } from "../../domain/turns/turn.ts";
import { sessionIds, type Writer } from "../../domain/record/guards.ts";
import { hasCode, SessionError } from "../../errors.ts";
import { interruptions } from "../../errors/answer-problems.ts";
import type { Loaded, LoadRequest } from "../../store/store.ts";
import type { Committed, Core } from "../core/core.ts";
import { changedReferences } from "../marks/changed-marks.ts";
import { eachEntry, readLog } from "../core/log-reader.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";
import { traceCall, type Operation, type OperationName } from "../tracing/operation.ts";
import { seenOf, type Seen } from "../core/seen.ts";
import type { Rule, WritableSession, WriteOptions, WriteResult } from "../core/writable-session.ts";

/** Tries of a write against newer records, unless its options say otherwise. */
const attemptsDefault = 100;
/**
 * The pauses of a writer under contention: the first lasts up to `firstMs`, each later one is longer by `factor`, and
 * after `max` appends in a row that meet no other turn the contention is over.
 */
const yields = { firstMs: 8, factor: 1.5, max: 4 } as const;
/** Stale positions of callers that are remembered. */
const staleViewsMax = 1000;
/** A lease whose commit has an unknown outcome is checked at this interval until the store answers, ms. */
const retryMs = 2000;

/**
 * One view of one session: the newest record it knows, the turns its owner has seen, and the fencing token it writes
 * under. Its writes run in order. Each is a pure rule, which is applied again if the record changed meanwhile.
 */
export class Handle implements WritableSession {
  readonly core: Core;
  #record: SessionRecord;
  /** The turns that the owner of this handle has seen. */
  #seen: Seen;
  /** The lease that it writes under. In a store that was put back, another lease may have the same fencing token. */
  #lease: Pick<Lease, "fence" | "commitId"> | null = null;
  #retired = false;
  /** The version that its owner had seen at its last conflict. */
  #conflictSeen: number | undefined;
  /** The caller passed what it has seen, and other callers may pass the same. */
  readonly #isGiven: boolean;
  /** Conflicts since the last turn that was committed. */
  #conflicts = 0;
  /** The number of the next pause for other writers; 0 for none. */
  #yields = 0;
  #landedAt = 0;
  #last: Promise<unknown> | undefined;
  #pending = 0;

  /** `seen`: what the owner has seen of the session, where that is less than this record. */
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

  /** The fencing token that this view writes under; null without a lease. */
  get fence(): number | null {
    return this.#lease?.fence ?? null;
  }

  /** Write under the lease in the record that this view has just written. */
  takeLease(): void {
    this.#lease = this.#record.lease;
  }

  /** Write under the lease of another view of the same owner. */
  shareLease(owner: Handle): void {
    this.#lease = owner.#lease;
  }

  /** Write without a lease. */
  dropLease(): void {
    this.#lease = null;
  }

  /** Refuse all further writes through this view: its owner has ended, even if its code still runs. */
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

  /** A view on the same record, without the fence and without what the owner had seen. */
  freshView(): Handle {
    return new Handle(this.core, this.#record);
  }

  /** Take over what another view of the same owner knows and has seen. */
  follow(other: Handle): void {
    this.learn(other.#record);
    if (other.#seen.version > this.#seen.version) this.#seen = other.#seen;
  }

  /** The newest known record, if its owner has seen all turns of it. */
  get seenRecord(): SessionRecord | undefined {
    return isSame(this.#seen, turnsIdentity(this.#record)) ? this.#record : undefined;
  }

  /** The number of the last turn that its owner has seen. */
  get seenTurn(): number {
    return this.#seen.turn;
  }

  /**
   * True for the first conflict of what the owner had seen. Where the caller passed that (`seen`), several callers may pass the
   * same: then true once for each stored version.
   */
  #isNewConflict({ seenVersion, storedVersion }: { seenVersion: number; storedVersion: number }): boolean {
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

  /** Take over a record that was loaded elsewhere in this process, if it is newer. */
  learn(record: SessionRecord): void {
    if (!isSame(record, this.#record) && mayFollow(record, this.#record)) this.#record = record;
  }

  /**
   * Call `work`, and count a conflict that it throws, once for each view that had fallen behind. The caller gets the error
   * as it is; the fallback counts none, because its events are not replayed.
   */
  async countingConflicts<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (hasCode(error, "conflict")) {
        this.#conflicts++;
        const { seenTurn, storedTurn, seenVersion, storedVersion } = error.details;
        if (!this.core.isFallback && seenVersion !== undefined && storedVersion !== undefined) {
          const met = { seenTurn, storedTurn, seenVersion, storedVersion };
          if (this.#isNewConflict(met)) this.core.conflicts.count(this, met);
        }
      }
      throw error;
    }
  }

  /** A turn of the owner was committed. */
  landed(): void {
    if (this.#conflicts > 0) this.#yields = 1;
    else if (this.#yields > 0) this.#yields = (this.#yields + 1) % (yields.max + 1);
    this.#landedAt = this.core.options.clock.now();
    this.#conflicts = 0;
  }

  /**
   * Make room for other writers of the session before turns are written. The writer of the last turn knows the newest
   * version and needs one round trip. A refused writer needs two, so it is refused for as long as the first one
   * continues. A writer that was refused since its turn before the last one therefore pauses before its next turn. The
   * pauses grow while no other turn comes, because the other writers may not get a processor or a lock in a short one.
   */
  async makeRoom(): Promise<void> {
    if (this.#yields === 0 || this.#conflicts > 0) return;
    const pauseMs = yields.firstMs * yields.factor ** (this.#yields - 1);
    if (this.core.options.clock.now() - this.#landedAt < pauseMs) await this.core.pause(pauseMs);
  }

  /** Load the newest record; what the owner has seen stays. */
  async peek(tails: LoadRequest["tails"] = []): Promise<Loaded> {
    const loaded = await this.core.load(this.key, tails);
    this.learn(loaded.record);
    return loaded;
  }

  /** Load the newest record and count its turns as seen, also if the store was restored to an earlier state. */
  async refresh(tails: LoadRequest["tails"] = []): Promise<Loaded> {
    const loaded = await this.peek(tails);
    this.#record = loaded.record;
    this.#seen = seenOf(loaded.record);
    return loaded;
  }

  /** Count the turns of the known record as seen: a commit of this handle made that record. */
  seeAll(): void {
    this.#seen = seenOf(this.#record);
  }

  /** Run a call of the owner, traced, behind its earlier calls. */
  operate<T>(operation: OperationName, work: () => Promise<T>): Promise<T> {
    return traceCall(this.about(operation), () => this.inOrder(work));
  }

  /** The operation to report to the tracing channel. */
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
   * Apply the rule to the newest known record and commit its change.
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

  async #write(rule: Rule, { attemptsMax = attemptsDefault, ...options }: WriteOptions): Promise<WriteResult> {
    // The record may come from a list, which does not bring the time.
    if (!this.core.knowsTime) await this.core.learnTime();
    const retry = { ...sessionIds(this.#record), attemptsMax };
    return await retryOnConflict(retry, (attempt) => this.#tryWrite(rule, options, attempt));
  }

  /** Undefined if the record has changed: the handle then knows the newest one. */
  async #tryWrite(
    rule: Rule,
    { recovers, reason = interruptions.writer_gone, beside: given = [] }: Omit<WriteOptions, "attemptsMax">,
    attempt: number,
  ): Promise<WriteResult | undefined> {
    const record = this.#record;
    if (this.#retired || this.#meetsAnotherLease(record)) {
      throw new SessionError("fenced", { ...sessionIds(record), fence: this.fence ?? 0, storedFence: record.fence });
    }
    let change: Change | null;
    try {
      const draft = draftOf(record);
      if (recovers !== undefined && this.#isAbandoned(record)) await this.#recover(draft, recovers, reason);
      change = rule(draft, this.core.context(), this.#writer());
    } catch (error) {
      // The record that was known before this write may be stale. The record of a later attempt came from the store.
      if (attempt === 1 && error instanceof SessionError && (await this.#movedOn(record))) return undefined;
      throw error;
    }
    if (change === null) return { status: "unchanged" };
    if (claimsTwice(change)) {
      // The recovery puts back a turn with the claimed key, which the store compares only once it is committed.
      await this.recoverAbandoned({ recovers: recovers ?? "dead", reason });
      return undefined;
    }
    const inherited = record.parent === null ? undefined : await this.#inherited(record, change);
    if (inherited !== undefined) return { status: "duplicate", entry: inherited };

    if (change.claims.length > 0) await this.#guardKeys(record, change);

    const references = changedReferences(this.core, record, change);
    const beside = [...(references instanceof Promise ? await references : references), ...given];
    const outcome = await this.#commit(change, beside);
    if (outcome.status === "duplicate") return outcome;
    if (outcome.status === "ok") {
      const [written] = outcome.changes;
      if (written === undefined) throw new Error("a commit of one change has one change");
      this.#applied(written);
      return { status: "ok", change: written };
    }
    if (beside.length > 0) {
      // The conflict may be on another record of the commit, not on the session.
      await this.#movedOn(record);
      return undefined;
    }
    if (outcome.current === undefined) throw new SessionError("session_not_found", sessionIds(record));
    guardHistory(record, outcome.current);
    this.#record = outcome.current;
    if (attempt > 3) await this.core.pause(Math.min(attempt, 20));
    return undefined;
  }

  /** True if the record has another lease with the fencing token of this view's. */
  #meetsAnotherLease({ lease }: SessionRecord): boolean {
    return lease !== null && lease.fence === this.#lease?.fence && lease.commitId !== this.#lease.commitId;
  }

  /** The entry with a claimed key among the shared turns of a fork: the store compares only the rows of the fork. */
  async #inherited(record: SessionRecord, { claims }: Change): Promise<Entry | undefined> {
    for (const { log, key } of claims) {
      const [entry] = await readLog(this.core, record, { log, keys: [key] });
      if (entry !== undefined) return entry;
    }
    return undefined;
  }

  /**
   * A retry of a turn from before a reset would write it a second time.
   * @throws SessionError `key_archived` where an archived turn has a claimed key
   */
  async #guardKeys(record: SessionRecord, { claims }: Change): Promise<void> {
    if (headOf(record, replacedKeysLog) > 0) {
      const keys = claims.filter(({ log }) => log === "turns").map(({ key }) => key);
      const [entry] = keys.length === 0 ? [] : await readLog(this.core, record, { log: replacedKeysLog, keys });
      if (entry !== undefined) {
        throw new SessionError("key_reused", {
          ...sessionIds(record),
          key: entry.key ?? "",
          seq: replacedTurnOf(entry),
        });
      }
    }
    if (claims.length === 0 || record.resets.length === 0) return;
    const { tenant, id: sessionId } = record;
    const resets = recentResets(record, this.core.now());
    const archived = await this.core.findAll(resets.map(({ archive: id }) => ({ tenant, id })));
    for (const { log, key } of claims) {
      for (const one of archived) {
        const [entry] = one === undefined ? [] : await readLog(this.core, one, { log, keys: [key] });
        if (entry === undefined || one === undefined) continue;
        throw new SessionError("key_archived", { sessionId, tenant, key, archive: one.id, seq: entry.seq });
      }
    }
  }

  /** Clear a dead holder's lease and seal the turn it left open. */
  async recoverAbandoned(options: WriteOptions = { recovers: "dead" }): Promise<WriteResult> {
    return await this.write((draft) => (draft.record === draft.base ? null : changeOf(draft)), options);
  }

  async #commit(change: Change, beside: readonly Change[]): Promise<Committed> {
    const { instance } = this.core;
    const lease = change.record?.lease;
    const granted = lease?.instance === instance.id && lease.fence === change.record?.version;
    // Registered before the commit, or another handle of this process could take the lease for an abandoned one.
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
   * This process will not use this lease, and could not release it in the store. The next handle of this process that
   * meets it clears it, or a background job does when the store is back, so that it blocks no other writer.
   */
  abandon(fence: number): void {
    this.core.instance.disuse(this.key, fence);
    this.anotherView().#recoverLater();
  }

  #recoverLater(): void {
    this.core.schedule(retryMs, async () => {
      try {
        await this.peek();
        await this.recoverAbandoned();
      } catch (error) {
        if (!hasCode(error, "session_not_found") && !hasCode(error, "closed")) this.#recoverLater();
      }
    });
  }

  #applied(change: Change): void {
    // After a removal the handle keeps the last record.
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

  /** True if the store has a newer record, which the handle then knows. */
  async #movedOn(record: SessionRecord): Promise<boolean> {
    const { record: newest } = await this.core.load(this.key);
    if (isSame(newest, record)) return false;
    guardHistory(record, newest);
    this.#record = newest;
    return true;
  }

  /** True for an open turn without a lease, and for a lease of another view, which may be that of a dead holder. */
  #isAbandoned({ lease, openTurn }: SessionRecord): boolean {
    return lease === null ? openTurn !== null : lease.fence !== this.fence;
  }

  /** Clear an abandoned lease and seal its open turn, in the draft. */
  async #recover(draft: Draft, recovers: "dead" | "any", reason: string): Promise<void> {
    const { lease, openTurn } = draft.record;
    if (lease !== null && recovers === "dead" && (await this.core.instance.isAlive(this.key, lease))) return;
    const turn = openTurn === null ? null : await this.#abandonedTurn(draft.record, openTurn);
    // A takeover from any holder does not check whether that holder is alive.
    const to = recovers === "any" ? this.core.instance.id : null;
    recover(draft, turn, { reason, to }, this.core.context());
  }

  /**
   * The open turn and the readable chunks of its answer: a damaged chunk must not prevent the recovery.
   * @throws SessionError `store_invalid` if the turn itself cannot be read
   */
  async #abandonedTurn(record: SessionRecord, seq: number): Promise<AbandonedTurn> {
    const { store, options } = this.core;
    const [entry] = await store.read(this.key, {
      log: "turns",
      from: seq,
      to: seq,
      order: "ascending",
      limit: 1,
    });
    const turn = entry === undefined ? "" : readTurn(entry);
    if (typeof turn === "string") {
      throw new SessionError("store_invalid", { ...sessionIds(record), problem: "open_turn_missing", seq });
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
    return { turn, chunks, written, replaced: await this.replacedTurns() };
  }

  /**
   * The entries of the turns that the open turn replaced; none where it replaced none. A lost entry must not prevent the end of
   * the open turn: the others are returned.
   */
  async replacedTurns(): Promise<readonly Entry[]> {
    const record = this.#record;
    if (!hasReplaced(record)) return [];
    try {
      return await Array.fromAsync(eachEntry(this.core, record, replacedLog));
    } catch (error) {
      if (!hasCode(error, "store_invalid")) throw error;
    }
    const entries: Entry[] = [];
    for (let seq = 1; seq <= headOf(record, replacedLog); seq++) {
      const range = { log: replacedLog, from: seq, to: seq, order: "ascending", limit: 1 } as const;
      entries.push(...(await this.core.store.read(this.key, range)));
    }
    return entries;
  }

  /** The turn with this idempotency key. */
  async entryByKey(key: string): Promise<Entry | undefined> {
    const [entry] = await readLog(this.core, this.#record, { log: "turns", keys: [key] });
    return entry;
  }
}

/** True where the change writes two entries with a key that it claims. */
function claimsTwice({ claims, splices }: Change): boolean {
  return claims.some(({ log, key }) => {
    const entries = splices.find((splice) => splice.log === log)?.entries ?? [];
    return entries.filter((entry) => entry.key === key).length > 1;
  });
}

/**
 * Commits are durable: a record that cannot descend from a known one came with a restored backup.
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
