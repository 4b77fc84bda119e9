import { invalidArgument } from "../../../domain/values/invalid-argument.ts";

/** PostgreSQL truncates longer names without an error. */
const nameBytesMax = 63;

/**
 * Checks the name of a schema. Quotes, blanks and all scripts are allowed; every use quotes the name.
 * @throws SessionError `argument_invalid`
 */
export function parseSchemaName(value: unknown): string {
  const valid =
    typeof value === "string" &&
    value !== "" &&
    Buffer.byteLength(value) <= nameBytesMax &&
    // oxlint-disable-next-line no-control-regex -- the pattern looks for control characters
    !/[\u0000-\u001f\u007f]|\p{Surrogate}/u.test(value) &&
    !/^pg_/i.test(value);
  if (valid) return value;
  throw invalidArgument("schema", value, { expected: "schema_name", max: nameBytesMax });
}

/** A quoted name in SQL. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A text between dollar quotes, whose tag does not occur in the text. */
export function quoteBody(body: string): string {
  let tag = "$body$";
  for (let number = 2; body.includes(tag); number++) tag = `$body${number}$`;
  return `${tag}${body}${tag}`;
}
