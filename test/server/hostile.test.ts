/** Every route against what no honest client sends: made from the schemas, near them, and from nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "../support/fast-check.ts";
import { defined } from "../../src/domain/values/defined.ts";
import { startHost } from "../../src/host/index.ts";
import { createServer, type Server } from "../../src/server/index.ts";
import { rounds } from "../support/rounds.ts";
import { callOn, serve, unlimited } from "./serving.ts";

interface Schema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
}

interface Operation {
  readonly method: string;
  readonly path: string;
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly schema: Schema }[];
  readonly body: Schema | undefined;
}

const strange = fc.oneof(
  fc.string(),
  fc.string({ unit: "binary" }),
  fc.constantFrom(
    "",
    "../../etc/passwd",
    "__proto__",
    "constructor",
    "\u0000",
    "\u0001devices",
    "default\u0001devices",
    "' or 1=1 --",
    "%00%ff%2e%2e",
    "🦩".repeat(200),
    "a".repeat(5000),
    "NaN",
    "1e400",
    "-0",
    "9".repeat(400),
    '"1-1"',
    "1-1",
    "0.0",
    "2026-13-40",
  ),
);
const anyValue = fc.oneof(
  fc.jsonValue(),
  strange,
  fc.constantFrom<unknown>(
    { $type: "bigint", value: "1" },
    { $type: "bytes", value: "!!!" },
    { $type: "date", value: "never" },
    { $type: "number", value: "abc" },
    { $type: "object", value: 5 },
    { $type: "class", value: "x" },
    JSON.parse('{"__proto__":{"admin":true}}'),
    nested(600),
    1e308,
    -1,
    2 ** 53,
    null,
  ),
);

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level++) value = [value];
  return value;
}

/** Values of the schema, mostly. */
function near(schema: Schema): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 4, arbitrary: within(schema) }, { weight: 1, arbitrary: anyValue });
}

function within(schema: Schema): fc.Arbitrary<unknown> {
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map(near));
  const { properties, items } = schema;
  if (properties !== undefined) {
    const fields = Object.fromEntries(Object.entries(properties).map(([name, one]) => [name, near(one)]));
    return fc.record(fields, { requiredKeys: [] });
  }
  if (items !== undefined) return fc.array(near(items), { maxLength: 5 });
  if (schema.type === "number" || schema.type === "integer") return fc.oneof(fc.integer(), fc.double());
  if (schema.type === "string") return strange;
  return anyValue;
}

async function operationsOf(server: Server): Promise<readonly Operation[]> {
  const { paths } = (await callOn(server, "GET", "/openapi.json")).json;
  return Object.entries<
    Record<
      string,
      { parameters?: Operation["parameters"]; requestBody?: { content: Record<string, { schema: Schema }> } }
    >
  >(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { parameters = [], requestBody }]) => ({
      method: method.toUpperCase(),
      path,
      parameters,
      body: requestBody?.content["application/json"]?.schema,
    })),
  );
}

const mine = "5f2c6f0e-8a4e-4d3b-9a53-0d0a6d6b7c11";
const theirs = "5f2c6f0e-8a4e-4d3b-9a53-0d0a6d6b7c12";
const word = "swordfish-of-somebody-else";

