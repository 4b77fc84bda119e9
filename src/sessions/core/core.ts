import { withCommitId, type Transaction } from "../../domain/record/change.ts";
import { parseDuration } from "../../domain/values/duration.ts";
import { keyText, type SessionKey } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { Context } from "../../domain/record/guards.ts";
import { sortableId } from "../../domain/values/ids.ts";
import { SessionError, type ErrorCode } from "../../errors.ts";
import { CommitQueue } from "../../store/calls/commit-queue.ts";
import { Breaker } from "../../store/calls/breaker.ts";
import { observed } from "../../store/calls/traced-store.ts";
import type { Loaded, LoadRequest, Outcome, Settled, Store } from "../../store/store.ts";
import { tellCommitted } from "../tracing/committed.ts";
import { ConflictLog } from "./conflict-log.ts";
import { correlationNow } from "../tracing/correlation.ts";
import { EventFeeds } from "../polling/event-feed.ts";
import { InstanceKeeper } from "../instances/instance.ts";
import { standsElsewhere, wholeTails } from "./log-reader.ts";
import type { Agent, ResolvedOptions } from "../options/options.ts";
import { ChangePoller } from "../polling/change-poller.ts";
import { OutboxBytes } from "./outbox-bytes.ts";
import { SessionQueues } from "./session-queue.ts";

/** What a core is for. */
export interface CoreOptions {
  /** It stands in for another store. @default false */
  readonly isFallback?: boolean;
  /** So many calls in a row that do not reach the store, and it is left alone for a while. @default 3 */
  readonly failuresMax?: number;
}

/** What became of a transaction; `changes`: as they were written, with the id of their commit. */
export type Committed = Exclude<Settled, { status: "ok" }> | { readonly status: "ok"; readonly changes: Transaction };

/** A lease that a `Session` of this process holds. */
export interface HeldLease {
  readonly key: SessionKey;
  readonly fence: number;
  release(): Promise<void>;
  /** Drops a lease that was superseded, or whose session is gone. */
  lose(): void;
}

/** A turn that this process is writing. */
export interface OpenTurn {
  /** Seals the turn with what has arrived. */
  settle(): Promise<void>;
  isUnder(lease: HeldLease): boolean;
}

/** What all sessions of one open store share. */
export class Core {
  readonly store: Store;
  readonly breaker: Breaker;
  /** False where what is said is kept for this process, or until another store is there again. */
  readonly durable: boolean;
  readonly options: ResolvedOptions;
  /** It stands in for another store, which is told later of turns and of the floor, and of nothing else. */
  readonly isFallback: boolean;
  /** Called with what was committed to a fallback. */
  onFallbackCommit: ((transaction: Transaction) => void) | undefined;
  readonly #outboxBytes: OutboxBytes | undefined;
  readonly #queue: CommitQueue;
  /** What the commit ids of this process begin with, and how many it has given. */
  readonly #commitPrefix: string;
  #commits = 0;
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #chores = new Set<Promise<void>>();
  readonly instance: InstanceKeeper;
  readonly poller: ChangePoller;
  readonly queues: SessionQueues = new SessionQueues();
  readonly eventFeeds: EventFeeds;
  readonly conflicts: ConflictLog;
  /** Turns in progress and leases held, to be settled before the store is closed. */
  readonly turns: Set<OpenTurn> = new Set();
  readonly leases: Set<HeldLease> = new Set();
  /** Stale views that came from outside, as whose conflict was told; of many, the oldest are forgotten. */
  readonly staleViews: Set<string> = new Set();
  /**
   * The store's clock ahead of this machine's, ms, once the store was heard: leases and deadlines are judged by the store's
   * clock, and sessions begin by it.
   */
  #aheadMs: number | undefined;
  #closing: Promise<void> | undefined;

