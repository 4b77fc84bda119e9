/** Those of this process that wait for the lease of one session: one watch, one sign of life, one wake for the first. */
import { keyText } from "../../domain/record/entry.ts";
import { joinQueue, leaveQueue, leaseRuns } from "../../domain/turns/leases.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import { SessionError } from "../../errors.ts";
import { Handle } from "./handle.ts";
import type { Found, SessionWatch } from "../polling/change-poller.ts";

/** A place in the queue falls away after this time without a sign of life from its process, ms. */
const placeMs = 5000;
/** How often a queue looks whether the lease holder still lives, ms. */
const tickMs = 1000;
/**
 * After each change a queue looks again sooner than the poller does, as most leases are short: after this time for the
 * first waiter, twice that for the second, and so on, ms; then after ever longer pauses, up to the longest one.
 */
const lookMs = { first: 5, longest: 150 };

/** A place in the queue of one session. */
export interface Place {
  /**
   * Resolves when the waiter is the first in the queue and the session is free, or after `waitMs`.
   * @throws SessionError `closed`, the store's, or the reason of the aborted signal
   */
  isFirst(patience: { readonly waitMs: number; readonly signal?: AbortSignal | undefined }): Promise<void>;
  /** `record`: the newest that the waiter knows. */
  leave(record: SessionRecord): Promise<void>;
}

/** The queues that waiters of this process stand in. */
export class SessionQueues {
  readonly #queues = new Map<string, SessionQueue>();

  /** How many sessions are waited for. */
  get size(): number {
    return this.#queues.size;
  }

  /** @throws SessionError `queue_full`, or the store's */
  async join(handle: Handle, ticket: string): Promise<Place> {
    const text = keyText(handle.key);
    let queue = this.#queues.get(text);
    if (queue === undefined) {
      const opened = new SessionQueue(
        handle,
        () => void (this.#queues.get(text) === opened && this.#queues.delete(text)),
      );
      queue = opened;
      this.#queues.set(text, queue);
    }
    return await queue.join(ticket);
  }
}

interface Waiter {
  readonly ticket: string;
  joined: boolean;
  /** It was woken, and tries to take the lease. */
  isTrying: boolean;
  woken: PromiseWithResolvers<void>;
}

class SessionQueue {
  /** A view of its own, for what is written on behalf of all. */
  readonly #handle: Handle;
  readonly #ended: () => void;
  readonly #waiters = new Map<string, Waiter>();
  readonly #watch: SessionWatch;
  readonly #stop = new AbortController();
  /** The places are prolonged when this time comes, epoch ms. */
  #placedUntil = 0;
  #joining: Promise<void> | undefined;
  /** The fence of a lease whose holder is dead. */
  #deadFence: number | undefined;
  #lookTimer: NodeJS.Timeout | undefined;
  #looks = 0;

  constructor(handle: Handle, ended: () => void) {
    this.#handle = new Handle(handle.core, handle.record);
    this.#ended = ended;
    this.#watch = handle.core.poller.watch(handle.key, { needs: "record" }, (found) => this.#heed(found));
    void this.#tick();
  }

  async join(ticket: string): Promise<Place> {
    const waiter: Waiter = { ticket, joined: false, isTrying: false, woken: Promise.withResolvers() };
    this.#waiters.set(ticket, waiter);
    try {
      while (!waiter.joined) {
        await this.#prolong();
        if (waiter.joined) break;
        if (!this.#handle.record.waiters.some((one) => one.ticket === ticket)) throw this.#full();
      }
    } catch (error) {
      await this.#leave(ticket);
      throw error;
    }
    this.#wakeFirst();
    return {
      isFirst: (patience) => this.#isFirst(waiter, patience),
      leave: async (record) => {
        this.#handle.learn(record);
        await this.#leave(ticket);
        this.#wakeFirst();
      },
    };
  }

  #full(): SessionError {
    const { record, core } = this.#handle;
    const { waitersMax } = core.options.limits;
    return new SessionError("queue_full", {
      ...sessionIds(record),
      waiting: record.waiters.length,
      waitingMax: waitersMax,
    });
  }

