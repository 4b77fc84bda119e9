/** docs/operate/telemetry.md and the code name the same channels, metrics and attributes, both ways. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const document = read("docs/operate/telemetry.md");

function code(pattern: string): string {
  const paths = globSync(pattern, { cwd: root }).filter((path) => !path.endsWith(".test.ts"));
  return paths.map(read).join("\n");
}

function found(text: string, pattern: RegExp): readonly string[] {
  return [...new Set([...text.matchAll(pattern)].map(([, name = ""]) => name))].sort();
}

test("the documented channels are the published ones, with their kind", () => {
  const program = code("src/**/*.ts");
  const tracing = found(program, /tracingChannel(?:<[^(]*>)?\("(perdure:[\w-]+)"\)/g);
  const plain = found(program, /(?:\bchannel|\bsubscribe|#listen)\("(perdure:[\w-]+)"/g);
  assert.deepEqual(found(document, /^\| `(perdure:[\w-]+)` +\| tracing +\|/gm), tracing);
  assert.deepEqual(found(document, /^\| `(perdure:[\w-]+)` +\| plain +\|/gm), plain);
});

test("the types of their payloads are exported", () => {
  const doors = read("src/index.ts") + read("src/host/index.ts");
  const types = found(document, /^\| `perdure:[\w-]+` +\| \w+ +\| `([A-Z]\w+)`/gm);
  assert(types.length > 5);
  for (const type of types) assert.match(doors, new RegExp(`\\b${type}\\b`), `${type} is not exported`);
});

test("the metrics are the ones in the document", () => {
  const created = found(code("src/telemetry/*.ts"), /create\w+\(\s*"(perdure\.[\w.]+)"/g);
  assert(created.length > 10);
  assert.deepEqual(found(document, /^\| `(perdure\.[\w.]+)` +\| /gm), created);
});

test("spans and metrics have the attributes in the document, and no others", () => {
  const [metrics, attribute] = [/create\w+\(\s*"perdure\.[\w.]+"/g, /"((?:gen_ai|perdure|error)\.[\w.]+)"/g];
  const set = found(code("src/telemetry/*.ts").replaceAll(metrics, ""), attribute);
  const rows = document.replaceAll(/^\| `[^`]+` +\|/gm, "|");
  assert.deepEqual(found(rows, /`((?:gen_ai|perdure|error)\.[\w.]+)`/g), set);
});
