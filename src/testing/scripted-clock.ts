import type { Clock } from "../clock.ts";
import { invalidArgument } from "../domain/values/invalid-argument.ts";
import { guardSignal } from "../domain/values/option-names.ts";
import { sampleAt } from "./samples.ts";

interface Sleeper {
  readonly until: number;
  wake(): void;
}

/** A clock that stands still until a test moves it, with sleeps that end when it does and chance that repeats. */
export class ScriptedClock implements Clock {
  #now: number;
  #chance: number;
  #sleepers: readonly Sleeper[] = [];

  /** Made by {@link scriptedClock}. Functions of the clock fail with `argument_invalid` for a time that is no number. */
  constructor(startMs: number, seed: number) {
    this.#now = parseNumber(startMs, "startMs");
    this.#chance = parseNumber(seed, "seed");
  }

  now(): number {
    return this.#now;
  }

  /** How many sleeps have not ended. */
  get sleeping(): number {
    return this.#sleepers.length;
  }

  /** Set the clock, also backwards; no sleep ends. */
  set(ms: number): void {
    this.#now = parseNumber(ms, "ms");
  }

  /**
   * Let `ms` pass. Sleeps end in the order of their times, and the clock shows the time of each while what waited for it
   * runs, so that a loop which sleeps again is woken again within the same call.
   */
  async advance(ms: number): Promise<void> {
    const end = this.#now + parseNumber(ms, "ms");
    await settle();
    for (;;) {
      const next = this.#sleepers.toSorted((a, b) => a.until - b.until)[0];
      if (next === undefined || next.until > end) break;
      this.#now = Math.max(this.#now, next.until);
      next.wake();
      await settle();
    }
    this.#now = end;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      parseNumber(ms, "ms");
      guardSignal({ signal });
      const onAbort = (): void => {
        this.#sleepers = this.#sleepers.filter((one) => one !== sleeper);
        const reason: unknown = signal?.reason;
        reject(reason instanceof Error ? reason : new DOMException("This operation was aborted", "AbortError"));
      };
      const sleeper: Sleeper = {
        until: this.#now + ms,
        wake: () => {
          this.#sleepers = this.#sleepers.filter((one) => one !== sleeper);
          signal?.removeEventListener("abort", onAbort);
          resolve();
        },
      };
      if (signal?.aborted === true) {
        onAbort();
        return;
      }
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#sleepers = [...this.#sleepers, sleeper];
    });
  }

  /** The next bytes of a row that is the same for the same seed. */
  random(count: number): Uint8Array {
    if (!Number.isSafeInteger(count) || count < 0)
      throw invalidArgument("count", count, { expected: "whole_number", min: 0 });
    return Uint8Array.from({ length: count }, () => this.#byte());
  }

  /** One step of the generator mulberry32. */
  #byte(): number {
    this.#chance = (this.#chance + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#chance ^ (this.#chance >>> 15), this.#chance | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) & 0xff;
  }
}

/** A clock for a test to move. @throws SessionError `argument_invalid` */
export function scriptedClock(startMs: number = sampleAt, seed = 1): ScriptedClock {
  return new ScriptedClock(startMs, seed);
}

function parseNumber(value: number, name: string): number {
  if (typeof value === "number" && !Number.isNaN(value)) return value;
  throw invalidArgument(name, value, { expected: "number" });
}

/** Let run what was just woken, and what that wakes in turn: promises, and what a store or a queue defers. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
}
