import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Clock } from "../../../clock.ts";
import type { Transaction } from "../../../domain/record/change.ts";
import {
  changesOf,
  encodeNewsCursor,
  newsDeletedMax,
  newsTenant,
  notedKey,
  numberAfter,
  subscribed,
  type NotedKey,
  type NotedRow,
  type NotedState,
  type Subscription,
} from "../../news.ts";
import type { FoundNews, NewsQuery, Outcome } from "../../store.ts";

/** The number of the last news of each tenant, while one commit notes its own; null without a subscription. */
type LastNumbers = Map<string, number | null>;

/**
 * The news of a file. The rows of a tenant are numbered without gaps, in the order of the commits: a writer has the only write
 * lock. A commit without a subscription of its tenant reads one row of an index.
 */
export class News {
  /** The subscription of a tenant. */
  readonly subscription: StatementSync;
  readonly #clock: Clock;
  readonly #last: StatementSync;
  readonly #expire: StatementSync;
  readonly #note: StatementSync;
  readonly #subscribe: StatementSync;
  readonly #rows: StatementSync;
  readonly #deleteUpTo: StatementSync;
  readonly #deleteExpired: StatementSync;
  readonly #forgetExpired: StatementSync;
  readonly #clear: readonly StatementSync[];

  constructor(database: DatabaseSync, clock: Clock) {
    this.#clock = clock;
    const sql = (text: string): StatementSync => database.prepare(text);
    this.subscription = sql(`
      select id, expires_at as expiresAt, deleted, mark, marked_at as markedAt from news_subscriptions where tenant = ?`);
    this.#last = sql("select no from news where tenant = ? order by no desc limit 1");
    this.#expire = sql("update news_subscriptions set expires_at = 0 where tenant = ?");
    this.#note = sql("insert into news (tenant, no, kind, scope, id) values (?, ?, ?, ?, ?)");
    this.#subscribe = sql(`
      insert or replace into news_subscriptions (tenant, id, expires_at, deleted, mark, marked_at)
      values (?, ?, ?, ?, ?, ?)`);
    this.#rows = sql("select tenant, no, kind, scope, id from news where tenant = ? and no > ? order by no limit ?");
    // The numbers have no gaps, so the bound limits the rows.
    this.#deleteUpTo = sql(`
      delete from news where tenant = ? and no <= min(?, (select min(no) from news where tenant = ?) + ?)`);
    this.#deleteExpired = sql(`
      delete from news where (tenant, no) in (
        select news.tenant, no from news_subscriptions join news using (tenant) where expires_at <= ? limit ?
      )`);
    this.#forgetExpired = sql(`
      delete from news_subscriptions
      where expires_at <= ? and not exists (select 1 from news where news.tenant = news_subscriptions.tenant)`);
    this.#clear = [sql("delete from news"), sql("delete from news_subscriptions")];
  }

  /** Notes what the transactions of a batch change that were applied. The caller holds the write lock. */
  noteApplied(batch: readonly Transaction[], outcomes: readonly Outcome[]): void {
    const last: LastNumbers = new Map();
    for (let index = 0; index < batch.length; index++) {
      if (outcomes[index]?.status !== "ok") continue;
      for (const change of batch[index] ?? []) {
        // Most tenants have no subscription, and an append of theirs makes no key.
        const key = this.#hears(newsTenant(change), last) ? notedKey(change) : undefined;
        if (key !== undefined) this.#noteKey(key, last);
      }
    }
  }

  /** Notes keys. The caller holds the write lock. */
  note(keys: Iterable<NotedKey>): void {
    const last: LastNumbers = new Map();
    for (const key of keys) if (this.#hears(key.tenant, last)) this.#noteKey(key, last);
  }

  /** True if the tenant has a subscription, which may have expired. */
  hasSubscription(tenant: string): boolean {
    return this.#subscriptionOf(tenant) !== undefined;
  }

  /** True if the tenant has a subscription. */
  #hears(tenant: string, last: LastNumbers): boolean {
    let number = last.get(tenant);
    if (number === undefined) {
      number = this.#standing(tenant);
      last.set(tenant, number);
    }
    return number !== null;
  }

  #noteKey({ tenant, kind, scope, id }: NotedKey, last: LastNumbers): void {
    const no = (last.get(tenant) ?? 0) + 1;
    this.#note.run(tenant, no, kind, scope, id);
    last.set(tenant, no);
  }

  /**
   * The number of the last news, while a subscription stands. One that a commit finds expired stays so: the clock of a reader
   * may be behind.
   */
  #standing(tenant: string): number | null {
    const subscription = this.#subscriptionOf(tenant);
    if (subscription === undefined || subscription.expiresAt === 0) return null;
    if (subscription.expiresAt > this.#clock.now()) return this.#lastOf(tenant, subscription);
    this.#expire.run(tenant);
    return null;
  }

  #subscriptionOf(tenant: string): Subscription | undefined {
    return this.subscription.get(tenant) as unknown as Subscription | undefined;
  }

  #lastOf(tenant: string, subscription: Subscription | undefined): number {
    return Number(this.#last.get(tenant)?.["no"] ?? subscription?.deleted ?? 0);
  }

  /** True if a read has to write first: it begins or renews the subscription, or deletes old news. */
  needsUpkeep(tenant: string): boolean {
    const before = this.#subscriptionOf(tenant);
    return this.#subscribed(tenant, before) !== before || (before !== undefined && this.#hasOld(tenant, before));
  }

  /** Begins or renews the subscription, and deletes some old news. The caller holds the write lock. */
  keepUp(tenant: string): void {
    const before = this.#subscriptionOf(tenant);
    const after = this.#subscribed(tenant, before);
    const { id, expiresAt, deleted, mark, markedAt } = after;
    if (after !== before) this.#subscribe.run(tenant, id, expiresAt, deleted, mark, markedAt);
    if (this.#hasOld(tenant, after)) this.#deleteUpTo.run(tenant, deleted, tenant, newsDeletedMax - 1);
  }

  #subscribed(tenant: string, before: Subscription | undefined): Subscription {
    const id = (): string => Buffer.from(this.#clock.random(16)).toString("hex");
    return subscribed(before, { id, now: this.#clock.now(), last: this.#lastOf(tenant, before) });
  }

  #hasOld(tenant: string, { deleted }: Subscription): boolean {
    const [first] = this.#rows.all(tenant, -1, 1);
    return first !== undefined && Number(first["no"]) <= deleted;
  }

  /** One page; undefined if the subscription has expired meanwhile. */
  find({ tenant, after, limit, bytesMax }: NewsQuery, state: NotedState): FoundNews | undefined {
    const subscription = this.#subscriptionOf(tenant);
    if (subscription === undefined || subscription.expiresAt <= this.#clock.now()) return undefined;
    const last = this.#lastOf(tenant, subscription);
    const from = numberAfter(after, subscription, last);
    const cursorAt = (no: number): string => encodeNewsCursor({ id: subscription.id, place: String(no) });
    if (from === undefined) return { isReset: true, changes: [], next: cursorAt(last), hasMore: false };
    const rows = this.#rows.iterate(tenant, from, limit) as unknown as Iterable<NotedRow>;
    const { changes, reached } = changesOf(rows, { from, bytesMax, state });
    return { isReset: false, changes, next: cursorAt(reached), hasMore: reached < last };
  }

  /** Deletes some news of the tenants whose subscription has expired. */
  deleteExpired(): void {
    const now = this.#clock.now();
    this.#deleteExpired.run(now, newsDeletedMax);
    this.#forgetExpired.run(now);
  }

  /** Deletes all news and subscriptions; readers begin again. */
  clear(): void {
    for (const statement of this.#clear) statement.run();
  }
}
