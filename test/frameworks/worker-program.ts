/** Programs of a framework's folder that a file of tests starts again and again. */
import { rmSync } from "node:fs";
import { basename, dirname, isAbsolute, join } from "node:path";
import { after } from "node:test";
import { build } from "rolldown";

/**
 * Builds a program, for the tests of the file that calls this, and gives back the path of its main module. A program of a
 * few files starts in half the time of a hundred TypeScript files. It lies among the packages of its folder, and imports
 * them from there.
 */
export async function workerProgram(source: string): Promise<string> {
  const name = basename(source, ".ts");
  const dir = join(dirname(source), `node_modules/.built-${name}-${process.pid}`);
  after(() => rmSync(dir, { recursive: true, force: true }));
  await build({
    input: { [name]: source },
    platform: "node",
    logLevel: "warn",
    external: (id) => !id.startsWith(".") && !isAbsolute(id),
    // The hooks of `resolve.ts` are for sources, which lie beside other packages.
    plugins: [{ name: "no hooks", load: (id) => (basename(id) === "resolve.ts" ? "" : null) }],
    output: { dir },
  });
  return join(dir, `${name}.js`);
}
