import type { DocumentChange } from "../../domain/documents/document.ts";
import {
  isDocumentChange,
  nameCommit,
  sessionChanges,
  withCommitId,
  type Change,
  type Transaction,
} from "../../domain/record/change.ts";
import { placed } from "../../domain/branches/segments.ts";
import { parseDuration } from "../../domain/values/duration.ts";
import { keyText, type SessionKey } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { Context } from "../../domain/record/guards.ts";
import { chooseAgent, defaultAgent, type AgentChoice, type ProposedAgents } from "../../domain/turns/agent-choice.ts";
import { sortableId } from "../../domain/values/ids.ts";
import { isInternalScope } from "../../domain/values/internal-scope.ts";
import { SessionError, type ErrorCode } from "../../errors.ts";
import { CommitQueue, type LateTransaction } from "../../store/calls/commit-queue.ts";
import { isServed, withStoredForm, type StoredForm } from "../../store/calls/stored-form.ts";
import { UsageReads } from "../../store/calls/usage-reads.ts";
import { Breaker } from "../../store/calls/breaker.ts";
import { WriteWatch } from "../../store/calls/write-watch.ts";
import { observed } from "../../store/calls/traced-store.ts";
import type { DocumentConflict, Loaded, LoadRequest, Outcome, Settled, Store } from "../../store/store.ts";
import { publishCommitted } from "../tracing/committed.ts";
import { correlationNow } from "../tracing/correlation.ts";
import { ConflictLog } from "./conflict-log.ts";
import { EventFeeds } from "../polling/event-feed.ts";
import { newsKey } from "../../store/news.ts";
import { NewsFeeds } from "../polling/news-feed.ts";
import { InstanceKeeper } from "../instances/instance.ts";
import { hasEntriesElsewhere, storedTails, wholeTails, type LogSource } from "./log-reader.ts";
import type { Agent, ResolvedOptions } from "../options/options.ts";
import { ChangePoller } from "../polling/change-poller.ts";
import { dailySumsOf, type DailySum } from "./daily-sums.ts";
import { RuleContext } from "./rule-context.ts";
import { OutboxBytes } from "./outbox-bytes.ts";
import { endsPass } from "./pass-failures.ts";
import { SessionQueues } from "./session-queue.ts";

/** How a core differs from that of the primary store. */
export interface CoreOptions {
  /** The store is the fallback of another one. @default false */
  readonly isFallback?: boolean;
  /** The circuit breaker opens after this many calls in a row that do not reach the store. @default 3 */
  readonly failuresMax?: number;
  /** The form in which entries are stored. @default as they are given */
  readonly form?: (core: Core) => StoredForm;
  /** Puts a store in front, that knows where the bytes of attachments are. @default the store has them */
  readonly objects?: (core: Core, store: Store) => Store;
}

/** The outcome of changes of sessions; `changes`: as written, with the id of their commit. */
export type Committed =
  | Exclude<Settled, { status: "ok" } | DocumentConflict>
  | { readonly status: "ok"; readonly changes: readonly Change[] };

/** A lease that a `Session` of this process holds. */
export interface OwnLease {
  readonly key: SessionKey;
  readonly fence: number;
  release(): Promise<void>;
  /** Drops a lease that was superseded, or whose session was removed. */
  lose(): void;
}

/** A turn that this process is writing. */
export interface OpenTurn {
  /** Seals the turn with the output received so far. */
  settle(): Promise<void>;
  isUnder(lease: OwnLease): boolean;
  isOf(key: SessionKey): boolean;
  /** Ends the session in the commit that seals the answer, if it finishes. False once that commit has begun. */
  endsSession(reason: string): boolean;
}

