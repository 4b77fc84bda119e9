/** The events of all sessions of a tenant: by pages, from one to the next, and as they come. */
import {
  eventBeginning,
  eventKinds,
  eventOf,
  eventOverlapMs,
  eventSeverities,
  type EventCategory,
  type EventSeverity,
  type EventType,
  type SessionEvent,
} from "../domain/event.ts";
import { parseId } from "../domain/ids.ts";
import { show } from "../domain/show.ts";
import { SessionError } from "../errors.ts";
import { encodeCursor, eventPosition } from "../store/cursor.ts";
import type { EventScan, FoundEvent } from "../store/store.ts";
import { entryBytes, withinBytes } from "../store/within-bytes.ts";
import type { Core } from "./core.ts";
import { parseInstant } from "./instant.ts";
import { parseLimit } from "./page-limit.ts";

/** Which events of a tenant's sessions. */
export interface EventFilter {
  /** One type or several. @default any */
  readonly type?: EventType | readonly EventType[];
  readonly category?: EventCategory;
  /** This severity or a graver one: `warning` finds errors, too. */
  readonly severity?: EventSeverity;
  /** Those of one session. */
  readonly session?: string;
  /** Those of sessions for this agent. */
  readonly agent?: string;
  /** At or after. */
  readonly since?: Date;
  /** Before. */
  readonly before?: Date;
}

/** Which events, and how many at once. */
export interface EventQuery extends EventFilter {
  /** `descending`: the newest first. @default "ascending" */
  readonly order?: "ascending" | "descending";
  /** Events on the page. @default 100 */
  readonly limit?: number;
  /** The `next` of the page before. */
  readonly after?: string;
}

/** Which events to go through, oldest first, and whether to wait for more. */
export interface EventWalk extends EventFilter {
  /** Go on with those that come, until the signal aborts; without `since`, only with those. @default false */
  readonly follow?: boolean;
  /** Ends it without an error. */
  readonly signal?: AbortSignal;
  /** Told once, with `follow`: events from then on are followed. */
  readonly begun?: (since: Date) => void;
}

/** An event, and whose it is. */
export type TenantEvent = SessionEvent & {
  /** The id of its session. */
  readonly session: string;
  /** The agent of that session, as it is now. */
  readonly sessionAgent: string;
};

/** One page of events. */
export interface EventPage {
  readonly events: readonly TenantEvent[];
  /** Pass it as `after` for the next page; absent on the last one. */
  readonly next?: string;
}

const lookEveryMs = 500;

/** One page. @throws SessionError `argument_invalid`, `id_invalid` */
export async function findEvents(core: Core, tenant: string, query: EventQuery): Promise<EventPage> {
  const { order = "ascending", limit = 100, after, ...filter } = query;
  const scan: EventScan = {
    ...scanOf(tenant, filter),
    order: parseOrder(order),
    limit: parseLimit(limit, core.options.limits.pageMax),
    ...(after === undefined ? {} : { after }),
  };
  const { events, next } = await core.store.events(scan);
  const page = withinBytes(events, ({ entry }) => entryBytes(entry), core.options.limits.pageBytesMax);
  const last = page.at(-1);
  const goesOn = page.length < events.length && last !== undefined ? encodeCursor(eventPosition(last)) : next;
  return { events: page.map(tenantEvent), ...(goesOn === undefined ? {} : { next: goesOn }) };
}

/** One after the other, page by page. @throws SessionError `argument_invalid`, `id_invalid`, `closed` */
export async function* walkEvents(
  core: Core,
  tenant: string,
  { follow = false, signal, begun, ...filter }: EventWalk,
): AsyncGenerator<TenantEvent, void, void> {
  const scan: EventScan = {
    ...scanOf(tenant, filter),
    order: "ascending",
    limit: Math.min(core.options.limits.readMax, core.options.limits.pageMax),
  };
  if (!follow) {
    yield* pages(core, scan, signal);
    return;
  }
  /** What was told of the time that the next look reads again, with when it was. */
  const told = new Map<string, number>();
  const from = scan.since ?? (await core.store.instances([])).now;
  begun?.(new Date(from));
  let since = scan.since ?? from - eventOverlapMs;
  if (scan.since === undefined) {
    for await (const event of pages(core, { ...scan, since }, signal)) told.set(nameOf(event), event.at);
  }
  while (!isAborted(signal)) {
    const begin = since;
    for await (const event of pages(core, { ...scan, since: begin }, signal)) {
      const name = nameOf(event);
      if (told.has(name)) continue;
      told.set(name, event.at);
      since = Math.max(since, event.at - eventOverlapMs);
      yield event;
    }
    for (const [name, at] of told) if (at < since) told.delete(name);
    // Whoever stops waiting is told by the condition above.
    await core.options.clock.sleep(lookEveryMs, signal).catch(() => undefined);
  }
}

async function* pages(
  core: Core,
  scan: EventScan,
  signal: AbortSignal | undefined,
): AsyncGenerator<TenantEvent, void, void> {
  for (let after: { after?: string } = {}; !isAborted(signal);) {
    core.guardOpen();
    const { events, next } = await core.store.events({ ...scan, ...after });
    for (const event of events) {
      if (isAborted(signal)) return;
      yield tenantEvent(event);
    }
    if (next === undefined) return;
    after = { after: next };
  }
}

/** Tells an event from every other; a session that begins afresh numbers its events from 1 again. */
function nameOf({ at, seq, session }: TenantEvent): string {
  return `${at} ${seq} ${session}`;
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

function tenantEvent({ session, agent, entry }: FoundEvent): TenantEvent {
  return { ...eventOf(entry), session, sessionAgent: agent };
}

function scanOf(tenant: string, filter: EventFilter): Omit<EventScan, "order" | "limit"> {
  const { session, agent, since, before } = filter;
  const types = typesOf(filter);
  return {
    tenant,
    ...(session === undefined ? {} : { session: parseId(session, "session id") }),
    ...(agent === undefined ? {} : { agent: parseId(agent, "agent") }),
    ...(types === undefined ? {} : { beginnings: types.map(eventBeginning) }),
    ...(since === undefined ? {} : { since: parseInstant(since, "since") }),
    ...(before === undefined ? {} : { before: parseInstant(before, "before") }),
  };
}

/** The types that the filter lets through; undefined: all. */
function typesOf({ type, category, severity }: EventFilter): readonly EventType[] | undefined {
  if (type === undefined && category === undefined && severity === undefined) return undefined;
  const all = Object.keys(eventKinds) as EventType[];
  const named = type === undefined ? all : typeof type === "string" ? [type] : type;
  for (const one of named) guardOneOf(all, one, "type");
  const categories = [...new Set(all.map((one) => eventKinds[one].category))];
  if (category !== undefined) guardOneOf(categories, category, "category");
  if (severity !== undefined) guardOneOf(eventSeverities, severity, "severity");
  const grave = severity === undefined ? eventSeverities : eventSeverities.slice(eventSeverities.indexOf(severity));
  return named.filter((one) => {
    const kind = eventKinds[one];
    return (category === undefined || kind.category === category) && grave.includes(kind.severity);
  });
}

function parseOrder(order: "ascending" | "descending"): "ascending" | "descending" {
  guardOneOf(["ascending", "descending"], order, "order");
  return order;
}

function guardOneOf(known: readonly string[], value: string, name: string): void {
  if (known.includes(value)) return;
  throw new SessionError("argument_invalid", { name, value: show(value), expected: known.join(", ") });
}
