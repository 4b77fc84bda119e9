import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { defined } from "../../../domain/values/defined.ts";
import { isDark } from "../view/theme.ts";

export interface Series {
  readonly name: string;
  /** A value for each day; null: none. */
  readonly values: readonly (number | null)[];
  readonly tone: "accent" | "green" | "amber" | "red";
}

export interface PlotProps {
  readonly title: string;
  /** Days, in epoch seconds. */
  readonly x: readonly number[];
  readonly series: readonly Series[];
  /** `bars` are stacked, the first series at the bottom. */
  readonly form: "bars" | "line";
  readonly format: (value: number) => string;
}

const height = 190;
const day = new Intl.DateTimeFormat("en", { month: "short", day: "numeric", timeZone: "UTC" });

/** Values by day. */
export function Plot({ title, x, series, form, format }: PlotProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const shape = JSON.stringify([title, form, x, series.map(({ name }) => name)]);
  const data = [[...x], ...(form === "bars" ? stacked(series) : series.map(({ values }) => [...values]))];
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const options = optionsOf({ title, x, series, form, format }, element.clientWidth);
    const made = new uPlot(options, data as uPlot.AlignedData, element);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = undefined;
    };
    // A theme has its own colours.
  }, [shape, isDark.value]);
  useEffect(() => plot.current?.setData(data as uPlot.AlignedData), [JSON.stringify(data)]);
  const total = series.map(({ name, values }) => {
    const known = values.filter((value) => value !== null);
    const sum = known.reduce((all, value) => all + value, 0);
    return `${name}: ${form === "bars" ? format(sum) : format(known.length === 0 ? 0 : sum / known.length)}`;
  });
  return (
    <figure class="card plot" aria-label={`${title}. ${total.join(", ")}`} role="img">
      <figcaption>
        <h2>{title}</h2>
        <span class="legend">
          {series.map(({ name, tone }) => (
            <span key={name} class={`key key-${tone}`}>
              {name}
            </span>
          ))}
        </span>
      </figcaption>
      <div ref={box} class="plot-box" />
    </figure>
  );
}

/**
 * The sum of each series and those below it, the highest one first: uPlot draws one over the other, so what stays visible
 * of each is its own value.
 */
function stacked(series: readonly Series[]): number[][] {
  const sums: number[][] = [];
  for (const { values } of series) {
    const below = sums.at(-1);
    sums.push(values.map((value, index) => (value ?? 0) + (below?.[index] ?? 0)));
  }
  return sums.toReversed();
}

/** Steps of the axis of values: whole ones, as turns and milliseconds are. */
const steps = Array.from({ length: 15 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat();

function optionsOf({ series, form, format, x }: PlotProps, width: number): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  const axis = {
    stroke: colour("faint"),
    grid: { stroke: colour("line"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  const bars = uPlot.paths.bars?.({ size: [0.7, 22], align: 0, radius: 0.2 });
  const drawn = form === "bars" ? series.toReversed() : series;
  // One day alone would fill the whole width.
  const margin = 43_200;
  return {
    width: Math.max(width, 200),
    height,
    // The name of the last day is half outside of the plot.
    padding: [10, 20, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { show: form === "line", size: 6 }, drag: { x: false, y: false } },
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
    scales: {
      x: { time: true, range: () => [(x[0] ?? 0) - margin, (x.at(-1) ?? 0) + margin] },
      y: { range: (_, __, max) => [0, Math.max(max, 1) * 1.1] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        values: (_, ticks) => ticks.map((at) => day.format(new Date(at * 1000))),
        // A day is the smallest step: its name would stand there twice.
        splits: (plot) => wholeDays(x, plot.width / 70),
        size: 26,
      },
      { ...axis, incrs: steps, values: (_, ticks) => ticks.map((value) => format(value)), size: 52, space: 34 },
    ],
    series: [
      {},
      ...drawn.map(({ name, tone }): uPlot.Series => {
        const line = { label: name, stroke: colour(tone), width: form === "line" ? 2 : 0, spanGaps: true };
        return form === "line"
          ? { ...line, points: { show: true, size: 5, fill: colour(tone) } }
          : { ...line, fill: colour(tone), points: { show: false }, ...defined({ paths: bars }) };
      }),
    ],
    plugins: [tooltip(series, format)],
  };
}

/** At most so many of the days, at even steps, the last day among them. */
function wholeDays(x: readonly number[], most: number): number[] {
  const step = Math.max(1, Math.ceil(x.length / Math.max(1, Math.floor(most))));
  return x.filter((_, index) => (x.length - 1 - index) % step === 0);
}

/** The values of the day under the pointer. */
function tooltip(series: readonly Series[], format: (value: number) => string): uPlot.Plugin {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  return {
    hooks: {
      init: (plot) => plot.over.append(tip),
      setCursor: (plot) => {
        const { idx, left = -1 } = plot.cursor;
        tip.hidden = idx === null || idx === undefined || left < 0;
        if (idx === null || idx === undefined) return;
        const at = plot.data[0][idx];
        const lines = series.map(({ name, values }) => {
          const value = values[idx];
          return `${name} ${value === null || value === undefined ? "–" : format(value)}`;
        });
        tip.textContent = [at === undefined ? "" : day.format(new Date(at * 1000)), ...lines].join("\n");
        tip.style.left = `${Math.min(left + 10, plot.over.clientWidth - 120)}px`;
      },
    },
  };
}
