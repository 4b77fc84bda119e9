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
import { keyText, type Entry, type SessionKey } from "../../domain/record/entry.ts";
import { assemble } from "../../domain/turns/chunk.ts";
import { leaseRuns, recover, sealLeft, waitsAt, type AbandonedTurn } from "../../domain/turns/leases.ts";
import type { Identity, Lease, SessionRecord } from "../../domain/record/record.ts";
import { endOfWait } from "../../domain/writes/waiting.ts";
import { guardHistory, sessionIds, type Writer } from "../../domain/record/guards.ts";
import { hasCode, SessionError } from "../../errors.ts";
import { isInternalScope, tenantOfScope } from "../../domain/values/internal-scope.ts";
import { interruptions } from "../../errors/answer-problems.ts";
import type { Loaded, LoadRequest } from "../../store/store.ts";
import type { Committed, Core } from "../core/core.ts";
import { changedReferences, changesReferences } from "../marks/changed-marks.ts";
import { readLog } from "../core/log-reader.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";
import { failureOf, traceCall, type Operation, type OperationName } from "../tracing/operation.ts";
import { hasSeen, seenOf, type Seen } from "../core/seen.ts";
import { putStaying } from "../turn-marks/turn-changes.ts";
import { readAbandonedTurn, readReplaced } from "./abandoned-turn.ts";
import { claimsKeysElsewhere, claimsTwice, guardKeys, inheritedEntry } from "./claimed-keys.ts";
import { Contention } from "./contention.ts";
import type { Gate } from "./gate.ts";
import { OperationQueue, type FoldingPlace } from "./operation-queue.ts";
import { writesTo, type FoldedRule, type FoldingView } from "./session-writes.ts";
import type {
  FoldedResult,
  FoldOptions,
  Proposal,
  Rule,
  WritableSession,
  WriteOptions,
  WriteResult,
} from "../core/writable-session.ts";

/** Tries of a write against newer records, unless its options say otherwise. */
const attemptsDefault = 100;
/** A waiter asks within about this time whether the lease holder is alive, ms. */
const newLeaseMs = 1000;
/** A lease whose commit has an unknown outcome is checked at this interval until the store answers, ms. */
const retryMs = 2000;

/**
 * One view of one session: the newest record it knows, the turns its owner has seen, and the fencing token it writes
 * under. Its writes run in order. Each is a pure rule, which is applied again if the record changed meanwhile.
 */
export class Handle implements WritableSession, FoldingView {
  readonly core: Core;
  /** Made once: each append looks up the queue of its session by it, and a new text must be hashed. */
  readonly keyText: string;
  #record: SessionRecord;
  /** The turns that the owner of this handle has seen. */
  #seen: Seen;
  /** The lease that it writes under. In a store that was put back, another lease may have the same fencing token. */
  #lease: Pick<Lease, "fence" | "commitId"> | null = null;
  #retired = false;
  /** The last turn that was read, until the next write: an amendment of it need not read it again. */
  #lastTurn: { readonly turns: Identity; readonly entry: Entry } | undefined;
  readonly #contention: Contention;
  readonly #operations = new OperationQueue();

