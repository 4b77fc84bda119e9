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
  /**
   * Bytes of attachments that the device puts, or all devices of its user together.
   * @default 1 GiB for each device or user, no limit for all together
   */
  readonly attachmentBytes?: number;
}

const units = ["requests", "tokens", "attachmentBytes"] as const;
type Unit = (typeof units)[number];
const attachmentBytesOfDevice = 1024 ** 3;
const scopeNames: OptionNames<DeviceBudgets> = { device: true, all: true };
const budgetNames: OptionNames<DeviceBudget> = { requests: true, tokens: true, attachmentBytes: true };
const dayMs = 86_400_000;

/**
 * Counts usage of devices, in this process only. It refuses a question before a model is called, and an upload before it is
 * stored. A restart resets the counts; budgets of sessions (`openSessions({ budget })`) are stored.
 */
export class DeviceUsage {
  readonly #budgets: DeviceBudgets;
  /** The count of all devices is separate, so that the limit on counted devices never drops it. */
  readonly #usage = {
    device: windows(),
    all: windows(),
  };

  /** @throws SessionError `argument_invalid` */
  constructor(budgets: DeviceBudgets) {
    guardNames(budgets, "deviceBudgets", scopeNames);
    for (const scope of ["device", "all"] as const) {
      guardNames(budgets[scope] ?? {}, `deviceBudgets.${scope}`, budgetNames);
      for (const unit of units) guardCount(budgets[scope]?.[unit], `deviceBudgets.${scope}.${unit}`);
    }
    this.#budgets = { ...budgets, device: { attachmentBytes: attachmentBytesOfDevice, ...budgets.device } };
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
    if (!(["requests", "tokens"] as const).some((unit) => this.#isLimited(unit))) return await ask();
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

  /**
   * The bytes of an upload, counted as they arrive: a repeated upload counts again.
   * @throws SessionError `device_budget_exceeded`, also behind the first bytes: then nothing is stored
   */
  async *counted(
    { device, session }: { readonly device: string; readonly session: Session },
    bytes: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { user } = session.info;
    // No device has such an id.
    const owner = user === null ? device : `\0${user}`;
    for await (const piece of bytes) {
      this.#guard("attachmentBytes", owner, piece.length);
      this.#add("attachmentBytes", owner, piece.length);
      yield piece;
    }
  }

  #askOne(device: string): void {
    this.#guard("requests", device, 1);
    // How many tokens an answer will have is not known.
    this.#guard("tokens", device, 1);
    this.#add("requests", device, 1);
  }

  #guard(unit: Unit, owner: string, added: number): void {
    for (const scope of ["device", "all"] as const) {
      const max = this.#budgets[scope]?.[unit];
      if (max === undefined) continue;
      const { count, endsAt } = this.#window(unit, scope, owner);
      if (count + added <= max) continue;
      const retryAfterMs = Math.max(1, Math.ceil(endsAt - performance.now()));
      throw new SessionError("device_budget_exceeded", { scope, unit, used: count, max, retryAfterMs });
    }
  }

  #isLimited(unit: Unit): boolean {
    return this.#budgets.device?.[unit] !== undefined || this.#budgets.all?.[unit] !== undefined;
  }

  /** Counts the usage of an answer when it ends, also when it fails. */
  async #follow(device: string, session: Session, answer: Answer): Promise<void> {
    if (!this.#isLimited("tokens")) return;
    let turn: Turn | undefined;
    try {
      turn = await answer.done;
    } catch {
      // The usage of a failed answer is in its turn.
      [turn] = await Array.fromAsync(session.turns({ from: answer.seq, to: answer.seq })).catch(() => []);
    }
    this.#add("tokens", device, turn?.usage?.totalTokens ?? 0);
  }

  #add(unit: Unit, owner: string, count: number): void {
    for (const scope of ["device", "all"] as const) {
      const window = this.#window(unit, scope, owner);
      window.count = Math.max(0, window.count + count);
    }
  }

  #window(unit: Unit, scope: "device" | "all", owner: string): Window {
    return this.#usage[scope][unit].of(scope === "all" ? "all" : owner);
  }
}

function windows(): { readonly [Name in Unit]: Windows } {
  return { requests: new Windows(dayMs), tokens: new Windows(dayMs), attachmentBytes: new Windows(dayMs) };
}

function guardCount(value: number | undefined, name: string): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= 0)) return;
  throw new SessionError("argument_invalid", { name, value: String(value), expected: "whole_number", min: 0 });
}
