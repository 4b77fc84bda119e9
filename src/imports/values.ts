/** JSON of other programs as values, without the silent losses of `JSON.parse`. */
import type { Fields } from "../domain/turns/known-parts.ts";
import type { Value } from "../domain/values/codec.ts";
import { SessionError } from "../errors.ts";
import { checkJson, JsonError } from "../sessions/snapshots/located-json.ts";

/** Nesting limit. Trees of applications nest each message in the one before it; what is stored has a limit of its own. */
const depthMax = 2048;

/**
 * The value of a text. A whole number that JavaScript cannot hold is its digits, as a text; an object with a name twice is refused.
 * @throws SessionError `snapshot_invalid` with line and column
 */
export function parseValue(text: string, source: string): Value {
  let value: Value;
  try {
    value = (/\d{16}/.test(text) ? JSON.parse(text, digitsOf) : JSON.parse(text)) as Value;
  } catch (cause) {
    // A value that is nested deeper than the stack is a RangeError.
    if (!(cause instanceof SyntaxError || cause instanceof RangeError)) throw cause;
    check(text, source);
    throw new SessionError("snapshot_invalid", { source, expected: "json" }, { cause });
  }
  // JSON.parse takes the last of two equal names.
  if (namesIn(value) !== colonsIn(text)) check(text, source);
  return value;
}

/** @throws SessionError `snapshot_invalid` with the place of the problem */
function check(text: string, source: string): void {
  try {
    checkJson(text, { depthMax });
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    const { line, column } = error.place;
    throw new SessionError("snapshot_invalid", { source, line, column }, { cause: error });
  }
}

function digitsOf(this: unknown, _name: string, value: unknown, context?: { readonly source?: string }): unknown {
  const { source } = context ?? {};
  const isInexact = typeof value === "number" && source !== undefined && /^-?\d+$/.test(source);
  return isInexact && !Number.isSafeInteger(value) ? source : value;
}

/** The names of all objects in a value; NaN for a value that is nested too deep. */
function namesIn(value: Value): number {
  let count = 0;
  // Level by level: a deep value is deeper than the stack.
  let level: readonly Value[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > depthMax) return Number.NaN;
    const next: Value[] = [];
    for (const one of level) {
      if (typeof one !== "object" || one === null) continue;
      const isList = Array.isArray(one);
      const values = isList ? (one as readonly Value[]) : Object.values(one as Fields);
      if (!isList) count += values.length;
      for (const item of values) if (typeof item === "object" && item !== null) next.push(item);
    }
    level = next;
  }
  return count;
}

const [quote, backslash, colon] = [0x22, 0x5c, 0x3a];

/** The colons of a text outside of its strings: one for each name. */
function colonsIn(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === colon) count++;
    else if (code === quote) {
      for (at = text.indexOf('"', at + 1); at >= 0 && isEscaped(text, at);) at = text.indexOf('"', at + 1);
      if (at < 0) return count;
    }
  }
  return count;
}

/** True for a quote behind an odd number of backslashes. */
function isEscaped(text: string, at: number): boolean {
  let before = at - 1;
  while (text.charCodeAt(before) === backslash) before--;
  return (at - before) % 2 === 0;
}
