import { z } from "zod";
import { defined } from "../../domain/values/defined.ts";
import { problemType } from "../../protocol/problem.ts";
import { problemAnswer } from "../../protocol/schemas.ts";
import { deviceHeader } from "./authority.ts";
import type { Answered, Route, RouteTable } from "./route.ts";

type Json = Record<string, unknown>;

/** Builds the OpenAPI 3.1 document of the routes from the schemas that check the requests. */
export function openapiOf(table: RouteTable, version: string): Json {
  const components = new Map<string, unknown>();
  const schema = (type: z.ZodType, io: "input" | "output"): Json => hoisted(z.toJSONSchema(type, { io }), components);
  const paths: Record<string, Json> = {};
  for (const route of table) {
    const operation = operationOf(route, schema);
    paths[route.path] = { ...paths[route.path], [route.method]: operation };
    if (route.alias !== undefined)
      paths[route.alias] = { ...paths[route.alias], [route.method]: aliasOf(operation, route.path) };
  }
  return {
    openapi: "3.1.0",
    info: { title: "Perdure", version, description: "Durable sessions for AI agents and LLM chats." },
    paths,
    components: {
      schemas: Object.fromEntries(components),
      securitySchemes: {
        key: { type: "http", scheme: "bearer", description: 'made by "perdure keys create"' },
        share: { type: "http", scheme: "bearer", description: "the token of a share" },
        device: {
          type: "apiKey",
          in: "header",
          name: deviceHeader,
          description: "a UUID that only the device knows",
        },
        cookie: {
          type: "apiKey",
          in: "cookie",
          name: "__Host-perdure_device",
          description: "set by POST /v1/chat; without HTTPS, its name is perdure_device",
        },
      },
    },
  };
}

/** The operation under its second path, which names the first one. */
function aliasOf({ description, ...operation }: Json, path: string): Json {
  const alias = `Alias of ${path}.`;
  return { ...operation, description: typeof description === "string" ? `${alias} ${description}` : alias };
}

const tags = { open: "operation", device: "devices", share: "shares", read: "sessions" } as const;

function operationOf(
  { summary, scope, params, query, body, takesBytes, headers = [], answers }: Route<unknown, unknown, unknown>,
  schema: (type: z.ZodType, io: "input" | "output") => Json,
): Json {
  const parameters = [
    ...(params === undefined ? [] : parametersOf(schema(params, "input"), "path")),
    ...(query === undefined ? [] : parametersOf(schema(query, "input"), "query")),
    ...headers.map((name) => ({ name, in: "header", schema: { type: "string" } })),
  ];
  const security = { open: [], device: [{ device: [] }, { cookie: [] }], share: [{ share: [] }], read: [{ key: [] }] };
  const needed = scope === "open" || scope === "device" || scope === "share" ? scope : "read";
  const answered = Object.entries(answers).map(([status, answer]) => [status, responseOf(answer, schema)]);
  return {
    summary,
    tags: [tags[needed]],
    ...(needed === "read" ? { description: `Needs a key with the right "${scope}".` } : {}),
    security: security[needed],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...defined({
      requestBody:
        body === undefined
          ? takesBytes && { required: true, content: anyBytes }
          : { required: true, content: { "application/json": { schema: schema(body, "input") } } },
    }),
    responses: {
      ...Object.fromEntries(answered),
      default: {
        description: "an error",
        content: { [problemType]: { schema: schema(problemAnswer, "output") } },
      },
    },
  };
}

const anyBytes = { "*/*": { schema: { type: "string", format: "binary" } } };

function parametersOf(schema: Json, place: "path" | "query"): Json[] {
  const { properties = {}, required = [] } = schema as { properties?: Record<string, Json>; required?: string[] };
  return Object.entries(properties).map(([name, type]) => ({
    name,
    in: place,
    required: place === "path" || required.includes(name),
    schema: type,
  }));
}

function responseOf(
  { description, schema: type, streams, bytes }: Answered,
  schema: (type: z.ZodType, io: "output") => Json,
): Json {
  if (bytes === true) return { description, content: anyBytes };
  if (type === undefined && streams === undefined) return { description };
  return {
    description,
    content: defined({
      "application/json": type === undefined ? undefined : { schema: schema(type, "output") },
      "text/event-stream": streams === undefined ? undefined : { schema: { type: "string" } },
    }),
  };
}

/** Moves named schemas to the components of the document, with references to them. */
function hoisted({ $schema: _, $defs = {}, id: name, ...schema }: Json, components: Map<string, unknown>): Json {
  const referring = (part: unknown): Json =>
    JSON.parse(JSON.stringify(part).replaceAll('"#/$defs/', '"#/components/schemas/')) as Json;
  for (const [definition, part] of Object.entries($defs as Record<string, Json>)) {
    const { id: __, ...named } = part;
    components.set(definition, referring(named));
  }
  if (typeof name !== "string") return referring(schema);
  components.set(name, referring(schema));
  return { $ref: `#/components/schemas/${name}` };
}
