/** JSON schemas as texts for people: types, limits, fields, examples. */

export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema | boolean;
  readonly prefixItems?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly format?: string;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly examples?: readonly unknown[];
}

export type Schemas = Readonly<Record<string, Schema>>;

const formats: Readonly<Record<string, string>> = {
  "date-time": "instant, ISO 8601",
  uuid: "UUID",
  binary: "bytes",
};

function variantsOf({ anyOf, oneOf }: Schema): readonly Schema[] {
  return anyOf ?? oneOf ?? [];
}

/** The name of a schema of the document. */
export function nameOf({ $ref }: Schema): string | undefined {
  return $ref?.split("/").at(-1);
}

/** `text`, `list of numbers`, `Session or null`. */
export function typeOf(schema: Schema): string {
  const name = nameOf(schema);
  if (name !== undefined) return name;
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
  const variants = variantsOf(schema);
  if (variants.length > 0) return [...new Set(variants.map(typeOf))].join(" or ");
  if (typeof schema.type === "object") return schema.type.map((type) => typeOf({ ...schema, type })).join(" or ");
  if (schema.type === "array") {
    if (schema.prefixItems !== undefined) return `[${schema.prefixItems.map(typeOf).join(", ")}]`;
    return typeof schema.items === "object" && Object.keys(schema.items).length > 0
      ? `list of ${typeOf(schema.items)}`
      : "list";
  }
  if (schema.type === "object") {
    const { additionalProperties: others } = schema;
    const isMap = typeof others === "object" && Object.keys(others).length > 0;
    return isMap ? `object of ${typeOf(others)}` : "object";
  }
  if (schema.type === "string") return formats[schema.format ?? ""] ?? "text";
  return schema.type ?? "any JSON";
}

/** Numbers from here on stand for no limit. */
const unlimited = 1_000_000_000_000;
/** A longer pattern says nothing to a reader. */
const patternMax = 60;

/** `1–256 characters`, `at least 0`, `at most 16 entries`. */
export function limitsOf(schema: Schema): readonly string[] {
  const own = [
    range(schema.minLength, schema.maxLength, "characters"),
    range(schema.minimum, schema.maximum, ""),
    range(schema.minItems, schema.maxItems, "entries"),
    schema.default === undefined ? undefined : `default ${JSON.stringify(schema.default)}`,
    schema.pattern === undefined || schema.format !== undefined || schema.pattern.length > patternMax
      ? undefined
      : `pattern ${schema.pattern}`,
  ].filter((limit) => limit !== undefined);
  return [...new Set([...own, ...variantsOf(schema).flatMap(limitsOf)])];
}

function range(least: number | undefined, most: number | undefined, unit: string): string | undefined {
  const hasMost = most !== undefined && most < unlimited;
  const hasLeast = least !== undefined && least > -unlimited;
  const text = hasLeast && hasMost ? `${least}–${most}` : hasMost ? `at most ${most}` : `at least ${least}`;
  return hasLeast || hasMost ? `${text} ${unit}`.trim() : undefined;
}

export interface Field {
  readonly name: string;
  readonly schema: Schema;
  readonly isRequired: boolean;
}

/** The fields of an object, and of the objects in a list or in a choice; a list of fields for each choice that has some. */
export function fieldsOf(schema: Schema): readonly (readonly Field[])[] {
  if (schema.properties !== undefined && Object.keys(schema.properties).length > 0) {
    const required = new Set(schema.required);
    const fields = Object.entries(schema.properties).map(([name, one]) => ({
      name,
      schema: one,
      isRequired: required.has(name),
    }));
    return [fields];
  }
  if (typeof schema.items === "object") return fieldsOf(schema.items);
  if (schema.prefixItems !== undefined) return schema.prefixItems.flatMap(fieldsOf);
  if (typeof schema.additionalProperties === "object") return fieldsOf(schema.additionalProperties);
  return variantsOf(schema).flatMap(fieldsOf);
}

/** A value that fits the schema: its examples, and else its required fields. */
export function exampleOf(schema: Schema, schemas: Schemas, depth = 0): unknown {
  const name = nameOf(schema);
  if (name !== undefined) return depth > 4 ? {} : exampleOf(schemas[name] ?? {}, schemas, depth + 1);
  if (schema.examples !== undefined && schema.examples.length > 0) return schema.examples[0];
  if (schema.const !== undefined) return schema.const;
  if (schema.default !== undefined) return schema.default;
  if (schema.enum !== undefined) return schema.enum[0];
  const [first] = variantsOf(schema);
  if (first !== undefined) return exampleOf(first, schemas, depth);
  const type = typeof schema.type === "object" ? schema.type[0] : schema.type;
  if (type === "object") return exampleObject(schema, schemas, depth);
  if (type === "array") {
    if (schema.prefixItems !== undefined) return schema.prefixItems.map((one) => exampleOf(one, schemas, depth + 1));
    return typeof schema.items === "object" && depth < 4 ? [exampleOf(schema.items, schemas, depth + 1)] : [];
  }
  if (type === "boolean") return true;
  if (type === "number" || type === "integer") return Math.max(1, schema.minimum ?? 1);
  if (schema.format === "date-time") return "2026-11-30T12:00:00Z";
  if (schema.format === "uuid") return "0b8e6a4e-6f5c-4c3f-9d0a-2f1f6f0f3c11";
  return "…";
}

/** The required fields, and those with an example; without any of both the first field. */
function exampleObject({ properties = {}, required = [] }: Schema, schemas: Schemas, depth: number): object {
  const all = Object.entries(properties);
  const told = all.filter(([name, one]) => required.includes(name) || (depth === 0 && one.examples !== undefined));
  const shown = told.length > 0 || depth > 0 ? told : all.slice(0, 1);
  return Object.fromEntries(shown.map(([name, one]) => [name, exampleOf(one, schemas, depth + 1)]));
}
