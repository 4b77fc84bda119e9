/** The loaded part of the list of sessions, kept up to date by the news of the tenant. */
import { batch, signal, type Signal } from "@preact/signals";
import { call, Problem, sessionPath } from "../http/api.ts";
import { onChange } from "../http/news.ts";
import type { Page, Session } from "../http/wire.ts";

/** The filters in the address. */
export type Filter = Readonly<Record<string, string>>;

/** The parameters of a request. */
export type Parameters = Readonly<Record<string, string | readonly string[] | undefined>>;

/** The parameters of the address as those of the list. */
export function parametersOf({ since, label, ...query }: Filter): Parameters {
  const known = ["agent", "user", "state", "order", "held", "waiting"];
  const filter = Object.fromEntries(
    Object.entries(query).filter(([name, value]) => known.includes(name) && value !== ""),
  );
  const labels = label === undefined || label === "" ? undefined : label.split(/\s*,\s*/);
  const hours = Number(since);
  if (!(hours > 0)) return { ...filter, label: labels };
  return { ...filter, label: labels, activeSince: new Date(Date.now() - hours * 3_600_000).toISOString() };
}

/** The first page is short, so that it is there soon. */
const pageSizes = { first: 60, later: 200 };
/** News that come within this time are read together, ms. */
const gatherMs = 400;
/** Changed sessions that are read one by one; more of them: the first page is read again. */
const singlesMax = 10;

export class SessionList {
  readonly rows: Signal<readonly Session[]> = signal([]);
  readonly state: Signal<"first" | "more" | "idle" | "end"> = signal("first");
  readonly error: Signal<unknown> = signal(undefined);
  readonly #filter: Parameters;
  readonly #closing = new AbortController();
  readonly #changed = new Set<string>();
  readonly #unfollow: () => void;
  #next: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(filter: Parameters) {
    this.#filter = filter;
    void this.#load();
    this.#unfollow = onChange((session) => this.#note(session));
  }

  close(): void {
    this.#closing.abort();
    this.#unfollow();
    clearTimeout(this.#timer);
  }

  /** Loads the next page. */
  more(): void {
    if (this.state.value !== "idle") return;
    this.state.value = "more";
    void this.#load();
  }

  retry(): void {
    this.error.value = undefined;
    void this.#load();
  }

  async #load(): Promise<void> {
    try {
      const { items, next } = await this.#page(this.#next);
      const known = new Set(this.rows.value.map(({ id }) => id));
      batch(() => {
        this.rows.value = [...this.rows.value, ...items.filter(({ id }) => !known.has(id))];
        this.#next = next;
        this.state.value = next === undefined ? "end" : "idle";
      });
      // Only some sessions of a page have a lease, so a page of those may be short.
      if (this.#filter["held"] !== undefined && this.rows.value.length < 50) this.more();
    } catch (error) {
      if (!this.#closing.signal.aborted) this.error.value = error;
    }
  }

  async #page(after: string | undefined): Promise<Page<Session>> {
    const query = { ...this.#filter, limit: after === undefined ? pageSizes.first : pageSizes.later, after };
    return await call<Page<Session>>("/v1/sessions", { query, signal: this.#closing.signal });
  }

  #note(session: string | undefined): void {
    if (session !== undefined) this.#changed.add(session);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#refresh();
    }, gatherMs);
  }

  /** Reads the first page again, and the changed sessions that are further down. */
  async #refresh(): Promise<void> {
    const changed = [...this.#changed];
    this.#changed.clear();
    try {
      const { items, next } = await this.#page(undefined);
      const fresh = new Map(items.map((one) => [one.id, one]));
      const below = this.rows.value.filter(({ id }) => !fresh.has(id));
      const singles = below.filter(({ id }) => changed.includes(id)).slice(0, singlesMax);
      const read = await Promise.all(singles.map(async ({ id }) => await this.#one(id)));
      const byId = new Map(singles.map(({ id }, index) => [id, read[index]]));
      // A first page without a next one is the whole list.
      const rest = next === undefined ? [] : below;
      this.rows.value = [...items, ...rest.flatMap((row) => (byId.has(row.id) ? (byId.get(row.id) ?? []) : row))];
    } catch (error) {
      // The next news bring another attempt.
      if (!this.#closing.signal.aborted && !(error instanceof Problem)) throw error;
    }
  }

  async #one(id: string): Promise<Session | undefined> {
    try {
      return await call<Session>(sessionPath(id), { signal: this.#closing.signal });
    } catch (error) {
      if (error instanceof Problem && error.status === 404) return undefined;
      throw error;
    }
  }
}
