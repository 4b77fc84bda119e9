/** Checks of arguments. Each returns its value and throws a SessionError `argument_invalid` before any I/O. */
import type { Metadata } from "../../domain/record/record.ts";
import { isPrintable } from "../../domain/values/ids.ts";
import { invalidArgument, invalidText } from "../../domain/values/invalid-argument.ts";
import { labelTextMax } from "../../domain/values/labels.ts";

/** One of the known values. */
export function parseOneOf<T extends string>(value: T, name: string, known: readonly T[]): T {
  if (known.includes(value)) return value;
  throw invalidArgument(name, value, { expected: "one_of", known });
}

/** A whole number, at least `min`. */
export function parseWholeNumber(value: number, name: string, min: number): number {
  if (Number.isSafeInteger(value) && value >= min) return value;
  throw invalidArgument(name, value, { expected: "whole_number", min });
}

/** The number of items on a page. */
export function parseLimit(limit: number, limitMax: number): number {
  if (Number.isSafeInteger(limit) && limit >= 1 && limit <= limitMax) return limit;
  throw invalidArgument("limit", limit, { expected: "whole_number", min: 1, max: limitMax });
}

/** A plain object; the codec checks the values in it. */
export function parseMetadata(metadata: Metadata): Metadata {
  if (typeof metadata === "object" && metadata !== null && !Array.isArray(metadata)) return metadata;
  throw invalidArgument("metadata", metadata, { expected: "object" });
}

/** A text that may be empty. */
export function parseNote(note: string, name: string, lengthMax: number): string {
  if (typeof note === "string" && note.length <= lengthMax) return note;
  throw invalidText(name, note, { max: lengthMax });
}

/** A reason that is given; blank text is none. */
export function parseReason(reason: string, lengthMax: number, name: string = "reason"): string {
  if (typeof reason === "string" && reason.trim() !== "" && reason.length <= lengthMax) return reason;
  throw invalidText(name, reason, { min: 1, max: lengthMax });
}

/** Why a turn waits: lists filter by it. */
export function parseWaitingReason(reason: string, name: string = "reason"): string {
  const parsed = parseReason(reason, labelTextMax, name);
  if (isPrintable(parsed)) return parsed;
  throw invalidArgument(name, reason, { expected: "name", min: 1, max: labelTextMax });
}

/** The number of the last turn that is not replaced. */
export function parseAfter(after: unknown): number {
  if (Number.isSafeInteger(after) && (after as number) >= 0) return after as number;
  throw invalidArgument("after", after, { expected: "whole_number", min: 0 });
}

/** Whether a branch keeps the replaced turns. */
export function parseKeep(keep: unknown, after: unknown): boolean {
  if (keep === undefined) return false;
  if (typeof keep !== "boolean") throw invalidArgument("keep", keep, { expected: "boolean" });
  if (keep && after === undefined) throw invalidArgument("after", after, { expected: "whole_number", min: 0 });
  return keep;
}