/** Shared by all sessions of one open store: the store, its clock, commits, leases, polling. */
export class Core {
  readonly store: Store;
  /** Reads entries in the form in which the store has them; that of a served store gives them as callers do. */
  readonly asStored: LogSource;
  /** Another process or thread stores the entries. */
  readonly isServed: boolean;
  readonly breaker: Breaker;
  readonly writes: WriteWatch;
  /** False where writes are kept only in this process, or until the primary store is back. */
  readonly durable: boolean;
  readonly options: ResolvedOptions;
  /** The store is a fallback: only turns and handoffs are replayed to the primary store later. */
  readonly isFallback: boolean;
  /** Called after each commit to a fallback. */
  onFallbackCommit: ((changes: readonly Change[]) => void) | undefined;
  /** Called after each commit to the primary store, before its writer continues. */
  onCommit: ((changes: readonly Change[]) => void) | undefined;
  /** The greatest version that this process has given to a document. */
  lastDocumentVersion = 0;
  readonly #outboxBytes: OutboxBytes | undefined;
  readonly #queue: CommitQueue;
  /** Reads of the sums that daily budgets limit. */
  readonly usage: UsageReads;
  /** Prefix of the commit ids of this process, and the number of ids given. */
  readonly #commitPrefix: string;
  #commits = 0;
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #chores = new Set<Promise<void>>();
  /** The number of steps under way that take a lease or begin a turn. */
  #takes = 0;
  /** Called when none is left, by `close`. */
  #onNoTakes: (() => void) | undefined;
  readonly instance: InstanceKeeper;
  readonly poller: ChangePoller;
  readonly queues: SessionQueues;
  readonly eventFeeds: EventFeeds;
  readonly newsFeeds: NewsFeeds;
  readonly conflicts: ConflictLog;
  /** Turns in progress and leases held; `close` settles them before it closes the store. */
  readonly turns: Set<OpenTurn> = new Set();
  readonly leases: Set<OwnLease> = new Set();
  /** Stale `seen` positions from callers whose conflict was counted; the oldest are dropped first. */
  readonly staleViews: Set<string> = new Set();
  /**
   * The store's clock minus this machine's, ms; undefined before the first answer. Leases, deadlines and creation times
   * follow the store's clock.
   */
  #aheadMs: number | undefined;
  #closing: Promise<void> | undefined;

  constructor(
    store: Store,
    options: ResolvedOptions,
    { isFallback = false, failuresMax = 3, form, objects }: CoreOptions = {},
  ) {
    this.options = options;
    this.writes = new WriteWatch(observed(store), {
      clock: options.clock,
      refused: () => this.instance.keepBeating(),
    });
    this.breaker = new Breaker(this.writes.store, { clock: options.clock, failuresMax });
    this.isServed = isServed(store);
    // The process that serves a store stores its entries, and the others see what callers gave.
    const ownForm = this.isServed ? undefined : form?.(this);
    const whole = (this.isServed ? undefined : objects?.(this, this.breaker.store)) ?? this.breaker.store;
    this.store = ownForm === undefined ? whole : withStoredForm(whole, ownForm);
    this.asStored = { store: this.breaker.store, options };
    this.durable = store.capabilities.durable && !isFallback;
    this.isFallback = isFallback;
    this.#outboxBytes = isFallback ? new OutboxBytes(store, options.limits.outboxBytesMax) : undefined;
    this.#queue = new CommitQueue(this.store);
    this.usage = new UsageReads(this.store);
    this.#commitPrefix = sortableId(options.clock.now(), options.clock.random(16)).slice(10);
    this.poller = new ChangePoller({
      store: this.store,
      load: (requests) => this.loadEach(requests),
      now: () => this.now(),
    });
    this.conflicts = new ConflictLog(options.clock);
    this.eventFeeds = new EventFeeds({
      clock: options.clock,
      pageBytesMax: options.limits.pageBytesMax,
      events: async (scan) => {
        this.guardOpen();
        return await this.store.events(scan);
      },
      now: async () => (await this.store.instances([])).now,
    });
    this.newsFeeds = new NewsFeeds({
      clock: options.clock,
      pageBytesMax: options.limits.pageBytesMax,
      news: async (query) => {
        this.guardOpen();
        return await this.store.news(query);
      },
      watch: (tenant, wake) => this.store.watch(newsKey(tenant), wake),
      now: () => this.now(),
    });
    this.instance = new InstanceKeeper({
      store: this.store,
      clock: options.clock,
      staleAfterMs: options.staleAfterMs,
    });
    this.queues = new SessionQueues({
      poller: this.poller,
      instance: this.instance,
      clock: options.clock,
      limits: options.limits,
      now: () => this.now(),
    });
  }