  /** Write all places of this process in one commit; waiters that come meanwhile are in the next one. */
  async #prolong(): Promise<void> {
    while (this.#joining !== undefined) await this.#joining.catch(() => undefined);
    const joining = [...this.#waiters.values()];
    if (joining.length === 0 || (joining.every(({ joined }) => joined) && !this.#isDue())) return;
    this.#joining = this.#place(joining).finally(() => (this.#joining = undefined));
    await this.#joining;
  }

  #isDue(): boolean {
    return this.#placedUntil - this.#handle.core.now() < placeMs / 2;
  }

  async #place(joining: readonly Waiter[]): Promise<void> {
    const { core } = this.#handle;
    const until = core.now() + placeMs;
    await this.#handle.write(({ record }, context) => {
      const standing = new Set(record.waiters.map(({ ticket }) => ticket));
      // A try that is under way may have taken the lease, which takes its ticket from the queue: it must not come back.
      const waiters = joining
        .filter(({ ticket, isTrying }) => !isTrying || standing.has(ticket))
        .map(({ ticket }) => ({ ticket, instance: core.instance.id, until }));
      return waiters.length === 0 ? null : joinQueue(record, waiters, context);
    });
    this.#placedUntil = until;
    const standing = new Set(this.#handle.record.waiters.map(({ ticket }) => ticket));
    for (const waiter of joining) waiter.joined ||= standing.has(waiter.ticket);
  }

  async #isFirst(waiter: Waiter, { waitMs, signal }: Parameters<Place["isFirst"]>[0]): Promise<void> {
    const { core } = this.#handle;
    waiter.isTrying = false;
    waiter.woken = Promise.withResolvers();
    waiter.woken.promise.catch(() => undefined);
    this.#wakeFirst();
    const done = new AbortController();
    const stop = signal === undefined ? done.signal : AbortSignal.any([done.signal, signal]);
    const deadline = core.options.clock.sleep(waitMs, stop);
    try {
      await Promise.race([waiter.woken.promise, deadline]);
    } finally {
      waiter.isTrying = true;
      deadline.catch(() => undefined);
      done.abort();
    }
  }

  #heed(found: Found): void {
    if (found.status === "failed") {
      for (const { woken } of this.#waiters.values()) woken.reject(found.error);
      return;
    }
    if (found.status === "missing") {
      // The try says that the session is gone.
      for (const { woken } of this.#waiters.values()) woken.resolve();
      return;
    }
    const { version } = this.#handle.record;
    this.#handle.learn(found.view.record);
    this.#wakeFirst();
    if (this.#handle.record.version === version) return;
    this.#looks = 0;
    this.#lookSoon();
  }

  /** Of all waiters the first alone can take the lease, and only where none stands or its holder is dead. */
  #wakeFirst(): void {
    if (this.#isFree()) this.#first()?.woken.resolve();
  }

  #isFree(): boolean {
    const { lease, fence } = this.#handle.record;
    return lease === null || !leaseRuns(lease, this.#handle.core.now()) || fence === this.#deadFence;
  }

  /** The waiter at the head of the queue, where it is one of this process. */
  #first(): Waiter | undefined {
    const now = this.#handle.core.now();
    const first = this.#handle.record.waiters.find(({ until }) => until > now);
    return first === undefined ? this.#waiters.values().next().value : this.#waiters.get(first.ticket);
  }

  /** Where no hint comes, look sooner than the poller does: the sooner, the nearer a waiter of this process is to the head. */
  #lookSoon(): void {
    clearTimeout(this.#lookTimer);
    if (this.#waiters.size === 0) return;
    const place = this.#handle.record.waiters.findIndex(({ ticket }) => this.#waiters.has(ticket));
    const pauseMs = lookMs.first * (Math.max(place, 0) + 1) * 2 ** this.#looks;
    if (pauseMs > lookMs.longest) return;
    this.#lookTimer = setTimeout(() => {
      this.#looks++;
      this.#watch.look();
      this.#lookSoon();
    }, pauseMs).unref();
  }

  /** Prolong the places, and find out what no change of the record tells: a dead holder, a lease or a place that ran out. */
  async #tick(): Promise<void> {
    const { core } = this.#handle;
    while (!this.#stop.signal.aborted) {
      try {
        await core.options.clock.sleep(tickMs, this.#stop.signal);
        if (this.#isDue()) await this.#prolong();
        const { record } = this.#handle;
        const { lease } = record;
        if (lease !== null && this.#first() !== undefined && !(await core.instance.isAlive(record, lease)))
          this.#deadFence = lease.fence;
        this.#wakeFirst();
      } catch {
        // The store is away, which the poller tells the waiters; or the queue has ended.
      }
    }
  }

  async #leave(ticket: string): Promise<void> {
    this.#waiters.delete(ticket);
    const isEmpty = this.#waiters.size === 0;
    if (isEmpty) {
      this.#stop.abort();
      clearTimeout(this.#lookTimer);
      this.#watch.stop();
      this.#ended();
    }
    try {
      if (this.#handle.record.waiters.some((one) => one.ticket === ticket))
        await this.#handle.write(({ record }) => leaveQueue(record, ticket));
    } catch {
      // The place falls away by itself after `placeMs`; what the wait came to matters more.
    }
  }
}
