/**
 * Checks the types of each folder of framework tests against its packages: the adapters fit their frameworks. The folders see
 * declarations in place of the sources, as the users of the package do. The compiler writes them once, and `types:project`
 * checks the sources; to check them again in each folder would take seven times as long. The snippets of a framework's page in the
 * documentation are checked with its folder.
 */
import { execFile } from "node:child_process";
import { cpSync, existsSync, globSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, sep } from "node:path";
import { promisify } from "node:util";
import { installFrameworks } from "./install.ts";
import { programsOf } from "./page-snippets.ts";

const root = join(import.meta.dirname, "../..");
const compiler = join(root, "node_modules/typescript/bin/tsc");

await installFrameworks();
const folder = mkdtempSync(join(tmpdir(), "perdure-types-"));
try {
  // The checkers of a compiler each check the types that they share: one alone takes half of the processor time of four.
  const declarations = [
    "--noEmit",
    "false",
    "--emitDeclarationOnly",
    "--noCheck",
    "--rootDir",
    root,
    "--outDir",
    folder,
  ];
  await compile(["--project", root, ...declarations]);
  for (const file of ["package.json", "tsconfig.json", "examples"])
    cpSync(join(root, file), join(folder, file), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  const configs = globSync("test/frameworks/*/tsconfig.json", { cwd: root }).toSorted();
  for (const config of configs) link(dirname(config));
  const unchecked = pagesWithSnippets().filter(
    (page) => globSync(`test/frameworks/*/page-${page}.ts`, { cwd: root }).length === 0,
  );
  for (const page of unchecked) {
    console.error(`docs/frameworks/${page}.md has snippets, and no folder has a page-${page}.ts`);
    process.exitCode = 1;
  }
  // Two at a time, one for each core of a small machine.
  const next = async (): Promise<void> => {
    for (let config = configs.shift(); config !== undefined; config = configs.shift())
      await compile(["--noEmit", "--project", config]);
  };
  await Promise.all([next(), next()]);
} finally {
  rmSync(folder, { recursive: true });
}

/** Copies the sources of a framework's folder, and links its packages. */
function link(path: string): void {
  const isSource = (file: string): boolean => !file.includes(join(path, "node_modules"));
  cpSync(join(root, path), join(folder, path), { recursive: true, filter: isSource });
  const packages = join(root, path, "node_modules");
  if (existsSync(packages)) symlinkSync(packages, join(folder, path, "node_modules"));
  for (const file of globSync("page-*.ts", { cwd: join(root, path) })) {
    const page = readFileSync(join(root, "docs/frameworks", file.replace(/^page-(.*)\.ts$/, "$1.md")), "utf8");
    const programs = programsOf(page, readFileSync(join(root, path, file), "utf8"));
    for (const [index, program] of programs.entries())
      writeFileSync(join(folder, path, file.replace(/\.ts$/, `-snippet-${index + 1}.ts`)), program);
  }
}

function pagesWithSnippets(): readonly string[] {
  return globSync("docs/frameworks/*.md", { cwd: root })
    .filter((path) => /^```ts/m.test(readFileSync(join(root, path), "utf8")))
    .map((path) => basename(path, ".md"));
}

/** Prints what the compiler finds, by the paths of the project. */
async function compile(args: readonly string[]): Promise<void> {
  const checked = promisify(execFile)(process.execPath, [compiler, "--checkers", "1", ...args], { cwd: folder });
  await checked.catch((error: unknown) => {
    console.error(String((error as { readonly stdout?: unknown }).stdout).replaceAll(folder + sep, ""));
    process.exitCode = 1;
  });
}
