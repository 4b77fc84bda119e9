/**
 * Budgets of users and tenants for a day. What they use is in sums of the store, which grow in the commits of the turns.
 * A day begins at midnight UTC, by the store's clock.
 */
import { SessionError } from "../../errors.ts";
import type { ReachedDailyBudget } from "../../errors/answer-problems.ts";
import { parseBudget } from "./budget.ts";
import type { CountedUsage } from "./change.ts";
import { sessionIds } from "./guards.ts";
import type { Budget, SessionRecord } from "./record.ts";
import { invalidArgument } from "../values/invalid-argument.ts";

/** A limit for each day, which begins at midnight UTC. */
export interface DailyBudget extends Budget {
  readonly per: "day";
}

/** Limits of usage beside those of the sessions. */
export interface DailyBudgets {
  /** For each user. A guest's device counts as a user. @default no limit */
  readonly user?: DailyBudget;
  /** For each tenant. @default no limit */
  readonly tenant?: DailyBudget;
}

/** The scopes of daily budgets, in the order in which they are checked. */
export const dailyScopes = ["user", "tenant"] as const;
export type DailyScope = (typeof dailyScopes)[number];

/** @throws SessionError `argument_invalid` */
export function parseDailyBudgets(budgets: DailyBudgets): DailyBudgets {
  const isObject = typeof budgets === "object" && budgets !== null;
  if (!isObject) throw invalidArgument("budgets", budgets, { expected: "object" });
  for (const [scope, budget] of Object.entries(budgets) as [DailyScope, DailyBudget | undefined][]) {
    if (!dailyScopes.includes(scope))
      throw invalidArgument("budgets", scope, { expected: "one_of", known: [...dailyScopes] });
    if (budget === undefined) continue;
    const { per, ...units } = budget ?? {};
    parseBudget(units, `budgets.${scope}`);
    if (per !== "day") throw invalidArgument(`budgets.${scope}.per`, per, { expected: "one_of", known: ["day"] });
  }
  return budgets;
}

const dayMs = 86_400_000;

/** The day of an instant: its name, such as 2026-11-30, and its end, epoch ms. */
export function dayOf(now: number): { readonly day: string; readonly endsAt: number } {
  return { day: new Date(now).toISOString().slice(0, 10), endsAt: (Math.floor(now / dayMs) + 1) * dayMs };
}

/** The usage of a scope today. */
export interface DailyUse {
  readonly scope: DailyScope;
  readonly budget: Budget;
  readonly used: CountedUsage;
}

/**
 * A new turn needs budgets that are not used up; so does the next model call of an answer that used `running` tokens so
 * far, which are in no sum yet.
 * @throws SessionError `daily_budget_exceeded`
 */
export function guardDailyUse(
  record: SessionRecord,
  uses: readonly DailyUse[],
  { now, running }: { readonly now: number; readonly running?: number },
): void {
  for (const { scope, budget, used } of uses) {
    const withRunning = { tokens: used.tokens + (running ?? 0), turns: used.turns };
    // The running turn is one of the turns of today.
    for (const unit of running === undefined ? (["tokens", "turns"] as const) : (["tokens"] as const)) {
      const max = budget[unit];
      if (max === undefined || withRunning[unit] < max) continue;
      const startsAgainAt = dayOf(now).endsAt;
      const reached: ReachedDailyBudget = { scope, unit, used: withRunning[unit], max, startsAgainAt };
      throw new SessionError("daily_budget_exceeded", {
        ...sessionIds(record),
        ...reached,
        retryAfterMs: startsAgainAt - now,
      });
    }
  }
}
