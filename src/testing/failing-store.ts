import type { Clock } from "../clock.ts";
import { systemClock } from "../clock.ts";
import type { Transaction } from "../domain/record/change.ts";
import { parseFunction } from "../domain/values/invalid-argument.ts";
import { guardNames, guardObject } from "../domain/values/option-names.ts";
import { SessionError } from "../errors.ts";
import { storeBefore } from "../store/calls/forwarding-store.ts";
import type { Outcome, Store } from "../store/store.ts";

/**
 * The fault of a commit:
 * - `before`: the commit fails, and nothing is written;
 * - `after`: the commit is written, then its answer is lost, as if a connection broke;
 * - `delayMs`: the commit is written after this time; `hold`: when the promise resolves.
 */
export type Fault =
  | { readonly fails: "before" | "after"; readonly error?: Error }
  | { readonly delayMs: number }
  | { readonly hold: Promise<unknown> };

/** The fault of the n-th commit, counted from 1; undefined: none. */
export type FaultPlan =
  | Readonly<Record<number, Fault>>
  | ((n: number, batch: readonly Transaction[]) => Fault | undefined);

/** A store whose commits fail as planned, for fault tests. */
export interface FailingStore extends Store {
  /** The number of commits, failed ones included. */
  readonly commits: number;
  /** Changes the plan of the next commits; the count continues. */
  plan(plan: FaultPlan): void;
}

/** Wraps a store so that its commits fail as planned. Its other methods are unchanged. @throws SessionError `argument_invalid` */
export function failingStore(store: Store, plan: FaultPlan, options: { readonly clock?: Clock } = {}): FailingStore {
  guardFunction(store, "store", "commit");
  guardNames(options, "options", { clock: true });
  const { clock = systemClock } = options;
  guardFunction(clock, "clock", "sleep");
  let current = parsePlan(plan);
  let commits = 0;
  return Object.assign(
    {
      get commits() {
        return commits;
      },
    },
    storeBefore(store),
    {
      plan(next: FaultPlan) {
        current = parsePlan(next);
      },
      async commit(batch: readonly Transaction[]): Promise<readonly Outcome[]> {
        commits++;
        const fault = typeof current === "function" ? current(commits, batch) : current[commits];
        if (fault === undefined) return store.commit(batch);
        if ("delayMs" in fault) await clock.sleep(fault.delayMs);
        else if ("hold" in fault) await fault.hold;
        else if (fault.fails === "before") throw fault.error ?? unavailable(commits);
        const outcomes = await store.commit(batch);
        if ("fails" in fault) throw fault.error ?? unavailable(commits);
        return outcomes;
      },
    },
  );
}

function guardFunction<T extends object>(given: T, name: string, member: keyof T & string): void {
  guardObject(given, name);
  parseFunction(given[member] as () => unknown, `${name}.${member}`);
}

function parsePlan(plan: FaultPlan): FaultPlan {
  if (typeof plan !== "function") guardObject(plan, "plan");
  return plan;
}

function unavailable(commit: number): SessionError {
  return new SessionError("store_unavailable", { problem: "planned", commit });
}
