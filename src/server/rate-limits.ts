import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import { SessionError } from "../errors.ts";

/** How many requests in a minute, each of this server. */
export interface Rates {
  /** Of one device. @default 240 */
  readonly device?: number;
  /** Of all that come without an id and are given one. @default 1200 */
  readonly newDevices?: number;
  /** Of one key. @default 6000 */
  readonly key?: number;
  /** Of link codes that turn out wrong, from all devices: a code is short. @default 60 */
  readonly wrongCodes?: number;
}

/** What is counted. */
export type Counted = keyof Rates;

const defaults = { device: 240, newDevices: 1200, key: 6000, wrongCodes: 60 } as const satisfies Required<Rates>;

/** Counts requests by who sends them; a count is forgotten a minute after it began. */
export class RateLimits {
  readonly #limiters: ReadonlyMap<Counted, RateLimiterMemory>;

  constructor(rates: Rates) {
    const counted = Object.entries({ ...defaults, ...rates }) as [Counted, number][];
    this.#limiters = new Map(
      counted.map(([name, points]) => [name, new RateLimiterMemory({ points, duration: 60 })] as const),
    );
  }

  /** Count one request. @throws SessionError `rate_limited` */
  async count(counted: Counted, who: string): Promise<void> {
    try {
      await this.#limiters.get(counted)?.consume(who);
    } catch (error) {
      throw limited(error);
    }
  }

  /** It was none of those that are counted. */
  async giveBack(counted: Counted, who: string): Promise<void> {
    await this.#limiters.get(counted)?.reward(who);
  }
}

function limited(error: unknown): unknown {
  if (!(error instanceof RateLimiterRes)) return error;
  return new SessionError("rate_limited", { retryAfterMs: error.msBeforeNext });
}
