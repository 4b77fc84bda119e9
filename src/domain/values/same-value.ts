import type { Value } from "./codec.ts";

/** True for values that are stored alike, whatever the order of their fields. A field that is `undefined` is absent. */
export function sameValue(a: Value | undefined, b: Value | undefined): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (a instanceof Date || b instanceof Date)
    return a instanceof Date && b instanceof Date && a.getTime() === b.getTime();
  if (a instanceof Uint8Array || b instanceof Uint8Array)
    return a instanceof Uint8Array && b instanceof Uint8Array && haveSameItems(a, b);
  if (Array.isArray(a) || Array.isArray(b)) {
    const areArrays = Array.isArray(a) && Array.isArray(b);
    return areArrays && haveSameItems(a as readonly Value[], b as readonly Value[]);
  }
  return haveSameFields(a as FieldsOfValue, b as FieldsOfValue);
}

// Long lists are compared by these, so they make no arrays of their own.

function haveSameItems(a: ArrayLike<Value>, b: ArrayLike<Value>): boolean {
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) if (!sameValue(a[index], b[index])) return false;
  return true;
}

type FieldsOfValue = Readonly<Record<string, Value | undefined>>;

function haveSameFields(a: FieldsOfValue, b: FieldsOfValue): boolean {
  let more = 0;
  for (const name of Object.keys(b)) if (b[name] !== undefined) more++;
  for (const name of Object.keys(a)) {
    const value = a[name];
    if (value === undefined) continue;
    if (!Object.hasOwn(b, name) || !sameValue(value, b[name])) return false;
    more--;
  }
  return more === 0;
}
