/** Calls public functions with a wrong value in place of each argument. */
import assert from "node:assert/strict";
import { SessionError } from "../../src/errors.ts";

/** The values that a caller without types passes by mistake. */
const wrong: Readonly<Record<string, () => unknown>> = {
  null: () => null,
  "a number": () => 5,
  "a text": () => "x",
  "an array": () => [],
  "an array of null": () => [null],
  // oxlint-disable-next-line no-sparse-arrays -- the value is wrong on purpose
  "an array with a hole": () => [,],
  "an object": () => ({}),
};

/** A function and arguments that it takes. */
export interface Call {
  readonly of: object;
  readonly args: readonly unknown[];
  /** The wrong values that a position takes, by its index, where it takes an object or a function. */
  readonly takes?: Readonly<Record<number, readonly string[]>>;
}

export type Calls<Place> = Readonly<Record<string, (place: Place) => Call | Promise<Call>>>;

/** The functions of a class, with those that it has from no other. */
export function methodsOf(type: { readonly prototype: object }): readonly string[] {
  const properties = Object.entries(Object.getOwnPropertyDescriptors(type.prototype));
  return properties
    .filter(([name, { value }]) => name !== "constructor" && typeof value === "function")
    .map(([name]) => name);
}

/** The functions of a module that are no classes. */
export function functionsOf(module: object): readonly string[] {
  const isClass = (value: unknown): boolean => /^class\b/.test(Function.prototype.toString.call(value));
  return Object.entries(module)
    .filter(([, value]) => typeof value === "function" && !isClass(value))
    .map(([name]) => name);
}

/**
 * Calls the function with its arguments, which must not be refused as arguments, and then with each wrong value in place of each
 * argument. The error must be a `SessionError`. An object or a function is never replaced in silence.
 */
export async function walk<Place extends AsyncDisposable>(
  open: () => Place | Promise<Place>,
  name: string,
  make: (place: Place) => Call | Promise<Call>,
): Promise<void> {
  const problems: string[] = [];
  const run = async (change: (args: readonly unknown[]) => readonly unknown[]): Promise<unknown> => {
    await using place = await open();
    const { of, args } = await make(place);
    const given = change(args);
    try {
      const found: unknown = await (of as Readonly<Record<string, (...given: unknown[]) => unknown>>)[name]?.(...given);
      if (isIterator(found)) await found.next();
      await release(found);
      return undefined;
    } catch (error) {
      return error;
    } finally {
      await release(of);
    }
  };
  const place = await open();
  const { args, takes = {} } = await make(place);
  await place[Symbol.asyncDispose]();
  const fit = await run((given) => given);
  if (!(fit === undefined || (fit instanceof SessionError && fit.code !== "argument_invalid")))
    problems.push(`refuses its own arguments: ${String(fit)}`);
  for (const [index, arg] of args.entries()) {
    for (const [title, value] of Object.entries(wrong)) {
      const at = `argument ${index + 1} is ${title}: `;
      // A reader without options waits for what comes.
      if (title === "an object" && fieldsWait(arg)) continue;
      const error = await run((given) => given.with(index, value()));
      if (error !== undefined && !(error instanceof SessionError)) problems.push(at + stackOf(error));
      const isStructured = typeof arg === "function" || (typeof arg === "object" && arg !== null);
      const isTaken = title === "an object" || (takes[index] ?? []).includes(title);
      const isSameKind = Array.isArray(arg) && title.startsWith("an array");
      if (isStructured && !isTaken && !isSameKind && error === undefined) problems.push(`${at}it is taken`);
    }
  }
  for (const [index, arg] of args.entries()) {
    for (const field of fieldsOf(arg)) {
      for (const [title, value] of Object.entries(wrong)) {
        const error = await run((given) => given.with(index, { ...(given[index] as object), [field]: value() }));
        if (error !== undefined && !(error instanceof SessionError))
          problems.push(`field ${field} is ${title}: ${stackOf(error)}`);
      }
    }
  }
  assert.deepEqual(problems, []);
}

/** The fields of options; a signal ends a reader, so it stays. */
function fieldsOf(arg: unknown): readonly string[] {
  const isPlain = typeof arg === "object" && arg !== null && Object.getPrototypeOf(arg) === Object.prototype;
  return isPlain ? Object.keys(arg).filter((name) => name !== "signal") : [];
}

function isIterator(found: unknown): found is AsyncIterator<unknown> {
  return typeof found === "object" && found !== null && typeof (found as { next?: unknown }).next === "function";
}

function fieldsWait(arg: unknown): boolean {
  return typeof arg === "object" && arg !== null && "signal" in arg;
}

/** Ends what a call has made. */
async function release(found: unknown): Promise<void> {
  if (typeof found !== "object" || found === null) return;
  const ends = found as {
    return?: unknown;
    close?: unknown;
    [Symbol.asyncDispose]?: unknown;
    [Symbol.dispose]?: unknown;
  };
  const end = ends.return ?? ends[Symbol.asyncDispose] ?? ends[Symbol.dispose] ?? ends.close;
  if (typeof end === "function") await end.call(found);
}

/** The error with the place that threw it. */
function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? "").split("\n").slice(0, 2).join("") : String(error);
}
