/** The fields of a document that another program may have made, each checked for its type and its range. */
import { parseId } from "../../domain/values/ids.ts";
import { countMax, instantMaxMs } from "../../domain/values/limits.ts";
import { formatValue } from "../../domain/values/format-value.ts";
import { SessionError } from "../../errors.ts";

export type Fields = Readonly<Record<string, unknown>>;
/** Refuses the document: the value at `path` is not as it should be. */
export type Refuse = (path: string, reason: string, cause?: unknown) => never;

/** Refuses the document of this name with `snapshot_invalid`. */
export function refusalOf(source: string): Refuse {
  return (path, reason, cause) => {
    throw new SessionError("snapshot_invalid", { source, path, reason }, { cause });
  };
}

export function objectOf(value: unknown, path: string, refuse: Refuse): Fields {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
  return refuse(path, `is ${formatValue(value)}; expected an object`);
}

/** An object with these fields and no others. */
export function fieldsOf(value: unknown, path: string, names: readonly string[], refuse: Refuse): Fields {
  const fields = objectOf(value, path, refuse);
  const inside = path === "" ? "" : `${path}.`;
  for (const name of names) if (!Object.hasOwn(fields, name)) refuse(`${inside}${name}`, "is missing");
  for (const name of Object.keys(fields)) {
    if (!names.includes(name))
      refuse(path === "" ? "the document" : path, `has the unknown field ${formatValue(name)}`);
  }
  return fields;
}

export function idOf(value: unknown, path: string, refuse: Refuse): string {
  return judged(path, refuse, () => parseId(value, "it"));
}

/** What a rule of the domain says, at the place where it says it. */
export function judged<T>(path: string, refuse: Refuse, rule: () => T): T {
  try {
    return rule();
  } catch (error) {
    return refuse(path, error instanceof Error ? error.message : String(error), error);
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
  return refuse(path, `is ${formatValue(value)}; expected a whole number from ${least} to ${most}`);
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
  return refuse(path, `is ${formatValue(value)}; expected a number from 0 to ${most}`);
}

export function textOfAtMost(
  value: unknown,
  path: string,
  { lengthMax, refuse }: { lengthMax: number; refuse: Refuse },
): string {
  if (typeof value !== "string") return refuse(path, `is ${formatValue(value)}; expected a text`);
  return value.length <= lengthMax ? value : refuse(path, `has ${value.length} characters, the limit is ${lengthMax}`);
}
