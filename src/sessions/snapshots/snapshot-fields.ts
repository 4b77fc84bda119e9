/** Checks the fields of a document that another program may have made, for type and range. */
import { parseId } from "../../domain/values/ids.ts";
import { countMax, instantMaxMs } from "../../domain/values/limits.ts";
import { formatValue } from "../../domain/values/format-value.ts";
import { SessionError, hasCode } from "../../errors.ts";
import { mismatchOf } from "../../domain/values/invalid-argument.ts";
import type { Mismatch } from "../../errors/expectations.ts";

export type Fields = Readonly<Record<string, unknown>>;
/** Refuses the document for what it has at a path, or at a line and column. */
export type Refuse = (
  place: string | { readonly line: number; readonly column: number },
  mismatch: Mismatch,
  cause?: unknown,
) => never;

/** Refuses the document of this name with `snapshot_invalid`. */
export function refusalOf(source: string): Refuse {
  return (place, mismatch, cause) => {
    // Without a path the place is the document.
    const at = typeof place === "string" ? (place === "" ? {} : { path: place }) : place;
    throw new SessionError("snapshot_invalid", { source, ...at, ...mismatch }, { cause });
  };
}

export function objectOf(value: unknown, path: string, refuse: Refuse): Fields {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
  return refuse(path, { value: formatValue(value), expected: "object" });
}

/** An object with these fields and no others. */
export function fieldsOf(value: unknown, path: string, names: readonly string[], refuse: Refuse): Fields {
  const fields = objectOf(value, path, refuse);
  const inside = path === "" ? "" : `${path}.`;
  for (const name of names) if (!Object.hasOwn(fields, name)) refuse(`${inside}${name}`, { expected: "value" });
  for (const name of Object.keys(fields)) {
    if (!names.includes(name)) refuse(`${inside}${name}`, { value: formatValue(fields[name]), expected: "no_field" });
  }
  return fields;
}

export function idOf(value: unknown, path: string, refuse: Refuse): string {
  return judged(path, refuse, () => parseId(value, path));
}

/** Applies a rule of the domain, and refuses the document with the mismatch of the rule. */
export function judged<T>(path: string, refuse: Refuse, rule: () => T): T {
  try {
    return rule();
  } catch (error) {
    if (hasCode(error, "snapshot_invalid")) throw error;
    const { path: found = path, ...mismatch } = mismatchOf(error);
    return refuse(found, mismatch, error);
  }
}

/** Whole numbers from `least` to `most`. */
export interface Bounds {
  readonly least: number;
  readonly most: number;
  readonly refuse: Refuse;
}

export function wholeOf(value: unknown, path: string, { least, most, refuse }: Bounds): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= least && value <= most) return value + 0; // no -0
  return refuse(path, { value: formatValue(value), expected: "whole_number", min: least, max: most });
}

export function instantOf(value: unknown, path: string, refuse: Refuse): number {
  return wholeOf(value, path, { least: 0, most: instantMaxMs, refuse });
}

export function countOf(value: unknown, path: string, refuse: Refuse): number {
  return wholeOf(value, path, { least: 0, most: countMax, refuse });
}

/** Milliseconds need not be whole. */
export function spanOf(value: unknown, path: string, { most, refuse }: Omit<Bounds, "least">): number {
  if (typeof value === "number" && value >= 0 && value <= most) return value + 0; // no -0
  return refuse(path, { value: formatValue(value), expected: "number", min: 0, max: most });
}

export function textOfAtMost(
  value: unknown,
  path: string,
  { lengthMax, refuse }: { lengthMax: number; refuse: Refuse },
): string {
  if (typeof value === "string" && value.length <= lengthMax) return value;
  const found = typeof value === "string" ? { length: value.length } : { value: formatValue(value) };
  return refuse(path, { ...found, expected: "text", max: lengthMax });
}
