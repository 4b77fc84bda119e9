/** What waits in the outbox, in sums that are kept as it changes: health is asked for often, and by anybody. */
import { headOf } from "../../domain/record/change.ts";
import { keyText, type SessionKey } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { ErrorCode } from "../../errors.ts";
import type { Told } from "./replay-progress.ts";

/** What waits to be told to the store. */
export interface OutboxState {
  /** Turns the store has not got. */
  readonly waiting: number;
  /** Sessions they are of. */
  readonly sessions: number;
  /** When the oldest of them was touched last; null: nothing waits. */
  readonly oldest: Date | null;
  /** How many items the store refused for good. */
  readonly parkedItems: number;
  /** What the store refused for good, and why: one turn of a session, or all that waits of it. The first hundred. */
  readonly parked: readonly ParkedItem[];
  /** Sessions that could not be sent when it was last tried, and why; they are tried again. The first hundred. */
  readonly failing: readonly ParkedItem[];
}

/** What of a session the store has not taken. */
export interface ParkedItem {
  readonly session: string;
  readonly tenant: string;
  /** Undefined: all that waits of the session. */
  readonly turn?: number;
  /** `internal` where the error is none of Perdure's. */
  readonly code: ErrorCode;
}

interface Waiting {
  readonly turns: number;
  readonly touchedAt: number;
}

/** A list of the state names so many; the others are counted. */
const listMax = 100;

export class OutboxSums {
  /** By session, the one touched longest ago first. */
  readonly #waiting = new Map<string, Waiting>();
  readonly #parked = new Map<string, readonly ParkedItem[]>();
  readonly #failing = new Map<string, ParkedItem>();
  #turns = 0;
  #parkedItems = 0;

  /** What waits of a session now. `parked`: why all of it does. */
  set(record: SessionRecord, told: Told, parked: ErrorCode | undefined): void {
    const key = keyText(record);
    const { tenant, id: session, lastActivityAt } = record;
    const refused = Object.entries(told.refused).map(([turn, code]) => ({ session, tenant, turn: Number(turn), code }));
    this.#park(key, parked === undefined ? refused : [{ session, tenant, code: parked }, ...refused]);
    const turns = headOf(record, "turns") - told.turns + refused.length;
    const waits = turns > 0 || headOf(record, "events") > told.events;
    this.#wait(key, waits ? { turns, touchedAt: lastActivityAt } : undefined);
  }

  /** Why a session could not be sent just now; undefined: it could. True where that is news. */
  fail({ tenant, id: session }: SessionKey, code: ErrorCode | undefined): boolean {
    const key = keyText({ tenant, id: session });
    const isNews = this.#failing.get(key)?.code !== code;
    if (code === undefined) this.#failing.delete(key);
    else this.#failing.set(key, { session, tenant, code });
    return isNews;
  }

  remove(session: SessionKey): void {
    const key = keyText(session);
    this.#wait(key, undefined);
    this.#park(key, []);
    this.#failing.delete(key);
  }

  get state(): OutboxState {
    const [oldest] = this.#waiting.values();
    return {
      waiting: this.#turns,
      sessions: this.#waiting.size,
      oldest: oldest === undefined ? null : new Date(oldest.touchedAt),
      parkedItems: this.#parkedItems,
      parked: firstOf(this.#parked.values()),
      failing: firstOf(this.#failing.values()),
    };
  }

  #wait(key: string, waiting: Waiting | undefined): void {
    const before = this.#waiting.get(key);
    this.#turns += (waiting?.turns ?? 0) - (before?.turns ?? 0);
    // One that was touched again goes behind the others.
    if (waiting === undefined || waiting.touchedAt !== before?.touchedAt) this.#waiting.delete(key);
    if (waiting !== undefined) this.#waiting.set(key, waiting);
  }

  #park(key: string, items: readonly ParkedItem[]): void {
    this.#parkedItems += items.length - (this.#parked.get(key)?.length ?? 0);
    if (items.length === 0) this.#parked.delete(key);
    else this.#parked.set(key, items);
  }
}

function firstOf(all: Iterable<ParkedItem | readonly ParkedItem[]>): readonly ParkedItem[] {
  const items: ParkedItem[] = [];
  for (const one of all) {
    if (items.length >= listMax) break;
    items.push(...[one].flat());
  }
  return items.slice(0, listMax);
}
