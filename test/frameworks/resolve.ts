/** Lets sources of Perdure and its examples find packages that only the folder of a framework's tests has. */
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";

const project = new URL("../../", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL("package.json", project), "utf8")) as {
  readonly exports: Readonly<Record<string, string | { readonly default: string }>>;
};

/** The address of the source of each door of Perdure, by the door's name: `perdure`, `perdure/ai`. */
const doors = new Map(
  Object.entries(manifest.exports).flatMap(([name, door]) =>
    typeof door === "string"
      ? []
      : [
          [
            `perdure${name.slice(1)}`,
            new URL(door.default.replace("./dist/", "src/").replace(/js$/, "ts"), project).href,
          ],
        ],
  ),
);

/**
 * Resolves `packages`, and what is below them, from the folder of `importer`, and the doors of Perdure to their sources.
 * Where PERDURE_TEST_PEER is a word such as `lowest`, a package is the one that the folder has under its name with that word
 * behind it: `ai-lowest` for `ai`, wherever it is imported.
 *
 * @param importer the address of a module in the folder that has the packages
 */
export function resolvePackages(importer: string, packages: readonly string[]): void {
  const { devDependencies } = JSON.parse(readFileSync(new URL("package.json", importer), "utf8")) as {
    readonly devDependencies: Readonly<Record<string, string>>;
  };
  const word = process.env["PERDURE_TEST_PEER"] ?? "";
  registerHooks({
    resolve: (specifier, context, next) => {
      const name = packages.find((one) => specifier === one || specifier.startsWith(`${one}/`));
      if (name === undefined) return next(doors.get(specifier) ?? specifier, context);
      const other = `${name}-${word}`;
      const chosen = Object.hasOwn(devDependencies, other) ? other + specifier.slice(name.length) : specifier;
      return next(chosen, { ...context, parentURL: importer });
    },
  });
}
