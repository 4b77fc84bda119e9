/**
 * Refuses options that are no object or have a name that does not exist, signals that cannot abort, callbacks that are no functions,
 * and switches that are neither true nor false.
 */
import { invalidArgument, parseFunction } from "./invalid-argument.ts";

/** The names of options, each once. */
export type OptionNames<Options> = { readonly [Name in keyof Options]-?: true };

/** The options that are signals, wherever they occur. */
const signals = ["signal", "withdraw"] as const;
/** The options that are functions, wherever they occur. */
const callbacks = ["onProgress", "onSkipped", "onUnreadable", "begun", "reached", "route"] as const;
/** The options that are true or false, wherever they occur. */
const switches = [
  "create",
  "deviceApprovals",
  "dryRun",
  "everything",
  "follow",
  "offersHandoffs",
  "openMetrics",
  "openToDevices",
  "regenerates",
  "rejectBranchingSessions",
  "repair",
  "secureCookies",
  "skipDamaged",
] as const;

const guards: ReadonlyMap<string, (options: object, name: string) => void> = new Map([
  ...callbacks.map((name) => [name, guardCallback] as const),
  ...switches.map((name) => [name, guardSwitch] as const),
]);

/**
 * @throws SessionError `argument_invalid` for a value that is no object, a name that does not exist, a signal that cannot abort,
 *   a callback that is no function, and a switch that is neither true nor false
 */
export function guardNames<Options extends object>(
  options: Options,
  name: string,
  names: { readonly [Name in keyof Options]-?: unknown },
): void {
  guardObject(options, name);
  for (const one of Object.keys(options)) {
    if (!Object.hasOwn(names, one)) throw invalidArgument(name, one, { expected: "one_of", known: Object.keys(names) });
    guards.get(one)?.(options, one);
  }
  for (const signal of signals) if (Object.hasOwn(names, signal)) guardSignal(options, signal);
}

function guardCallback(options: object, name: string): void {
  const callback = (options as Readonly<Record<string, () => unknown>>)[name];
  if (callback !== undefined) parseFunction(callback, name);
}

/** @throws SessionError `argument_invalid` for a value that is neither true nor false */
export function guardSwitch(options: object, name: string): void {
  const value = (options as Readonly<Record<string, unknown>>)[name];
  if (value !== undefined && typeof value !== "boolean") throw invalidArgument(name, value, { expected: "boolean" });
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
