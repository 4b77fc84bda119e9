import type { Clock } from "../../clock.ts";
import type { Context } from "../../domain/record/guards.ts";
import type { Limits } from "../../domain/values/limits.ts";
import type { ResolvedOptions } from "../options/options.ts";

/** The time, the limits and the correlation id for a rule. */
export class RuleContext implements Context {
  readonly now: number;
  readonly limits: Limits;
  declare readonly correlation?: string;
  readonly #clock: Clock;

  constructor(
    now: number,
    { clock, limits }: Pick<ResolvedOptions, "clock" | "limits">,
    correlation: string | undefined,
  ) {
    this.now = now;
    this.limits = limits;
    this.#clock = clock;
    if (correlation !== undefined) this.correlation = correlation;
  }

  /** Few rules need randomness, and it costs more than the rest of a context. */
  get chance(): number {
    const [first = 0, second = 0] = this.#clock.random(2);
    return (first * 256 + second) / 65_536;
  }
}
