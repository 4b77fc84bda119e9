/**
 * The same value with half surrogate pairs replaced by U+FFFD: `JSON.stringify` escapes them, and strict parsers refuse
 * the escape. The store keeps the original.
 */
export function wellFormed(value: unknown): unknown {
  if (typeof value === "string") return value.isWellFormed() ? value : value.toWellFormed();
  if (Array.isArray(value)) return value.map(wellFormed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key.toWellFormed(), wellFormed(one)]));
}
