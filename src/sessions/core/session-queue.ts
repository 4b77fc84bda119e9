/**
 * The callers of this process that wait for the lease of one session. They share one watch of the session and one renewal
 * of their places; only the first one is woken.
 */
import { haveSameTurns, type Change } from "../../domain/record/change.ts";
import { keyText } from "../../domain/record/entry.ts";
import { isGrantedTo, joinQueue, leaveQueue, leaseRuns, requestCancel, withdrawn } from "../../domain/turns/leases.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import { SessionError } from "../../errors.ts";
import type { Clock } from "../../clock.ts";
import type { Limits } from "../../domain/values/limits.ts";
import type { InstanceKeeper } from "../instances/instance.ts";
import type { ChangePoller, Found, SessionWatch } from "../polling/change-poller.ts";
import type { Rule, WritableSession } from "./writable-session.ts";

/** A place in the queue expires this long after its process renewed it, ms. */
const placeMs = 5000;
/** How often a queue checks that the lease holder is alive, ms. */
const tickMs = 1000;
/** A waiter behind others polls once in so many hints for each of them: a turn takes about two commits. */
const hintsPerPlace = 2;
/**
 * A queue polls sooner than the poller does, because most leases are short: first when the lease should reach a waiter of this
 * process, and not before `first` ms; then at doubling intervals up to `longest`. `hint`: a commit of this process, which the
 * queue meets, follows its hint sooner.
 */
const lookMs = { first: 3, longest: 150, hint: 1 };
/** A hint within this share of a turn is not about its end. */
const earlyShare = 0.75;
/** The time between two grants, before the first is known, ms. */
const paceMs = 5;

/** A place in the queue of one session. */
export interface Place {
  /**
   * Resolves when the waiter is first in the queue and the session is free, or after `waitMs`, with the newest record that
   * the queue knows.
   * @throws SessionError `aborted` if the question was withdrawn, `closed`, the store's, or the reason of the aborted signal
   */
  isFirst(patience: { readonly waitMs: number; readonly signal?: AbortSignal | undefined }): Promise<SessionRecord>;
  /** Leave the queue, or the lease that was granted to this place unless `view` has taken it. */
  leave(view: TakingView): Promise<void>;
}

/** The view of the session by which a waiter takes the lease. */
interface TakingView {
  readonly record: SessionRecord;
  /** The fencing token that it writes under. */
  readonly fence: number | null;
}

/** The environment of a queue. */
export interface QueueContext {
  readonly poller: ChangePoller;
  readonly instance: InstanceKeeper;
  readonly clock: Clock;
  readonly limits: Pick<Limits, "waitersMax">;
  /** The store's time, epoch ms. */
  readonly now: () => number;
}

/** The queues of this process, one for each session that callers wait for. */
export class SessionQueues {
  readonly #context: QueueContext;
  readonly #queues = new Map<string, SessionQueue>();

  constructor(context: QueueContext) {
    this.#context = context;
  }

  /** Number of sessions that callers wait for. */
  get size(): number {
    return this.#queues.size;
  }

