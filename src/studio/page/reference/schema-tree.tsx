import type { JSX } from "preact";
import { fieldsOf, limitsOf, nameOf, typeOf, type Field, type Schema } from "./schema.ts";

/** Objects in objects are open down to this depth. */
const openDepth = 2;

/** The type of a schema; the name of a schema of the document leads to it. */
function Type({ schema }: { readonly schema: Schema }): JSX.Element {
  const name = nameOf(schema) ?? namedIn(schema);
  return (
    <code class="type">
      {name === undefined ? (
        typeOf(schema)
      ) : (
        <a class="link" href={`#schema-${name}`}>
          {typeOf(schema)}
        </a>
      )}
    </code>
  );
}

/** The first schema of the document in a list or a choice. */
function namedIn({ items, anyOf = [], additionalProperties: others }: Schema): string | undefined {
  const inner = [items, others, ...anyOf].filter((one) => typeof one === "object");
  for (const one of inner) {
    const name = nameOf(one) ?? namedIn(one);
    if (name !== undefined) return name;
  }
  return undefined;
}

/** The fields of an object as a tree. */
export function SchemaTree({ schema, depth = 0 }: { readonly schema: Schema; readonly depth?: number }): JSX.Element {
  const choices = fieldsOf(schema);
  const isPlain = typeOf(schema) === "object" && choices.length > 0 && schema.description === undefined;
  return (
    <>
      {depth === 0 && !isPlain && (
        <p class="schema-head">
          <Type schema={schema} />
          <Limits schema={schema} />
          {schema.description !== undefined && <span class="soft">{schema.description}</span>}
        </p>
      )}
      {choices.map((fields, index) => (
        <div key={index}>
          {choices.length > 1 && <p class="schema-choice faint">{index === 0 ? "either" : "or"}</p>}
          <ul class="fields">
            {fields.map((field) => (
              <FieldLine key={field.name} field={field} depth={depth} />
            ))}
          </ul>
        </div>
      ))}
    </>
  );
}

function FieldLine({ field, depth }: { readonly field: Field; readonly depth: number }): JSX.Element {
  const { name, schema, isRequired } = field;
  const line = <FieldText name={name} schema={schema} isRequired={isRequired} />;
  if (fieldsOf(schema).length === 0) return <li>{line}</li>;
  return (
    <li>
      <details open={depth < openDepth}>
        <summary>{line}</summary>
        <SchemaTree schema={schema} depth={depth + 1} />
      </details>
    </li>
  );
}

/** The name, the type, the limits and the meaning of a field or parameter. */
export function FieldText({
  name,
  schema,
  isRequired,
  place,
}: {
  readonly name: string;
  readonly schema: Schema;
  readonly isRequired: boolean;
  readonly place?: string;
}): JSX.Element {
  return (
    <span class="field">
      <code class="field-name">{name}</code>
      <span class="field-rest">
        <Type schema={schema} />
        {place !== undefined && <span class="tag">{place}</span>}
        {isRequired && <span class="tag tag-waiting">required</span>}
        <Limits schema={schema} />
        {schema.description !== undefined && <span class="soft">{schema.description}</span>}
      </span>
    </span>
  );
}

function Limits({ schema }: { readonly schema: Schema }): JSX.Element {
  return (
    <>
      {limitsOf(schema).map((limit) => (
        <span key={limit} class="faint">
          {limit}
        </span>
      ))}
    </>
  );
}
