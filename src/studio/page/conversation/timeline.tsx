import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { call, sessionPath } from "../http/api.ts";
import type { LeaseHolder, LogPage, SessionEvent, Turn } from "../http/wire.ts";
import { eventText } from "../view/event-text.ts";
import { compact, instant, span, stamp, words } from "../view/format.ts";
import { Json } from "../view/code.tsx";
import { shown as masked } from "../view/mask.ts";
import { Blank, Failure, Loading, sessionHref, useLoaded } from "../view/parts.tsx";
import type { Conversation } from "./conversation.ts";
import { textOf } from "./turn-view.tsx";

/** The last so many of each are on the axis. */
const shown = 300;

interface Story {
  readonly turns: readonly Turn[];
  readonly events: readonly SessionEvent[];
  readonly isCut: boolean;
}

/** Turns, events, handoffs and leases on one axis, and as one list. */
export function Timeline({ conversation }: { readonly conversation: Conversation }): JSX.Element {
  const { id, changes, holder } = conversation;
  const { value, error, reload } = useLoaded(async (signal) => await storyOf(id, signal), [id, changes.value]);
  if (error !== undefined) return <Failure error={error} retry={reload} />;
  if (value === undefined)
    return (
      <div class="main-column">
        <Loading />
      </div>
    );
  const { turns, events, isCut } = value;
  if (turns.length + events.length === 0) return <Blank title="Nothing has happened yet" />;
  return (
    <div class="main-column page-scroll" tabIndex={0} role="region" aria-label="Timeline">
      <Axis turns={turns} events={events} holder={holder.value} />
      <List id={id} turns={turns} events={events} />
      {isCut && <p class="faint timeline-cut">The last {shown} turns and events are shown.</p>}
    </div>
  );
}

async function storyOf(id: string, signal: AbortSignal): Promise<Story> {
  const query = { last: shown };
  const [turns, events] = await Promise.all([
    call<LogPage<Turn>>(sessionPath(id, "/turns"), { query, signal }),
    call<LogPage<SessionEvent>>(sessionPath(id, "/events"), { query, signal }),
  ]);
  const isCut = turns.before !== undefined || events.before !== undefined;
  return { turns: turns.items, events: events.items, isCut };
}

/** A time that passes without anything takes this much of the axis at most, ms. */
const idleMs = 30_000;
const axis = { width: 1000, left: 72, lane: 26, top: 20 };

interface Span {
  readonly from: number;
  readonly to: number;
}

/** Makes places on the axis: a long idle time is short, so that what happened is visible. */
function scaleOf(times: readonly number[]): (at: number) => number {
  const sorted = [...new Set(times)].sort((a, b) => a - b);
  const places = [0];
  for (let index = 1; index < sorted.length; index++) {
    const gap = (sorted[index] ?? 0) - (sorted[index - 1] ?? 0);
    const width = gap <= idleMs ? gap : idleMs + Math.log2(gap / idleMs) * 4000;
    places.push((places[index - 1] ?? 0) + width);
  }
  const whole = Math.max(1, places.at(-1) ?? 1);
  return (at) => {
    const next = sorted.findIndex((time) => time >= at);
    const index = next === -1 ? sorted.length - 1 : next;
    const before = Math.max(0, index - 1);
    const [from = 0, to = from] = [sorted[before], sorted[index]];
    const [start = 0, end = start] = [places[before], places[index]];
    const share = to === from ? 1 : Math.min(1, (at - from) / (to - from));
    return axis.left + ((start + share * (end - start)) / whole) * (axis.width - axis.left - 8);
  };
}

