/** Options with a name that does not exist, such as a misspelt one, are refused. */
import { invalidArgument } from "./invalid-argument.ts";

/** The names of options, each once. */
export type OptionNames<Options> = { readonly [Name in keyof Options]-?: true };

/** @throws SessionError `argument_invalid` for a value that is no object, and for a name that does not exist */
export function guardNames<Options extends object>(
  options: Options,
  name: string,
  names: { readonly [Name in keyof Options]-?: unknown },
): void {
  // Callers without types pass `null` too.
  const given: unknown = options;
  if (typeof given !== "object" || given === null) throw invalidArgument(name, given, { expected: "object" });
  const unknown = Object.keys(options).find((one) => !Object.hasOwn(names, one));
  if (unknown !== undefined) throw invalidArgument(name, unknown, { expected: "one_of", known: Object.keys(names) });
}
