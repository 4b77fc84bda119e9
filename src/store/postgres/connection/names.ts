import { invalidArgument } from "../../../domain/values/invalid-argument.ts";

/** PostgreSQL cuts longer names off without a word. */
const nameBytesMax = 63;

/**
 * The name of a schema, if it can be one. Quotes, blanks and every script are fine; it is quoted wherever it is used.
 * @throws SessionError `argument_invalid`
 */
export function parseSchemaName(value: unknown): string {
  const valid =
    typeof value === "string" &&
    value !== "" &&
    Buffer.byteLength(value) <= nameBytesMax &&
    // oxlint-disable-next-line no-control-regex -- control characters are exactly what is looked for
    !/[\u0000-\u001f\u007f]|\p{Surrogate}/u.test(value) &&
    !/^pg_/i.test(value);
  if (valid) return value;
  throw invalidArgument("schema", value, { expected: "schema_name", max: nameBytesMax });
}

/** A name as SQL writes it. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A text or the body of a function between dollar quotes whose tag does not occur in it, whatever it says. */
export function quoteBody(body: string): string {
  let tag = "$body$";
  for (let number = 2; body.includes(tag); number++) tag = `$body${number}$`;
  return `${tag}${body}${tag}`;
}
