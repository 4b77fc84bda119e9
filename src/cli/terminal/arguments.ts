/** Reads arguments of the command line as values. */
import { InvalidArgumentError } from "commander";
import { parseDuration } from "../../domain/values/duration.ts";

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError("Expected a whole number, 0 or more.");
}

/** Adds a label such as `name=value`, or `name`, to those before it; the library checks the name and the value. */
export function label(text: string, labels: readonly string[] = []): readonly string[] {
  return [...labels, text];
}

/** Parse a date or a time in local time, an instant with its zone, or a duration before now. */
export function instant(text: string): Date {
  const date = /^\d{4}-\d\d-\d\d$/.test(text)
    ? new Date(`${text}T00:00`)
    : new Date(isoForm.test(text) ? text : agoOf(text));
  if (!Number.isNaN(date.getTime())) return date;
  throw new InvalidArgumentError(
    "Expected a date such as 2026-11-20 or 2026-11-20T18:00, or a duration before now: 24h.",
  );
}

const isoForm = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?$/;

function agoOf(text: string): number {
  try {
    return Date.now() - parseDuration(text, "span");
  } catch {
    // Neither a date nor a duration: the caller reports it.
    return Number.NaN;
  }
}
