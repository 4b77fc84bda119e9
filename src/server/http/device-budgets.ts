import { SessionError } from "../../errors.ts";
import type { Answer, Session, Turn } from "../../index.ts";
import { Windows, type Window } from "./rate-limits.ts";

/** What answers to devices may take in 24 hours, as this server counts it. */
export interface DeviceBudgets {
  /** Of one device. */
  readonly device?: DeviceBudget;
  /** Of all devices together: what bounds a caller that makes up device ids. */
  readonly all?: DeviceBudget;
}

/** So much in 24 hours from the first question on. */
export interface DeviceBudget {
  /** Questions. @default no bound */
  readonly requests?: number;
  /** Tokens of questions and answers. Answers that run when the last one is spent come to their end. @default no bound */
  readonly tokens?: number;
}

const units = ["requests", "tokens"] as const;
const dayMs = 86_400_000;

/**
 * Counts what devices spend, in this process alone, and refuses a question before a model is called. A restart begins
 * anew; budgets of sessions (`openSessions({ budget })`) are kept in the store.
 */
export class DeviceSpending {
  readonly #budgets: DeviceBudgets;
  /** Apart for all devices: however many devices there are, that count stays. */
  readonly #spent = {
    device: { requests: new Windows(dayMs), tokens: new Windows(dayMs) },
    all: { requests: new Windows(dayMs), tokens: new Windows(dayMs) },
  };

  /** @throws SessionError `argument_invalid` */
  constructor(budgets: DeviceBudgets) {
    for (const scope of ["device", "all"] as const) {
      for (const unit of units) guardCount(budgets[scope]?.[unit], `deviceBudgets.${scope}.${unit}`);
    }
    this.#budgets = budgets;
  }

  /** Count a question of the device. @throws SessionError `device_budget_exceeded` */
  ask(device: string): void {
    if (this.#budgets.device === undefined && this.#budgets.all === undefined) return;
    for (const scope of ["device", "all"] as const) {
      for (const unit of units) {
        const max = this.#budgets[scope]?.[unit];
        const { count, endsAt } = this.#window(unit, scope, device);
        if (max === undefined || count < max) continue;
        const retryAfterMs = Math.max(1, Math.ceil(endsAt - performance.now()));
        throw new SessionError("device_budget_exceeded", { scope, unit, spent: count, max, retryAfterMs });
      }
    }
    this.#add("requests", device, 1);
  }

  /** Count what an answer took, when it ends, however it ends. */
  async follow(device: string, session: Session, answer: Answer): Promise<void> {
    if (this.#budgets.device?.tokens === undefined && this.#budgets.all?.tokens === undefined) return;
    let turn: Turn | undefined;
    try {
      turn = await answer.done;
    } catch {
      // A broken answer took what stands in its turn.
      [turn] = await Array.fromAsync(session.turns({ from: answer.seq, to: answer.seq })).catch(() => []);
    }
    this.#add("tokens", device, turn?.usage?.totalTokens ?? 0);
  }

  #add(unit: (typeof units)[number], device: string, count: number): void {
    this.#window(unit, "device", device).count += count;
    this.#window(unit, "all", device).count += count;
  }

  #window(unit: (typeof units)[number], scope: "device" | "all", device: string): Window {
    return this.#spent[scope][unit].of(scope === "all" ? "all" : device);
  }
}

function guardCount(value: number | undefined, name: string): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= 0)) return;
  throw new SessionError("argument_invalid", { name, value: String(value), expected: "a whole number, 0 or more" });
}
