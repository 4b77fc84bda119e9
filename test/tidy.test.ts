/** Checks the layers, circles of imports, names, tables of error codes and events, and docstrings of exports. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, posix, relative, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { eventKinds } from "../src/domain/record/event.ts";
import { errorCodes } from "../src/errors.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const sources = globSync("src/**/*.ts", { cwd: root }).map((path) => path.split("\\").join("/"));
const program = sources.filter((path) => !path.endsWith(".test.ts"));

interface Row {
  /** Folders end in a slash, files in `.ts`; each file of `adapters/*` is a layer of its own. */
  readonly rooms: readonly string[];
  /** Rooms and packages. */
  readonly mayImport: readonly string[];
  readonly andAllBelow: boolean;
}

/** The table of layers, as ARCHITECTURE.md has it. */
const table: readonly Row[] = (/^## Layers$(.*?)^## /ms.exec(read("ARCHITECTURE.md"))?.[1] ?? "")
  .split("\n")
  .map((line) => line.split("|").map((cell) => cell.trim()))
  .filter(([, rooms = ""]) => rooms.startsWith("`"))
  .map(([, rooms = "", , mayImport = ""]) => ({
    rooms: quoted(rooms),
    mayImport: quoted(mayImport),
    andAllBelow: mayImport.includes("everything below"),
  }));

function quoted(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name);
}

interface Place {
  readonly row: number;
  /** As the table names it. */
  readonly room: string;
  /** What others of the same row, and others of `adapters/*`, are siblings of. */
  readonly unit: string;
}

/** The layer of a file: the one with the longest name that its path begins with. */
function placeOf(path: string): Place {
  const inside = path.slice("src/".length);
  const [nearest] = table
    .flatMap(({ rooms }, row) => rooms.map((room) => ({ row, room, prefix: room.replace("*", "") })))
    .filter(({ prefix }) => inside.startsWith(prefix))
    .sort((a, b) => b.prefix.length - a.prefix.length);
  assert(nearest !== undefined, `${path} is in no layer of the table in ARCHITECTURE.md`);
  const { row, room, prefix } = nearest;
  return { row, room, unit: room === prefix ? room : prefix + inside.slice(prefix.length).replace(/[/.].*/, "") };
}

function mayImport(from: Place, to: Place): boolean {
  const { mayImport: named = [], andAllBelow = false } = table[from.row] ?? {};
  const isNamed = named.some((name) => to.room === name || (name.endsWith("/") && to.room.startsWith(name)));
  return from.unit === to.unit || (to.row > from.row && (andAllBelow || isNamed));
}

/** The files of this project, and the packages, that a file imports, for types only or when it first needs them. */
function importsOf(path: string): { files: string[]; packages: string[] } {
  const statements = read(path).matchAll(
    /^(?:import|export)\s+(?:type\s+)?(?:[\w*{},\s]+?\sfrom\s+)?"([^"]+)"|\bimport\("([^"]+)"\)/gm,
  );
  const targets = [...statements].map(([, from, lazily]) => from ?? lazily ?? "");
  return {
    files: targets.filter((to) => to.startsWith(".")).map((to) => posix.join(posix.dirname(path), to)),
    packages: targets.filter((to) => !to.startsWith(".")),
  };
}

test("imports, types included, point down the table of layers, never up, never sideways between siblings", () => {
  for (const path of program) {
    const from = placeOf(path);
    for (const imported of importsOf(path).files) {
      const to = placeOf(imported);
      assert(mayImport(from, to), `${path} (${from.unit}) must not import ${imported} (${to.unit})`);
    }
  }
});

/** The package of an entry point such as `hono/cors`. */
function packageOf(imported: string): string {
  return imported.split("/", imported.startsWith("@") ? 2 : 1).join("/");
}

test("a layer imports only the packages that the table of layers gives it", () => {
  for (const path of program) {
    const named = table[placeOf(path).row]?.mayImport ?? [];
    for (const imported of importsOf(path).packages) {
      const name = imported.startsWith("node:") ? "node:*" : packageOf(imported);
      assert(named.includes(name), `${path} must not import ${imported}`);
    }
  }
});

test("every layer of the table has files", () => {
  const rooms = new Set(program.map((path) => placeOf(path).room));
  assert.deepEqual(
    table.flatMap((row) => row.rooms).filter((room) => !rooms.has(room)),
    [],
  );
});

function assertAbsent(pattern: RegExp, path: string): void {
  const [found] = pattern.exec(read(path)) ?? [];
  assert.equal(found, undefined, `${path} holds ${found}`);
}