  constructor(store: Store, options: ResolvedOptions, { isFallback = false, failuresMax = 3 }: CoreOptions = {}) {
    this.breaker = new Breaker(observed(store), { clock: options.clock, failuresMax });
    this.store = this.breaker;
    this.durable = store.capabilities.durable && !isFallback;
    this.isFallback = isFallback;
    this.options = options;
    this.#outboxBytes = isFallback ? new OutboxBytes(store, options.limits.outboxBytesMax) : undefined;
    this.#queue = new CommitQueue(this.store);
    this.#commitPrefix = sortableId(options.clock.now(), options.clock.random(16)).slice(10);
    this.poller = new ChangePoller({ store: this.store, load: (requests) => this.#loadWhole(requests) });
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
    this.instance = new InstanceKeeper({
      store: this.store,
      clock: options.clock,
      staleAfterMs: options.staleAfterMs,
    });
  }

  /** The store's time as this process knows it, epoch ms. */
  now(): number {
    return this.options.clock.now() + (this.#aheadMs ?? 0);
  }

  /** Whether the store has told its time. */
  get knowsTime(): boolean {
    return this.#aheadMs !== undefined;
  }

  /** Ask the store for its time, unless it was heard: before a write that no look goes before. */
  async hearTime(): Promise<void> {
    if (this.#aheadMs === undefined) await this.#load([]);
  }

  /** What a rule may know. A look at the store or {@link hearTime} goes before. */
  context(): Context {
    if (this.#aheadMs === undefined) throw new Error("a change is made before the store was asked for its time");
    const correlation = correlationNow();
    const { clock, limits } = this.options;
    return {
      now: this.now(),
      // Few changes take a chance, and randomness costs more than the rest of a context.
      get chance() {
        const [first = 0, second = 0] = clock.random(2);
        return (first * 256 + second) / 65_536;
      },
      limits,
      ...(correlation !== undefined && { correlation }),
    };
  }

  /** The key of a new turn: the caller's, and in the fallback one in any case, under which the store is told of it once. */
  turnKey(key: string | undefined): string | null {
    if (key !== undefined) return key;
    return this.isFallback ? `fallback_${sortableId(this.now(), this.options.clock.random(16))}` : null;
  }

  /** Sleep for a random time up to `ms`, so that those who wait for the same thing do not come back at once. */
  async pause(ms: number, signal?: AbortSignal): Promise<void> {
    const { clock } = this.options;
    const [chance = 0] = clock.random(1);
    await clock.sleep((ms * (chance + 1)) / 256, signal);
  }

  /** @throws SessionError `closed` */
  guardOpen(): void {
    if (this.#closing !== undefined) throw new SessionError("closed", { name: "this Sessions object" });
  }

  /** For what only the store itself can do. @throws SessionError `store_unavailable` in the fallback */
  guardStore(): void {
    if (!this.isFallback) return;
    const reason = "the session was opened without it, and nobody could tell it of this later; open the session again";
    throw new SessionError("store_unavailable", { store: "of this session", reason });
  }

  /** The agent of this name; one without instructions where no agents were named. @throws SessionError `agent_unknown` */
  agent(name: string): Agent {
    const { agents } = this.options;
    if (agents === undefined) return {};
    const agent = agents.get(name);
    if (agent !== undefined) return agent;
    throw new SessionError("agent_unknown", { agent: name, known: [...agents.keys()] });
  }

  /** How long this agent keeps the floor of this user's sessions, ms. @throws SessionError `duration_invalid` */
  handoffTtlMs(agent: string, user: string | null): number {
    const { agents, handoffTtlMs, handoffTtlOfUser } = this.options;
    const ttl = (user === null ? undefined : handoffTtlOfUser(user)) ?? agents?.get(agent)?.handoffTtl;
    return ttl === undefined ? handoffTtlMs : parseDuration(ttl, "handoffTtl");
  }

  /** One session, or undefined where there is none. */
  async find(key: SessionKey, tails: LoadRequest["tails"] = []): Promise<Loaded | undefined> {
    const [loaded] = await this.#loadWhole([{ key, tails }]);
    return loaded;
  }

  async #loadWhole(requests: readonly LoadRequest[]): Promise<readonly (Loaded | undefined)[]> {
    const found = await this.#load(requests);
    return await Promise.all(
      found.map(async (loaded, index) => {
        const tails = requests[index]?.tails ?? [];
        const isWhole = loaded === undefined || tails.length === 0 || !standsElsewhere(loaded.record);
        return isWhole ? loaded : await wholeTails(this, loaded, tails);
      }),
    );
  }

  /** Several records, in order, from one look. */
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
  async load(key: SessionKey, tails: LoadRequest["tails"] = []): Promise<Loaded> {
    const loaded = await this.find(key, tails);
    if (loaded !== undefined) return loaded;
    throw new SessionError("session_not_found", { sessionId: key.id, tenant: key.tenant });
  }

  /**
   * Commit as one, and where the store's answer was lost, ask it what became of the commit.
   * `firstCommitId`: the commit id of the first change. @default the commit's own
   * @throws SessionError the store's; nothing was written then, or it was and others have written upon it since
   */
  async commit(transaction: Transaction, firstCommitId?: string): Promise<Committed> {
    const own = `${this.#commitPrefix}.${++this.#commits}`;
    const first = firstCommitId ?? own;
    const changes = transaction.map((change, index) => withCommitId(change, index === 0 ? first : own));
    const commit = (): Promise<Settled> => this.#outcomeOf(changes, first);
    const outcome = await (this.#outboxBytes === undefined ? commit() : this.#outboxBytes.within(changes, commit));
    if (outcome.status !== "ok") return outcome;
    // What the fallback holds is published once the store has got it.
    if (this.isFallback) this.onFallbackCommit?.(changes);
    else tellCommitted(changes);
    return { status: "ok", changes };
  }

  async #outcomeOf(changes: Transaction, commitId: string): Promise<Settled> {
    let outcome: Outcome;
    try {
      outcome = await this.#queue.commit(changes);
    } catch (error) {
      if (!isAnswerLost(error) || !(await this.#landed(changes, commitId))) throw error;
      return { status: "ok" };
    }
    if (outcome.status === "unreadable") throw new SessionError("session_unreadable", outcome.details);
    return outcome;
  }

  /** Commit what a `Core` in another thread of this program made ready, in the same batches as what is committed here. */
  async relay(batch: readonly Transaction[]): Promise<readonly Outcome[]> {
    return await Promise.all(batch.map((transaction) => this.#queue.commit(transaction)));
  }

  /** Changes of a transaction land together: one of them speaks for all. */
  async #landed([change]: Transaction, commitId: string): Promise<boolean> {
    if (change === undefined) return true;
    try {
      const loaded = await this.find(change.key);
      return change.record === null ? loaded === undefined : loaded?.record.commitId === commitId;
    } catch {
      // The store is away for longer: the error of the commit says so.
      return false;
    }
  }

  /** Do it after `ms`, unless closed by then. Holds no process open. */
  schedule(ms: number, chore: () => Promise<void>): void {
    if (this.#closing !== undefined) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      const running = chore().finally(() => this.#chores.delete(running));
      this.#chores.add(running);
    }, ms).unref();
    this.#timers.add(timer);
  }

  /** This lease was superseded, or its session is gone: nothing in this process uses it any more. */
  loseLease(key: SessionKey, fence: number): void {
    for (const lease of this.leases) if (lease.fence === fence && keyText(lease.key) === keyText(key)) lease.lose();
  }

  /** Settle what is owed, let commits land, say goodbye, close the store. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Seal what is in progress and give back leases. */
  async settle(): Promise<PromiseSettledResult<void>[]> {
    return [
      ...(await Promise.allSettled([...this.turns].map((turn) => turn.settle()))),
      ...(await Promise.allSettled([...this.leases].map((lease) => lease.release()))),
    ];
  }

  async #close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    this.poller.close();
    const results = await this.settle();
    await this.conflicts.close();
    await Promise.allSettled(this.#chores);
    await this.#queue.drain();
    results.push(...(await Promise.allSettled([this.instance.leave()])));
    await this.store.close();
    const failed = results.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }
}

/** False where the store's error itself says that nothing was written. */
function isAnswerLost(error: unknown): boolean {
  const nothingWritten: readonly ErrorCode[] = ["store_busy", "store_full", "store_read_only", "closed"];
  return !(error instanceof SessionError) || !nothingWritten.includes(error.code);
}
