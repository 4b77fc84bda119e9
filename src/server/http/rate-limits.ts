import { SessionError } from "../../errors.ts";

/** How many requests in a minute, each of this server: another instance counts for itself. */
export interface Rates {
  /** Of one device. A caller makes up device ids as it likes, so this bounds clients that err, not ones that attack. @default 240 */
  readonly device?: number;
  /** Of all that come without an id, or with one that has no session yet. @default 1200 */
  readonly newDevices?: number;
  /** Of those, from one address, where `clientAddress` says how it is known. @default 60 */
  readonly newDevicesOfAddress?: number;
  /** Of one key. @default 6000 */
  readonly key?: number;
  /** Of link codes that turn out wrong, from one device. @default 10 */
  readonly wrongCodes?: number;
  /** Of wrong tries of one code. @default 10 */
  readonly wrongTriesOfCode?: number;
  /** Of link codes that turn out wrong, from all devices: a code is short. @default 1200 */
  readonly allWrongCodes?: number;
}

/** What is counted. */
export type Counted = keyof Rates;

const defaults = {
  device: 240,
  newDevices: 1200,
  newDevicesOfAddress: 60,
  key: 6000,
  wrongCodes: 10,
  wrongTriesOfCode: 10,
  allWrongCodes: 1200,
} as const satisfies Required<Rates>;

const minuteMs = 60_000;

/** Counts requests by what sends them; a count is forgotten a minute after it began. */
export class RateLimits {
  readonly #rates: Required<Rates>;
  readonly #windows: ReadonlyMap<Counted, Windows>;

  constructor(rates: Rates) {
    this.#rates = { ...defaults, ...rates };
    const names = Object.keys(defaults) as Counted[];
    this.#windows = new Map(names.map((name) => [name, new Windows(minuteMs)]));
  }

  /** Count one request. @throws SessionError `rate_limited` */
  count(counted: Counted, sender: string): void {
    const window = this.#windows.get(counted)?.of(sender);
    if (window === undefined) return;
    window.count++;
    if (window.count <= this.#rates[counted]) return;
    throw new SessionError("rate_limited", { retryAfterMs: Math.max(1, Math.ceil(window.endsAt - performance.now())) });
  }

  /** It was none of those that are counted. */
  giveBack(counted: Counted, sender: string): void {
    const window = this.#windows.get(counted)?.of(sender);
    if (window !== undefined && window.count > 0) window.count--;
  }
}

/** A count that begins with the first one and is forgotten when its time is over. */
export interface Window {
  count: number;
  readonly endsAt: number;
}

/**
 * Counts by sender, in bounded memory. Where senders are too many, the count that began first is forgotten: it takes more
 * requests to have it forgotten than a limit allows.
 */
export class Windows {
  readonly #windows = new Map<string, Window>();
  readonly #lastsMs: number;
  readonly #sendersMax: number;

  constructor(lastsMs: number, sendersMax: number = 50_000) {
    this.#lastsMs = lastsMs;
    this.#sendersMax = sendersMax;
  }

  get size(): number {
    return this.#windows.size;
  }

  of(sender: string): Window {
    const now = performance.now();
    const known = this.#windows.get(sender);
    if (known !== undefined && known.endsAt > now) return known;
    this.#windows.delete(sender);
    // They stand in the order of their beginning, which is that of their end.
    for (const [oldest, { endsAt }] of this.#windows) {
      if (endsAt > now && this.#windows.size < this.#sendersMax) break;
      this.#windows.delete(oldest);
    }
    const window: Window = { count: 0, endsAt: now + this.#lastsMs };
    this.#windows.set(sender, window);
    return window;
  }
}
