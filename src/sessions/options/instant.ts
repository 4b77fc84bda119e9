import { formatValue } from "../../domain/values/format-value.ts";
import { SessionError } from "../../errors.ts";

/** Epoch ms of a date. @throws SessionError `argument_invalid` */
export function parseInstant(date: Date, name: string): number {
  const ms = date instanceof Date ? date.getTime() : Number.NaN;
  if (Number.isFinite(ms)) return ms;
  throw new SessionError("argument_invalid", { name, value: formatValue(date), expected: "a valid Date" });
}
