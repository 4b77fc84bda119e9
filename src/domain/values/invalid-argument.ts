import { SessionError } from "../../errors.ts";
import type { Expectation } from "../../expectations.ts";
import { formatValue } from "./format-value.ts";

/** The error of an argument with a value that is not the expected one. */
export function invalidArgument(
  name: string,
  value: unknown,
  expectation: Omit<Expectation, "value" | "length">,
): SessionError<"argument_invalid"> {
  return new SessionError("argument_invalid", { name, value: formatValue(value), ...expectation });
}

/** The same for a text, of which only the length is shown: it is long, or secret. */
export function invalidText(
  name: string,
  value: unknown,
  { min = 0, max }: { readonly min?: number; readonly max?: number },
): SessionError<"argument_invalid"> {
  const found = typeof value === "string" ? { length: value.length } : { value: formatValue(value) };
  const bounds = { min, ...(max === undefined ? {} : { max }) };
  return new SessionError("argument_invalid", { name, ...found, expected: "text", ...bounds });
}