function Axis({
  turns,
  events,
  holder,
}: {
  readonly turns: readonly Turn[];
  readonly events: readonly SessionEvent[];
  readonly holder: LeaseHolder | undefined;
}): JSX.Element {
  const now = Date.now();
  const spans = turns.map((turn) => {
    const from = Date.parse(turn.at);
    return { turn, from, to: turn.status === "open" ? now : from + (turn.durationMs ?? 0) + (turn.waitedMs ?? 0) };
  });
  const handoffs = handoffsOf(events, now);
  const lease = holder === undefined ? undefined : { from: Date.parse(holder.acquiredAt), to: now };
  const times = [...spans, ...handoffs, ...(lease === undefined ? [] : [lease])].flatMap(({ from, to }) => [from, to]);
  const place = scaleOf([...times, ...events.map(({ at }) => Date.parse(at))]);
  const lanes = ["turns", "agent", "lease", "events"];
  const y = (lane: number): number => axis.top + lane * axis.lane;
  const box = ({ from, to }: Span): { x: number; width: number } => {
    const x = place(from);
    return { x, width: Math.max(3, place(to) - x) };
  };
  return (
    <div class="axis-box" tabIndex={0} role="region" aria-label="Axis">
      <svg
        class="axis"
        viewBox={`0 0 ${axis.width} ${axis.top + lanes.length * axis.lane + 4}`}
        role="img"
        aria-label={`${turns.length} turns, ${handoffs.length} handoffs and ${events.length} events on one axis; the list below has them in order`}
      >
        {lanes.map((name, lane) => (
          <g key={name}>
            <text x={0} y={y(lane) + 15}>
              {name}
            </text>
            <line x1={axis.left} x2={axis.width} y1={y(lane) + 22.5} y2={y(lane) + 22.5} />
          </g>
        ))}
        {spans.map(({ turn, ...one }) => (
          <rect key={turn.seq} class={`bar-${turn.status}`} y={y(0) + 3} height={16} rx={3} {...box(one)}>
            <title>{`Turn ${turn.seq}, ${turn.agent}, ${turn.status}, ${span(one.to - one.from)}`}</title>
          </rect>
        ))}
        {handoffs.map((one) => (
          <rect key={`${one.agent}${one.from}`} class="bar-handoff" y={y(1) + 3} height={16} rx={3} {...box(one)}>
            <title>{`${one.agent}, ${span(one.to - one.from)}`}</title>
          </rect>
        ))}
        {lease !== undefined && (
          <rect
            class={holder?.alive === true ? "bar-done" : "bar-failed"}
            y={y(2) + 3}
            height={16}
            rx={3}
            {...box(lease)}
          >
            <title>{`Held by ${holder?.instance ?? ""}, fence ${holder?.fence ?? ""}`}</title>
          </rect>
        )}
        {events.map(({ seq, type, at, severity, category }) => (
          <circle
            key={seq}
            class={`dot-${severity}`}
            cx={place(Date.parse(at)) + 2}
            cy={y(category === "lease" ? 2 : category === "handoff" ? 1 : 3) + 11}
            r={4}
          >
            <title>{`${words(type)}, ${instant(at)}`}</title>
          </circle>
        ))}
      </svg>
    </div>
  );
}

function handoffsOf(events: readonly SessionEvent[], now: number): (Span & { readonly agent: string })[] {
  const spans: (Span & { readonly agent: string })[] = [];
  let open: { agent: string; from: number } | undefined;
  for (const event of events) {
    if (event.type !== "handed_off" && event.type !== "handoff_ended") continue;
    const at = Date.parse(event.at);
    if (open !== undefined) spans.push({ ...open, to: at });
    open = event.type === "handed_off" ? { agent: String(event["agent"]), from: at } : undefined;
  }
  if (open !== undefined) spans.push({ ...open, to: now });
  return spans;
}

type Item = { readonly at: string; readonly turn: Turn } | { readonly at: string; readonly event: SessionEvent };

function List({ id, turns, events }: { readonly id: string } & Omit<Story, "isCut">): JSX.Element {
  // Events come first of those with the same time: a session is created before its first turn.
  const items: Item[] = [
    ...events.map((event) => ({ at: event.at, event })),
    ...turns.map((turn) => ({ at: turn.at, turn })),
  ].sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
  return (
    <ol class="story">
      {items.map((item, index) => {
        const previous = items[index - 1];
        const gap = previous === undefined ? 0 : Date.parse(item.at) - Date.parse(previous.at);
        return (
          <li key={"turn" in item ? `turn-${item.turn.seq}` : `event-${item.event.seq}`}>
            {gap > idleMs && <span class="story-gap">{span(gap)} later</span>}
            {"turn" in item ? <TurnItem id={id} turn={item.turn} /> : <EventItem event={item.event} />}
          </li>
        );
      })}
    </ol>
  );
}

function TurnItem({ id, turn }: { readonly id: string; readonly turn: Turn }): JSX.Element {
  const { seq, at, status, agent, durationMs, usage, input } = turn;
  return (
    <div class="story-item">
      <time class="faint" dateTime={at}>
        {stamp(at)}
      </time>
      <span class={`state state-${status}`}>turn {seq}</span>
      <a class="clip link" href={sessionHref(id, `#turn-${seq}`)}>
        {masked(textOf(input.find(({ role }) => role === "user")?.content)) || "no question"}
      </a>
      <span class="faint">
        {agent}
        {durationMs === undefined ? "" : ` · ${span(durationMs)}`}
        {usage === undefined ? "" : ` · ${compact(usage.totalTokens)} tokens`}
      </span>
    </div>
  );
}

function EventItem({ event }: { readonly event: SessionEvent }): JSX.Element {
  const isOpen = useSignal(false);
  return (
    <>
      <button
        type="button"
        class="story-item"
        aria-expanded={isOpen.value}
        onClick={() => (isOpen.value = !isOpen.value)}
      >
        <time class="faint" dateTime={event.at}>
          {stamp(event.at)}
        </time>
        <span class={`state state-${event.severity}`}>{words(event.type)}</span>
        <span class="clip soft">{eventText(event)}</span>
        <span class="faint">{event.category}</span>
      </button>
      {isOpen.value && <Json value={event} />}
    </>
  );
}
