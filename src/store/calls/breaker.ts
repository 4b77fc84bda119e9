import type { Clock } from "../../clock.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { Store } from "../store.ts";

/** How a breaker stands. */
export interface BreakerState {
  /** `closed`: calls pass. `open`: they fail at once. `probing`: one call passes, to see. */
  readonly state: "closed" | "open" | "probing";
  /** When the store could not be reached first, epoch ms of this machine; null while it can. */
  readonly since: number | null;
  /** What it said. */
  readonly reason: string | null;
}

const firstPauseMs = 500;
const longestPauseMs = 15_000;

/**
 * Keeps a store that cannot be reached from costing every call its deadline. It is *closed* until some calls in a row fail
 * `store_unavailable`; then *open*, and calls fail at once; after a pause that grows from failure to
 * failure one call is let through, *probing*, whose end closes or opens it again. Other errors are answers.
 */
export class Breaker implements Store {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #failuresMax: number;
  #failures = 0;
  #since: number | null = null;
  #reason: string | null = null;
  #openUntil = 0;
  #probing = false;

  /** `failuresMax`: so many calls in a row that do not reach the store open it. */
  constructor(store: Store, { clock, failuresMax }: { readonly clock: Clock; readonly failuresMax: number }) {
    this.#store = store;
    this.#clock = clock;
    this.#failuresMax = failuresMax;
  }

  get capabilities(): Store["capabilities"] {
    return this.#store.capabilities;
  }

  get breaker(): BreakerState {
    const isOpen = this.#failures >= this.#failuresMax;
    const state = !isOpen ? "closed" : this.#probing || this.#clock.now() >= this.#openUntil ? "probing" : "open";
    return { state, since: this.#since, reason: this.#reason };
  }

  async commit(...args: Parameters<Store["commit"]>): ReturnType<Store["commit"]> {
    return await this.#through(() => this.#store.commit(...args));
  }

  async load(...args: Parameters<Store["load"]>): ReturnType<Store["load"]> {
    return await this.#through(() => this.#store.load(...args));
  }

  async read(...args: Parameters<Store["read"]>): ReturnType<Store["read"]> {
    return await this.#through(() => this.#store.read(...args));
  }

  async find(...args: Parameters<Store["find"]>): ReturnType<Store["find"]> {
    return await this.#through(() => this.#store.find(...args));
  }

  async count(...args: Parameters<Store["count"]>): ReturnType<Store["count"]> {
    return await this.#through(() => this.#store.count(...args));
  }

  async stats(...args: Parameters<Store["stats"]>): ReturnType<Store["stats"]> {
    return await this.#through(() => this.#store.stats(...args));
  }

  async inspect(...args: Parameters<Store["inspect"]>): ReturnType<Store["inspect"]> {
    return await this.#through(() => this.#store.inspect(...args));
  }

  async events(...args: Parameters<Store["events"]>): ReturnType<Store["events"]> {
    return await this.#through(() => this.#store.events(...args));
  }

  async forgetEvents(...args: Parameters<Store["forgetEvents"]>): ReturnType<Store["forgetEvents"]> {
    return await this.#through(() => this.#store.forgetEvents(...args));
  }

  async heartbeat(...args: Parameters<Store["heartbeat"]>): ReturnType<Store["heartbeat"]> {
    await this.#through(() => this.#store.heartbeat(...args));
  }

  async instances(...args: Parameters<Store["instances"]>): ReturnType<Store["instances"]> {
    return await this.#through(() => this.#store.instances(...args));
  }

  watch(...args: Parameters<Store["watch"]>): ReturnType<Store["watch"]> {
    return this.#store.watch(...args);
  }

  async scrub(): Promise<void> {
    await this.#through(() => this.#store.scrub());
  }

  async close(): Promise<void> {
    await this.#store.close();
  }

  async #through<T>(call: () => Promise<T>): Promise<T> {
    const probes = this.#failures >= this.#failuresMax;
    if (probes) {
      const waitMs = this.#openUntil - this.#clock.now();
      if (waitMs > 0 || this.#probing) throw this.#openError(Math.max(0, waitMs));
      this.#probing = true;
    }
    try {
      const result = await call();
      this.#heal();
      return result;
    } catch (error) {
      if (hasCode(error, "store_unavailable")) this.#fail(error.message, probes);
      else this.#heal();
      throw error;
    } finally {
      if (probes) this.#probing = false;
    }
  }

  #heal(): void {
    this.#failures = 0;
    this.#since = null;
    this.#reason = null;
  }

  #fail(reason: string, probes: boolean): void {
    // It was under way when the store was given up, and says nothing new: only a probe makes the pause longer.
    if (!probes && this.#failures >= this.#failuresMax) return;
    this.#failures++;
    this.#since ??= this.#clock.now();
    this.#reason = reason;
    if (this.#failures < this.#failuresMax) return;
    const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** (this.#failures - this.#failuresMax));
    // Instances that lost the store together must not come back together.
    const [chance = 0] = this.#clock.random(1);
    this.#openUntil = this.#clock.now() + pauseMs * (0.75 + chance / 1024);
  }

  #openError(waitMs: number): SessionError {
    const details = { problem: "breaker_open", retryAfterMs: Math.ceil(waitMs) } as const;
    return new SessionError("store_unavailable", details, { reported: this.#reason ?? "" });
  }
}
