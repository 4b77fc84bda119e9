/** Values of requests, checked by their schemas: the fields that they may have, and what these hold. */
import { z } from "zod";
import { SessionError } from "../errors.ts";

/**
 * Refuses a field that the schema of a body does not have, also in the objects that it holds: ignored, it would silently change
 * what the caller asks for.
 * @throws SessionError `request_invalid`
 */
export function guardFields(schema: z.ZodType, value: unknown, path: string = "body"): void {
  const fields = fieldsOf(schema);
  if (fields === undefined || !isObject(value)) return;
  for (const [name, field] of Object.entries(value)) {
    const known = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (known !== undefined) guardFields(known, field, `${path}.${name}`);
    else
      throw new SessionError("request_invalid", {
        path: `${path}.${name}`.slice(0, 100),
        expected: "known_field",
        known: nearestFirst(name, Object.keys(fields)),
      });
  }
}

/** The schema of a body that has no fields. */
export const noFields: z.ZodType = z.strictObject({});

/** The fields of a schema for objects; undefined for another schema. */
function fieldsOf(schema: unknown): Readonly<Record<string, z.ZodType>> | undefined {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) return fieldsOf(schema.unwrap());
  if (schema instanceof z.ZodUnion) return schema.options.map(fieldsOf).find((fields) => fields !== undefined);
  return schema instanceof z.ZodObject ? schema.shape : undefined;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The known names, the one first that shares the most letters with the given one, in order. */
function nearestFirst(given: string, known: readonly string[]): readonly string[] {
  const name = given.slice(0, 100).toLowerCase();
  const likeness = new Map(known.map((one) => [one, likenessOf(name, one.toLowerCase())]));
  return known.toSorted((one, other) => (likeness.get(other) ?? 0) - (likeness.get(one) ?? 0));
}

/** The share of the letters of two names that both have in the same order: 1 for equal names. */
function likenessOf(one: string, other: string): number {
  let row = Array<number>(other.length + 1).fill(0);
  for (const letter of one) {
    const next = [0];
    for (let index = 0; index < other.length; index++) {
      const shared = (row[index] ?? 0) + (letter === other[index] ? 1 : 0);
      next.push(Math.max(shared, row[index + 1] ?? 0, next[index] ?? 0));
    }
    row = next;
  }
  return (2 * (row.at(-1) ?? 0)) / (one.length + other.length);
}

/**
 * The value as its schema gives it; without a schema undefined.
 * @throws SessionError `request_invalid` with the path of the first value that does not fit
 */
export function checked<T>(schema: z.ZodType<T> | undefined, value: unknown, part: string): T {
  if (schema === undefined) return undefined as T;
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const path = [part, ...(issue?.path ?? [])].map(String).join(".");
  if (issue !== undefined && isMissing(value, issue.path))
    throw new SessionError("request_invalid", { path: path.slice(0, 100), expected: "value" });
  throw new SessionError(
    "request_invalid",
    { path: path.slice(0, 100) },
    { reported: (issue?.message ?? "").slice(0, 200) },
  );
}

/** Whether the value has nothing at this path. */
function isMissing(value: unknown, path: readonly PropertyKey[]): boolean {
  let found: unknown = value;
  for (const name of path) found = (found as Readonly<Record<PropertyKey, unknown>> | null | undefined)?.[name];
  return found === undefined;
}
