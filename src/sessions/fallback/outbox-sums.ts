/** Sums of the outbox, updated as it changes: every health check reads them. */
import { headOf } from "../../domain/record/change.ts";
import { keyText, type SessionKey } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { ErrorCode } from "../../errors.ts";
import type { ReplayProgress } from "./replay-progress.ts";

/** Turns and handoffs that wait for their replay to the store. */
export interface OutboxState {
  /** Turns that are not in the store. */
  readonly waiting: number;
  /** Sessions with such turns or handoffs. */
  readonly sessions: number;
  /** When the session that waits longest was last active; null: nothing waits. */
  readonly oldest: Date | null;
  /** Items that the store refused for good. */
  readonly parkedItems: number;
  /** The first hundred items that the store refused for good: one turn of a session, or the whole session. */
  readonly parked: readonly ParkedItem[];
  /** The first hundred sessions whose last replay failed; it is retried. */
  readonly failing: readonly ParkedItem[];
}

/** A session, or one turn of it, that is not in the store. */
export interface ParkedItem {
  readonly session: string;
  readonly tenant: string;
  /** Undefined: the whole session. */
  readonly turn?: number;
  /** `internal` for an error that is not typed. */
  readonly code: ErrorCode;
}

interface Waiting {
  readonly turns: number;
  readonly touchedAt: number;
}

/** Maximum number of items in a list of the state. */
const listMax = 100;

export class OutboxSums {
  /** By session, least recently active first. */
  readonly #waiting = new Map<string, Waiting>();
  readonly #parked = new Map<string, readonly ParkedItem[]>();
  readonly #failing = new Map<string, ParkedItem>();
  #turns = 0;
  #parkedItems = 0;

  /** Update the sums of a session. `parked`: the code if the whole session is parked. */
  set(record: SessionRecord, progress: ReplayProgress, parked: ErrorCode | undefined): void {
    const key = keyText(record);
    const { tenant, id: session, lastActivityAt } = record;
    const refused = Object.entries(progress.refused).map(([turn, code]) => ({
      session,
      tenant,
      turn: Number(turn),
      code,
    }));
    this.#park(key, parked === undefined ? refused : [{ session, tenant, code: parked }, ...refused]);
    const turns = headOf(record, "turns") - progress.turns + refused.length;
    const waits = turns > 0 || headOf(record, "events") > progress.events;
    this.#wait(key, waits ? { turns, touchedAt: lastActivityAt } : undefined);
  }

  /** Set the code of a failed replay; undefined: it succeeded. True if the code changed. */
  fail({ tenant, id: session }: SessionKey, code: ErrorCode | undefined): boolean {
    const key = keyText({ tenant, id: session });
    const hasChanged = this.#failing.get(key)?.code !== code;
    if (code === undefined) this.#failing.delete(key);
    else this.#failing.set(key, { session, tenant, code });
    return hasChanged;
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
    // A session that was active again moves to the end.
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
