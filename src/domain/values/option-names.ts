/** Refuses options that are no object or have a name that does not exist, signals that cannot abort, callbacks that are no functions. */
import { invalidArgument, parseFunction } from "./invalid-argument.ts";

/** The names of options, each once. */
export type OptionNames<Options> = { readonly [Name in keyof Options]-?: true };

/** The options that are signals, wherever they occur. */
const signals = ["signal", "withdraw"] as const;
/** The options that are functions, wherever they occur. */
const callbacks: ReadonlySet<string> = new Set([
  "onProgress",
  "onSkipped",
  "onUnreadable",
  "begun",
  "reached",
  "route",
]);

/**
 * @throws SessionError `argument_invalid` for a value that is no object, a name that does not exist, a signal that cannot abort,
 *   and a callback that is no function
 */
export function guardNames<Options extends object>(
  options: Options,
  name: string,
  names: { readonly [Name in keyof Options]-?: unknown },
): void {
  guardObject(options, name);
  for (const one of Object.keys(options)) {
    if (!Object.hasOwn(names, one)) throw invalidArgument(name, one, { expected: "one_of", known: Object.keys(names) });
    if (callbacks.has(one)) guardCallback(options, one);
  }
  for (const signal of signals) if (Object.hasOwn(names, signal)) guardSignal(options, signal);
}

function guardCallback(options: object, name: string): void {
  const callback = (options as Readonly<Record<string, () => unknown>>)[name];
  if (callback !== undefined) parseFunction(callback, name);
}

/** Callers without types pass `null`, numbers and arrays too. @throws SessionError `argument_invalid` */
export function guardObject(options: object, name: string): void {
  const given: unknown = options;
  if (typeof given !== "object" || given === null || Array.isArray(given))
    throw invalidArgument(name, given, { expected: "object" });
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
