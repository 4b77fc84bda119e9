/** The package as its users get it: packed, installed in an empty project without the network, every door opened. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, delimiter, dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { checkPackage, createPackageFromTarballData, type Problem } from "@arethetypeswrong/core";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { isThorough } from "../support/rounds.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const run = promisify(execFile);

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly engines: { readonly node: string };
  readonly exports: Readonly<Record<string, unknown>>;
  readonly dependencies?: Readonly<Record<string, string>>;
}
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;
const doors = Object.keys(manifest.exports)
  .filter((path) => path !== "./package.json")
  .map((path) => manifest.name + path.slice(1));

/** npm tells the scripts it runs where it stands and how it was set up; the project made here is another one. */
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(npm|node)_/i.test(name)));

interface Packed {
  readonly name: string;
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

async function npm(args: readonly string[], cwd: string): Promise<string> {
  return (await run("npm", [...args, "--offline", "--no-audit", "--no-fund"], { cwd, env: environment })).stdout;
}

async function pack(folders: readonly string[], destination: string): Promise<Packed[]> {
  const options = ["--json", "--foreground-scripts=false", "--pack-destination", destination];
  return JSON.parse(await npm(["pack", ...options, ...folders], destination)) as Packed[];
}

/** What a package depends on at run time, and what that depends on. */
function needs(
  { dependencies = {} }: Pick<Manifest, "dependencies">,
  known: Set<string> = new Set<string>(),
): Set<string> {
  for (const name of Object.keys(dependencies)) {
    if (known.has(name)) continue;
    known.add(name);
    needs(JSON.parse(readFileSync(join(root, "node_modules", name, "package.json"), "utf8")) as Manifest, known);
  }
  return known;
}

async function node(args: readonly string[], cwd: string): Promise<string> {
  return (await run(process.execPath, args, { cwd, env: environment })).stdout;
}

describe("the package", () => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-package-"));
  const project = join(folder, "project");
  const installed = join(project, "node_modules", manifest.name);
  const dist = join(root, "dist");
  const wasBuilt = existsSync(dist);
  let packed: Packed;

  before(async () => {
    // What it depends on at run time is packed from where it is installed here, so that nothing is downloaded.
    const dependencies = [...needs(manifest)].map((name) => join(root, "node_modules", name));
    const [own = assert.fail("not packed")] = await pack([root], folder);
    packed = own;
    const tarballs = [own, ...(await pack(["--ignore-scripts", ...dependencies], folder))];

    mkdirSync(project);
    writeFileSync(join(project, "package.json"), JSON.stringify({ name: "project", type: "module", private: true }));
    await npm(["install", ...tarballs.map(({ filename }) => join(folder, filename))], project);
  });

  after(() => {
    rmSync(folder, { recursive: true });
    // The linter reads the declarations of a built package, and must find the same before and after the tests.
    if (!wasBuilt) rmSync(dist, { recursive: true });
  });

  test("every door opens without any optional peer", async () => {
    const script = `for (const door of process.argv.slice(1)) {
      const found = await import(door);
      if (Object.keys(found).length > 0) console.log(door);
    }`;
    const opened = await node(["--input-type=module", "--eval", script, ...doors], project);
    assert.deepEqual(opened.trim().split("\n"), doors);
  });

  test("a chat without the package ai names the package, and models of the AI SDK need none", async () => {
    const script = `import { openSessions } from "perdure";
      import { aiModel, chats } from "perdure/ai";
      const sessions = await openSessions("memory:");
      const chat = await chats(sessions).open("c");
      await chat.add({ id: "m", role: "user", parts: [] }).catch(({ code, message }) => console.log(code, message));
      console.log(typeof aiModel({ specificationVersion: "v4", doStream() {} }));
      await sessions.close();`;
    const said = await node(["--input-type=module", "--eval", script], project);
    assert.match(said, /^argument_invalid .*\bai\b.*npm install.*\nfunction\n$/);
  });

  test("an MCP server without its package names the package, before a store is created", async () => {
    const perdure = join(project, "node_modules/.bin/perdure");
    const failed = await node([perdure, "mcp", "--store", "sqlite:mcp.db"], project).then(
      () => "",
      (error: { stderr: string }) => error.stderr,
    );
    assert.match(failed, /@modelcontextprotocol\/server.*npm install/);
    assert.equal(existsSync(join(project, "mcp.db")), false);
  });

  test("the program of the README continues where its first run stopped", async () => {
    copyFileSync(join(root, "examples/quickstart.ts"), join(project, "quickstart.ts"));
    assert.match(await node(["quickstart.ts"], project), /^1 turns, 23 tokens so far$/m);
    assert.match(await node(["quickstart.ts"], project), /^2 turns, 46 tokens so far$/m);
  });

  test("the program that hosts a live session continues where its first run passivated it", async () => {
    for (const name of ["host.ts", "agent.ts"]) copyFileSync(join(root, "examples", name), join(project, name));
    assert.equal(await node(["host.ts"], project), "1 to do:\nmilk\n");
    assert.equal(await node(["host.ts"], project), "2 to do:\nmilk\nmilk\n");
  });

  test("the program with conversations names, pins and shares one", async () => {
    copyFileSync(join(root, "examples/conversations.ts"), join(project, "conversations.ts"));
    const printed = await node(["conversations.ts"], project);
    assert.match(
      printed,
      /^You asked: Which train .*\n.*\n\* Which train goes to \(1 turn\)\nShared until .*: Which train goes to\n$/,
    );
  });

  test("the program for OpenTelemetry exports, with an SDK beside it", async () => {
    copyFileSync(join(root, "examples/telemetry.ts"), join(project, "telemetry.ts"));
    linkOpenTelemetry();
    const printed = await node(["telemetry.ts"], project);
    assert.match(printed, /^invoke_agent support traced-42$/m);
    assert.match(printed, /^perdure\.store commit $/m);
  });

  test("live sessions in threads export spans through the SDK that their runtime's module loads", async () => {
    for (const name of ["traced-host.ts", "traced-agent.ts"])
      copyFileSync(join(root, "examples", name), join(project, name));
    linkOpenTelemetry();
    const printed = await node(["traced-host.ts"], project);
    assert.match(printed, /^\d messages, and OpenTelemetry gets none of them\.$/m);
    assert.match(printed, /^invoke_agent support traced-43$/m);
    assert.match(printed, /^perdure\.store commit $/m);
  });

  function linkOpenTelemetry(): void {
    for (const name of ["api", "sdk-trace", "context-async-hooks"]) {
      const beside = join("node_modules/@opentelemetry", name);
      if (!existsSync(join(project, beside))) symlinkSync(join(root, beside), join(project, beside));
    }
  }

  const projects = [
    // Only what is for test files may need the types of Node.
    {
      title: "a strict project for browsers",
      lib: ["dom"],
      types: [],
      opens: doors.filter((door) => !door.endsWith("/testing")),
    },
    { title: "a strict project for Node", lib: [], types: ["node"], opens: doors },
  ];
  for (const { title, lib, types, opens } of projects) {
    test(`the types of its doors hold in ${title} that checks its libraries too`, async () => {
      const typesOnly = mkdtempSync(join(project, "types-"));
      const doorsFile = opens.map((door, index) => `export * as door${index} from ${JSON.stringify(door)};\n`);
      writeFileSync(join(typesOnly, "doors.ts"), doorsFile.join(""));
      const compilerOptions = {
        target: "es2024",
        lib: ["es2024", "esnext.disposable", ...lib],
        module: "nodenext",
        types,
        typeRoots: [join(root, "node_modules/@types")],
        strict: true,
        exactOptionalPropertyTypes: true,
        skipLibCheck: false,
        noEmit: true,
      };
      writeFileSync(join(typesOnly, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["doors.ts"] }));
      const compiler = join(root, "node_modules/typescript/bin/tsc");
      const output = await node([compiler, "--checkers", "1", "--project", typesOnly], project).catch(
        (error: { stdout: string }) => error.stdout,
      );
      assert.equal(output, "");
    });
  }

