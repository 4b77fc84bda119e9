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
  const [one, other] = [a as FieldsOfValue, b as FieldsOfValue];
  const names = namesIn(one);
  return (
    names.length === namesIn(other).length &&
    names.every((name) => Object.hasOwn(other, name) && sameValue(one[name], other[name]))
  );
}

function haveSameItems(a: ArrayLike<Value>, b: ArrayLike<Value>): boolean {
  return a.length === b.length && Array.from(a).every((item, index) => sameValue(item, b[index]));
}

type FieldsOfValue = Readonly<Record<string, Value | undefined>>;

function namesIn(fields: FieldsOfValue): readonly string[] {
  return Object.keys(fields).filter((name) => fields[name] !== undefined);
}
