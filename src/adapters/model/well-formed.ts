/**
 * The same value as every endpoint parses it. Half surrogate pairs are replaced by U+FFFD: `JSON.stringify` escapes them,
 * and strict parsers refuse the escape. Values that JSON lacks become texts: bigints digits, dates ISO 8601, bytes base64.
 * The store keeps the original.
 */
export function wellFormed(value: unknown): unknown {
  if (typeof value === "string") return value.isWellFormed() ? value : value.toWellFormed();
  if (typeof value === "bigint") return value.toString();
  if (Array.isArray(value)) return value.map(wellFormed);
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key.toWellFormed(), wellFormed(one)]));
}
