import type { Clock } from "../clock.ts";

/** Something that rings once, unless it is cancelled. */
export interface Alarm {
  cancel(): void;
}

interface Entry extends Alarm {
  readonly dueAt: number;
  readonly ring: () => void;
  readonly holds: boolean;
  /** Where it stands; undefined once it rang or was cancelled. */
  slot: Set<Entry> | undefined;
}

const tickMs = 100;
const slotCount = 512;

/**
 * All timers of a host in one: slots that a single interval goes round, a tenth of a second each. What is due later than one
 * round is put back when its slot comes by. Rings up to a tick late, never early; holds no process open, and does not
 * run while nothing waits.
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

  /** How many wait. */
  get size(): number {
    return this.#count;
  }

  /** Who `holds` keeps the process open until then: somebody waits for what it brings about. */
  after(ms: number, ring: () => void, { holds = false }: { readonly holds?: boolean } = {}): Alarm {
    if (this.#count === 0) this.#tick = this.#tickOf(this.#clock.now());
    const dueAt = this.#clock.now() + ms;
    const entry: Entry = { dueAt, ring, holds, slot: undefined, cancel: () => this.#remove(entry) };
    this.#put(entry);
    this.#count++;
    this.#interval ??= setInterval(() => this.#turn(), tickMs).unref();
    if (holds && this.#holding++ === 0) this.#interval.ref();
    return entry;
  }

  /** Nothing rings any more. */
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

  /** Its slot, or the last of this round for what is due later; the slot of this tick has been passed. */
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

  #turn(): void {
    const now = this.#clock.now();
    const until = this.#tickOf(now);
    // After a long pause every slot comes by once.
    const from = Math.max(this.#tick + 1, until - slotCount + 1);
    this.#tick = Math.max(this.#tick, until);
    for (let tick = from; tick <= until; tick++) {
      const slot = this.#slotAt(tick);
      const entries = [...slot];
      slot.clear();
      for (const entry of entries) {
        if (entry.slot !== slot) continue; // cancelled by one that rang before it
        if (entry.dueAt > now) {
          this.#put(entry);
          continue;
        }
        entry.slot = undefined;
        this.#release(entry);
        this.#count--;
        entry.ring();
      }
    }
    if (this.#count === 0) this.#stop();
  }
}
