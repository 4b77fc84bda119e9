/** Turns and sessions by day as the series of plots. */
import type { SessionDay, Stats, Sums } from "../http/wire.ts";
import { bytes, compact, span } from "../view/format.ts";
import type { PlotProps, Series } from "./plot.tsx";

const dayMs = 86_400_000;

export interface Day {
  /** Its begin in UTC, epoch ms. */
  readonly at: number;
  /** Undefined: no turn began. */
  readonly turns: Sums | undefined;
  /** Undefined: no session came or went. */
  readonly sessions: SessionDay | undefined;
}

/** So many days up to the last one, also those without a turn, the earliest first. */
export function daysOf({ groups, days }: Stats, last: number, count: number): readonly Day[] {
  const turns = new Map((groups["day"] ?? []).map((one) => [one.key, one]));
  const sessions = new Map(days.map((one) => [one.day, one]));
  const end = Math.floor(last / dayMs) * dayMs;
  return Array.from({ length: count }, (_, index) => {
    const at = end - (count - 1 - index) * dayMs;
    const day = new Date(at).toISOString().slice(0, 10);
    return { at, turns: turns.get(day), sessions: sessions.get(day) };
  });
}

type Value = (day: Day) => number | null | undefined;

/** The plots of these days. */
export function plotsOf(
  days: readonly Day[],
): Readonly<Record<"tokens" | "turns" | "latency" | "sessions" | "conflicts" | "text", PlotProps>> {
  const x = days.map(({ at }) => at / 1000);
  const series = (name: string, tone: Series["tone"], value: Value): Series => ({
    name,
    tone,
    values: days.map((day) => value(day) ?? 0),
  });
  const bars = (title: string, ...all: readonly Series[]): PlotProps => ({
    title,
    x,
    series: all,
    form: "bars",
    format: compact,
  });
  const meanOf = ({ turns }: Day): number | null =>
    // Imported turns have no durations.
    turns === undefined || turns.durationMs === 0 ? null : turns.durationMs / turns.turns;
  return {
    tokens: bars(
      "Tokens by day",
      series("in", "accent", ({ turns }) => turns?.inputTokens),
      series("out", "green", ({ turns }) => turns?.outputTokens),
    ),
    turns: bars(
      "Turns by day",
      series("done", "accent", ({ turns }) => turns && turns.turns - turns.failed - turns.interrupted),
      series("failed or interrupted", "red", ({ turns }) => turns && turns.failed + turns.interrupted),
    ),
    latency: {
      title: "Latency by day",
      x,
      series: [{ name: "mean per turn", tone: "amber", values: days.map(meanOf) }],
      form: "line",
      format: span,
    },
    sessions: bars(
      "Sessions by day",
      series("created", "accent", ({ sessions }) => sessions?.created),
      series("ended", "green", ({ sessions }) => sessions?.ended),
      series("expired", "amber", ({ sessions }) => sessions?.expired),
    ),
    conflicts: bars(
      "Conflicts by day",
      series("conflicts", "red", ({ turns }) => turns?.conflicts),
    ),
    text: {
      ...bars(
        "Text stored by day",
        series("text", "accent", ({ turns }) => turns?.bytes),
      ),
      format: bytes,
    },
  };
}
