/** Options with a name that does not exist, such as a misspelt one, are refused, and so is a signal that cannot abort. */
import { invalidArgument } from "./invalid-argument.ts";

/** The names of options, each once. */
export type OptionNames<Options> = { readonly [Name in keyof Options]-?: true };

/** The options that are signals, wherever they occur. */
const signals = ["signal", "withdraw"] as const;

/** @throws SessionError `argument_invalid` for a value that is no object, a name that does not exist, and a wrong signal */
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
  for (const signal of signals) if (Object.hasOwn(names, signal)) guardSignal(options, signal);
}

/** Checked before any work: a call that cannot listen to its signal would fail with a lease in its hands. */
export function guardSignal(options: object, name: (typeof signals)[number] = "signal"): void {
  const signal = (options as { readonly [Name in typeof name]?: unknown })[name];
  if (signal === undefined) return;
  const { aborted, addEventListener } = Object(signal) as {
    readonly aborted?: unknown;
    readonly addEventListener?: unknown;
  };
  if (typeof aborted !== "boolean" || typeof addEventListener !== "function")
    throw invalidArgument(name, signal, { expected: "signal" });
}
