import { guardDailyUse, type DailyUse } from "../../domain/record/daily-usage.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { SessionError } from "../../errors.ts";
import type { Core } from "../core/core.ts";

/**
 * Reads what user and tenant of a session used today, by name, and returns the guard of a new turn; undefined without budgets. The sums may grow until
 * the turn begins: turns that begin at the same moment may pass the budget together. The fallback has no sums.
 * @throws SessionError the store's; the guard throws `daily_budget_exceeded`
 */
export function dailyGuard(core: Core, record: SessionRecord): Promise<() => void> | undefined {
  return core.hasDailyBudgets ? guardOf(core, record) : undefined;
}

async function guardOf(core: Core, record: SessionRecord): Promise<() => void> {
  const uses = await usesOf(core, record);
  return () => guardDailyUse(record, uses, { now: core.now() });
}

/**
 * Guard the next model call of an answer that used `running` tokens so far. A store that is away stops no answer.
 * @throws SessionError `daily_budget_exceeded`
 */
export async function guardDailyTokens(core: Core, record: SessionRecord, running: number): Promise<void> {
  let uses: readonly DailyUse[];
  try {
    uses = await usesOf(core, record);
  } catch (error) {
    if (error instanceof SessionError && error.retryable) return;
    throw error;
  }
  guardDailyUse(record, uses, { now: core.now(), running });
}

async function usesOf(core: Core, record: SessionRecord): Promise<readonly DailyUse[]> {
  if (!core.hasDailyBudgets) return [];
  if (!core.knowsTime) await core.learnTime();
  const sums = core.dailySums(record);
  if (sums.length === 0) return [];
  const used = await core.usage.read(sums.map(({ tenant, name }) => ({ tenant, name })));
  return sums.map(({ scope, budget }, index) => ({ scope, budget, used: used[index] ?? { tokens: 0, turns: 0 } }));
}