  test(
    "no peer keeps the package from being installed by itself",
    { skip: isThorough ? false : "it asks the registry" },
    async (context) => {
      const empty = join(folder, "empty");
      mkdirSync(empty);
      writeFileSync(join(empty, "package.json"), JSON.stringify({ name: "empty", private: true }));
      const args = ["install", "--package-lock-only", "--fetch-retries=0", "--no-audit", "--no-fund"];
      const failed = await run("npm", [...args, join(folder, packed.filename)], {
        cwd: empty,
        env: environment,
        timeout: 300_000,
      }).then(
        () => "",
        (error: { readonly stderr: string }) => error.stderr,
      );
      assert.doesNotMatch(failed, /ERESOLVE/);
      if (failed !== "") context.skip("the registry does not answer");
    },
  );

  test("the command line starts and lists its commands", async () => {
    const perdure = join(project, "node_modules/.bin/perdure");
    const help = await node([perdure, "--help"], project);
    for (const command of ["consult", "chat", "sessions"]) assert.match(help, new RegExp(`^ {2}${command}\\b`, "m"));
    assert.equal(await node([perdure, "sessions", "list", "--json", "--store", "memory:"], project), "");
  });

  test("it holds what it needs and nothing of the tests", () => {
    const paths = packed.files.map(({ path }) => path);
    const report = ["dist/studio/standalone/report.js", "dist/studio/standalone/report.css"];
    for (const needed of ["LICENSE", "README.md", "package.json", ...Object.values(manifest.bin), ...report]) {
      assert(paths.includes(needed), `${needed} is missing`);
    }
    const strange = paths.filter((path) => /\.test\.|^(src|test|bench|demo)\/|\.db/.test(path));
    assert.deepEqual(strange, []);
    const declared = paths.filter((path) => path.endsWith(".d.ts"));
    const stale = declared.filter(
      (path) => !existsSync(join(root, path.replace("dist/", "src/").replace(/d\.ts$/, "ts"))),
    );
    assert.deepEqual(stale, [], "compiled from a source that is no longer there");
  });

