import type { JSX } from "preact";
import { CopyButton } from "../view/code.tsx";
import { curlOf, type Operation, type Reply } from "./document.ts";
import { FieldText, SchemaTree } from "./schema-tree.tsx";
import type { Schemas } from "./schema.ts";

interface SectionProps {
  readonly operation: Operation;
  readonly schemas: Schemas;
  readonly origin: string;
}

const admitted: Readonly<Record<string, string>> = {
  key: "API key",
  share: "share token",
  device: "device",
  cookie: "cookie of the device",
};

/** One operation: what it takes, what it answers, and a command that calls it. */
export function OperationSection({ operation, schemas, origin }: SectionProps): JSX.Element {
  const { id, method, path, summary, description, security = [], parameters = [], requestBody, responses } = operation;
  const body = Object.entries(requestBody?.content ?? {})[0];
  const example = curlOf(operation, schemas, origin);
  return (
    <section class="operation" id={id} aria-labelledby={`${id}-title`} tabIndex={-1}>
      <h3 id={`${id}-title`}>
        <a href={`#${id}`}>{summary}</a>
      </h3>
      <p class="operation-call">
        <span class={`method method-${method}`}>{method.toUpperCase()}</span> <code>{path}</code>
        {security.map((one) => (
          <span key={Object.keys(one)[0]} class="tag">
            {admitted[Object.keys(one)[0] ?? ""]}
          </span>
        ))}
        {security.length === 0 && <span class="tag">open to every caller</span>}
      </p>
      {description !== undefined && <p class="soft">{description}</p>}
      <div class="operation-parts">
        <div class="operation-text">
          {parameters.length > 0 && (
            <>
              <h4>Parameters</h4>
              <ul class="fields">
                {parameters.map(({ name, in: place, required = false, schema }) => (
                  <li key={`${place} ${name}`}>
                    <FieldText name={name} schema={schema} isRequired={required} place={place} />
                  </li>
                ))}
              </ul>
            </>
          )}
          {body !== undefined && (
            <>
              <h4>
                Body <span class="faint">{body[0] === "*/*" ? "the bytes themselves" : body[0]}</span>
              </h4>
              <SchemaTree schema={body[1].schema} />
            </>
          )}
          <h4>Answers</h4>
          <ul class="fields">
            {Object.entries(responses).map(([status, reply]) => (
              <Answer key={status} status={status} reply={reply} />
            ))}
          </ul>
        </div>
        <div class="operation-example">
          <p>
            <span class="faint">Example</span> <CopyButton text={example} />
          </p>
          <pre class="code" tabIndex={0}>
            {example}
          </pre>
        </div>
      </div>
    </section>
  );
}

function Answer({ status, reply }: { readonly status: string; readonly reply: Reply }): JSX.Element {
  const types = Object.entries(reply.content ?? {});
  const [, first] = types.find(([type]) => type.endsWith("json")) ?? [];
  const line = (
    <span class="field">
      <code class="field-name">{status === "default" ? "error" : status}</code>
      <span class="field-rest">
        <span class="soft">{reply.description}</span>
        {types.map(([type]) => (
          <span key={type} class="tag">
            {type}
          </span>
        ))}
        {first?.schema.$ref !== undefined && <SchemaTree schema={first.schema} />}
      </span>
    </span>
  );
  if (first === undefined || first.schema.$ref !== undefined) return <li>{line}</li>;
  return (
    <li>
      <details>
        <summary>{line}</summary>
        <SchemaTree schema={first.schema} />
      </details>
    </li>
  );
}
