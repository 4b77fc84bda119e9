/** Checks of arguments. Each returns its value and throws a SessionError `argument_invalid` before any I/O. */
import type { Metadata } from "../../domain/record/record.ts";
import { formatValue } from "../../domain/values/format-value.ts";
import { SessionError } from "../../errors.ts";

export function invalidArgument(name: string, value: unknown, expected: string): SessionError<"argument_invalid"> {
  return new SessionError("argument_invalid", { name, value: formatValue(value), expected });
}

/** One of the known values. */
export function parseOneOf<T extends string>(value: T, name: string, known: readonly T[]): T {
  if (known.includes(value)) return value;
  throw invalidArgument(name, value, known.join(", "));
}

/** A whole number from `min` on. */
export function parseWholeNumber(value: number, name: string, min: number): number {
  if (Number.isSafeInteger(value) && value >= min) return value;
  throw invalidArgument(name, value, `a whole number, ${min} or more`);
}

/** The number of items on a page. */
export function parseLimit(limit: number, limitMax: number): number {
  if (Number.isSafeInteger(limit) && limit >= 1 && limit <= limitMax) return limit;
  throw invalidArgument("limit", limit, `1 to ${limitMax}`);
}

/** Epoch ms of a date. */
export function parseInstant(date: Date, name: string): number {
  const ms = date instanceof Date ? date.getTime() : Number.NaN;
  if (Number.isFinite(ms)) return ms;
  throw invalidArgument(name, date, "a valid Date");
}

/** A plain object; the codec checks the values in it. */
export function parseMetadata(metadata: Metadata): Metadata {
  if (typeof metadata === "object" && metadata !== null && !Array.isArray(metadata)) return metadata;
  throw invalidArgument("metadata", metadata, "a plain object");
}
