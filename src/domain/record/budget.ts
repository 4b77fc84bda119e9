import { defined } from "../values/defined.ts";
import { SessionError } from "../../errors.ts";
import type { Budget, SessionRecord } from "./record.ts";
import { sessionIds } from "./guards.ts";
import { invalidArgument } from "../values/invalid-argument.ts";

/** @throws SessionError `argument_invalid` */
export function parseBudget(budget: Budget, name = "budget"): Budget {
  const isObject = typeof budget === "object" && budget !== null;
  if (!isObject) throw invalidArgument(name, budget, { expected: "object" });
  for (const [unit, value] of Object.entries(budget)) {
    if (unit !== "tokens" && unit !== "turns")
      throw invalidArgument(name, unit, { expected: "one_of", known: ["tokens", "turns"] });
    if (value !== undefined && (!Number.isSafeInteger(value) || value < 0))
      throw invalidArgument(`${name}.${unit}`, value, { expected: "whole_number" });
  }
  const { tokens, turns } = budget;
  return defined({ tokens, turns });
}

/**
 * The budget of a fork: the tokens that its parent has left, so a fork does not extend a budget. The shared turns are
 * in the fork's log, and count there.
 */
export function budgetLeft({ budget, counters }: Pick<SessionRecord, "budget" | "counters">): Budget | null {
  if (budget?.tokens === undefined) return budget;
  return { ...budget, tokens: Math.max(0, budget.tokens - counters.totalTokens) };
}

/** A new turn needs a budget that is not used up. @throws SessionError `budget_exceeded` */
export function guardBudget(record: SessionRecord): void {
  const { budget, counters } = record;
  if (budget === null) return;
  const used = { tokens: counters.totalTokens, turns: counters.turns };
  for (const unit of ["tokens", "turns"] as const) {
    const max = budget[unit];
    if (max === undefined || used[unit] < max) continue;
    throw new SessionError("budget_exceeded", { ...sessionIds(record), unit, used: used[unit], max });
  }
}

/**
 * A running answer that used `tokens` so far calls its model again only within the budget.
 * @throws SessionError `budget_exceeded`
 */
export function guardTokensLeft(record: SessionRecord, tokens: number): void {
  const max = record.budget?.tokens;
  const used = record.counters.totalTokens + tokens;
  if (max === undefined || used < max) return;
  throw new SessionError("budget_exceeded", { ...sessionIds(record), unit: "tokens", used, max });
}
