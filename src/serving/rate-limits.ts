import { guardNames } from "../domain/values/option-names.ts";
import { SessionError } from "../errors.ts";

/** Requests per minute, per server instance. */
export interface Rates {
  /**
   * Per device. Callers can invent device ids, so this limits faulty clients, not attackers.
   * @default 240
   */
  readonly device?: number;
  /**
   * All requests without an id, or with one that has no session yet.
   * @default 1200
   */
  readonly newDevices?: number;
  /**
   * The same per address, if the address is known: see `clientAddress`.
   * @default 60
   */
  readonly newDevicesOfAddress?: number;
  /**
   * Sessions that devices open, all together: each of them may call the model.
   * @default 300
   */
  readonly newDeviceSessions?: number;
  /**
   * Per key.
   * @default 6000
   */
  readonly key?: number;
  /**
   * Wrong link codes per device.
   * @default 10
   */
  readonly wrongCodes?: number;
  /**
   * Wrong attempts per code.
   * @default 10
   */
  readonly wrongTriesOfCode?: number;
  /**
   * Wrong link codes of all devices, as a code is short.
   * @default 1200
   */
  readonly allWrongCodes?: number;
}

/** Counted kinds of requests. */
export type Counted = keyof Rates;

const defaults = {
  device: 240,
  newDevices: 1200,
  newDevicesOfAddress: 60,
  newDeviceSessions: 300,
  key: 6000,
  wrongCodes: 10,
  wrongTriesOfCode: 10,
  allWrongCodes: 1200,
} as const satisfies Required<Rates>;

const minuteMs = 60_000;

/** Counts requests by sender; a count expires a minute after it began. */
export class RateLimits {
  readonly #rates: Required<Rates>;
  readonly #windows: ReadonlyMap<Counted, Windows>;

  /** @throws SessionError `argument_invalid` for a limit that does not exist */
  constructor(rates: Rates) {
    guardNames(rates, "rates", defaults);
    this.#rates = { ...defaults, ...rates };
    const names = Object.keys(defaults) as Counted[];
    this.#windows = new Map(names.map((name) => [name, new Windows(minuteMs)]));
  }

  /**
   * Counts one request.
   * @throws SessionError `rate_limited`
   */
  count(counted: Counted, sender: string): void {
    const window = this.#windows.get(counted)?.of(sender);
    if (window === undefined) return;
    window.count++;
    if (window.count <= this.#rates[counted]) return;
    throw new SessionError("rate_limited", { retryAfterMs: Math.max(1, Math.ceil(window.endsAt - performance.now())) });
  }

  /** Takes a count back. */
  giveBack(counted: Counted, sender: string): void {
    const window = this.#windows.get(counted)?.of(sender);
    if (window !== undefined && window.count > 0) window.count--;
  }
}

/** A count that begins with the first request and expires. */
export interface Window {
  count: number;
  readonly endsAt: number;
}

/**
 * Counts by sender, in bounded memory. With too many senders the oldest count is dropped; causing that takes more
 * requests than the limit allows.
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
    // Ordered by beginning, which is also the order of expiry.
    for (const [oldest, { endsAt }] of this.#windows) {
      if (endsAt > now && this.#windows.size < this.#sendersMax) break;
      this.#windows.delete(oldest);
    }
    const window: Window = { count: 0, endsAt: now + this.#lastsMs };
    this.#windows.set(sender, window);
    return window;
  }
}
