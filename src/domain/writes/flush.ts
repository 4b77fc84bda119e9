import { invalidArgument } from "../values/invalid-argument.ts";
import { guardNames, type OptionNames } from "../values/option-names.ts";

/** When the chunks of an answer are written to the store: after a time or a length, whichever comes first. */
export interface Flush {
  /** The longest time that a chunk waits, ms: what a second reader waits for at most; 0: no chunk waits. @default 50 */
  readonly ms?: number;
  /** The length of the chunks that wait, in characters; a larger part is written at once. @default 8192 */
  readonly length?: number;
}

/** How long a producer with a token may write nothing before it counts as ended, by default. */
export const leaseOfTokens = "30s";

const names: OptionNames<Flush> = { ms: true, length: true };

const bounds = { ms: { min: 0, max: 60_000 }, length: { min: 1, max: 1024 * 1024 } } as const;

/** With the defaults. @throws SessionError `argument_invalid` */
export function parseFlush(flush: Flush = {}): Required<Flush> {
  guardNames(flush, "flush", names);
  return { ms: parseBound("ms", flush.ms ?? 50), length: parseBound("length", flush.length ?? 8192) };
}

function parseBound(name: keyof Flush, value: number): number {
  const { min, max } = bounds[name];
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw invalidArgument(`flush.${name}`, value, { expected: "whole_number", min, max });
}
