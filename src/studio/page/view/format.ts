/** Numbers, times and names as texts for people. */

const numbers = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const day = new Intl.DateTimeFormat("en", { month: "short", day: "numeric" });

export function number(value: number): string {
  return numbers.format(value);
}

/** `1 turn`, `2 turns`. */
export function counted(count: number, noun: string): string {
  return `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
}

export function compact(value: number): string {
  return value < 10_000 ? numbers.format(value) : short.format(value);
}

export function bytes(value: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = value;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit++;
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[unit] ?? ""}`;
}

/** A duration: `340 ms`, `2.4 s`, `3 min`, `5 h`, `12 d`. */
export function span(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 86_400_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / 86_400_000)} d`;
}

/** How long ago, briefly. */
export function ago(text: string, now: number): string {
  const ms = now - Date.parse(text);
  if (ms < 5000) return "now";
  return ms < 30 * 86_400_000 ? span(ms) : day.format(new Date(text));
}

/** How far ahead, briefly. */
export function ahead(text: string, now: number): string {
  const ms = Date.parse(text) - now;
  return ms < 0 ? `${span(-ms)} ago` : `in ${span(ms)}`;
}

export function instant(text: string): string {
  return moment.format(new Date(text));
}

const stamps = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
});

/** A time on one short line, for lists. */
export function stamp(text: string): string {
  return stamps.format(new Date(text)).replace(",", "");
}

const timeOfDay = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** The time of day. */
export function clock(text: string): string {
  return timeOfDay.format(new Date(text));
}

/** `handed_off` as `handed off`. */
export function words(name: string): string {
  return name.replaceAll("_", " ");
}

/** A value as indented JSON. */
export function json(value: unknown): string {
  return JSON.stringify(value, null, 2) ?? "null";
}

/** A text of JSON, indented; another text as it is. */
export function indented(text: string): string {
  try {
    return json(JSON.parse(text));
  } catch {
    return text;
  }
}
