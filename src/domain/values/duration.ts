import { SessionError } from "../../errors.ts";
import { durationMaxMs } from "./limits.ts";
import { formatValue } from "./format-value.ts";

/**
 * A positive whole number of milliseconds, or a text of a number and a unit: `"500ms"`, `"90s"`, `"15m"`, `"24h"`,
 * `"7d"`.
 */
export type Duration = number | string;

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/**
 * The milliseconds of a duration.
 * @throws SessionError `duration_invalid` for zero, negative and infinite durations, and for other texts
 */
export function parseDuration(value: Duration, name: string): number {
  const ms = typeof value === "number" ? value : parseText(value);
  if (!Number.isInteger(ms) || ms <= 0 || ms > durationMaxMs) {
    throw new SessionError("duration_invalid", { name, value: formatValue(value), expected: "duration" });
  }
  return ms;
}

/** How long a session lives after its last activity: a duration, or the text "never" for one that does not expire. */
export type Lifetime = Duration;

/** Milliseconds of a lifetime; a session that never expires has the longest duration. @throws SessionError as {@link parseDuration} */
export function parseLifetime(value: Lifetime, name: string): number {
  return value === "never" ? durationMaxMs : parseDuration(value, name);
}

function parseText(text: unknown): number {
  if (typeof text !== "string") return Number.NaN;
  const match = /^(\d{1,15}(?:\.\d{1,3})?)\s*(ms|s|m|h|d)$/.exec(text.trim());
  if (match === null) return Number.NaN;
  return Math.round(Number(match[1]) * (unitMs[match[2] ?? ""] ?? Number.NaN));
}
