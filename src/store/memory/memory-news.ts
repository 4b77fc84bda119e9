import type { Clock } from "../../clock.ts";
import {
  changesOf,
  decodeNewsCursor,
  encodeNewsCursor,
  newsDeletedMax,
  numberAfter,
  subscribed,
  type NotedKey,
  type NotedRow,
  type NotedState,
  type Subscription,
} from "../news.ts";
import type { FoundNews, NewsQuery } from "../store.ts";

/** The news of a store in memory. */
export class MemoryNews {
  readonly #clock: Clock;
  readonly #subscriptions = new Map<string, Subscription>();
  /** By tenant, in the order of the commits. */
  readonly #rows = new Map<string, NotedRow[]>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Notes keys of changes that are committed, for the tenants with a subscription. */
  note(keys: Iterable<NotedKey>): void {
    if (this.#subscriptions.size === 0) return;
    for (const key of keys) {
      const subscription = this.#standing(key.tenant);
      if (subscription === undefined) continue;
      const rows = this.#rows.get(key.tenant) ?? [];
      this.#rows.set(key.tenant, rows);
      rows.push({ ...key, no: this.#last(key.tenant, subscription) + 1 });
    }
  }

  /** The subscription. One that a commit finds expired stays so, whatever the clock says later. */
  #standing(tenant: string): Subscription | undefined {
    const subscription = this.#subscriptions.get(tenant);
    if (subscription === undefined || subscription.expiresAt > this.#clock.now()) return subscription;
    this.#subscriptions.set(tenant, { ...subscription, expiresAt: 0 });
    return undefined;
  }

  #last(tenant: string, subscription: Subscription | undefined): number {
    return this.#rows.get(tenant)?.at(-1)?.no ?? subscription?.deleted ?? 0;
  }

  find({ tenant, after, limit, bytesMax }: NewsQuery, state: NotedState): FoundNews {
    if (after !== undefined) decodeNewsCursor(after);
    const before = this.#subscriptions.get(tenant);
    const last = this.#last(tenant, before);
    const id = (): string => Buffer.from(this.#clock.random(16)).toString("hex");
    const subscription = subscribed(before, { id, now: this.#clock.now(), last });
    this.#subscriptions.set(tenant, subscription);
    const rows = this.#rows.get(tenant) ?? [];
    const old = rows.findIndex(({ no }) => no > subscription.deleted);
    rows.splice(0, Math.min(newsDeletedMax, old === -1 ? rows.length : old));
    const from = numberAfter(after, subscription, last);
    const cursorAt = (no: number): string => encodeNewsCursor({ id: subscription.id, place: String(no) });
    if (from === undefined) return { isReset: true, changes: [], next: cursorAt(last), hasMore: false };
    const page = rows.filter(({ no }) => no > from).slice(0, limit);
    const { changes, reached } = changesOf(page, { from, bytesMax, state });
    return { isReset: false, changes, next: cursorAt(reached), hasMore: reached < last };
  }

  /** Deletes the news of the tenants whose subscription has expired. */
  deleteExpired(): void {
    const now = this.#clock.now();
    for (const [tenant, { expiresAt }] of this.#subscriptions) {
      if (expiresAt > now) continue;
      this.#subscriptions.delete(tenant);
      this.#rows.delete(tenant);
    }
  }

  clear(): void {
    this.#subscriptions.clear();
    this.#rows.clear();
  }
}