  /**
   * Join the queue of a session, with a question of this key. With `interrupts` each turn that is answered before the waiter's own is asked to stop.
   * @throws SessionError `queue_full`, or the store's
   */
  async join(session: WritableSession, joining: Joining): Promise<Place> {
    const text = keyText(session.key);
    let queue = this.#queues.get(text);
    if (queue === undefined) {
      const opened = new SessionQueue(
        session.freshView(),
        this.#context,
        () => void (this.#queues.get(text) === opened && this.#queues.delete(text)),
      );
      queue = opened;
      this.#queues.set(text, queue);
    }
    return await queue.join(joining);
  }

  /** Changes that this process has committed: a queue whose session is among them need not poll for them. */
  met(changes: readonly Change[]): void {
    if (this.#queues.size === 0) return;
    for (const { key, record } of changes) if (record !== null) this.#queues.get(keyText(key))?.met(record);
  }
}

/** A caller that joins a queue. */
interface Joining {
  readonly ticket: string;
  readonly interrupts: boolean;
  /** The idempotency key of its question, by which it can be withdrawn. */
  readonly key: string | null;
  /** How long its lease lasts, ms; null: as long as this instance. */
  readonly leaseMs: number | null;
}

interface Waiter extends Joining {
  joined: boolean;
  /** It was woken and tries to take the lease. */
  isTrying: boolean;
  woken: PromiseWithResolvers<void>;
}

class SessionQueue {
  /** Writes the places of all waiters. */
  readonly #session: WritableSession;
  readonly #context: QueueContext;
  readonly #ended: () => void;
  readonly #waiters = new Map<string, Waiter>();
  readonly #watch: SessionWatch;
  readonly #stop = new AbortController();
  /** The places expire at this time, epoch ms. */
  #placedUntil = 0;
  #joining: Promise<void> | undefined;
  /** The fence of a lease whose holder is dead. */
  #deadFence: number | undefined;
  #lookTimer: NodeJS.Timeout | undefined;
  #looks = 0;
  /** Hints since the last poll that they led to. */
  #hints = 0;
  #hintTimer: NodeJS.Timeout | undefined;
  /** The time between two grants of the lease, ms. */
  #paceMs = paceMs;
  /** The key of the open turn of this record. */
  #opened: { readonly record: SessionRecord; readonly key: Promise<string | null> } | undefined;

  constructor(session: WritableSession, context: QueueContext, ended: () => void) {
    this.#session = session;
    this.#context = context;
    this.#ended = ended;
    const needs = { needs: "record", onHint: () => this.#onHint() } as const;
    this.#watch = context.poller.watch(session.key, needs, (found) => this.#onFound(found));
    void this.#tick();
  }

  async join(joining: Joining): Promise<Place> {
    const { ticket } = joining;
    const waiter: Waiter = { ...joining, joined: false, isTrying: false, woken: Promise.withResolvers() };
    this.#waiters.set(ticket, waiter);
    this.#context.instance.expect(ticket);
    try {
      while (!waiter.joined) {
        await this.#renew();
        if (waiter.joined) break;
        if (!isIn(this.#session.record, ticket)) throw this.#full();
      }
    } catch (error) {
      await this.#leave(ticket);
      throw error;
    }
    this.#meetAnswer();
    this.#wakeFirst();
    this.#lookSoon();
    return {
      isFirst: (patience) => this.#isFirst(waiter, patience),
      leave: async ({ record, fence }) => {
        this.#session.learn(record);
        const hasTaken = isGrantedTo(record, ticket) && record.lease?.fence === fence;
        await this.#leave(ticket, { hasTaken });
        this.#meetAnswer();
        this.#wakeFirst();
      },
    };
  }

  /** Take over a record that this process has committed. */
  met(record: SessionRecord): void {
    clearTimeout(this.#hintTimer);
    this.#hintTimer = undefined;
    this.#learn(record);
  }

  #full(): SessionError {
    const { record } = this.#session;
    const { waitersMax } = this.#context.limits;
    return new SessionError("queue_full", {
      ...sessionIds(record),
      waiting: record.waiters.length,
      waitingMax: waitersMax,
    });
  }

  /** Write the places of all waiters of this process in one commit; waiters that join meanwhile are in the next one. */
  async #renew(): Promise<void> {
    while (this.#joining !== undefined) await this.#joining.catch(() => undefined);
    const joining = [...this.#waiters.values()];
    if (joining.length === 0 || (joining.every(({ joined }) => joined) && !this.#isDue())) return;
    this.#joining = this.#place(joining).finally(() => (this.#joining = undefined));
    await this.#joining;
  }

  #isDue(): boolean {
    return this.#placedUntil - this.#context.now() < placeMs / 2;
  }

  async #place(joining: readonly Waiter[]): Promise<void> {
    const { now, instance } = this.#context;
    const until = now() + placeMs;
    const rule: Rule = ({ record }, context) => {
      const queued = new Set(record.waiters.map(({ ticket }) => ticket));
      // A try in progress may have taken the lease, which removed its ticket: the ticket must not come back.
      const waiters = joining
        .filter(({ ticket, isTrying }) => queued.has(ticket) || (!isTrying && !isGrantedTo(record, ticket)))
        .map(({ ticket, key, leaseMs }) => ({
          ticket,
          instance: instance.id,
          until,
          leaseMs,
          ...(key === null ? {} : { key }),
        }));
      return waiters.length === 0 ? null : joinQueue(record, waiters, context);
    };
    await this.#session.fold(rule);
    this.#placedUntil = until;
    for (const waiter of joining) waiter.joined ||= isIn(this.#session.record, waiter.ticket);
  }

  async #isFirst(waiter: Waiter, { waitMs, signal }: Parameters<Place["isFirst"]>[0]): ReturnType<Place["isFirst"]> {
    waiter.isTrying = false;
    waiter.woken = Promise.withResolvers();
    waiter.woken.promise.catch(() => undefined);
    this.#meetAnswer();
    this.#wakeFirst();
    const done = new AbortController();
    const stop = signal === undefined ? done.signal : AbortSignal.any([done.signal, signal]);
    const deadline = this.#context.clock.sleep(waitMs, stop);
    try {
      await Promise.race([waiter.woken.promise, deadline]);
      return this.#session.record;
    } finally {
      waiter.isTrying = true;
      deadline.catch(() => undefined);
      done.abort();
    }
  }

  #onFound(found: Found): void {
    if (found.status === "failed") {
      for (const { woken } of this.#waiters.values()) woken.reject(found.error);
      return;
    }
    if (found.status === "missing") {
      // The waiters' next try throws that the session was removed.
      for (const { woken } of this.#waiters.values()) woken.resolve();
      return;
    }
    this.#learn(found.view.record);
  }

  #learn(record: SessionRecord): void {
    const before = this.#session.record;
    const aheadBefore = this.#ahead;
    this.#session.learn(record);
    const { version, lease } = this.#session.record;
    this.#meetAnswer();
    this.#wakeFirst();
    if (version === before.version) return;
    const places = aheadBefore - this.#ahead;
    if (places > 0 && lease !== null && before.lease !== null) {
      const pace = (lease.acquiredAt - before.lease.acquiredAt) / places;
      this.#paceMs = (this.#paceMs + Math.max(0, pace)) / 2;
    }
    this.#looks = 0;
    this.#lookSoon();
  }

  /** Only the first waiter of a queue can continue, so the others poll once they may have come nearer. */
  #onHint(): boolean {
    this.#hints++;
    if (this.#isOwn || this.#isEarly || this.#hints < hintsPerPlace * this.#ahead) return false;
    this.#hints = 0;
    this.#hintTimer ??= setTimeout(() => {
      this.#hintTimer = undefined;
      this.#watch.look();
    }, lookMs.hint).unref();
    return false;
  }

  /** True if the lease can hardly have reached a waiter of this process: the timed poll comes soon enough. */
  get #isEarly(): boolean {
    const { lease } = this.#session.record;
    const turns = this.#ahead + earlyShare;
    return lease !== null && this.#context.now() - lease.acquiredAt < Math.min(this.#paceMs, lookMs.longest) * turns;
  }

  /** True while this process has the lease: it commits what the waiters wait for. */
  get #isOwn(): boolean {
    const { lease } = this.#session.record;
    return lease?.instance === this.#context.instance.id;
  }

  /** The number of waiters before the first one of this process. */
  get #ahead(): number {
    const place = this.#session.record.waiters.findIndex(({ ticket }) => this.#waiters.has(ticket));
    return Math.max(place, 0);
  }

  /** The step that the waiters of this process take about the running answer; a failure waits for the next change of the session. */
  #meetAnswer(): void {
    if (this.#session.record.openTurn !== null) void this.#interrupt().catch(() => undefined);
  }

  /**
   * Ask the running answer to stop where a waiter of this process interrupts the answers before its own. A retry of the
   * question that is being answered does not interrupt it: it is woken, and finds that answer.
   */
  async #interrupt(): Promise<void> {
    const { record } = this.#session;
    const { openTurn, cancel, fence } = record;
    const key = await this.#openKeyOf(record);
    const waiting = [...this.#waiters.values()].filter(({ isTrying }) => !isTrying);
    const isRetry = (waiter: Waiter): boolean => waiter.key !== null && waiter.key === key;
    for (const waiter of waiting) if (isRetry(waiter)) waiter.woken.resolve();
    if (cancel?.turn === openTurn || !waiting.some((waiter) => waiter.interrupts && !isRetry(waiter))) return;
    await this.#session.write(({ record: now }, context) =>
      now.fence === fence && now.openTurn === openTurn ? requestCancel(now, context) : null,
    );
  }