  /** The store's time as this process knows it, epoch ms. */
  now(): number {
    return this.options.clock.now() + (this.#aheadMs ?? 0);
  }

  /** The store has answered with its time. */
  get knowsTime(): boolean {
    return this.#aheadMs !== undefined;
  }

  /** Ask the store for its time, unless known: before a write that follows no read. */
  async learnTime(): Promise<void> {
    if (this.#aheadMs === undefined) await this.#load([]);
  }

  /** The context of a rule. A read of the store or {@link learnTime} must come first. */
  context(): Context {
    return this.contextOf(correlationNow());
  }

  /** The context of a rule that runs for the request or job of this name. */
  contextOf(correlation: string | undefined): Context {
    if (this.#aheadMs === undefined) throw new Error("a rule runs before the store was asked for its time");
    return new RuleContext(this.now(), this.options, correlation);
  }

  /** The idempotency key of a new turn: the caller's; in the fallback always one, so that its replay writes it once. */
  turnKey(key: string | undefined): string | null {
    if (key !== undefined) return key;
    return this.isFallback ? `fallback_${sortableId(this.now(), this.options.clock.random(16))}` : null;
  }

  /** Sleep for a random time up to `ms`, so that waiters do not retry at the same moment. */
  async pause(ms: number, signal?: AbortSignal): Promise<void> {
    const { clock } = this.options;
    const [chance = 0] = clock.random(1);
    await clock.sleep((ms * (chance + 1)) / 256, signal);
  }

  /** @throws SessionError `closed` */
  guardOpen(): void {
    if (!this.isOpen) throw new SessionError("closed", { name: "sessions" });
  }

  /** False from the call of `close` on. */
  get isOpen(): boolean {
    return this.#closing === undefined;
  }

  /**
   * Run a step that takes a lease or begins a turn. `close` waits for the step, and settles what it took.
   * @throws SessionError `closed`, and what the step throws
   */
  async take<T>(step: () => Promise<T>): Promise<T> {
    this.beginTake();
    try {
      return await step();
    } finally {
      this.endTake();
    }
  }

  /** As {@link take}, for a caller that ends the step by {@link endTake}. */
  beginTake(): void {
    this.guardOpen();
    this.#takes++;
  }

  endTake(): void {
    if (--this.#takes === 0) this.#onNoTakes?.();
  }

  /** Budgets limit what users or tenants use a day. The fallback has no sums. */
  get hasDailyBudgets(): boolean {
    const { user, tenant } = this.options.budgets;
    return !this.isFallback && (user !== undefined || tenant !== undefined);
  }

  /** Guard an operation that the fallback cannot replay. @throws SessionError `store_unavailable` in the fallback */
  guardStore(): void {
    if (!this.isFallback) return;
    throw new SessionError("store_unavailable", { problem: "fallback" });
  }

  /** The agent of this name; one without instructions where no agents were named. @throws SessionError `agent_unknown` */
  agent(name: string): Agent {
    const { agents } = this.options;
    if (agents === undefined) return {};
    const agent = agents.get(name);
    if (agent !== undefined) return agent;
    throw new SessionError("agent_unknown", { agent: name, known: [...agents.keys()] });
  }

  /** The agent of a session that names none. @throws SessionError `argument_invalid` if none of several is the default */
  defaultAgent(): string {
    const { agents } = this.options;
    const agent = defaultAgent(agents);
    if (agent !== undefined) return agent;
    const known = [...(agents?.keys() ?? [])];
    throw new SessionError("argument_invalid", { name: "agent", expected: "agent_or_default", known });
  }

  /** The agent that answers a question of this session now. */
  chooseAgent(
    record: Pick<SessionRecord, "agent" | "handoff">,
    proposed: ProposedAgents,
    // Only a handoff depends on the time.
    now: number = record.handoff === null ? 0 : this.now(),
  ): AgentChoice {
    return chooseAgent(record, proposed, this.options.agents, now);
  }

  /** How long a handoff to this agent lasts in this user's sessions, ms. @throws SessionError `duration_invalid` */
  handoffTtlMs(agent: string, user: string | null): number {
    const { agents, handoffTtlMs, handoffTtlOfUser } = this.options;
    const ttl = (user === null ? undefined : handoffTtlOfUser(user)) ?? agents?.get(agent)?.handoffTtl;
    return ttl === undefined ? handoffTtlMs : parseDuration(ttl, "handoffTtl");
  }

  /** One session; undefined if it does not exist. `known`: an earlier record of it. */
  async find(key: SessionKey, tails: LoadRequest["tails"] = [], known?: SessionRecord): Promise<Loaded | undefined> {
    const [loaded] = await this.#loadWhole([{ key, tails }], known);
    return loaded;
  }

  /**
   * As many results as requests, in their order. A session that cannot be read is its error, and fails no other session.
   * @throws SessionError if the store failed as a whole
   */
  async loadEach(requests: readonly LoadRequest[]): Promise<readonly (Loaded | SessionError | undefined)[]> {
    try {
      return await this.#loadWhole(requests);
    } catch (error) {
      if (!(error instanceof SessionError) || endsPass(error)) throw error;
      if (requests.length === 1) return [error];
      const half = Math.ceil(requests.length / 2);
      const halves = [requests.slice(0, half), requests.slice(half)];
      return (await Promise.all(halves.map((some) => this.loadEach(some)))).flat();
    }
  }

  async #loadWhole(requests: readonly LoadRequest[], known?: SessionRecord): Promise<readonly (Loaded | undefined)[]> {
    const segments = known?.branches ?? null;
    const found = await this.#load(
      known === undefined || segments === null
        ? requests
        : requests.map(({ key, tails }) => ({ key, tails: storedTails(known, tails) })),
    );
    return await Promise.all(
      found.map(async (loaded, index) => {
        const tails = requests[index]?.tails ?? [];
        const isWhole = loaded === undefined || tails.length === 0 || !hasEntriesElsewhere(loaded.record);
        return isWhole ? loaded : await wholeTails(this, loaded, { tails, segments });
      }),
    );
  }

  /** Several records, in order, in one round trip. */
  async findAll(keys: readonly SessionKey[]): Promise<readonly (SessionRecord | undefined)[]> {
    if (keys.length === 0) return [];
    return (await this.#load(keys.map((key) => ({ key, tails: [] })))).map((loaded) => loaded?.record);
  }

  async #load(requests: readonly LoadRequest[]): Promise<readonly (Loaded | undefined)[]> {
    const { now, sessions } = await this.store.load(requests);
    this.#aheadMs = now - this.options.clock.now();
    return sessions;
  }

  /** @throws SessionError `session_not_found` */
  async load(key: SessionKey, tails: LoadRequest["tails"] = [], known?: SessionRecord): Promise<Loaded> {
    const loaded = await this.find(key, tails, known);
    if (loaded !== undefined) return loaded;
    throw new SessionError("session_not_found", { sessionId: key.id, tenant: key.tenant });
  }

  /**
   * Commit as one transaction. Where the store's answer was lost, read back whether the commit landed.
   * `firstCommitId`: the commit id of the first change. @default the commit's own
   * @throws SessionError the store's; then nothing was written, or it was and another commit followed
   */
  async commit(changes: readonly Change[], firstCommitId?: string): Promise<Committed> {
    const outcome = await this.commitWithDocuments({ changes, documents: [] }, firstCommitId);
    if (outcome.status === "document_conflict") throw new Error("a commit without documents met a document");
    return outcome;
  }

  /** As {@link commit}, with changes of documents in the same transaction. */
  async commitWithDocuments(
    {
      changes: given,
      documents,
    }: { readonly changes: readonly Change[]; readonly documents: readonly DocumentChange[] },
    firstCommitId?: string,
  ): Promise<Committed | DocumentConflict> {
    const own = this.newCommitId();
    const first = firstCommitId ?? own;
    const changes = given.map((change, index) => this.identified(change, index === 0 ? first : own));
    const outcome = await this.#outcomeWithin(changes, documents, first);
    if (outcome.status !== "ok") return outcome;
    this.publish(changes);
    return { status: "ok", changes };
  }

  /** Commit changes that a commit which is under way needs: they do not wait for it. */
  async commitBefore(changes: readonly Change[]): Promise<Outcome> {
    const id = this.newCommitId();
    const identified = changes.map((change) => placed(this.identified(change, id)));
    const [outcome] = await this.breaker.store.commit([identified]);
    if (outcome === undefined) throw new Error("the store gave no outcome");
    return outcome;
  }

  /** Commit a transaction that is made when the commit queue takes it. Its outcome is not published. */
  commitLate(late: LateTransaction): void {
    if (this.#outboxBytes === undefined) this.#queue.commitLate(late);
    else
      void this.#commitToFallback(late, this.#outboxBytes).then(
        (outcome) => late.settle(outcome),
        (error: unknown) => late.fail(error),
      );
  }

  async #commitToFallback(late: LateTransaction, outboxBytes: OutboxBytes): Promise<Outcome | undefined> {
    const transaction = late.make();
    if (transaction === undefined) return undefined;
    const changes = sessionChanges(transaction);
    const commitId = changes[0]?.record?.commitId ?? "";
    return await outboxBytes.within(changes, () => this.#outcomeOf(transaction, commitId));
  }

  /** The id of a new commit. */
  newCommitId(): string {
    return `${this.#commitPrefix}.${++this.#commits}`;
  }

  /** The change as the commit of this id writes it: with the id, and with what it adds to the sums that daily budgets limit. */
  identified(change: Change, commitId: string): Change {
    return this.#withAdditions(withCommitId(change, commitId));
  }

  /** As {@link identified}, for a change that a rule has just made: its own record gets the id. */
  named(change: Change, commitId: string): Change {
    if (change.record !== null) nameCommit(change.record, commitId);
    return this.#withAdditions(change);
  }

  #outcomeWithin(changes: readonly Change[], documents: readonly DocumentChange[], commitId: string): Promise<Settled> {
    const transaction: Transaction = documents.length === 0 ? changes : [...changes, ...documents];
    if (this.#outboxBytes === undefined) return this.#outcomeOf(transaction, commitId);
    return this.#outboxBytes.within(changes, () => this.#outcomeOf(transaction, commitId));
  }

  /** Publish what was committed. Turns of the fallback are published after their replay. */
  publish(changes: readonly Change[]): void {
    this.queues.met(changes);
    if (this.isFallback) this.onFallbackCommit?.(changes);
    else {
      publishCommitted(changes);
      this.onCommit?.(changes);
    }
  }

  /**
   * Commit a change that nothing waits for, in the background. It may fail: a refusal is no sign that the store refuses
   * writes, so a process that only reads stays ready. `close` waits for it.
   */
  commitAside(change: Change): void {
    if (!this.isOpen) return;
    this.writes.ignoreRefusal(change.key);
    this.track(async () => {
      try {
        await this.commit([change]);
      } catch {
        // The store is away, read-only or full.
      }
    });
  }

  /** Adds the usage of a change to the sums that daily budgets limit, in the same commit. */
  #withAdditions(change: Change): Change {
    const { record, usage } = change;
    // The fallback's turns are counted when they are replayed. An internal record uses nothing.
    if (record === null || usage === undefined || this.isFallback || isInternalScope(record.tenant)) return change;
    const sums = this.dailySums(record);
    if (sums.length === 0) return change;
    return { ...change, additions: sums.map(({ tenant, name, until }) => ({ tenant, name, until, ...usage })) };
  }

  /** The sums of today that the turns of this session count in: one for each budget that applies to it. */
  dailySums(record: SessionRecord): readonly DailySum[] {
    const { budgets } = this.options;
    if (budgets.user === undefined && budgets.tenant === undefined) return [];
    return dailySumsOf(record, { budgets, now: this.now() });
  }

  async #outcomeOf(transaction: Transaction, commitId: string): Promise<Settled> {
    let outcome: Outcome;
    try {
      outcome = await this.#queue.commit(transaction.map(asStored));
    } catch (error) {
      if (!(await this.landedDespite(error, transaction, commitId))) throw error;
      return { status: "ok" };
    }
    if (outcome.status === "unreadable") throw new SessionError("session_unreadable", outcome.details);
    return outcome;
  }

