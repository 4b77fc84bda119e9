import { parseDuration, type Duration } from "../../domain/values/duration.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";

/** When and how often a session restarts after its runtime failed. */
export interface RestartOptions {
  /**
   * Restarts per `within`; after one more failure the session stays in phase `failed`.
   * @default 5
   */
  readonly max?: number;
  /** @default "1m" */
  readonly within?: Duration;
  /**
   * Delay before the first restart; it doubles with each one.
   * @default "100ms"
   */
  readonly backoff?: Duration;
  /**
   * The longest delay.
   * @default "30s"
   */
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
    throw invalidArgument("restart.max", max, { expected: "whole_number", min: 0, max: 1000 });
  }
  return {
    max,
    withinMs: parseDuration(within, "restart.within"),
    backoffMs: parseDuration(backoff, "restart.backoff"),
    backoffMaxMs: parseDuration(backoffMax, "restart.backoffMax"),
  };
}

/** The recent failures of one session. */
export class Restarts {
  readonly #rule: RestartRule;
  #failures: number[] = [];

  constructor(rule: RestartRule) {
    this.#rule = rule;
  }

  /** Failures within the window. */
  get count(): number {
    return this.#failures.length;
  }

  /** Counts a failure. Returns the delay before the restart, ms; null if the session is not restarted. */
  next(now: number): number | null {
    const { max, withinMs, backoffMs, backoffMaxMs } = this.#rule;
    this.#failures = [...this.#failures.filter((at) => now - at < withinMs), now];
    const failures = this.#failures.length;
    return failures > max ? null : Math.min(backoffMaxMs, backoffMs * 2 ** (failures - 1));
  }
}
