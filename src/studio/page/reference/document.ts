/** The OpenAPI document as the page reads it: operations in groups, their words, their requests as commands. */
import { exampleOf, fieldsOf, type Schema, type Schemas } from "./schema.ts";

export interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly required?: boolean;
  readonly schema: Schema;
}

type Content = Readonly<Record<string, { readonly schema: Schema }>>;

export interface Reply {
  readonly description: string;
  readonly content?: Content;
}

interface Described {
  readonly summary: string;
  readonly description?: string;
  readonly security?: readonly Readonly<Record<string, unknown>>[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<Record<string, Reply>>;
}

export interface Document {
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
  readonly components: {
    readonly schemas: Schemas;
    readonly securitySchemes: Readonly<Record<string, { readonly description?: string }>>;
  };
}

export interface Operation extends Described {
  /** Its place in the address: `post-v1-sessions-id-fork`. */
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly group: string;
  /** Small letters, for the search. */
  readonly words: string;
}

/** A part of an address has letters, numbers and hyphens alone. */
function idOf(method: string, path: string): string {
  return `${method}${path.replaceAll(/[^\w]+/g, "-")}`.replace(/-$/, "");
}

/** Paths of several groups that belong to one subject. */
const subjects: Readonly<Record<string, string>> = {
  write: "sessions",
  search: "sessions",
  shared: "shares",
  news: "events",
  ...Object.fromEntries(
    ["key", "hosts", "doctor", "sweep", "stats", "references", "erase"].map((name) => [name, "operation"]),
  ),
};

/** The subject of a path: its first part after the version. */
function groupOf(path: string): string {
  const [version, subject = ""] = path.split("/").slice(1);
  return version === "v1" ? (subjects[subject] ?? subject) : "operation";
}

export function operationsOf({ paths }: Document): readonly Operation[] {
  const all = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): Operation => {
      const fields = Object.values(operation.requestBody?.content ?? {}).flatMap(({ schema }) =>
        fieldsOf(schema)
          .flat()
          .map(({ name }) => name),
      );
      const named = (operation.parameters ?? []).map(({ name }) => name);
      const words = [method, path, operation.summary, ...named, ...fields].join(" ").toLowerCase();
      return { ...operation, id: idOf(method, path), method, path, group: groupOf(path), words };
    }),
  );
  const groups = [...new Set(all.map(({ group }) => group))];
  return groups.flatMap((group) => all.filter((one) => one.group === group));
}

/** True if the operation has all words of the search. */
export function matches({ words }: Operation, search: string): boolean {
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => words.includes(word));
}

/** The operation as a command of a shell. */
export function curlOf(operation: Operation, schemas: Schemas, origin: string): string {
  const { method, path, security = [], requestBody, parameters = [], responses } = operation;
  const query = parameters.filter((one) => one.in === "query" && one.required === true);
  const search = query.map(({ name, schema }) => `${name}=${encodeURIComponent(String(exampleOf(schema, schemas)))}`);
  const address = `${origin}${path.replaceAll(/\{(\w+)\}/g, (_, name: string) => `$${name.toUpperCase()}`)}`;
  const [scheme] = Object.keys(security[0] ?? {});
  const content = Object.entries(requestBody?.content ?? {})[0];
  const streams = Object.values(responses).some(({ content: one }) => one?.["text/event-stream"] !== undefined);
  const onlyStreams = Object.entries(responses).some(
    ([status, { content: one }]) =>
      status === "200" && one !== undefined && Object.keys(one).join("") === "text/event-stream",
  );
  const given = [streams && "--no-buffer", method !== "get" && `--request ${method.toUpperCase()}`];
  const parts = [
    ["curl", ...given].filter((part) => part !== false).join(" "),
    `"${address}${search.length === 0 ? "" : `?${search.join("&")}`}"`,
    scheme === "key" && '--header "authorization: Bearer $PERDURE_KEY"',
    scheme === "share" && '--header "authorization: Bearer $SHARE_TOKEN"',
    scheme === "device" && '--header "X-Device-ID: $DEVICE"',
    onlyStreams && '--header "accept: text/event-stream"',
    ...(content === undefined ? [] : bodyOf(content, schemas)),
  ];
  return parts.filter((part) => part !== false).join(" \\\n  ");
}

function bodyOf([type, { schema }]: readonly [string, { readonly schema: Schema }], schemas: Schemas): string[] {
  if (type !== "application/json") return ['--header "content-type: application/octet-stream"', "--data-binary @file"];
  const text = JSON.stringify(exampleOf(schema, schemas)).replaceAll("'", String.raw`'\''`);
  return ['--header "content-type: application/json"', `--data '${text}'`];
}