  /** `seen`: what the owner has seen of the session, where that is less than this record. */
  constructor(core: Core, record: SessionRecord, seen?: Seen) {
    this.core = core;
    this.keyText = keyText(record);
    this.#record = record;
    const isGiven = seen !== undefined && !isSame(seen, turnsIdentity(record));
    this.#contention = new Contention(core, { isGiven });
    this.#seen = isGiven ? seen : seenOf(record);
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

  /** Lose the lease of this view if its time limit has passed: this view may then take the next one. */
  dropLapsedLease(): void {
    const { lease } = this.#record;
    if (lease === null || lease.fence !== this.fence || leaseRuns(lease, this.core.now())) return;
    this.core.loseLease(this.key, lease.fence);
    this.dropLease();
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

  /** The turns that its owner has seen. */
  get seen(): Seen {
    return this.#seen;
  }

  /** The newest known record, if its owner has seen all turns of it. */
  get seenRecord(): SessionRecord | undefined {
    return hasSeen(this.#seen, this.#record) ? this.#record : undefined;
  }

  /** The number of the last turn that its owner has seen. */
  get seenTurn(): number {
    return this.#seen.turn;
  }

  /** Take over a record that was loaded elsewhere in this process, if it is newer. */
  learn(record: SessionRecord): void {
    if (!isSame(record, this.#record) && mayFollow(record, this.#record)) this.#record = record;
  }

  /**
   * Call `work`, and count a conflict that it throws, once for each view that had fallen behind. The caller gets the error
   * as it is; the fallback counts none, because its events are not replayed.
   */
  countingConflicts<T>(work: () => Promise<T>): Promise<T> {
    return work().catch((error: unknown) => {
      this.#countConflict(error);
      throw error;
    });
  }

  #countConflict(error: unknown): void {
    if (hasCode(error, "conflict")) this.#contention.met(this, error.details);
  }

  /** The error of a call of the owner, with the ids of the call; a conflict is counted. */
  failureOf(operation: OperationName, error: unknown): unknown {
    this.#countConflict(error);
    return failureOf(error, () => this.about(operation));
  }

  /** A turn of the owner was committed. */
  landed(): void {
    this.#contention.landed();
  }

  /** Pause for other writers of the session, before turns are written; undefined if there is no need to. */
  makeRoom(): Promise<void> | undefined {
    return this.#contention.makeRoom();
  }

  /** Load the newest record; what the owner has seen stays. */
  async peek(tails: LoadRequest["tails"] = []): Promise<Loaded> {
    const loaded = await this.core.load(this.key, tails, this.#record);
    this.learn(loaded.record);
    this.noteTails(tails, loaded);
    return loaded;
  }

  /** Note the last turn of what was loaded. */
  noteTails(tails: LoadRequest["tails"], { record, tails: found }: Loaded): void {
    const entry = found[tails.findIndex(({ log }) => log === "turns")]?.at(-1);
    if (entry !== undefined) this.#lastTurn = { turns: turnsIdentity(record), entry };
  }

  /** The entry of the last turn of a record, if this view has just read it. */
  lastTurnOf(record: SessionRecord): Entry | undefined {
    const { turns, entry } = this.#lastTurn ?? {};
    const isLast =
      turns !== undefined && isSame(turns, turnsIdentity(record)) && entry?.seq === headOf(record, "turns");
    return isLast ? entry : undefined;
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
    const { tenant: scope, id, agent } = this.#record;
    const tenant = isInternalScope(scope) ? tenantOfScope(scope) : scope;
    return { operation, tenant, session: id, agent };
  }

  /** Queue an operation behind the earlier ones of this handle. */
  inOrder<T>(operation: () => Promise<T>): Promise<T> {
    this.#guardQueue();
    return this.#operations.run(operation);
  }

  /**
   * Queue an operation that writes by a folded write: the next such operation begins as soon as the write of this one is in the queue
   * of its session (`queued`), and the writes keep their order.
   */
  async inFold<T>(operation: (queued: Gate) => Promise<T>): Promise<T> {
    const place = this.enterFold();
    try {
      if (place.before !== undefined) await place.before;
      return await operation(place);
    } finally {
      this.leaveFold(place);
    }
  }

  /**
   * As {@link inFold}, for a caller that awaits the place itself and gives it back by {@link leaveFold}. `close` waits for the
   * operation.
   */
  enterFold(): FoldingPlace {
    this.#guardQueue();
    this.core.beginTake();
    return this.#operations.enter();
  }

  leaveFold(place: FoldingPlace): void {
    this.#operations.leave(place);
    this.core.endTake();
  }

  /** @throws SessionError `queue_full`, `closed` */
  #guardQueue(): void {
    this.core.guardOpen();
    const { pendingMax } = this.core.options.limits;
    const { pending } = this.#operations;
    if (pending < pendingMax) return;
    throw new SessionError("queue_full", { ...sessionIds(this.#record), waiting: pending, waitingMax: pendingMax });
  }

  /**
   * Apply the rule to the newest known record and commit its change.
   * @throws SessionError what the rule throws on the newest record, `session_not_found`, `contended`, or the store's
   */
  write(rule: Rule, options: WriteOptions = {}): Promise<WriteResult> {
    return this.#writeUnder(this.fence, () => this.writeApart(rule, options));
  }

  /** As {@link write}; the write may fold with others. `queued` opens once it is in their queue. */
  fold(rule: Rule, options: FoldOptions = {}, queued?: Gate): Promise<FoldedResult> {
    if (this.core.knowsTime && this.#lease === null) return this.#foldNow(rule, options, queued);
    return this.#writeUnder(this.fence, () => this.#foldNow(rule, options, queued));
  }

  #foldNow(rule: Rule, options: FoldOptions, queued: Gate | undefined): Promise<FoldedResult> {
    const written = writesTo(this).write(this, rule, options);
    queued?.open();
    return written;
  }

  /** Write, perhaps under a lease, which is lost with its session or to another holder. */
  async #writeUnder<Result>(fence: number | null, write: () => Promise<Result>): Promise<Result> {
    try {
      // The record may come from a list, which does not bring the time.
      if (!this.core.knowsTime) await this.core.learnTime();
      return await write();
    } catch (error) {
      const isLost = hasCode(error, "fenced") || hasCode(error, "session_not_found");
      // A change beside this one may be of a record that is lost.
      const lost =
        isLost && error.details.sessionId === this.#record.id && error.details.tenant === this.#record.tenant;
      if (lost && fence !== null) this.core.loseLease(this.key, fence);
      throw error;
    }
  }

  /** Commit a write in a commit of its own. */
  async writeApart(rule: Rule, options: WriteOptions): Promise<WriteResult> {
    return (await this.#tryWrite(rule, options, 1)) ?? (await this.#writeAgain(rule, options));
  }

  /** As {@link FoldingView}: the rule is applied where nothing has to be read for it. */
  changeOn(record: SessionRecord, seen: Seen, { rule, options, correlation }: FoldedRule): Change | null | undefined {
    if (this.#retired || this.#meetsAnotherLease(record)) throw this.#superseded(record);
    if (options.recovers !== undefined && (this.#isAbandoned(record) || this.#endsWait(record, undefined)))
      return undefined;
    const change = rule(draftOf(record), this.core.contextOf(correlation), this.#writer(seen));
    if (change === null) return null;
    const isApart =
      change.rows !== undefined ||
      change.record?.branches !== record.branches ||
      claimsTwice(change) ||
      claimsKeysElsewhere(record, change) ||
      changesReferences(record, change);
    return isApart ? undefined : change;
  }

  /** As {@link FoldingView}. */
  applied({ before, change, newest }: Parameters<FoldingView["applied"]>[0]): void {
    this.#lastTurn = undefined;
    if (change.record !== null && hasSeen(this.#seen, before)) this.#seen = seenOf(change.record);
    if (isSame(this.#record, before)) this.#record = newest;
    else this.learn(newest);
  }

  /** The attempts after the first, which met another record. */
  async #writeAgain(rule: Rule, options: WriteOptions): Promise<WriteResult> {
    const { attemptsMax = attemptsDefault } = options;
    const retry = { ...sessionIds(this.#record), attemptsMax, done: 1 };
    return await retryOnConflict(retry, (attempt) => this.#tryWrite(rule, options, attempt));
  }

  /** Undefined if the record has changed: the handle then knows the newest one. */
  async #tryWrite(
    rule: Rule,
    options: Omit<WriteOptions, "attemptsMax">,
    attempt: number,
  ): Promise<WriteResult | undefined> {
    const record = this.#record;
    const proposal = await this.propose(rule, options, attempt);
    if (proposal?.status !== "proposed") return proposal;
    const { change, beside } = proposal;
    const transaction = [change, ...beside];
    const outcome = await (takesLease(change, this.core.instance)
      ? this.#commitLease(change, transaction)
      : this.core.commitWithDocuments({ changes: transaction, documents: options.documents?.changes() ?? [] }));
    if (outcome.status === "duplicate") return { ...outcome, entry: await this.#numbered(outcome.entry) };
    if (outcome.status === "document_conflict") {
      options.documents?.met(outcome);
      return undefined;
    }
    if (outcome.status === "ok") {
      const [written] = outcome.changes;
      if (written === undefined) throw new Error("a commit of one change has one change");
      const { record: newest } = written;
      // After a removal the handle keeps the last record.
      if (newest !== null) this.applied({ before: record, change: written, newest });
      return { status: "ok", change: written };
    }
    if (beside.length > 0) {
      // The conflict may be on another record of the commit, not on the session.
      await this.#movedOn(record);
      return undefined;
    }
    if (outcome.current === undefined) throw new SessionError("session_not_found", sessionIds(record));
    guardHistory(record, outcome.current);
    // The view may have learnt a newer record than this answer since.
    if (isSame(this.#record, record)) this.#record = outcome.current;
    else this.learn(outcome.current);
    if (attempt > 3) await this.core.pause(Math.min(attempt, 20));
    return undefined;
  }

  /**
   * The change that the rule makes of the newest known record, for a commit. Undefined if the record has changed: the handle then
   * knows the newest one. `attempt`: the number of the attempt, from 1; before a later one the record was read from the store.
   */
  async propose(
    rule: Rule,
    {
      recovers,
      interruptsWaiting,
      reason = interruptions.writer_gone,
      queues = false,
      beside: given,
    }: Omit<WriteOptions, "attemptsMax">,
    attempt: number,
  ): Promise<Proposal | undefined> {
    const record = this.#record;
    if (this.#retired || this.#meetsAnotherLease(record)) {
      throw this.#superseded(record);
    }
    let change: Change | null;
    try {
      const draft = draftOf(record);
      const mayRecover = recovers !== undefined && this.#isAbandoned(record) && !(queues && this.#isNewLease(record));
      if (mayRecover) await this.#recover(draft, recovers, reason);
      const mayEndWait = recovers !== undefined || interruptsWaiting !== undefined;
      if (mayEndWait && this.#endsWait(draft.record, interruptsWaiting)) await this.#endWait(draft, interruptsWaiting);
      change = rule(draft, this.core.context(), this.#writer(this.#seen));
    } catch (error) {
      // The record that was known before this write may be stale. The record of a later attempt came from the store.
      const isFinal = attempt > 1 || !(error instanceof SessionError) || (queues && error.code === "busy");
      if (!isFinal && (await this.#movedOn(record))) return undefined;
      throw error;
    }
    if (change === null) return { status: "unchanged" };
    if (claimsTwice(change)) {
      // The recovery puts back a turn with the claimed key, which the store compares only once it is committed.
      await this.recoverAbandoned({ recovers: recovers ?? "dead", reason });
      return undefined;
    }
    const isElsewhere = record.parent !== null || record.branches !== null;
    const inherited = isElsewhere ? await inheritedEntry(this.core, record, change) : undefined;
    if (inherited !== undefined) return { status: "duplicate", entry: inherited };

    if (change.claims.length > 0) await guardKeys(this.core, record, change);

    const references = changedReferences(this.core, record, change);
    const others = references instanceof Promise ? await references : references;
    const joined = typeof given === "function" ? await given(attempt) : given;
    const beside = joined === undefined ? others : [...others, ...joined];
    return { status: "proposed", change, beside };
  }

  #superseded(record: SessionRecord): SessionError<"fenced"> {
    return new SessionError("fenced", { ...sessionIds(record), fence: this.fence ?? 0, storedFence: record.fence });
  }

  /** True if the record has another lease with the fencing token of this view's. */
  #meetsAnotherLease({ lease }: SessionRecord): boolean {
    return lease !== null && lease.fence === this.#lease?.fence && lease.commitId !== this.#lease.commitId;
  }

  /** Clear a dead holder's lease and seal the turn it left open. */
  async recoverAbandoned(options: WriteOptions = { recovers: "dead" }): Promise<WriteResult> {
    return await this.write((draft) => (draft.record === draft.base ? null : changeOf(draft)), options);
  }

  /** Commit a change that grants this instance the lease. */
  async #commitLease({ key, record }: Change, changes: readonly Change[]): Promise<Committed> {
    const { instance } = this.core;
    const fence = record?.version ?? 0;
    // Registered before the commit, or another handle of this process could take the lease for an abandoned one.
    instance.use(key, fence);
    try {
      const outcome = await this.core.commit(changes);
      if (outcome.status !== "ok") instance.disuse(key, fence);
      return outcome;
    } catch (error) {
      this.abandon(fence);
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

  #writer(seen: Seen): Writer {
    return { instance: this.core.instance.id, fence: this.fence, seen, seenTurn: seen.turn };
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
  #isAbandoned({ lease, openTurn, waiting }: SessionRecord): boolean {
    if (lease === null) return openTurn !== null && waiting === null;
    return lease.fence !== this.fence && !this.core.instance.expects(lease);
  }

  /** True if the lease is so new that a writer which can wait does not ask whether its holder is alive. */
  #isNewLease({ lease }: SessionRecord): boolean {
    return lease !== null && leaseRuns(lease, this.core.now()) && this.core.now() - lease.acquiredAt < newLeaseMs;
  }

  /** True for a turn that waits and is to be sealed: its time is up, or the write interrupts it. */
  #endsWait(record: SessionRecord, interrupts: string | undefined): boolean {
    if (record.waiting === null || (record.lease !== null && record.lease.fence !== this.fence)) return false;
    return interrupts !== undefined || !waitsAt(record, this.core.now());
  }

  /** Seal the turn that waits, in the draft. */
  async #endWait(draft: Draft, reason: string = interruptions.taken_over): Promise<void> {
    const { record } = draft;
    const turn = await this.#abandonedTurn(draft, record.openTurn ?? 0);
    const context = this.core.context();
    sealLeft(draft, turn, endOfWait(record, reason, context.now), context);
  }

  /** Clear an abandoned lease and seal its open turn, in the draft. */
  async #recover(draft: Draft, recovers: "dead" | "any", reason: string): Promise<void> {
    const { lease, openTurn } = draft.record;
    if (lease !== null && recovers === "dead" && (await this.core.instance.isAlive(this.key, lease))) return;
    const isLeft = openTurn !== null && draft.record.waiting === null;
    const turn = isLeft ? await this.#abandonedTurn(draft, openTurn) : null;
    // A takeover from any holder does not check whether that holder is alive.
    const to = recovers === "any" ? this.core.instance.id : null;
    recover(draft, turn, { reason, to }, this.core.context());
  }

  /** The turn that is to be sealed in the draft. The marks and ratings of turns that go with its end go in the draft. */
  async #abandonedTurn(draft: Draft, seq: number): Promise<AbandonedTurn> {
    const { record } = draft;
    const left = await readAbandonedTurn(this.core, record, seq);
    const isWordless = assemble(left.chunks).length === 0;
    const { entries, marks } = await readReplaced(this.core, record, { open: left.turn, isWordless });
    // They are those of the record: the draft has changed neither.
    if (marks !== undefined) putStaying(draft, marks, this.core.context());
    return { ...left, replaced: entries };
  }

  /** The entry that the store found for a claimed key, with its number in the log. */
  async #numbered(entry: Entry): Promise<Entry> {
    if (this.#record.branches === null || entry.key === null) return entry;
    await this.peek();
    return (await this.entryByKey(entry.key)) ?? entry;
  }

  /** The turn with this idempotency key. */
  async entryByKey(key: string): Promise<Entry | undefined> {
    const [entry] = await readLog(this.core, this.#record, { log: "turns", keys: [key] });
    return entry;
  }
}

/** True for a change by which this instance takes the lease of its session. */
function takesLease({ record }: Change, { id }: { readonly id: string }): boolean {
  const lease = record?.lease ?? null;
  // One that is granted to a place in the queue belongs to the caller that waits there.
  return lease !== null && lease.instance === id && lease.fence === record?.version && lease.ticket === undefined;
}
