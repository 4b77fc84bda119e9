/** The news of tenants, read once for all their readers in this process. */
import type { Clock } from "../../clock.ts";
import { defined } from "../../domain/values/defined.ts";
import { SessionError } from "../../errors.ts";
import type { FoundNews, NewsQuery } from "../../store/store.ts";
import { mergedItem, type MergedItem, type NewsItem } from "./news-item.ts";

/** The pause between two reads of a tenant without a hint of the store, ms. */
const pollMs = 250;
/** The shortest pause between two reads, ms: one read for the changes of many commits. */
const hintedMs = 40;
/** The pause before the store is asked again for a first cursor, ms. */
const beginMs = 20;
/** The changes that a page is read from. */
const pageSize = 1000;
/** A reader gets a newer cursor after this time, also without changes, ms. */
const refreshMs = 60_000;
/** The most changes that wait for a reader. A reader that is further behind reads them from the store. */
const pendingMax = 10_000;

/** News of a tenant, in the order of the commits. */
export interface News {
  /** A reader that passes it as `after` continues behind these items, within ten minutes. */
  readonly cursor: string;
  /** Each session, stream and document once, as it was when it was read; none where only the cursor is newer. */
  readonly items: readonly NewsItem[];
}

/** A page of the store, as the feed hands it to its readers. */
interface Round {
  readonly cursor: string;
  readonly isReset: boolean;
  readonly items: readonly MergedItem[];
  readonly hasMore: boolean;
}

/** The source of the feeds. */
export interface NewsSource {
  readonly clock: Clock;
  /** The bytes of records on one page. */
  readonly pageBytesMax: number;
  readonly news: (query: NewsQuery) => Promise<FoundNews>;
  /** Calls `wake` when the tenant may have news, until the returned function is called. */
  readonly watch: (tenant: string, wake: () => void) => () => void;
  /** The store's time, epoch ms. */
  readonly now: () => number;
}

/** The feeds of one process: a tenant is read while it has readers. */
export class NewsFeeds {
  readonly #source: NewsSource;
  readonly #feeds = new Map<string, TenantNews>();

  constructor(source: NewsSource) {
    this.#source = source;
  }

  /** The number of tenants that are read. */
  get size(): number {
    return this.#feeds.size;
  }

