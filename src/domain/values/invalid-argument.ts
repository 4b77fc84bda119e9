/** The errors of arguments with a wrong value, and the checks of arrays, functions and dates. */
import { SessionError } from "../../errors.ts";
import type { Expectation, Mismatch } from "../../errors/expectations.ts";
import { defined } from "./defined.ts";
import { formatValue } from "./format-value.ts";

/** The error of an argument with a value that is not the expected one. */
export function invalidArgument(
  name: string,
  value: unknown,
  expectation: Omit<Expectation, "value" | "length">,
): SessionError<"argument_invalid"> {
  return new SessionError("argument_invalid", { name, value: formatValue(value), ...expectation });
}

/** The same for a text, with its length only: it may be long, or secret. */
export function invalidText(
  name: string,
  value: unknown,
  { min = 0, max }: { readonly min?: number; readonly max?: number },
): SessionError<"argument_invalid"> {
  const found = typeof value === "string" ? { length: value.length } : { value: formatValue(value) };
  const bounds = defined({ min, max });
  return new SessionError("argument_invalid", { name, ...found, expected: "text", ...bounds });
}

/** @throws SessionError `argument_invalid` */
export function parseFunction<Callback extends (...given: never[]) => unknown>(work: Callback, name: string): Callback {
  if (typeof work === "function") return work;
  throw invalidArgument(name, work, { expected: "function" });
}

/** @throws SessionError `argument_invalid` */
export function parseArray<Item>(items: readonly Item[], name: string): readonly Item[] {
  if (Array.isArray(items)) return items;
  throw invalidArgument(name, items, { expected: "array" });
}

/**
 * Refuses a value of another type than a number, before it is compared with the bounds of a range.
 * @throws SessionError `argument_invalid`
 */
export function guardNumber(value: number, name: string, min: number = 1): void {
  if (typeof value !== "number") throw invalidArgument(name, value, { expected: "whole_number", min });
}

/** The path of a file or a folder. @throws SessionError `argument_invalid` */
export function parsePath(path: string, name: string): string {
  if (typeof path !== "string" || path === "") throw invalidText(name, path, { min: 1 });
  if (path.includes("\0")) throw invalidArgument(name, path, { expected: "path" });
  return path;
}

/** Epoch ms of a date. @throws SessionError `argument_invalid` */
export function parseInstant(date: Date, name: string): number {
  const ms = date instanceof Date ? date.getTime() : Number.NaN;
  if (Number.isFinite(ms)) return ms;
  throw invalidArgument(name, date, { expected: "date" });
}

/** The mismatch of a rule that refused a value, and the name of the value; empty for an error of another kind. */
export function mismatchOf(error: unknown): Mismatch & { readonly path?: string } {
  const details = error instanceof SessionError ? (error.details as Partial<Expectation & Named>) : {};
  const { name, path = name, value, length, expected, min, max, known } = details;
  if (expected === undefined) return {};
  return defined({ path, value, length, expected, min, max, known });
}

interface Named {
  readonly name: string;
  readonly path: string;
}
