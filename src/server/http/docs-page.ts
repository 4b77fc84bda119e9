import { createHash } from "node:crypto";
import { html, raw } from "hono/html";
import type { HtmlEscapedString } from "hono/utils/html";

const style = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 52rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin-top: 3rem; text-transform: capitalize }
section { border-top: 1px solid #8884; padding: .5rem 0 1rem }
code, pre { font: .9em/1.4 ui-monospace, monospace }
pre { overflow-x: auto; background: #8881; padding: .75rem; border-radius: .4rem }
.method { display: inline-block; min-width: 4.5rem; font-weight: 700 }
table { border-collapse: collapse } td { padding: .1rem 1rem .1rem 0; vertical-align: top }
`;

/** Only the page's own style may load. */
export const docsPolicy: string = `default-src 'none'; style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'`;

interface Operation {
  readonly summary: string;
  readonly description?: string;
  readonly tags: readonly string[];
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly schema: object;
  }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: object }>> };
  readonly responses: Readonly<Record<string, { readonly description: string }>>;
}

/** The OpenAPI document as a page; it loads nothing from other origins. */
export function docsPage(document: object): HtmlEscapedString | Promise<HtmlEscapedString> {
  const { info, paths, components } = document as {
    info: { title: string; version: string; description: string };
    paths: Record<string, Record<string, Operation>>;
    components: { schemas: Record<string, object> };
  };
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const tags = [...new Set(operations.flatMap(({ operation }) => operation.tags))];
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${info.title} ${info.version}</title>
        ${styleTag()}
      </head>
      <body>
        <h1>${info.title} ${info.version}</h1>
        <p>${info.description} For programs: <a href="openapi.json">openapi.json</a>.</p>
        ${tags.map(
          (tag) =>
            html`<h2>${tag}</h2>
              ${operations
                .filter(({ operation }) => operation.tags.includes(tag))
                .map(({ path, method, operation }) => operationSection(path, method, operation))}`,
        )}
        <h2>schemas</h2>
        ${Object.entries(components.schemas).map(
          ([name, schema]) =>
            html`<section id="${name}">
              <h3>${name}</h3>
              <pre>${JSON.stringify(schema, null, 2)}</pre>
            </section>`,
        )}
      </body>
    </html>`;
}

/** Verbatim: the policy contains the hash of exactly this text. */
function styleTag(): HtmlEscapedString | Promise<HtmlEscapedString> {
  return raw(`<style>${style}</style>`);
}

function operationSection(
  path: string,
  method: string,
  { summary, description, parameters = [], requestBody, responses }: Operation,
): HtmlEscapedString | Promise<HtmlEscapedString> {
  const body = requestBody?.content["application/json"]?.schema;
  return html`<section>
    <h3>
      <code><span class="method">${method.toUpperCase()}</span>${path}</code>
    </h3>
    <p>${summary}. ${description ?? ""}</p>
    <table>
      ${parameters.map(
        (parameter) =>
          html`<tr>
            <td><code>${parameter.name}</code></td>
            <td>${parameter.in}</td>
            <td><code>${JSON.stringify(parameter.schema)}</code></td>
          </tr>`,
      )}
    </table>
    ${body === undefined ? "" : html`<pre>${JSON.stringify(body, null, 2)}</pre>`}
    <table>
      ${Object.entries(responses).map(
        ([status, response]) =>
          html`<tr>
            <td>${status}</td>
            <td>${response.description}</td>
          </tr>`,
      )}
    </table>
  </section>`;
}