function requestFor(operation: Operation, keys: readonly string[]) {
  const text = (one: fc.Arbitrary<unknown>): fc.Arbitrary<string> =>
    one.map((value) => (typeof value === "string" ? value : (JSON.stringify(value) ?? "")));
  const ofPlace = (place: string) =>
    fc.record(
      Object.fromEntries(
        operation.parameters.filter((one) => one.in === place).map(({ name, schema }) => [name, text(near(schema))]),
      ),
      place === "path" ? {} : { requiredKeys: [] },
    );
  const header = text(strange).map((value) => value.replace(/[^\t\u0020-\u007e\u0080-\u00ff]/g, "?").slice(0, 500));
  return fc.record({
    path: fc.oneof(
      { weight: 3, arbitrary: ofPlace("path") },
      { weight: 2, arbitrary: fc.constantFrom("mine", "theirs", "s").map((id) => ({ id })) },
    ),
    query: ofPlace("query"),
    headers: ofPlace("header").map((headers) =>
      Object.fromEntries(
        Object.entries(headers).map(([name, value]) => [
          name,
          (value ?? "").replace(/[^\u0020-\u007e]/g, "?").slice(0, 500),
        ]),
      ),
    ),
    authorization: fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...keys.map((key) => `Bearer ${key}`)) },
      { weight: 1, arbitrary: header },
    ),
    device: fc.oneof({ weight: 4, arbitrary: fc.constantFrom(mine, undefined) }, { weight: 1, arbitrary: header }),
    cookie: fc.oneof(
      fc.constant(undefined),
      header.map((value) => `__Host-perdure_device=${value}`),
    ),
    type: fc.oneof({ weight: 9, arbitrary: fc.constant("application/json") }, { weight: 1, arbitrary: header }),
    body:
      operation.body === undefined
        ? fc.constant(undefined)
        : fc.oneof(
            { weight: 8, arbitrary: near(operation.body).map((value) => JSON.stringify(value) ?? "") },
            { weight: 1, arbitrary: strange },
            { weight: 1, arbitrary: fc.constantFrom("{", "[".repeat(10_000), '{"a":1}'.repeat(2), "\uFEFF{}", "nul") },
          ),
  });
}

test("no request makes the server fail or reveals internals or other tenants' data", { timeout: 300_000 }, async () => {
  await using here = serve();
  await (await here.sessions.devices.open(theirs)).append({ input: word });
  await (await here.sessions.for("theirs").create({ id: "theirs", metadata: { word } })).append({ input: word });
  const keys = [await here.key("admin", "mine"), await here.key("write", "mine"), await here.key("read", "mine")];
  await here.sessions.for("mine").create({ id: "mine" });
  await using host = await startHost(here.sessions.for("mine"), { runtime: { onMessage: (_, message) => message } });
  const server = createServer({ sessions: here.sessions, host, rates: unlimited });
  const operations = await operationsOf(server);
  const requests = rounds(10_000, 2500);
  const runs = Math.ceil(requests / operations.length);
  let asked = 0;
  for (const operation of operations) {
    await fc.assert(
      fc.asyncProperty(
        requestFor(operation, keys),
        async ({ path, query, headers, authorization, device, cookie, type, body }) => {
          asked++;
          const target = operation.path.replace(/\{(\w+)\}/g, (_, name) =>
            encodeURIComponent(String((path as Record<string, string>)[name]).toWellFormed()),
          );
          const search = new URLSearchParams(query as Record<string, string>).toString();
          const request = new Request(`http://server.test${target}?${search}`, {
            method: operation.method,
            headers: {
              ...(headers as Record<string, string>),
              authorization,
              ...defined({ "x-device-id": device, cookie }),
              "content-type": type,
            },
            ...defined({ body }),
            signal: AbortSignal.timeout(10_000),
          });
          const response = await server.fetch(request);
          const isStream = /event-stream/.test(response.headers.get("content-type") ?? "");
          // A stream of a live session has no end of its own.
          const text = isStream ? await firstOf(response) : await response.text();
          const about = `${operation.method} ${target}?${search} ${body} → ${response.status} ${text.slice(0, 500)}`;
          // The tests run in a checkout whose pages may not be built.
          if (response.status === 503 && text.startsWith("The page is not built. Run: npm run build")) return;
          assert(response.status < 500, about);
          assert(!text.includes(word), about);
          assert(!/\n\s+at .*:\d+:\d+|node:internal|file:\/\//.test(text), about);
          if (response.status >= 400) {
            assert.equal(response.headers.get("content-type"), "application/problem+json", about);
            assert.equal(JSON.parse(text).status, response.status, about);
          }
        },
      ),
      { numRuns: runs, endOnFailure: true },
    );
  }
  await server.stop();
  assert(asked >= requests, `${asked} requests`);
  assert.equal(
    (await here.sessions.for("theirs").get("theirs")).info.turn,
    1,
    "nothing was written to others' sessions",
  );
});

async function firstOf(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  const first = await Promise.race([
    reader?.read(),
    new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 5)),
  ]);
  await reader?.cancel();
  return new TextDecoder().decode(first?.value);
}