test("only the command line reads arguments, prints and exits", () => {
  const outward = /\bprocess\.(argv|exit|exitCode|stdin|stdout|stderr)\b|\bconsole\.\w+/;
  // The guard that stops sessions from ending their shared thread has to name what it guards.
  const keeper = "src/host/workers/error-attribution.ts";
  for (const path of program)
    if (!placeOf(path).room.startsWith("cli/") && path !== keeper) assertAbsent(outward, path);
});

test("a field that may be absent is added by `defined`", () => {
  const byHand =
    /=== undefined\s+\? \{\}\s+:|!== undefined\s+\? \{(?:[^{}]|\{[^{}]*\})*\}\s+: \{\}|!== undefined && \{/;
  for (const path of program) assertAbsent(byHand, path);
});

test("the domain knows no clock, no chance and no process", () => {
  const impure = /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\b(performance|process|crypto)\.\w+/;
  for (const path of program) if (placeOf(path).room.startsWith("domain/")) assertAbsent(impure, path);
});

test("no import, types included, is part of a circle", () => {
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    assert(!trail.includes(path), `a cycle: ${[...trail.slice(trail.indexOf(path)), path].join(" → ")}`);
    if (done.has(path)) return;
    for (const imported of importsOf(path).files) visit(imported, [...trail, path]);
    done.add(path);
  };
  for (const path of program) visit(path, []);
});

test("a folder of sources has at most sixteen files", () => {
  const folders = Map.groupBy(program, (path) => posix.dirname(path));
  for (const [folder, files] of folders) assert(files.length <= 16, `${folder} has ${files.length} files`);
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

test("docs/reference/errors.md and the table of error codes are the same, both ways", () => {
  const rows = read("docs/reference/errors.md").matchAll(/^\| `(\w+)` +\| (\d+) +\| (yes|no) +\|([^|]*)\|/gm);
  const documented = [...rows].map(([, code = "", status, retry, details = ""]) => ({
    code,
    status: Number(status),
    retryable: retry === "yes",
    details: quoted(details),
  }));
  const table = Object.entries(errorCodes).map(([code, { status, retryable, details }]) => ({
    code,
    status,
    retryable,
    details: Object.keys(details),
  }));
  assert.deepEqual(documented, table);
});

test("every error code is thrown somewhere", () => {
  const text = program.map(read).join("\n");
  for (const code of Object.keys(errorCodes)) {
    const uses = text.split(`"${code}"`).length - 1;
    assert(uses > 0, `nothing throws ${code}`);
  }
});

test("docs/reference/events.md and the table of event types are the same, both ways", () => {
  const rows = [...read("docs/reference/events.md").matchAll(/^\| `(\w+)` +\| (\w+) +\| (\w+) +\|/gm)];
  assert.deepEqual(
    new Map(rows.map(([, type, category, severity]) => [type, { category, severity }])),
    new Map(Object.entries(eventKinds).map(([type, { category, severity }]) => [type, { category, severity }])),
  );
});

test("the entry points name what they export, and each export has a docstring", () => {
  const { exports } = JSON.parse(read("package.json")) as { exports: Record<string, string | { default: string }> };
  const doors = Object.values(exports).flatMap((door) => (typeof door === "string" ? [] : [door.default]));
  const wrong: string[] = [];
  const seen = new Set<string>();
  const look = (path: string, wanted?: readonly string[]): void => {
    const text = read(path);
    const found: string[] = [];
    if (/^export (type )?\*/m.test(text)) wrong.push(`${path}: export * hides what is exported`);
    for (const [, list = "", from = ""] of text.matchAll(/^export (?:type )?\{([^}]*)\} from "([^"]+)"/gm)) {
      const names = [...list.matchAll(/(?:^|,)\s*(?:type )?(\w+)/g)].map(([, name = ""]) => name);
      const passedOn = names.filter((name) => wanted === undefined || wanted.includes(name));
      found.push(...passedOn);
      if (passedOn.length > 0) look(posix.join(posix.dirname(path), from), passedOn);
    }
    const declaration =
      /^(\/\*\*[^\n]*(?:\n \*[^\n]*)*\n)?export (?:abstract |async )?(?:function\*?|class|interface|type|const) (\w+)/gm;
    for (const [, doc, name = ""] of text.matchAll(declaration)) {
      if (wanted !== undefined && !wanted.includes(name)) continue;
      found.push(name);
      seen.add(`${path}: ${name}`);
      if (doc === undefined) wrong.push(`${path}: ${name} has no docstring`);
    }
    for (const name of wanted ?? [])
      if (!found.includes(name)) wrong.push(`${path}: ${name} is not declared where it is exported`);
  };
  for (const door of doors) look(door.replace("./dist/", "src/").replace(/\.js$/, ".ts"));
  assert.deepEqual([...new Set(wrong)], []);
  assert(seen.size > 60, `${seen.size} exports were looked at`);
});