  test("the studio serves the page that it holds", async () => {
    const script = `import { openSessions } from "perdure";
      import { createStudio } from "perdure/studio";
      const sessions = await openSessions("memory:");
      const studio = createStudio({ sessions });
      for (const path of ["", "/files/studio.js", "/files/studio.css", "/files/icon.svg"])
        console.log((await studio.fetch(new Request("http://localhost/studio" + path))).status);
      await studio.stop();
      await sessions.close();`;
    assert.equal(await node(["--input-type=module", "--eval", script], project), "200\n200\n200\n200\n");
  });

  test("the server has the page of its interface", async () => {
    const script = `import { openSessions } from "perdure";
      import { createServer } from "perdure/server";
      const sessions = await openSessions("memory:");
      const server = createServer({ sessions });
      const response = await server.fetch(new Request("http://localhost/docs"));
      console.log(response.status, /script-src 'sha256-/.test(response.headers.get("content-security-policy")));
      await server.stop();
      await sessions.close();`;
    assert.equal(await node(["--input-type=module", "--eval", script], project), "200 true\n");
  });

  test("each link of its documentation leads to a file that it holds", () => {
    const paths = new Set(packed.files.map(({ path }) => path));
    const dead = [...paths]
      .filter((path) => path.startsWith("docs/") && path.endsWith(".md"))
      .flatMap((path) =>
        [...readFileSync(join(installed, path), "utf8").matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)]
          .map(([, target = ""]) => target)
          .filter((target) => !target.includes("://") && !paths.has(join(dirname(path), target)))
          .map((target) => `${path}: ${target}`),
      );
    assert.deepEqual(dead, []);
  });

  /** What a built file loads at once, itself or by its imports: files, itself among them, and modules of Node and of others. */
  function loadedBy(path: string): { files: readonly string[]; modules: readonly string[] } {
    const files = new Set([join(installed, path)]);
    const modules = new Set<string>();
    for (const file of files)
      for (const [, from = ""] of readFileSync(file, "utf8").matchAll(/^(?:import|export)\b[^;]*?"([^"]+)";$/gm))
        if (from.startsWith(".")) files.add(join(file, "..", from));
        else modules.add(from);
    return { files: [...files], modules: [...modules] };
  }

  test("the modules for browsers load nothing of Node", () => {
    const { files, modules } = loadedBy("dist/client/index.js");
    assert.deepEqual(
      modules.filter((name) => name.startsWith("node:")),
      [],
    );
    assert(files.length > 1, "no imports were found");
  });

  /** The built files of the library and of its adapters, whose import is to take little time. */
  function quickDoors(): readonly string[] {
    const paths = packed.files
      .map(({ path }) => path)
      .filter((path) => /^dist\/(index|adapters\/[\w-]+)\.js$/.test(path));
    assert(paths.length > 15, "no adapters were found");
    return paths;
  }

  test("an import of the library loads four files, and no import loads what is loaded when it is first needed", () => {
    const { files } = loadedBy("dist/index.js");
    assert.deepEqual(files.map((file) => basename(file)).sort(), ["domain.js", "index.js", "perdure.js", "shared.js"]);
    for (const path of quickDoors()) {
      const loaded = new Set(loadedBy(path).files.flatMap((file) => sourcesOf(file)));
      const late = [...loaded].flatMap((source) =>
        [...readFileSync(join(root, source), "utf8").matchAll(/\bimport\("(\.[^"]+)"\)/g)].map(([, to = ""]) =>
          join(dirname(source), to),
        ),
      );
      if (path === "dist/index.js") assert(late.length > 30, "no late imports were found");
      const early = late.filter((source) => loaded.has(source));
      assert.deepEqual(early, [], `a static import of ${path} loads it at once`);
    }
  });

  test("an import of the library parses at most 800 kB, and one of an adapter 60 kB more", () => {
    const parsed = quickDoors().map((path) => ({
      path,
      bytes: loadedBy(path).files.reduce((sum, file) => sum + statSync(file).size, 0),
    }));
    const large = parsed.filter(({ path, bytes }) => bytes > (path === "dist/index.js" ? 800_000 : 860_000));
    assert.deepEqual(large, [], "a millisecond of processor time parses some 40 kB");
  });

  /** The sources of a built file, as its source map names them. A file that only exports again has none. */
  function sourcesOf(file: string): readonly string[] {
    if (!existsSync(`${file}.map`)) return [];
    const { sources } = JSON.parse(readFileSync(`${file}.map`, "utf8")) as { sources: readonly string[] };
    return sources.map((source) => source.replace(/^.*?(?=src\/)/, "")).filter((source) => source.startsWith("src/"));
  }

  test("an import of the library or of an adapter loads only small modules of Node", () => {
    const small = new Set(
      ["async_hooks", "diagnostics_channel", "os", "path", "timers/promises"].map((name) => `node:${name}`),
    );
    const large = quickDoors().flatMap((path) =>
      loadedBy(path)
        .modules.filter((name) => name.startsWith("node:") && !small.has(name))
        .map((name) => `${path}: ${name}`),
    );
    assert.deepEqual(large, []);
  });

  test("publint reports nothing", async () => {
    const { messages, pkg } = await publint({ pkgDir: installed, strict: true, pack: false });
    assert.deepEqual(
      messages.map((message) => formatMessage(message, pkg, { color: false })),
      [],
    );
  });

  const rare = isThorough ? false : "PERDURE_TEST_THOROUGH is not set";
  test("its types resolve as its code does, for every ES module resolution", { skip: rare }, async () => {
    const whole = createPackageFromTarballData(readFileSync(join(folder, packed.filename)));
    // By itself it looks at each of its files for each folder that the compiler asks for.
    const folders = new Set<string>();
    for (const file of whole.listFiles())
      for (let one = dirname(file); !folders.has(one); one = dirname(one)) folders.add(one);
    whole.directoryExists = (path) => folders.has(path.replace(/(?<=.)\/$/, ""));
    const result = await checkPackage(whole);
    assert(result.types !== false, "no types are packed");
    // The package is ES modules only: what only CommonJS and the resolution before `exports` would miss is not promised.
    const promised = (problem: Problem): boolean =>
      !("resolutionKind" in problem) || ["node16-esm", "bundler"].includes(problem.resolutionKind);
    assert.deepEqual(result.problems.filter(promised), []);
    assert.deepEqual(Object.keys(result.entrypoints).sort(), Object.keys(manifest.exports).sort());
  });
});

