/** The newest events of tenants, read once for all that follow them in this process. */
import { eventOverlapMs } from "../../domain/record/event.ts";
import { eachPage } from "../../domain/values/pages.ts";
import type { EventScan, FoundEvent, FoundEvents } from "../../store/store.ts";
import { entryBytes } from "../../store/within-bytes.ts";
import type { Clock } from "../../clock.ts";
import { SessionError } from "../../errors.ts";

/** How often a followed tenant is read, ms. */
const readEveryMs = 500;
const pageSize = 500;
/** The bytes of the events that a round keeps for all its followers. A busier tenant is read page by page by each. */
const roundBytesMax = 4 * 1024 * 1024;

/** One reading of a tenant's newest events. */
export interface EventRound {
  /** It has all events with this time or a later one that were committed before it began, epoch ms. */
  readonly since: number;
  /** Every event that is committed after it began has this time or a later one, epoch ms. */
  readonly next: number;
  /** Undefined where they are too many to be kept in memory: followers read them page by page. */
  readonly events: readonly FoundEvent[] | undefined;
}

/** The source of a feed. */
export interface EventSource {
  readonly clock: Clock;
  /** The bytes of events on one page. */
  readonly pageBytesMax: number;
  readonly events: (scan: EventScan) => Promise<FoundEvents>;
  /** The store's time, epoch ms. */
  readonly now: () => Promise<number>;
}

/** One follower's part in a feed. */
export interface FollowedFeed {
  /** The store's time when the follower came, epoch ms. */
  readonly startedAt: number;
  /** Every event that is committed from then on has this time or a later one, epoch ms. */
  readonly since: number;
  /** The first reading that begins after this call. @throws the store's error, or the reason of an aborted signal */
  next(signal?: AbortSignal): Promise<EventRound>;
  leave(): void;
}

/** The feeds of one process: a tenant is read while at least one follower is there. */
export class EventFeeds {
  readonly #source: EventSource;
  readonly #feeds = new Map<string, TenantFeed>();

  constructor(source: EventSource) {
    this.#source = source;
  }

  /** How many tenants are read. */
  get size(): number {
    return this.#feeds.size;
  }

  /** End the pauses of all feeds with the error `closed`. */
  close(): void {
    const error = new SessionError("closed", { name: "sessions" });
    for (const feed of this.#feeds.values()) feed.stop(error);
  }

  /** Follow a tenant's events from now on. */
  async follow(tenant: string): Promise<FollowedFeed> {
    const feed = this.#feeds.get(tenant) ?? new TenantFeed(tenant, this.#source);
    this.#feeds.set(tenant, feed);
    feed.followers++;
    let isThere = true;
    const leave = (): void => {
      if (!isThere) return;
      isThere = false;
      if (--feed.followers > 0) return;
      feed.stop();
      this.#feeds.delete(tenant);
    };
    try {
      const startedAt = await feed.begin();
      return { startedAt, since: feed.since, next: (signal) => feed.next(signal), leave };
    } catch (error) {
      leave();
      throw error;
    }
  }
}

class TenantFeed {
  followers = 0;
  readonly #tenant: string;
  readonly #source: EventSource;
  readonly #stop = new AbortController();
  #since: number | undefined;
  /** The reading that begins after the pause, shared by all that wait for it. */
  #coming: Promise<EventRound> | undefined;
  #last: Promise<unknown> = Promise.resolve();
  /** The store's time ahead of this machine's clock, ms. */
  #aheadMs = 0;

  constructor(tenant: string, source: EventSource) {
    this.#tenant = tenant;
    this.#source = source;
  }

  get since(): number {
    return this.#since ?? 0;
  }

  /** Ask for the store's time; what is read begins an overlap before the first follower came. */
  async begin(): Promise<number> {
    const now = await this.#askNow();
    this.#since ??= now - eventOverlapMs;
    return now;
  }

  async next(signal: AbortSignal | undefined): Promise<EventRound> {
    this.#coming ??= this.#read();
    return await orAborted(this.#coming, signal);
  }

  /** End the pause before the next reading. */
  stop(reason?: Error): void {
    this.#stop.abort(reason);
  }

  #read(): Promise<EventRound> {
    const before = this.#last;
    const reading = (async () => {
      try {
        await this.#source.clock.sleep(readEveryMs, this.#stop.signal);
        await before;
      } finally {
        // A follower that asks from here on may have missed the beginning of this reading.
        this.#coming = undefined;
      }
      const { since } = this;
      const { events, lastAt } = await this.#eventsSince(since);
      return { since, next: await this.#advance(lastAt), events };
    })();
    this.#last = reading.catch(() => undefined);
    return reading;
  }

  async #eventsSince(since: number): Promise<Pick<EventRound, "events"> & { readonly lastAt: number }> {
    const { pageBytesMax: bytesMax } = this.#source;
    let events: FoundEvent[] | undefined = [];
    let bytes = 0;
    let lastAt = 0;
    const scan = { tenant: this.#tenant, since, order: "ascending", limit: pageSize, bytesMax } as const;
    for await (const page of eachPage((after) => this.#source.events({ ...scan, ...after }))) {
      for (const { entry } of page.events) bytes += entryBytes(entry);
      if (bytes > roundBytesMax) events = undefined;
      events?.push(...page.events);
      lastAt = page.events.at(-1)?.entry.at ?? lastAt;
    }
    return { events, lastAt };
  }

  /**
   * Move on with the events. One from the future, of a machine whose clock is ahead or of a restored snapshot, does not
   * take the feed along: what others commit until then would never be read.
   */
  async #advance(last: number): Promise<number> {
    if (last - eventOverlapMs <= this.since) return this.since;
    const known = this.#source.clock.now() + this.#aheadMs;
    const now = last <= known ? known : await this.#askNow();
    this.#since = Math.max(this.since, Math.min(last, now) - eventOverlapMs);
    return this.#since;
  }

  async #askNow(): Promise<number> {
    const now = await this.#source.now();
    this.#aheadMs = now - this.#source.clock.now();
    return now;
  }
}

async function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await work;
  const aborted = Promise.withResolvers<never>();
  aborted.promise.catch(() => undefined);
  const onAbort = (): void => aborted.reject(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