  /** A reader of the news of a tenant after a cursor, or from now on. */
  read(tenant: string, after: string | undefined): NewsReader {
    const feed = this.#feeds.get(tenant) ?? new TenantNews(tenant, this.#source, () => this.#feeds.delete(tenant));
    this.#feeds.set(tenant, feed);
    return new NewsReader(feed, this.#source.clock, after);
  }

  /** Ends all readers with the error `closed`. */
  close(): void {
    const error = new SessionError("closed", { name: "sessions" });
    for (const feed of this.#feeds.values()) feed.fail(error);
  }
}

/**
 * The news of one tenant. States: *waiting*, until a reader has a cursor to continue from or has none; *running*: it reads a
 * round, hands it to all readers, and pauses until a hint of the store or the next poll; *over*: without readers, or after an error.
 */
class TenantNews {
  readonly #tenant: string;
  readonly #source: NewsSource;
  readonly #onOver: () => void;
  readonly #readers = new Set<NewsReader>();
  readonly #over = new AbortController();
  #isRunning = false;
  /** The store has called since the last read began. */
  #isHinted = false;
  /** Ends the rest of a pause. */
  #rest: AbortController | undefined;
  /** The end of the last round. */
  #cursor: string | undefined;

  constructor(tenant: string, source: NewsSource, onOver: () => void) {
    this.#tenant = tenant;
    this.#source = source;
    this.#onOver = onOver;
  }

  get cursor(): string | undefined {
    return this.#cursor;
  }

  join(reader: NewsReader): void {
    this.#readers.add(reader);
  }

  leave(reader: NewsReader): void {
    if (this.#readers.delete(reader) && this.#readers.size === 0) this.#end();
  }

  #end(): void {
    this.#onOver();
    this.#over.abort();
  }

  /** Ends the feed, and all its readers with the error. */
  fail(error: unknown): void {
    this.#onOver();
    for (const reader of this.#readers) reader.fail(error);
    this.#readers.clear();
    this.#over.abort();
  }

  /** One page; undefined while commits are under way that may not know of the subscription. */
  async page(after: string | undefined): Promise<Round | undefined> {
    const { pageBytesMax: bytesMax, now } = this.#source;
    const query = { tenant: this.#tenant, limit: pageSize, bytesMax, ...defined({ after }) };
    const { changes, next: cursor, isReset, hasMore } = await this.#source.news(query);
    const at = now();
    return cursor === undefined
      ? undefined
      : { cursor, isReset, hasMore, items: changes.map((change) => mergedItem(change, at)) };
  }

  /** Read rounds from the cursor on; without a cursor the first round is a reset. Does nothing if the feed is running. */
  run(cursor: string | undefined): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#cursor = cursor;
    const stop = this.#source.watch(this.#tenant, () => {
      this.#isHinted = true;
      this.#rest?.abort();
    });
    void this.#readRounds().finally(stop);
  }

  async #readRounds(): Promise<void> {
    let pauseMs = this.#cursor === undefined ? 0 : pollMs;
    try {
      while (!this.#over.signal.aborted) {
        if (pauseMs > 0) await this.#untilDue(pauseMs);
        this.#isHinted = false;
        const round = await this.page(this.#cursor);
        pauseMs = round === undefined ? beginMs : round.hasMore ? 0 : pollMs;
        if (round === undefined) continue;
        this.#cursor = round.cursor;
        for (const reader of this.#readers) reader.take(round);
      }
    } catch (error) {
      if (!this.#over.signal.aborted) this.fail(error);
    }
  }

  /** A hint ends the pause, but for its first part. */
  async #untilDue(ms: number): Promise<void> {
    const first = Math.min(ms, hintedMs);
    await this.pause(first);
    if (this.#isHinted || first === ms) return;
    const rest = new AbortController();
    this.#rest = rest;
    try {
      await this.#source.clock.sleep(ms - first, AbortSignal.any([this.#over.signal, rest.signal]));
    } catch (error) {
      if (!rest.signal.aborted) throw error;
    } finally {
      this.#rest = undefined;
    }
  }

  /** Ends early, with an error, when the feed ends. */
  async pause(ms: number): Promise<void> {
    await this.#source.clock.sleep(ms, this.#over.signal);
  }
}

/**
 * One reader. States:
 * - *behind*: it reads pages from its own cursor, and follows the feed from the last page on;
 * - *following*: it takes the rounds of the feed; changes that it has not taken yet wait, the newest of each session and
 *   document. If too many wait, it is behind again;
 * - *over*: it has left, or got an error.
 */
export class NewsReader {
  readonly #feed: TenantNews;
  readonly #clock: Clock;
  /** The cursor of the last news that it returned. */
  #cursor: string | undefined;
  #isBehind: boolean;
  /** The cursor of the last round that waits. */
  #reached: string | undefined;
  #isReset = false;
  readonly #pending = new Map<string, NewsItem>();
  #returnedAt: number;
  #failure: { readonly error: unknown } | undefined;
  #isOver = false;
  #waiting: PromiseWithResolvers<void> | undefined;

  constructor(feed: TenantNews, clock: Clock, after: string | undefined) {
    this.#feed = feed;
    this.#clock = clock;
    this.#cursor = after;
    this.#returnedAt = clock.now();
    this.#isBehind = after !== undefined && after !== feed.cursor;
    feed.join(this);
    if (after !== undefined) return;
    if (feed.cursor === undefined) feed.run(undefined);
    else this.take({ cursor: feed.cursor, isReset: true, items: [], hasMore: false });
  }

  /** The next news; undefined once the reader has left. @throws the store's error, `closed` */
  async next(): Promise<News | undefined> {
    while (!this.#isOver) {
      const news = this.#isBehind ? await this.#catchUp() : this.#taken();
      if (news !== undefined && !this.#isOver) return news;
      if (news === undefined && !this.#isBehind) await this.#changed();
    }
    if (this.#failure !== undefined) throw this.#failure.error as Error;
    return undefined;
  }

  /**
   * Read the page after the cursor. Rounds that end while the page is read stay: they may have changes that the page does not
   * have. Earlier rounds have none.
   */
  async #catchUp(): Promise<News | undefined> {
    this.#drop();
    const page = await this.#pageOrNone();
    if (page === undefined) return undefined;
    if (!page.hasMore) {
      this.#isBehind = false;
      this.#feed.run(page.cursor);
    }
    const items = page.items.map(([, item]) => item);
    return this.#returned({ cursor: page.cursor, items: page.isReset ? [reset, ...items] : items });
  }

  /** Undefined after a pause, or once the reader is over. */
  async #pageOrNone(): Promise<Round | undefined> {
    try {
      const page = await this.#feed.page(this.#cursor);
      if (page === undefined) await this.#feed.pause(beginMs);
      return page;
    } catch (error) {
      // The end of the feed ends the pause.
      if (this.#isOver) return undefined;
      throw error;
    }
  }

  #drop(): void {
    this.#pending.clear();
    this.#isReset = false;
    this.#reached = undefined;
  }

  /** The items that wait. Without items undefined, unless the last cursor is old. */
  #taken(): News | undefined {
    const cursor = this.#reached;
    const isQuiet = this.#pending.size === 0 && !this.#isReset;
    if (cursor === undefined || (isQuiet && this.#clock.now() - this.#returnedAt < refreshMs)) return undefined;
    const items = [...(this.#isReset ? [reset] : []), ...this.#pending.values()];
    this.#drop();
    return this.#returned({ cursor, items });
  }

  #returned(news: News): News {
    this.#cursor = news.cursor;
    this.#returnedAt = this.#clock.now();
    return news;
  }

  /** Take a round of the feed. */
  take({ cursor, isReset, items }: Round): void {
    if (isReset) {
      this.#pending.clear();
      this.#isReset = true;
    }
    for (const [text, item] of items) this.#pending.set(text, item);
    this.#reached = cursor;
    if (this.#pending.size > pendingMax && this.#cursor !== undefined) {
      this.#drop();
      this.#isBehind = true;
    }
    this.#waiting?.resolve();
  }

  fail(error: unknown): void {
    this.#failure = { error };
    this.#isOver = true;
    this.#waiting?.resolve();
  }

  readonly leave = (): void => {
    this.#isOver = true;
    this.#feed.leave(this);
    this.#waiting?.resolve();
  };

  async #changed(): Promise<void> {
    this.#waiting = Promise.withResolvers();
    await this.#waiting.promise;
    this.#waiting = undefined;
  }
}

const reset: NewsItem = { reset: true };