describe("on an older Node the command line prints the required version, in one line", () => {
  const launcher = join(root, manifest.bin["perdure"] ?? "");
  const needed = /\d+\.\d+/.exec(manifest.engines.node)?.[0] ?? "";
  const refusal = (version: string): string => `perdure needs Node ${needed} or newer; this is Node ${version}\n`;

  for (const version of ["0.10.48", "20.20.2", "22.17.1"]) {
    test(`Node ${version}, pretended`, async () => {
      const pretend = `Object.defineProperty(process, "versions", { value: { node: "${version}" } })`;
      const started = run(process.execPath, ["--import", `data:text/javascript,${pretend}`, launcher, "--help"]);
      await assert.rejects(started, { code: 1, stdout: "", stderr: refusal(version) });
    });
  }

  test("the same with a real old Node, if this machine has one", async (context) => {
    const [major = 0, minor = 0] = needed.split(".").map(Number);
    for (const directory of (process.env["PATH"] ?? "").split(delimiter)) {
      const other = join(directory, "node");
      if (!existsSync(other)) continue;
      const version = (await run(other, ["--version"])).stdout.trim().slice(1);
      const [otherMajor = 0, otherMinor = 0] = version.split(".").map(Number);
      if (otherMajor > major || (otherMajor === major && otherMinor >= minor)) continue;
      await assert.rejects(run(other, [launcher, "--help"]), { code: 1, stdout: "", stderr: refusal(version) });
      return;
    }
    context.skip(`no Node older than ${needed} is on the path`);
  });
});
