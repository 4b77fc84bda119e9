import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { SessionError } from "../../errors.ts";
import type { Answer, Session, Turn } from "../../index.ts";
import { Windows, type Window } from "../../serving/rate-limits.ts";

/** Budgets of devices per 24 hours, counted by this server. */
export interface DeviceBudgets {
  /** For each device. */
  readonly device?: DeviceBudget;
  /** For all devices together: limits a caller that invents device ids. */
  readonly all?: DeviceBudget;
}

/** Limits per 24 hours, from the first question on. */
export interface DeviceBudget {
  /**
   * Questions.
   * @default no limit
   */
  readonly requests?: number;
  /**
   * Tokens of questions and answers. Answers that run when the limit is reached finish.
   * @default no limit
   */
  readonly tokens?: number;
}

const units = ["requests", "tokens"] as const;
const scopeNames: OptionNames<DeviceBudgets> = { device: true, all: true };
const budgetNames: OptionNames<DeviceBudget> = { requests: true, tokens: true };
const dayMs = 86_400_000;

/**
 * Counts usage of devices, in this process only, and refuses a question before a model is called. A restart resets the
 * counts; budgets of sessions (`openSessions({ budget })`) are stored.
 */
export class DeviceUsage {
  readonly #budgets: DeviceBudgets;
  /** The count of all devices is separate, so that the limit on counted devices never drops it. */
  readonly #usage = {
    device: { requests: new Windows(dayMs), tokens: new Windows(dayMs) },
    all: { requests: new Windows(dayMs), tokens: new Windows(dayMs) },
  };

  /** @throws SessionError `argument_invalid` */
  constructor(budgets: DeviceBudgets) {
    guardNames(budgets, "deviceBudgets", scopeNames);
    for (const scope of ["device", "all"] as const) {
      guardNames(budgets[scope] ?? {}, `deviceBudgets.${scope}`, budgetNames);
      for (const unit of units) guardCount(budgets[scope]?.[unit], `deviceBudgets.${scope}.${unit}`);
    }
    this.#budgets = budgets;
  }

  /**
   * Asks a question, and counts it and the usage of its answer. A question with the idempotency
   * key of a running or finished answer is not counted again, and calls no model.
   * @throws SessionError `device_budget_exceeded`, and those of `ask`
   */
  async count(
    { device, session, key }: { readonly device: string; readonly session: Session; readonly key: string | undefined },
    ask: () => Promise<Answer>,
  ): Promise<Answer> {
    if (this.#budgets.device === undefined && this.#budgets.all === undefined) return await ask();
    const earlier = key === undefined ? undefined : await session.turnByKey(key);
    const { status } = earlier ?? {};
    if (status === "open" || status === "waiting" || status === "done") return await ask();
    this.#askOne(device);
    const answer = await ask();
    // A concurrent request with the same key was counted.
    if (answer.repeats !== undefined) this.#add("requests", device, -1);
    else void this.#follow(device, session, answer);
    return answer;
  }

  #askOne(device: string): void {
    for (const scope of ["device", "all"] as const) {
      for (const unit of units) {
        const max = this.#budgets[scope]?.[unit];
        const { count, endsAt } = this.#window(unit, scope, device);
        if (max === undefined || count < max) continue;
        const retryAfterMs = Math.max(1, Math.ceil(endsAt - performance.now()));
        throw new SessionError("device_budget_exceeded", { scope, unit, used: count, max, retryAfterMs });
      }
    }
    this.#add("requests", device, 1);
  }

  /** Counts the usage of an answer when it ends, also when it fails. */
  async #follow(device: string, session: Session, answer: Answer): Promise<void> {
    if (this.#budgets.device?.tokens === undefined && this.#budgets.all?.tokens === undefined) return;
    let turn: Turn | undefined;
    try {
      turn = await answer.done;
    } catch {
      // The usage of a failed answer is in its turn.
      [turn] = await Array.fromAsync(session.turns({ from: answer.seq, to: answer.seq })).catch(() => []);
    }
    this.#add("tokens", device, turn?.usage?.totalTokens ?? 0);
  }

  #add(unit: (typeof units)[number], device: string, count: number): void {
    for (const scope of ["device", "all"] as const) {
      const window = this.#window(unit, scope, device);
      window.count = Math.max(0, window.count + count);
    }
  }

  #window(unit: (typeof units)[number], scope: "device" | "all", device: string): Window {
    return this.#usage[scope][unit].of(scope === "all" ? "all" : device);
  }
}

function guardCount(value: number | undefined, name: string): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= 0)) return;
  throw new SessionError("argument_invalid", { name, value: String(value), expected: "whole_number", min: 0 });
}
