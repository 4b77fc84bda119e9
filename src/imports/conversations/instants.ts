/** Times as other programs write them. */
import { instantMaxMs } from "../../domain/values/limits.ts";

/** Numbers below these are seconds, milliseconds and microseconds since the epoch: as a finer unit they would be of 1973 or earlier. */
const unitLimits = [
  [1e11, 1000],
  [1e14, 1],
  [1e17, 1e-3],
] as const;

const dateAndTime = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?))?\s*(Z|[+-]\d\d(?::?\d\d)?)?$/i;

/**
 * A time, epoch ms: a number of seconds, milliseconds or microseconds, a date and a time of ISO 8601, or another text that
 * `Date` reads. A time without a zone is of UTC. Undefined for anything else.
 */
export function instantOf(value: unknown): number | undefined {
  // MongoDB writes its times so.
  if (typeof value === "object" && value !== null && "$date" in value) return instantOf(value.$date);
  if (typeof value === "object" && value !== null && "$numberLong" in value) return instantOf(value.$numberLong);
  const ms = typeof value === "number" ? ofNumber(value) : typeof value === "string" ? ofText(value.trim()) : undefined;
  return ms !== undefined && ms > 0 && ms < instantMaxMs ? Math.floor(ms) : undefined;
}

function ofNumber(value: number): number | undefined {
  const unit = unitLimits.find(([limit]) => value < limit);
  return unit === undefined ? undefined : value * unit[1];
}

function ofText(text: string): number | undefined {
  if (/^\d{9,}(\.\d+)?$/.test(text)) return ofNumber(Number(text));
  const [, day, clock = "00:00", zone = ""] = dateAndTime.exec(text) ?? [];
  // Another text may have a zone in words; one without is of this machine's zone, and is not read.
  if (day === undefined) return /(?:GMT|UTC|[+-]\d{4})/.test(text) ? numberOr(Date.parse(text)) : undefined;
  const offset = zone === "" ? "Z" : /^[+-]\d\d$/.test(zone) ? `${zone}:00` : zone;
  return numberOr(Date.parse(`${day}T${clock.replace(",", ".")}${offset}`));
}

function numberOr(ms: number): number | undefined {
  return Number.isNaN(ms) ? undefined : ms;
}
