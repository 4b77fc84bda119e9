import type { Clock } from "../../clock.ts";

/** A timer that fires once, unless it is cancelled. */
export interface Alarm {
  cancel(): void;
}

interface Entry extends Alarm {
  readonly dueAt: number;
  readonly fire: () => void;
  readonly holds: boolean;
  /** The slot that holds the entry; undefined after it fired or was cancelled. */
  slot: Set<Entry> | undefined;
}

const tickMs = 100;
const slotCount = 512;

/**
 * All timers of a host on one interval: a hashed wheel with 100 ms slots. An entry beyond one round is put back when
 * its slot is reached. Timers fire up to one tick late, never early. The wheel does not keep the process alive (unless
 * `holds`), and does not run while it is empty.
 */
export class TimerWheel {
  readonly #clock: Clock;
  readonly #slots: readonly Set<Entry>[] = Array.from({ length: slotCount }, () => new Set<Entry>());
  #count = 0;
  #holding = 0;
  #tick: number;
  #interval: NodeJS.Timeout | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#tick = this.#tickOf(clock.now());
  }

  /** Pending timers. */
  get size(): number {
    return this.#count;
  }

  /** With `holds`, the timer keeps the process alive until it fires: a caller waits for it. */
  after(ms: number, fire: () => void, { holds = false }: { readonly holds?: boolean } = {}): Alarm {
    if (this.#count === 0) this.#tick = this.#tickOf(this.#clock.now());
    const dueAt = this.#clock.now() + ms;
    const entry: Entry = { dueAt, fire, holds, slot: undefined, cancel: () => this.#remove(entry) };
    this.#put(entry);
    this.#count++;
    this.#interval ??= setInterval(() => this.#advance(), tickMs).unref();
    if (holds && this.#holding++ === 0) this.#interval.ref();
    return entry;
  }

  /** Cancels all timers. */
  close(): void {
    for (const slot of this.#slots) {
      for (const entry of slot) entry.slot = undefined;
      slot.clear();
    }
    this.#count = 0;
    this.#holding = 0;
    this.#stop();
  }

  #tickOf(ms: number): number {
    return Math.floor(ms / tickMs);
  }

  #slotAt(tick: number): Set<Entry> {
    const slot = this.#slots[tick % slotCount];
    if (slot === undefined) throw new Error("a wheel has a slot for every tick");
    return slot;
  }

  /**
   * The slot of a time, or the last slot of this round for a later one. The slot of the current tick has already fired.
   */
  #slotOf(dueAt: number): number {
    const due = Math.ceil(dueAt / tickMs);
    return Math.min(Math.max(due, this.#tick + 1), this.#tick + slotCount - 1);
  }

  #put(entry: Entry): void {
    entry.slot = this.#slotAt(this.#slotOf(entry.dueAt)).add(entry);
  }

  #remove(entry: Entry): void {
    if (entry.slot === undefined) return;
    entry.slot.delete(entry);
    entry.slot = undefined;
    this.#release(entry);
    if (--this.#count === 0) this.#stop();
  }

  #release({ holds }: Entry): void {
    if (holds && --this.#holding === 0) this.#interval?.unref();
  }

  #stop(): void {
    clearInterval(this.#interval);
    this.#interval = undefined;
  }

  #advance(): void {
    const now = this.#clock.now();
    const until = this.#tickOf(now);
    // After a long pause each slot is visited once.
    const from = Math.max(this.#tick + 1, until - slotCount + 1);
    this.#tick = Math.max(this.#tick, until);
    for (let tick = from; tick <= until; tick++) {
      const slot = this.#slotAt(tick);
      const entries = [...slot];
      slot.clear();
      for (const entry of entries) {
        if (entry.slot !== slot) continue; // cancelled by an entry that fired before it
        if (entry.dueAt > now) {
          this.#put(entry);
          continue;
        }
        entry.slot = undefined;
        this.#release(entry);
        this.#count--;
        entry.fire();
      }
    }
    if (this.#count === 0) this.#stop();
  }
}