  /** Commit the transactions of a `Core` in another thread of this program, in the same batches as those of this one. */
  async relay(batch: readonly Transaction[]): Promise<readonly Outcome[]> {
    return await Promise.all(
      batch.map(async (transaction) => {
        const outcome = await this.#queue.commit(transaction);
        // The other thread publishes what it committed, and has no background work.
        if (outcome.status === "ok") this.onCommit?.(sessionChanges(transaction));
        return outcome;
      }),
    );
  }

  /** True if the commit landed although its call failed: its answer was lost. */
  async landedDespite(error: unknown, transaction: Transaction, commitId: string): Promise<boolean> {
    return isAnswerLost(error) && (await this.#landed(transaction, commitId));
  }

  /** The changes of a transaction land together, so the first one answers for all. */
  async #landed([change]: Transaction, commitId: string): Promise<boolean> {
    if (change === undefined) return true;
    if (isDocumentChange(change)) return await this.#documentLanded(change);
    try {
      const loaded = await this.find(change.key);
      return change.record === null ? loaded === undefined : loaded?.record.commitId === commitId;
    } catch {
      // The store is still unavailable: the caller gets the error of the commit.
      return false;
    }
  }

  /** A version belongs to one write. A touch is repeated by the caller, which does no harm. */
  async #documentLanded(change: DocumentChange): Promise<boolean> {
    if (change.kind === "touch") return false;
    try {
      const { documents } = await this.store.documents({ keys: [change.document] });
      const [current] = documents;
      return change.kind === "put" ? current?.version === change.version : current === undefined;
    } catch {
      // The store is still unavailable: the caller gets the error of the commit.
      return false;
    }
  }

  /** Run `chore` after `ms`, unless closed by then. Does not keep the process alive. */
  schedule(ms: number, chore: () => Promise<void>): void {
    if (!this.isOpen) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.track(chore);
    }, ms).unref();
    this.#timers.add(timer);
  }

  /** Start a chore that `close` waits for, and that does not fail. */
  track(chore: () => Promise<void>): void {
    const running = chore().finally(() => this.#chores.delete(running));
    this.#chores.add(running);
  }

  /** Drop a lease that was superseded or whose session was removed, wherever this process uses it. */
  loseLease(key: SessionKey, fence: number): void {
    for (const lease of this.leases) if (lease.fence === fence && keyText(lease.key) === keyText(key)) lease.lose();
  }

  /** Settle turns and leases, drain commits, end the heartbeat, close the store. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Seal the turns in progress and release the leases. */
  async settle(): Promise<PromiseSettledResult<void>[]> {
    return [
      ...(await Promise.allSettled([...this.turns].map((turn) => turn.settle()))),
      ...(await Promise.allSettled([...this.leases].map((lease) => lease.release()))),
    ];
  }

  async #close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    this.poller.close();
    this.eventFeeds.close();
    this.newsFeeds.close();
    const results = await this.settle();
    while (this.#takes > 0) {
      await new Promise<void>((resolve) => (this.#onNoTakes = resolve));
      results.push(...(await this.settle()));
    }
    await this.conflicts.close();
    await Promise.allSettled(this.#chores);
    await this.#queue.drain();
    results.push(...(await Promise.allSettled([this.instance.leave()])));
    await this.store.close();
    const failed = results.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }
}

/** False if the store's error guarantees that nothing was written. */
function isAnswerLost(error: unknown): boolean {
  const nothingWritten: readonly ErrorCode[] = [
    "store_busy",
    "store_full",
    "store_read_only",
    "store_access_denied",
    "closed",
  ];
  return !(error instanceof SessionError) || !nothingWritten.includes(error.code);
}

/** The change as the store takes it. */
function asStored(change: Change | DocumentChange): Change | DocumentChange {
  return isDocumentChange(change) ? change : placed(change);
}
