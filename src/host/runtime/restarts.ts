import { parseDuration, type Duration } from "../../domain/values/duration.ts";
import { SessionError } from "../../errors.ts";
import { formatValue } from "../../domain/values/format-value.ts";

/** How often, and how soon, a session whose runtime failed is started again. */
export interface RestartOptions {
  /** So many times `within`, then it is left alone as failed. @default 5 */
  readonly max?: number;
  /** @default "1m" */
  readonly within?: Duration;
  /** The wait before the first restart; it doubles with each that follows. @default "100ms" */
  readonly backoff?: Duration;
  /** The longest wait. @default "30s" */
  readonly backoffMax?: Duration;
}

/** {@link RestartOptions} with their defaults, in milliseconds. */
export interface RestartRule {
  readonly max: number;
  readonly withinMs: number;
  readonly backoffMs: number;
  readonly backoffMaxMs: number;
}

/** @throws SessionError `argument_invalid`, `duration_invalid` */
export function parseRestart({
  max = 5,
  within = "1m",
  backoff = "100ms",
  backoffMax = "30s",
}: RestartOptions): RestartRule {
  if (!Number.isSafeInteger(max) || max < 0 || max > 1000) {
    throw new SessionError("argument_invalid", { name: "restart.max", value: formatValue(max), expected: "0 to 1000" });
  }
  return {
    max,
    withinMs: parseDuration(within, "restart.within"),
    backoffMs: parseDuration(backoff, "restart.backoff"),
    backoffMaxMs: parseDuration(backoffMax, "restart.backoffMax"),
  };
}

/** The failures of one session, as far back as the rule looks. */
export class Restarts {
  readonly #rule: RestartRule;
  #failures: number[] = [];

  constructor(rule: RestartRule) {
    this.#rule = rule;
  }

  /** How many failures count now. */
  get count(): number {
    return this.#failures.length;
  }

  /** It failed: how long to wait before it is started again, ms; null: it is to be left alone. */
  next(now: number): number | null {
    const { max, withinMs, backoffMs, backoffMaxMs } = this.#rule;
    this.#failures = [...this.#failures.filter((at) => now - at < withinMs), now];
    const failures = this.#failures.length;
    return failures > max ? null : Math.min(backoffMaxMs, backoffMs * 2 ** (failures - 1));
  }
}
