import { keyText, type Entry, type LogName } from "../../domain/record/entry.ts";
import { decodeCursor, encodeCursor, eventCursor, eventPosition, type Position } from "../cursor.ts";
import { OrderedRows } from "../ordered-rows.ts";
import type { RecordRow } from "../row.ts";
import type { EventScan, FoundEvent, FoundEvents, Store } from "../store.ts";
import { entryBytes, pageOf } from "../within-bytes.ts";

/** A stored session. Every change replaces it by a new one. */
export interface KeptSession {
  readonly row: RecordRow;
  readonly logs: ReadonlyMap<LogName, readonly Entry[]>;
}

/** An event, and the key of its session. */
interface OrderedEvent {
  readonly session: string;
  readonly entry: Entry;
}

type PlacedEvent = { readonly position: Position; readonly row: OrderedEvent };

/** The events of all sessions, by tenant, time, session and seq. */
export class MemoryEvents {
  readonly #sessions: Map<string, KeptSession>;
  readonly #ordered = new OrderedRows<OrderedEvent>();

  /** `sessions`: those of the store, by their keys. */
  constructor(sessions: Map<string, KeptSession>) {
    this.#sessions = sessions;
  }

  /** Order the events of a session that a change replaces. */
  replace(before: KeptSession | undefined, after: KeptSession | undefined): void {
    const [from, to] = [eventsIn(before), eventsIn(after)];
    let same = 0;
    while (same < from.length && from[same] === to[same]) same++;
    for (const entry of from.slice(same)) if (before !== undefined) this.#ordered.remove(placeOf(before.row, entry));
    for (const entry of to.slice(same))
      if (after !== undefined) this.#ordered.add(placeOf(after.row, entry), { session: keyText(after.row), entry });
  }

  /** As `Store.events`. */
  find(scan: EventScan): FoundEvents {
    const found: FoundEvent[] = [];
    for (const event of this.#scanned(scan)) {
      if (isScanned(scan, event)) found.push(event);
      if (found.length > scan.limit) break;
    }
    const { page, hasMore } = pageOf(found, ({ entry }) => entryBytes(entry), scan);
    const last = hasMore ? page.at(-1) : undefined;
    return { events: page, next: last && encodeCursor(eventPosition(last)) };
  }

  /** The events of a tenant from the beginning of the page to the end of its time range. */
  *#scanned({ tenant, order, since, before, after }: EventScan): Generator<FoundEvent, void, undefined> {
    const position = after === undefined ? [] : decodeCursor(after, eventCursor);
    const isAscending = order === "ascending";
    const items = isAscending
      ? this.#ordered.following([tenant, ...(position.length > 0 ? position : since === undefined ? [] : [since])])
      : this.#ordered.preceding([tenant, ...(position.length > 0 ? position : [before ?? Number.POSITIVE_INFINITY])]);
    for (const { position: place, row } of items) {
      const { at } = row.entry;
      if (place[0] !== tenant || (isAscending ? at >= (before ?? at + 1) : at < (since ?? at))) return;
      const kept = this.#sessions.get(row.session);
      if (kept !== undefined) yield { ...whoseEvent(kept.row), entry: row.entry };
    }
  }

  /** As `Store.deleteEvents`. */
  delete(query: Parameters<Store["deleteEvents"]>[0]): number {
    const past = Map.groupBy(this.#past(query), ({ row }) => row.session);
    let deleted = 0;
    for (const [session, items] of past) {
      const kept = this.#sessions.get(session);
      if (kept === undefined) continue;
      for (const { position } of items) this.#ordered.remove(position);
      const entries = new Set(items.map(({ row }) => row.entry));
      const events = eventsIn(kept).filter((entry) => !entries.has(entry));
      this.#sessions.set(session, { ...kept, logs: new Map(kept.logs).set("events", events) });
      deleted += items.length;
    }
    return deleted;
  }

  /** The events before a time, the oldest of each tenant first. */
  #past({ tenant, before, limit }: Parameters<Store["deleteEvents"]>[0]): PlacedEvent[] {
    const past: PlacedEvent[] = [];
    let from: Position | undefined = tenant === undefined ? [] : [tenant];
    while (from !== undefined && past.length < limit) {
      const items: Iterable<PlacedEvent> = this.#ordered.following(from);
      from = undefined;
      for (const item of items) {
        if (past.length >= limit || (tenant !== undefined && item.position[0] !== tenant)) break;
        if (item.row.entry.at < before) past.push(item);
        else {
          // The other events of this tenant are newer.
          from = tenant === undefined ? [item.position[0] ?? "", Number.POSITIVE_INFINITY] : undefined;
          break;
        }
      }
    }
    return past;
  }

  clear(): void {
    this.#ordered.clear();
  }
}

function eventsIn(kept: KeptSession | undefined): readonly Entry[] {
  return kept?.logs.get("events") ?? [];
}

function placeOf({ tenant, id }: RecordRow, { at, seq }: Entry): Position {
  return [tenant, at, id, seq];
}

function whoseEvent({ id, agent }: RecordRow): Omit<FoundEvent, "entry"> {
  return { session: id, agent };
}

function isScanned({ session, agent, beginnings, since, before }: EventScan, event: FoundEvent): boolean {
  return (
    (session === undefined || event.session === session) &&
    (agent === undefined || event.agent === agent) &&
    (beginnings === undefined || beginnings.some((beginning) => event.entry.data.startsWith(beginning))) &&
    (since === undefined || event.entry.at >= since) &&
    (before === undefined || event.entry.at < before)
  );
}
