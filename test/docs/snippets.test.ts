/**
 * Every TypeScript snippet of the documentation compiles and runs. The snippets of a page are one program, in the order
 * of the page; what they use without declaring it (`sessions`, `session`, `deviceId` …) comes from the prelude below. A
 * snippet that cannot run here says why: ```ts no-run: reason.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { builtPackage } from "../support/programs.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "perdure-docs-"));
after(() => rmSync(folder, { recursive: true, force: true }));
// The folder calls itself by the package's name, so that the snippets import what users import: the types of the sources,
// and the code that `npm test` has built, which a program loads in a quarter of the time of the sources.
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  exports: Record<string, { default?: string }>;
};
const dist = builtPackage();
const doors = Object.entries(manifest.exports).flatMap(([door, { default: built }]) => {
  if (built === undefined) return [];
  const source = built.replace("./dist/", "./src/").replace(/\.js$/, ".ts");
  return [[door, { types: source, default: dist === undefined ? source : built }]];
});
for (const name of ["node_modules", "src", "examples"]) symlinkSync(join(root, name), join(folder, name));
if (dist !== undefined) symlinkSync(dist, join(folder, "dist"));
writeFileSync(
  join(folder, "package.json"),
  JSON.stringify({ name: "perdure", type: "module", exports: Object.fromEntries(doors) }),
);

/** What a page may use without declaring it, each with the names that it needs itself. */
const prelude: Readonly<Record<string, string>> = {
  model:
    'const model: Model = async function* () { yield { type: "text", text: "An answer." }; yield { type: "usage", usage: { inputTokens: 3, outputTokens: 2, totalTokens: 5 } }; };',
  sessions:
    'await using sessions = await openSessions({ store: "memory:", secret: "a secret of some length", model, agents: { assistant: {}, support: { keywords: ["parcel"] }, scheduling: {} } });',
  session:
    'const session = await sessions.ensure("support-42", { agent: "support" }); for (const n of [1, 2, 3]) await session.append({ input: `Question ${n}`, output: `Answer ${n}` });',
  deviceId: 'const deviceId = "0b0f7c3e-9a54-4b0e-8f0a-1d2c3b4a5f60";',
  phone: 'const phone = "5d9a3f40-0c6e-4f0d-9a2b-7e8f9a0b1c2d";',
  laptop: 'const laptop = "6e0b4a51-1d7f-4a1e-8b3c-8f9a0b1c2d3e";',
  user: 'const user = "ada";',
  message: 'const message = "My parcel is late.";',
  messageId: 'const messageId = "message-1";',
};

/** What the prelude, and snippets that show no imports, take from the package. */
const preludeImports: ReadonlyMap<string, string> = new Map([
  ["openSessions", 'import { openSessions } from "perdure";'],
  ["createManager", 'import { createManager } from "perdure";'],
  ["createServer", 'import { createServer } from "perdure/server";'],
  ["startHost", 'import { startHost } from "perdure/host";'],
  ["Model", 'import type { Model } from "perdure";'],
]);

interface Page {
  readonly path: string;
  /** Where the program was written. */
  readonly file: string;
}

/** The snippets of a page as one program; undefined where it has none that run. */
function programOf(text: string): string | undefined {
  const snippets = [...text.matchAll(/^```ts\n(.*?)^```/gms)].map(([, code = ""]) => code);
  if (snippets.length === 0) return undefined;
  const imports = new Map<string, string>();
  const bodies = snippets.map((code) =>
    code.replace(
      /^import (type )?\{([^}]*)\} from "([^"]+)";\n/gm,
      (_, type: string | undefined, names: string, from: string) => {
        for (const name of names.split(",").map((part) => part.trim())) {
          if (name !== "") imports.set(name.replace(/^type /, ""), `import { ${type ?? ""}${name} } from "${from}";`);
        }
        return "";
      },
    ),
  );
  const lines: string[] = [];
  const needed = new Set<string>();
  const need = (text: string): void => {
    for (const [name, line] of Object.entries(prelude)) {
      if (needed.has(name) || !new RegExp(`\\b${name}\\b`).test(text)) continue;
      needed.add(name);
      need(line);
      lines.push(line);
    }
  };
  for (const body of bodies) need(body);
  for (const [name, statement] of preludeImports) {
    const isUsed = new RegExp(`\\b${name}\\b`).test([...lines, ...bodies].join("\n"));
    if (isUsed && !imports.has(name)) imports.set(name, statement);
  }
  // Each snippet stands in a block inside the one before it: it sees what was declared, and may declare it again.
  const program = [...lines, ...bodies.map((body) => `{\n${body}`), "}".repeat(bodies.length)].join("\n");
  return `${[...imports.values()].join("\n")}\n${program}\nexport {};\n`;
}

const pages: readonly Page[] = globSync(["README.md", "docs/**/*.md"], {
  cwd: root,
  exclude: ["docs/reference/api/**"],
})
  .toSorted()
  .flatMap((path) => {
    const program = programOf(readFileSync(join(root, path), "utf8"));
    if (program === undefined) return [];
    const file = join(folder, `${path.replace(/\W+/g, "-")}.ts`);
    writeFileSync(file, program);
    return [{ path, file }];
  });

test("the snippets of the documentation have the types that they show", async () => {
  const { compilerOptions } = JSON.parse(readFileSync(join(root, "tsconfig.json"), "utf8")) as {
    compilerOptions: object;
  };
  const options = {
    ...compilerOptions,
    paths: {},
    allowImportingTsExtensions: true,
    typeRoots: [join(root, "node_modules/@types")],
  };
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({ compilerOptions: options, files: pages.map(({ file }) => file) }),
  );
  const found = await run(join(root, "node_modules/.bin/tsc"), ["--checkers", "1", "-p", folder]).then(
    () => "",
    (error: unknown) => String((error as { stdout?: string }).stdout),
  );
  assert.equal(found, "");
});

for (const { path, file } of pages) {
  test(`the snippets of ${path} run`, async () => {
    await run(process.execPath, [file], { cwd: mkdtempSync(join(folder, "run-")), timeout: 300_000 });
  });
}
