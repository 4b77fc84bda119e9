/** Stats as one HTML file: SVG plots, no script, no external resources. */
import type { Percentiles, Stats, StatsGroup } from "../../admin.ts";
import { printable } from "../../domain/values/format-value.ts";
import { noSums } from "../../store/stats.ts";
import { daysOf, type DayLine } from "./stats-days.ts";
import { bytes, localTime, number, span } from "../terminal/output.ts";
import { counted } from "../../errors/counted.ts";

export function statsReport(stats: Stats): string {
  const { sessions, turns, handoffs, storage, groups } = stats;
  const since = stats.since === null ? "" : ` since ${localTime(stats.since)}`;
  const days = everyDay(stats);
  const active = handoffs.activeMs;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>Perdure: ${escaped(stats.tenant)}</title>
<style>${style}</style>
</head>
<body>
<h1>Sessions of ${escaped(stats.tenant)}</h1>
<p>${escaped(localTime(stats.at))}${escaped(since)}; days are in UTC</p>
<dl>
${figure(
  "sessions",
  number(sessions.total),
  Object.entries(sessions.states).flatMap(([state, count]) => (count === 0 ? [] : [`${number(count)} ${state}`])),
)}
${figure("turns", number(turns.turns), [`${number(turns.failed)} failed`, `${number(turns.interrupted)} interrupted`, `${number(turns.truncated)} truncated since`])}
${figure("tokens", number(turns.totalTokens), [`${number(turns.inputTokens)} in`, `${number(turns.outputTokens)} out`, `estimated for ${counted(turns.estimated, "turn", number)}`])}
${percentilesFigure("turns of a session", sessions.turns, number)}
${percentilesFigure("duration of a turn", turns.durationPercentilesMs, span)}
${percentilesFigure("a session lived", sessions.lifeMs, span)}
${figure("handoffs", `${number(handoffs.active)} active`, [`${number(handoffs.expired)} expired`, ...(active === null ? [] : [`mean ${span(active.mean)}`, `p50 ${span(active.p50)}`, `p95 ${span(active.p95)}`])])}
${figure("conflicts", number(turns.conflicts), ["turns that were not written because of another writer"])}
${figure("storage", bytes(storage.bytes), [`${bytes(storage.bytesPerSession)} a session`, counted(storage.entries, "entry", number)])}
</dl>
${plot("Tokens by day", days, [
  ["in", ({ inputTokens }) => inputTokens],
  ["out", ({ outputTokens }) => outputTokens],
])}
${plot("Turns by day", days, [
  ["done", (day) => day.turns - day.failed - day.interrupted],
  ["failed or interrupted", (day) => day.failed + day.interrupted],
])}
${plot("Sessions by day", days, [
  ["created", ({ created }) => created],
  ["ended", ({ ended }) => ended],
  ["expired", ({ expired }) => expired],
])}
${plot("Conflicts by day", days, [["conflicts", (day) => day.conflicts]])}
${plot("Text stored by day", days, [["bytes", (day) => day.bytes]], bytes)}
${table("agent", groups.agent)}
${table("model", groups.model)}
${table("user", groups.user)}
</body>
</html>
`;
}

const dayMs = 86_400_000;
/** A plot shows no more than the last year. */
const daysMax = 366;

/** Every day from the first to the last known one, those without data included. */
function everyDay(stats: Stats): readonly DayLine[] {
  const known = new Map(daysOf(stats).map((line) => [line.day, line]));
  const [latest] = known.keys();
  if (latest === undefined) return [];
  const last = Date.parse(latest);
  const first = Math.max(Date.parse([...known.keys()].at(-1) ?? latest), last - (daysMax - 1) * dayMs);
  return Array.from({ length: (last - first) / dayMs + 1 }, (_, index) => {
    const day = new Date(first + index * dayMs).toISOString().slice(0, 10);
    return known.get(day) ?? { day, ...noSums(), created: 0, ended: 0, expired: 0 };
  });
}

function figure(name: string, value: string, rest: readonly string[]): string {
  return `<div><dt>${escaped(name)}</dt><dd><b>${escaped(value)}</b><br>${rest.map(escaped).join("<br>")}</dd></div>`;
}

function percentilesFigure(name: string, percentiles: Percentiles | null, show: (value: number) => string): string {
  if (percentiles === null) return figure(name, "-", []);
  return figure(name, show(percentiles.p50), [
    `mean ${show(percentiles.mean)}`,
    `p95 ${show(percentiles.p95)}`,
    `max ${show(percentiles.max)}`,
  ]);
}

type Series = readonly [name: string, value: (day: DayLine) => number];

/** A bar for each day, with the series stacked. */
function plot(title: string, days: readonly DayLine[], series: readonly Series[], show = number): string {
  if (days.length === 0) return "";
  const heights = days.map((day) => series.reduce((sum, [, value]) => sum + value(day), 0));
  const most = Math.max(1, ...heights);
  const width = 900 / days.length;
  const bars = days.map((day, index) => {
    let top = 200;
    const parts = series.map(([, value], color) => {
      const height = (value(day) / most) * 190;
      top -= height;
      return `<rect class="s${color}" x="${fixed(index * width)}" y="${fixed(top)}" width="${fixed(width * 0.9)}" height="${fixed(height)}"/>`;
    });
    const values = series.map(([name, value]) => `${name} ${show(value(day))}`).join(", ");
    return `<g><title>${escaped(`${day.day}: ${values}`)}</title>${parts.join("")}</g>`;
  });
  const legend = series.map(([name], color) => `<span class="s${color}">■</span> ${escaped(name)}`).join(" &nbsp; ");
  const label = `${title}, ${days[0]?.day} to ${days.at(-1)?.day}, at most ${show(most)} a day`;
  return `<h2>${escaped(title)}</h2>
<p class="legend">${legend}</p>
<svg viewBox="0 0 900 222" role="img" aria-label="${escaped(label)}">
<line x1="0" y1="10" x2="900" y2="10"/><line x1="0" y1="200" x2="900" y2="200"/>
<text x="0" y="8">${escaped(show(most))}</text>
${bars.join("\n")}
<text x="0" y="218">${escaped(days[0]?.day ?? "")}</text><text x="900" y="218" text-anchor="end">${escaped(days.at(-1)?.day ?? "")}</text>
</svg>`;
}

/** A table of the groups with the most tokens, with bars. */
function table(kind: string, groups: readonly StatsGroup[] = []): string {
  if (groups.length === 0) return "";
  const shown = groups.slice(0, 50);
  const most = Math.max(1, ...shown.map(({ totalTokens }) => totalTokens));
  const rows = shown.map(
    (group) => `<tr><th scope="row">${escaped(group.key ?? "-")}</th><td>${number(group.turns)}</td>
<td>${number(group.failed + group.interrupted)}</td><td>${number(group.requests)}</td><td>${number(group.totalTokens)}</td>
<td>${group.turns === 0 ? "-" : escaped(span(group.durationMs / group.turns))}</td>
${kind === "model" ? "" : `<td>${number(group.conflicts)}</td>`}<td class="bar"><svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect class="s0" width="${fixed((group.totalTokens / most) * 100)}" height="10"/></svg></td></tr>`,
  );
  const rest = groups.length > shown.length ? `<p>the first ${shown.length}, by tokens</p>` : "";
  return `<h2>By ${kind}</h2>
<table><thead><tr><th scope="col">${kind}</th><th>turns</th><th>failed</th><th>calls</th><th>tokens</th><th>mean time</th>${kind === "model" ? "" : "<th>conflicts</th>"}<th></th></tr></thead>
<tbody>
${rows.join("\n")}
</tbody></table>${rest}`;
}

function fixed(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/** A text escaped for HTML elements and quoted attributes. */
function escaped(text: string): string {
  return printable(text)
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}

const style = `
:root { color-scheme: light dark; --one: #2563eb; --two: #f59e0b; --three: #ef4444; --line: #8884; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 0; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(12rem, 1fr)); gap: 1rem; }
dl div { border: 1px solid var(--line); border-radius: .5rem; padding: .75rem; }
dt { opacity: .7; } dd { margin: 0; } dd b { font-size: 1.4rem; }
svg { width: 100%; height: auto; display: block; } svg text { font-size: 10px; fill: currentColor; opacity: .7; }
svg line { stroke: var(--line); }
rect.s0 { fill: var(--one); } rect.s1 { fill: var(--two); } rect.s2 { fill: var(--three); }
span.s0 { color: var(--one); } span.s1 { color: var(--two); } span.s2 { color: var(--three); }
.legend { margin: 0; }
table { border-collapse: collapse; width: 100%; } td, thead th { text-align: right; padding: .2rem .6rem; }
th[scope] { text-align: left; font-weight: inherit; overflow-wrap: anywhere; } tr { border-bottom: 1px solid var(--line); }
td.bar { width: 30%; } td.bar svg { height: .7rem; }
`;