  /** The idempotency key of the open turn, read once for each turn; null where no waiter of this process has a key. */
  async #openKeyOf(record: SessionRecord): Promise<string | null> {
    if ([...this.#waiters.values()].every(({ key }) => key === null)) return null;
    if (this.#opened === undefined || !haveSameTurns(this.#opened.record, record)) {
      const key = this.#session
        .peek([{ log: "turns", last: 1 }])
        .then(({ record: { openTurn }, tails: [turns = []] }) => {
          const last = turns.at(-1);
          return last !== undefined && last.seq === openTurn && openTurn === record.openTurn ? last.key : null;
        });
      const opened = { record, key };
      this.#opened = opened;
      key.catch(() => (this.#opened = this.#opened === opened ? undefined : this.#opened));
    }
    return await this.#opened.key;
  }

  /** Only the first waiter can take the lease, and only if there is none or its holder is dead. Withdrawn ones give up. */
  #wakeFirst(): void {
    const { record } = this.#session;
    for (const waiter of record.waiters)
      if (waiter.withdrawn === true) this.#waiters.get(waiter.ticket)?.woken.reject(withdrawn(record));
    const granted = record.lease?.ticket;
    if (granted !== undefined) this.#waiters.get(granted)?.woken.resolve();
    if (this.#isFree()) this.#first()?.woken.resolve();
  }

  #isFree(): boolean {
    const { lease, fence } = this.#session.record;
    return lease === null || !leaseRuns(lease, this.#context.now()) || fence === this.#deadFence;
  }

  /** The waiter at the head of the queue, if it is in this process. */
  #first(): Waiter | undefined {
    const now = this.#context.now();
    const first = this.#session.record.waiters.find((waiter) => waiter.until > now && waiter.withdrawn !== true);
    return first === undefined ? this.#waiters.values().next().value : this.#waiters.get(first.ticket);
  }

  /** The time until the lease should reach a waiter of this process, ms. */
  get #untilTurn(): number {
    const { lease } = this.#session.record;
    const now = this.#context.now();
    return Math.max(lookMs.first, (lease?.acquiredAt ?? now) + this.#paceMs * (this.#ahead + 1) - now);
  }

  /** Without a hint, poll sooner than the poller does: the nearer a waiter of this process is to the head, the sooner. */
  #lookSoon(): void {
    clearTimeout(this.#lookTimer);
    if (this.#waiters.size === 0 || this.#isOwn) return;
    const pauseMs = this.#looks === 0 ? this.#untilTurn : Math.max(lookMs.first, this.#paceMs / 2) * 2 ** this.#looks;
    if (pauseMs > lookMs.longest) return;
    this.#lookTimer = setTimeout(() => {
      this.#looks++;
      this.#watch.look();
      this.#lookSoon();
    }, pauseMs).unref();
  }

  /** Renew the places, and notice what changes no record: a dead lease holder, an expired lease or place. */
  async #tick(): Promise<void> {
    const { clock, instance } = this.#context;
    while (!this.#stop.signal.aborted) {
      try {
        await clock.sleep(tickMs, this.#stop.signal);
        if (this.#isDue()) await this.#renew();
        const { record } = this.#session;
        const { lease } = record;
        if (lease !== null && this.#first() !== undefined && !(await instance.isAlive(record, lease)))
          this.#deadFence = lease.fence;
        this.#wakeFirst();
      } catch {
        // The store is unavailable, and the poller reports it to the waiters; or the queue has ended.
      }
    }
  }

  async #leave(ticket: string, { hasTaken = false }: { readonly hasTaken?: boolean } = {}): Promise<void> {
    this.#waiters.delete(ticket);
    const isEmpty = this.#waiters.size === 0;
    if (isEmpty) {
      this.#stop.abort();
      clearTimeout(this.#lookTimer);
      clearTimeout(this.#hintTimer);
      this.#watch.stop();
      this.#ended();
    }
    try {
      if (!hasTaken && isIn(this.#session.record, ticket))
        await this.#session.fold(({ record }, context) => leaveQueue(record, ticket, context));
    } catch {
      // The place and a lease that was granted to it expire within seconds; the result of the wait matters more.
    } finally {
      this.#context.instance.expectNoMore(ticket);
    }
  }
}

/** True if the ticket has a place in the queue, or was granted the lease. */
function isIn(record: SessionRecord, ticket: string): boolean {
  return isGrantedTo(record, ticket) || record.waiters.some((one) => one.ticket === ticket);
}
