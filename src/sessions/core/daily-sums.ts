/** The sums that daily budgets limit: one for each user and tenant and day. */
import {
  dailyScopes,
  dayOf,
  type DailyBudget,
  type DailyBudgets,
  type DailyScope,
} from "../../domain/record/daily-usage.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { guestDeviceOf } from "../../domain/values/device.ts";
import type { UsageName } from "../../store/store.ts";
import { nodeCrypto } from "../../node-crypto.ts";

/** A sum of one day, and the budget that limits it. */
export interface DailySum extends UsageName {
  readonly scope: DailyScope;
  readonly budget: DailyBudget;
  readonly until: number;
}

/** The sums of today that the turns of this session count in. */
export function dailySumsOf(
  { tenant, id, user }: Pick<SessionRecord, "tenant" | "id" | "user">,
  { budgets, now }: { readonly budgets: DailyBudgets; readonly now: number },
): readonly DailySum[] {
  const { day, endsAt } = dayOf(now);
  // A day more, for turns that another process seals by a clock that is behind.
  const until = endsAt + 86_400_000;
  return dailyScopes.flatMap((scope): readonly DailySum[] => {
    const budget = budgets[scope];
    if (budget === undefined) return [];
    if (scope === "tenant") return [{ scope, budget, tenant, name: day, until }];
    const userOrDevice = user ?? guestDeviceOf(id);
    if (userOrDevice === undefined) return [];
    // The hash keeps the user's id out of the store's sums.
    const hash = nodeCrypto()
      .createHash("sha256")
      .update(JSON.stringify([tenant, userOrDevice]))
      .digest("hex")
      .slice(0, 40);
    return [{ scope, budget, tenant, name: `${day} ${hash}`, until }];
  });
}