/** The names that an entry point exports. */
function exportsOf(path: string): string[] {
  const lists = [...read(path).matchAll(/^export (?:type )?\{([^}]*)\}/gm)].map(([, list = ""]) => list);
  const declared = [...read(path).matchAll(/^export (?:async )?(?:function\*?|interface|type|const) (\w+)/gm)];
  const named = lists.flatMap((list) => [...list.matchAll(/(?:^|,)\s*(?:type )?(\w+)/g)]);
  return [...named, ...declared].map(([, name = ""]) => name);
}

test("the root exports nothing of operators, and of the contract of stores only what sessions show", () => {
  const root = new Set(exportsOf("src/index.ts"));
  const shared = (path: string): string[] => exportsOf(path).filter((name) => root.has(name));
  assert.deepEqual(shared("src/admin.ts"), []);
  assert.deepEqual(shared("src/store/index.ts").sort(), ["Budget", "Counters", "Lease", "Metadata", "SessionState"]);
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

/** The anchors of a page: its headings as GitHub names them, and explicit ones. */
function anchorsOf(path: string): ReadonlySet<string> {
  const text = readFileSync(path, "utf8").replaceAll(/^```.*?^```/gms, "");
  const anchors = new Set([...text.matchAll(/<a id="([^"]+)"/g)].map(([, id = ""]) => id));
  const counts = new Map<string, number>();
  for (const [, heading = ""] of text.matchAll(/^#+ (.+)$/gm)) {
    const name = heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replaceAll(/\s/g, "-");
    const count = counts.get(name) ?? 0;
    counts.set(name, count + 1);
    anchors.add(count === 0 ? name : `${name}-${count}`);
  }
  return anchors;
}

test("links to a heading of a document, those of the API pages included, find it", () => {
  const dead: string[] = [];
  const known = new Map<string, ReadonlySet<string>>();
  for (const document of globSync(["*.md", "docs/**/*.md"], { cwd: root })) {
    for (const [, target = "", anchor = ""] of read(document).matchAll(/\]\(([^)#\s]*)#([^)\s]+)\)/g)) {
      if (target.includes("://")) continue;
      const path = target === "" ? join(root, document) : resolve(root, dirname(document), target);
      const anchors = known.get(path) ?? (path.endsWith(".md") ? anchorsOf(path) : new Set());
      known.set(path, anchors);
      if (!anchors.has(anchor)) dead.push(`${document} links to ${target}#${anchor}`);
    }
  }
  assert.deepEqual(dead, []);
});

test("ARCHITECTURE.md names files that exist, from the root or from src/", () => {
  const named = [...read("ARCHITECTURE.md").matchAll(/`([\w./-]+(?:\.\w+|\/))`/g)].map(([, path = ""]) => path);
  const files = named.filter((path) => /\.(?:ts|md|json)$|\/$/.test(path));
  const missing = files.filter((path) => !existsSync(resolve(root, path)) && !existsSync(resolve(root, "src", path)));
  assert.deepEqual(missing, []);
  assert(files.length > 40, `${files.length} paths were looked at`);
});

test("the program in the README is the one in examples/", () => {
  const [, shown = ""] = /```ts\n(import \{ openSessions \}.*?)```/s.exec(read("README.md")) ?? [];
  assert.equal(shown, read("examples/quickstart.ts"));
});

test("tests take fast-check with the seed of the run", () => {
  const paths = globSync(["src/**/*.ts", "test/**/*.ts"], { cwd: root, exclude: ["**/node_modules/**"] });
  const direct = paths.filter((path) => /^(?:import|\}) .*from "fast-check"/m.test(read(path)));
  assert.deepEqual(direct, [join("test", "support", "fast-check.ts")], "import test/support/fast-check.ts instead");
});

test("the lock file names no registry", () => {
  assert.doesNotMatch(read("package-lock.json"), /"resolved"/);
});

test("no file names a folder of the machine that it was written on", () => {
  const tracked = execFileSync("git", ["ls-files", "-z"], {
    cwd: root,
    encoding: "utf8",
  });
  const ofSomebody = /(?:^|[^\w.\-/])\/(?:home|root|Users)\/\w/m;
  for (const path of tracked.split("\0").filter((name) => name !== "" && existsSync(join(root, name)))) {
    assert(!read(path).includes(root), `${path} holds the path of this clone`);
    assertAbsent(ofSomebody, path);
  }
});
