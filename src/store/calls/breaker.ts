import type { Clock } from "../../clock.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { Store } from "../store.ts";
import { callStore, storeBefore } from "./forwarding-store.ts";
import { publishStoreNews } from "./write-watch.ts";

/** The state of a circuit breaker. */
export interface BreakerState {
  /** `closed`: calls pass. `open`: calls fail at once. `probing`: one call passes, to try the store. */
  readonly state: "closed" | "open" | "probing";
  /** When the first call did not reach the store, by the clock of this machine; null while calls reach it. */
  readonly since: Date | null;
  /** The error of the last such call. */
  readonly reason: string | null;
}

const firstPauseMs = 500;
const longestPauseMs = 15_000;

/**
 * Keeps a store that cannot be reached from costing every call its deadline. The breaker is *closed* until some calls in a
 * row fail with `store_unavailable`. Then it is *open*, and calls fail at once. After a pause, which grows from failure to
 * failure, one call passes (*probing*), and its result closes or opens the breaker. Other errors count as answers.
 */
export class Breaker {
  /** The store behind the breaker. */
  readonly store: Store;
  readonly #clock: Clock;
  readonly #failuresMax: number;
  #failures = 0;
  #since: number | null = null;
  #reason: string | null = null;
  #openUntil = 0;
  #probing = false;

  /** `failuresMax`: the number of calls in a row that do not reach the store and open the breaker. */
  constructor(store: Store, { clock, failuresMax }: { readonly clock: Clock; readonly failuresMax: number }) {
    this.store = storeBefore(store, (method, args) => this.#through(() => callStore(store, method, args)));
    this.#clock = clock;
    this.#failuresMax = failuresMax;
  }

  get state(): BreakerState {
    const isOpen = this.#failures >= this.#failuresMax;
    const state = !isOpen ? "closed" : this.#probing || this.#clock.now() >= this.#openUntil ? "probing" : "open";
    return { state, since: this.#since === null ? null : new Date(this.#since), reason: this.#reason };
  }

  #through<T>(call: () => Promise<T>): Promise<T> {
    if (this.#failures >= this.#failuresMax) return this.#probe(call);
    const answer = call();
    // The caller gets the same promise, and waits for no other. The breaker comes first, so the caller meets its new state.
    void answer.then(this.#answered, this.#failed);
    return answer;
  }

  async #probe<T>(call: () => Promise<T>): Promise<T> {
    const waitMs = this.#openUntil - this.#clock.now();
    if (waitMs > 0 || this.#probing) throw this.#openError(Math.max(0, waitMs));
    this.#probing = true;
    try {
      const result = await call();
      this.#heal();
      return result;
    } catch (error) {
      this.#judge(error, true);
      throw error;
    } finally {
      this.#probing = false;
    }
  }

  readonly #answered = (): void => this.#heal();
  readonly #failed = (error: unknown): void => this.#judge(error, false);

  #judge(error: unknown, probes: boolean): void {
    if (hasCode(error, "store_unavailable")) this.#fail(error.message, probes);
    else this.#heal();
  }

  #heal(): void {
    if (this.#since !== null) publishStoreNews({ state: "back", ms: this.#clock.now() - this.#since });
    this.#failures = 0;
    this.#since = null;
    this.#reason = null;
  }

  #fail(reason: string, probes: boolean): void {
    // It was under way when the store was given up, and says nothing new: only a probe makes the pause longer.
    if (!probes && this.#failures >= this.#failuresMax) return;
    this.#failures++;
    if (this.#since === null) publishStoreNews({ state: "away", reason });
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
