/** The range of each peer begins at a version that the tests install. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

interface Manifest {
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

const root = join(import.meta.dirname, "../..");
const manifestOf = (path: string): Manifest => JSON.parse(readFileSync(join(root, path), "utf8")) as Manifest;
const own = manifestOf("package.json");

/** The packages that a manifest installs, each as `name@version`. */
function installedBy({ devDependencies = {} }: Manifest): readonly string[] {
  return Object.entries(devDependencies).map(([name, version]) =>
    version.startsWith("npm:") ? version.slice("npm:".length) : `${name}@${version}`,
  );
}

const folders = globSync("test/frameworks/*/package.json", { cwd: root }).map(manifestOf);
const installed = new Set([own, ...folders].flatMap(installedBy));

for (const [name, range] of Object.entries(own.peerDependencies ?? {}))
  test(`the tests install the lowest versions of ${name}`, () => {
    const lowest = range.split("||").map((part) => /^\s*(?:\^|>=)(\d+\.\d+\.\d+)(?: <\d+)?\s*$/.exec(part)?.[1]);
    const missing = lowest.filter((version) => !installed.has(`${name}@${version}`));
    assert.deepEqual(missing, [], range);
  });
