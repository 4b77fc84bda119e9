/** The events of all sessions of a tenant: by pages, from one to the next, and as they come. */
import {
  appEventBeginnings,
  eventBeginning,
  eventKinds,
  eventOverlapMs,
  eventSeverities,
  isAppEventType,
  readEvent,
  type EventCategory,
  type EventSeverity,
  type EventType,
  type OwnEventType,
  type SessionEvent,
} from "../domain/record/event.ts";
import type { UnreadableEntry } from "../domain/record/entry.ts";
import { parseId } from "../domain/values/ids.ts";
import { invalidArgument, parseArray, parseInstant } from "../domain/values/invalid-argument.ts";
import { defined } from "../domain/values/defined.ts";
import { eachPage, type After, type Page, type PageQuery } from "../domain/values/pages.ts";
import type { EventScan, FoundEvent, FoundEvents } from "../store/store.ts";
import type { Core } from "./core/core.ts";
import type { EventRound, FollowedFeed } from "./polling/event-feed.ts";
import { guardNames, guardObject, guardSignal, type OptionNames } from "../domain/values/option-names.ts";
import { parseLimit, parseOneOf } from "./options/arguments.ts";

/** Which events of a tenant's sessions. */
export interface EventFilter {
  /** One type or several, also those of the application; `category: "app"` finds all of these. @default any */
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

const filterNames: OptionNames<EventFilter> = {
  type: true,
  category: true,
  severity: true,
  session: true,
  agent: true,
  since: true,
  before: true,
};

/** The events to list, and the page of them. */
export interface EventQuery extends EventFilter, PageQuery {
  /** `descending`: the newest first. @default "ascending" */
  readonly order?: "ascending" | "descending";
}

/** A query for events, oldest first, which may wait for new ones. */
export interface EventWalk extends EventFilter {
  /** Wait for new events until the signal aborts; without `since`, the walk returns only new events. @default false */
  readonly follow?: boolean;
  /** Ends the walk without an error. */
  readonly signal?: AbortSignal;
  /** Called once, with `follow`: the walk follows events from this time on. */
  readonly begun?: (since: Date) => void;
  /**
   * Called repeatedly, with `follow`: a walk that starts at this time misses no later event. The time is at least ten
   * seconds before the store's time.
   */
  readonly reached?: (since: Date) => void;
}

/** An event, with its session. */
export type TenantEvent = SessionEvent & {
  /** The id of its session. */
  readonly session: string;
  /** The agent of that session, as it is now. */
  readonly sessionAgent: string;
};

/** One page of events. */
export interface EventPage extends Page<TenantEvent> {
  /** Events of the page that cannot be read; absent where there are none. */
  readonly unreadable?: readonly UnreadableEvent[];
}

/** An event that is damaged. */
export interface UnreadableEvent extends UnreadableEntry {
  /** The id of its session. */
  readonly id: string;
}

/** One page. @throws SessionError `argument_invalid`, `id_invalid` */
export async function findEvents(core: Core, tenant: string, query: EventQuery): Promise<EventPage> {
  guardObject(query, "query");
  const { order = "ascending", limit = 100, after, ...filter } = query;
  const scan: EventScan = {
    ...scanOf(tenant, filter),
    order: parseOneOf(order, "order", ["ascending", "descending"]),
    limit: parseLimit(limit, core.options.limits.pageMax),
    bytesMax: core.options.limits.pageBytesMax,
    ...defined({ after }),
  };
  const { events, next } = await core.store.events(scan);
  const unreadable: UnreadableEvent[] = [];
  const readable = readableEvents(events, (event) => unreadable.push(event));
  return defined({ items: readable, next, unreadable: unreadable.length === 0 ? undefined : unreadable });
}

/** The events that can be read. A walk passes over the others; a page of events names them, and so does the doctor. */
function readableEvents(
  page: readonly FoundEvent[],
  onUnreadable: (event: UnreadableEvent) => void = () => undefined,
): TenantEvent[] {
  return page.flatMap(({ session, agent, entry }) => {
    const event = readEvent(entry);
    if (typeof event !== "string") return [{ ...event, session, sessionAgent: agent }];
    onUnreadable({ id: session, seq: entry.seq, reason: event });
    return [];
  });
}

/** One after the other, page by page. @throws SessionError `argument_invalid`, `id_invalid`, `closed` */
export async function* walkEvents(
  core: Core,
  tenant: string,
  { follow = false, signal, begun, reached, ...filter }: EventWalk,
): AsyncGenerator<TenantEvent, void, void> {
  if (typeof follow !== "boolean") throw invalidArgument("follow", follow, { expected: "boolean" });
  guardSignal({ signal });
  const scan: EventScan = {
    ...scanOf(tenant, filter),
    order: "ascending",
    limit: Math.min(core.options.limits.readMax, core.options.limits.pageMax),
    bytesMax: core.options.limits.pageBytesMax,
  };
  if (!follow) {
    yield* pages(core, scan, signal);
    return;
  }
  const feed = await core.eventFeeds.follow(tenant);
  try {
    const from = scan.since ?? feed.startedAt;
    begun?.(new Date(from));
    /** The names of the events that were returned and will be read again, with their times. */
    const returned = new Map<string, number>();
    let { since } = feed;
    if (scan.since === undefined) {
      for await (const event of pages(core, { ...scan, since }, signal))
        returned.set(nameOf(event), event.at.getTime());
    } else {
      for await (const event of pages(core, scan, signal)) {
        const at = event.at.getTime();
        if (at >= since) returned.set(nameOf(event), at);
        reached?.(new Date(Math.min(since, at - eventOverlapMs)));
        yield event;
      }
    }
    while (!isAborted(signal)) {
      reached?.(new Date(since));
      const round = await roundOf(feed, signal);
      if (round === undefined) return;
      // A slow follower that missed a round reads its events from the store; so does each follower of a large round.
      const news =
        round.since <= since && round.events !== undefined
          ? readableEvents(round.events.filter((event) => matches(scan, event)))
          : pages(core, { ...scan, since: Math.max(since, scan.since ?? since) }, signal);
      for await (const event of news) {
        const name = nameOf(event);
        if (returned.has(name)) continue;
        returned.set(name, event.at.getTime());
        yield event;
        if (isAborted(signal)) return;
      }
      since = Math.max(since, round.next);
      for (const [name, at] of returned) if (at < since) returned.delete(name);
    }
  } finally {
    feed.leave();
  }
}

/** The next round; undefined once the signal aborts. */
async function roundOf(feed: FollowedFeed, signal: AbortSignal | undefined): Promise<EventRound | undefined> {
  try {
    return await feed.next(signal);
  } catch (error) {
    if (isAborted(signal)) return undefined;
    throw error;
  }
}

/** Whether a store would find the event with this scan. */
function matches(
  { session, agent, beginnings, since = 0, before = Number.POSITIVE_INFINITY }: Omit<EventScan, "order" | "limit">,
  found: FoundEvent,
): boolean {
  const { at, data } = found.entry;
  return (
    (session === undefined || found.session === session) &&
    (agent === undefined || found.agent === agent) &&
    (beginnings === undefined || beginnings.some((beginning) => data.startsWith(beginning))) &&
    at >= since &&
    at < before
  );
}

async function* pages(
  core: Core,
  scan: EventScan,
  signal: AbortSignal | undefined,
): AsyncGenerator<TenantEvent, void, void> {
  const ask = async (after: After): Promise<FoundEvents> => {
    core.guardOpen();
    return await core.store.events({ ...scan, ...after });
  };
  if (isAborted(signal)) return;
  for await (const { events } of eachPage(ask)) {
    for (const event of readableEvents(events)) {
      if (isAborted(signal)) return;
      yield event;
    }
    if (isAborted(signal)) return;
  }
}

/** The identity of an event. A reset session numbers its events from 1 again, so the number is not enough. */
function nameOf({ at, seq, session }: TenantEvent): string {
  return `${at.getTime()} ${seq} ${session}`;
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

function scanOf(tenant: string, filter: EventFilter): Omit<EventScan, "order" | "limit"> {
  guardNames(filter, "query", filterNames);
  const { session, agent, since, before } = filter;
  return defined({
    tenant,
    session: session === undefined ? undefined : parseId(session, "sessionId"),
    agent: agent === undefined ? undefined : parseId(agent, "agent"),
    beginnings: beginningsOf(filter),
    since: since === undefined ? undefined : parseInstant(since, "since"),
    before: before === undefined ? undefined : parseInstant(before, "before"),
  });
}

/** The beginnings of the events that the filter lets through; undefined: all. @throws SessionError `argument_invalid` */
function beginningsOf({ type, category, severity }: EventFilter): readonly string[] | undefined {
  if (type === undefined && category === undefined && severity === undefined) return undefined;
  const all = Object.keys(eventKinds) as OwnEventType[];
  const named = type === undefined ? all : typeof type === "string" ? [type] : parseArray(type, "type");
  for (const one of named) if (!isAppEventType(one)) parseOneOf(one, "type", all);
  const categories = [...new Set(all.map((one) => eventKinds[one].category)), "app"];
  if (category !== undefined) parseOneOf(category, "category", categories);
  if (severity !== undefined) parseOneOf(severity, "severity", eventSeverities);
  const grave = severity === undefined ? eventSeverities : eventSeverities.slice(eventSeverities.indexOf(severity));
  const own = named
    .filter((one) => !isAppEventType(one))
    .filter((one) => {
      const kind = eventKinds[one];
      return (category === undefined || kind.category === category) && grave.includes(kind.severity);
    });
  const isApp = category === undefined || category === "app";
  const ofApp =
    type === undefined
      ? appEventBeginnings(grave)
      : named.filter(isAppEventType).flatMap((one) => appEventBeginnings(grave, one));
  return [...own.map(eventBeginning), ...(isApp ? ofApp : [])];
}
