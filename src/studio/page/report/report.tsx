import type { JSX } from "preact";
import { states, type Percentiles, type Stats } from "../http/wire.ts";
import { daysOf, plotsOf, type Day } from "../usage/days.ts";
import { Figure } from "../usage/figure.tsx";
import { GroupTable } from "../usage/group-table.tsx";
import { Plot } from "../usage/plot.tsx";
import { bytes, compact, counted, instant, number, span } from "../view/format.ts";

const dayMs = 86_400_000;
/** A single day stands among the days before it, so that its bar is one of several places. */
const daysMin = 7;
/** A plot shows no more than the last year. */
const daysMax = 366;
const rowsMax = 50;

/** The numbers of a tenant at one moment, in one file that loads nothing. */
export function Report({ stats }: { readonly stats: Stats }): JSX.Element {
  const { tenant, at, since, unreadable, groups, turns } = stats;
  const days = knownDays(stats);
  const plots = plotsOf(days);
  return (
    <main class="report">
      <header class="report-head">
        <span class="logo" aria-hidden="true" />
        <h1>Sessions of {tenant}</h1>
        <p class="faint">
          <time dateTime={at}>{instant(at)}</time>
          {since !== null && (
            <>
              , since <time dateTime={since}>{instant(since)}</time>
            </>
          )}
          . Days are in UTC.
        </p>
      </header>
      {unreadable.sessions + unreadable.entries > 0 && (
        <p class="notice notice-error">
          {counted(unreadable.sessions, "record")} and {number(unreadable.entries)} entries cannot be read, and are in
          no sum. perdure doctor names them.
        </p>
      )}
      <Figures stats={stats} />
      {days.length === 0 ? (
        <p class="card report-empty">No session came or went, and no turn began.</p>
      ) : (
        <div class="grid">
          <Plot {...plots.tokens} />
          <Plot {...plots.turns} />
          <Plot {...plots.sessions} />
          <Plot {...plots.latency} />
          <Plot {...plots.text} />
          {turns.conflicts > 0 && <Plot {...plots.conflicts} />}
          <GroupTable title="By agent" kind="Agent" groups={groups["agent"] ?? []} most={rowsMax} />
          <GroupTable title="By model" kind="Model" groups={groups["model"] ?? []} most={rowsMax} />
          <GroupTable title="By user" kind="User" groups={groups["user"] ?? []} most={rowsMax} />
        </div>
      )}
      {days.length > 0 && <DayTable days={days} />}
    </main>
  );
}

function Figures({ stats: { sessions, turns, handoffs, ratings, storage } }: { readonly stats: Stats }): JSX.Element {
  const known = states.filter((state) => sessions.states[state] > 0);
  return (
    <dl class="figures-row">
      <Figure name="Sessions" value={compact(sessions.total)}>
        {known.map((state) => `${compact(sessions.states[state])} ${state}`).join(" · ")}
      </Figure>
      <Figure name="Turns" value={compact(turns.turns)}>
        {number(turns.failed)} failed · {number(turns.interrupted)} interrupted
        {turns.truncated > 0 && ` · ${number(turns.truncated)} truncated since`}
      </Figure>
      <Figure name="Tokens" value={compact(turns.totalTokens)}>
        {compact(turns.inputTokens)} in · {compact(turns.outputTokens)} out
        {turns.estimated > 0 && ` · estimated for ${counted(turns.estimated, "turn")}`}
      </Figure>
      <Spread name="Turns of a session" values={sessions.turns} format={number} />
      <Spread name="Duration of a turn" values={turns.durationPercentilesMs} format={span} />
      <Spread name="Life of a session" values={sessions.lifeMs} format={span} />
      <Figure name="Handoffs" value={number(handoffs.active)}>
        active · {number(handoffs.expired)} expired
        {handoffs.activeMs !== null && ` · p50 ${span(handoffs.activeMs.p50)}`}
      </Figure>
      <Figure name="Conflicts" value={number(turns.conflicts)}>
        outdated views of writers
      </Figure>
      {ratings.up + ratings.down + ratings.scores > 0 && (
        <Figure name="Ratings" value={number(ratings.up)}>
          up · {number(ratings.down)} down
          {ratings.meanScore !== null &&
            ` · ${counted(ratings.scores, "score")} of mean ${Number(ratings.meanScore.toPrecision(3))}`}
        </Figure>
      )}
      <Figure name="Storage" value={bytes(storage.bytes)}>
        {bytes(storage.bytesPerSession)} a session · {number(storage.entries)} entries
      </Figure>
      {storage.attachments.count > 0 && (
        <Figure name="Attachments" value={number(storage.attachments.count)}>
          {bytes(storage.attachments.bytes)}
        </Figure>
      )}
    </dl>
  );
}

interface SpreadProps {
  readonly name: string;
  readonly values: Percentiles | null;
  readonly format: (value: number) => string;
}

/** The middle of some values, and how far the others are from it. */
function Spread({ name, values, format }: SpreadProps): JSX.Element {
  if (values === null)
    return (
      <Figure name={name} value="–">
        none is known
      </Figure>
    );
  const { mean, p50, p95, max } = values;
  return (
    <Figure name={name} value={format(p50)}>
      p95 {format(p95)} · mean {format(mean)} · max {format(max)}
    </Figure>
  );
}

/** Each day from the first known one to the last. */
function knownDays(stats: Stats): readonly Day[] {
  const names = [...(stats.groups["day"] ?? []).map(({ key }) => key), ...stats.days.map(({ day }) => day)];
  const times = names.flatMap((name) => (name === null ? [] : [Date.parse(name)]));
  if (times.length === 0) return [];
  const [first, last] = [Math.min(...times), Math.max(...times)];
  return daysOf(stats, last, Math.min(Math.max((last - first) / dayMs + 1, daysMin), daysMax));
}

/** The values of the plots, for readers that see none. */
function DayTable({ days }: { readonly days: readonly Day[] }): JSX.Element {
  const known = days.filter(({ turns, sessions }) => turns !== undefined || sessions !== undefined).toReversed();
  return (
    <details class="card report-days">
      <summary>{counted(known.length, "day")} in numbers</summary>
      <div class="report-wide" tabIndex={0} role="region" aria-label="Days in numbers">
        <table class="table">
          <thead>
            <tr>
              <th scope="col">Day</th>
              {["Turns", "Failed", "In", "Out", "Mean", "Text", "Conflicts", "Created", "Ended", "Expired"].map(
                (name) => (
                  <th key={name} scope="col" class="num">
                    {name}
                  </th>
                ),
              )}
            </tr>
          </thead>
          <tbody>
            {known.map(({ at, turns, sessions }) => (
              <tr key={at}>
                <th scope="row">{new Date(at).toISOString().slice(0, 10)}</th>
                {[
                  number(turns?.turns ?? 0),
                  number((turns?.failed ?? 0) + (turns?.interrupted ?? 0)),
                  compact(turns?.inputTokens ?? 0),
                  compact(turns?.outputTokens ?? 0),
                  turns === undefined || turns.durationMs === 0 ? "–" : span(turns.durationMs / turns.turns),
                  bytes(turns?.bytes ?? 0),
                  number(turns?.conflicts ?? 0),
                  number(sessions?.created ?? 0),
                  number(sessions?.ended ?? 0),
                  number(sessions?.expired ?? 0),
                ].map((text, index) => (
                  <td key={index} class="num">
                    {text}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
