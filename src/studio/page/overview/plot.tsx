import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { defined } from "../../../domain/values/defined.ts";
import { theme } from "../view/theme.ts";

export interface Series {
  readonly name: string;
  readonly values: readonly (number | null)[];
  readonly tone: "accent" | "green" | "amber" | "red";
}

interface PlotProps {
  readonly title: string;
  /** Days, in epoch seconds. */
  readonly x: readonly number[];
  readonly series: readonly Series[];
  readonly form: "bars" | "line";
  readonly format: (value: number) => string;
}

const height = 190;
const day = new Intl.DateTimeFormat("en", { month: "short", day: "numeric", timeZone: "UTC" });

/** Values by day. */
export function Plot({ title, x, series, form, format }: PlotProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const shape = JSON.stringify([title, form, x.length, series.map(({ name }) => name)]);
  const data = [[...x], ...series.map(({ values }) => [...values])] as unknown as uPlot.AlignedData;
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const made = new uPlot(optionsOf({ title, x, series, form, format }, element.clientWidth), data, element);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = undefined;
    };
    // A theme has its own colours.
  }, [shape, theme.value]);
  useEffect(() => plot.current?.setData(data), [JSON.stringify(data)]);
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
  // One day alone would fill the whole width.
  const margin = 43_200;
  return {
    width: Math.max(width, 200),
    height,
    padding: [10, 6, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
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
        size: 26,
        space: 70,
      },
      { ...axis, values: (_, ticks) => ticks.map((value) => format(value)), size: 52, space: 34 },
    ],
    series: [
      {},
      ...series.map(({ name, tone }): uPlot.Series => {
        const line = { label: name, stroke: colour(tone), width: form === "line" ? 2 : 0, spanGaps: true };
        return form === "line"
          ? { ...line, points: { show: true, size: 5, fill: colour(tone) } }
          : { ...line, fill: colour(tone), points: { show: false }, ...defined({ paths: bars }) };
      }),
    ],
    plugins: [tooltip(series, format)],
  };
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
        const lines = series.map(({ name }, index) => {
          const value = plot.data[index + 1]?.[idx];
          return `${name} ${value === null || value === undefined ? "–" : format(value)}`;
        });
        tip.textContent = [at === undefined ? "" : day.format(new Date(at * 1000)), ...lines].join("\n");
        tip.style.left = `${Math.min(left + 10, plot.over.clientWidth - 120)}px`;
      },
    },
  };
}
