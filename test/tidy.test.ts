/** What keeps the project in order, held by a machine: rooms, cycles, names, error codes, documented exports. */
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, posix, relative, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { errorCodes } from "../src/errors.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const sources = globSync("src/**/*.ts", { cwd: root }).map((path) => path.split("\\").join("/"));
const program = sources.filter((path) => !path.endsWith(".test.ts"));

/** Each room and those it may import from; the first that a path begins with is its room. */
const rooms: readonly (readonly [room: string, mayImport: readonly string[]])[] = [
  ["src/cli/", ["src/adapters/", "src/index.ts", "src/sessions/", "src/domain/"]],
  ["src/adapters/", ["src/index.ts"]],
  ["src/testing/", ["src/index.ts", "src/store/", "src/domain/", "src/errors.ts", "src/clock.ts"]],
  ["src/index.ts", ["src/open.ts", "src/sessions/", "src/store/", "src/domain/", "src/errors.ts", "src/clock.ts"]],
  ["src/open.ts", ["src/sessions/", "src/store/sqlite/", "src/store/memory.ts", "src/store/", "src/errors.ts"]],
  ["src/sessions/", ["src/store/", "src/domain/", "src/errors.ts", "src/clock.ts"]],
  ["src/store/sqlite/", ["src/store/", "src/domain/", "src/errors.ts", "src/clock.ts"]],
  ["src/store/memory.ts", ["src/store/", "src/domain/", "src/errors.ts", "src/clock.ts"]],
  ["src/store/", ["src/domain/", "src/errors.ts", "src/clock.ts"]],
  ["src/domain/", ["src/errors.ts"]],
  ["src/errors.ts", []],
  ["src/clock.ts", []],
];

function roomOf(path: string): string {
  const found = rooms.find(([room]) => path.startsWith(room));
  assert(found !== undefined, `${path} stands in no room of the table`);
  return found[0];
}

/** The files of this project that a file imports; type-only imports too, unless `valuesOnly`. */
function importsOf(path: string, { valuesOnly = false } = {}): string[] {
  const statements = read(path).matchAll(
    /^(?:import|export)\s+(type\s)?[^;]*?from\s+"(\.[^"]+)"|import\("(\.[^"]+)"\)/gms,
  );
  return [...statements]
    .filter(([, type]) => !(valuesOnly && type !== undefined))
    .map(([, , from, lazily]) => posix.join(posix.dirname(path), from ?? lazily ?? ""));
}

test("imports point down the table of rooms, never up, never sideways between siblings", () => {
  for (const path of program) {
    const room = roomOf(path);
    const allowed = rooms.find(([name]) => name === room)?.[1] ?? [];
    for (const imported of importsOf(path)) {
      const target = roomOf(imported);
      assert(target === room || allowed.includes(target), `${path} (${room}) must not import ${imported} (${target})`);
    }
  }
});

test("no import comes round in a circle", () => {
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    assert(!trail.includes(path), `a cycle: ${[...trail.slice(trail.indexOf(path)), path].join(" → ")}`);
    if (done.has(path)) return;
    for (const imported of importsOf(path, { valuesOnly: true })) visit(imported, [...trail, path]);
    done.add(path);
  };
  for (const path of program) visit(path, []);
});

test("ARCHITECTURE.md has the same rooms", () => {
  const architecture = read("ARCHITECTURE.md");
  for (const [room] of rooms) {
    const name = room.slice("src/".length);
    assert(architecture.includes(`\`${name}\``), `ARCHITECTURE.md does not mention ${name}`);
  }
});

test("files are named for the noun inside, in kebab case", () => {
  for (const path of sources) {
    const parts = path.split("/").slice(1);
    for (const part of parts) {
      assert.match(part, /^[a-z0-9]+(-[a-z0-9]+)*(\.test)?(\.ts)?$/, path);
      assert.doesNotMatch(part, /^(utils?|helpers?|common|lib|misc)(\.ts)?$/, path);
    }
  }
});

test("docs/errors.md and the table of error codes are the same, both ways", () => {
  const rows = [...read("docs/errors.md").matchAll(/^\| `(\w+)` \| (\d+) \| (yes|no) \|/gm)];
  const documented = rows.map(([, code = "", status, retry]) => [code, Number(status), retry === "yes"]);
  const table = Object.entries(errorCodes).map(([code, { status, retryable }]) => [code, status, retryable]);
  assert.deepEqual(documented, table);
});

test("every error code is thrown somewhere", () => {
  const text = program.map(read).join("\n");
  for (const code of Object.keys(errorCodes)) {
    const uses = text.split(`"${code}"`).length - 1;
    assert(uses > 0, `nothing throws ${code}`);
  }
});

test("every export of the public doors has a docstring", () => {
  const { exports } = JSON.parse(read("package.json")) as { exports: Record<string, string | { default: string }> };
  const doors = Object.values(exports).flatMap((door) => (typeof door === "string" ? [] : [door.default]));
  const seen = new Set<string>();
  const missing: string[] = [];
  const check = (path: string, names: readonly string[] | undefined): void => {
    const text = read(path);
    for (const [, list = "", from = ""] of text.matchAll(/^export (?:type )?\{([^}]*)\} from "([^"]+)"/gms)) {
      const exported = list
        .split(",")
        .map((name) => name.replace("type ", "").trim())
        .filter((name) => name !== "");
      check(
        posix.join(posix.dirname(path), from),
        exported.filter((name) => names === undefined || names.includes(name)),
      );
    }
    const declaration =
      /^(\/\*\*[^\n]*(?:\n \*[^\n]*)*\n)?export (?:abstract )?(?:async )?(?:function\*?|class|interface|type|const) (\w+)/gm;
    for (const [, doc, name = ""] of text.matchAll(declaration)) {
      if (seen.has(`${path} ${name}`) || (names !== undefined && !names.includes(name))) continue;
      seen.add(`${path} ${name}`);
      if (doc === undefined) missing.push(`${path}: ${name}`);
    }
  };
  for (const door of doors) check(door.replace("./dist/", "src/").replace(/\.js$/, ".ts"), undefined);
  assert.deepEqual(missing, [], "exports without a docstring");
  assert(seen.size > 60, `${seen.size} exports were looked at`);
});

test("links in the documents lead somewhere", () => {
  for (const document of globSync(["*.md", "docs/**/*.md"], { cwd: root })) {
    for (const [, target = ""] of read(document).matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)) {
      if (target.includes("://")) continue;
      const path = resolve(root, dirname(document), target);
      assert(existsSync(path), `${document} links to ${relative(root, path)}, which is not there`);
    }
  }
});

test("the program in the README is the one in examples/", () => {
  const [, shown = ""] = /```ts\n(import \{ openSessions \}.*?)```/s.exec(read("README.md")) ?? [];
  assert.equal(shown, read("examples/quickstart.ts"));
});

test("the lock file names no registry", () => {
  assert.doesNotMatch(read("package-lock.json"), /"resolved"/);
});
