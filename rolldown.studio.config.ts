/**
 * The pages, as the package has them, none with a request to another origin: the studio in `dist/studio/page`, scripts and
 * one style sheet, and in `dist/studio/standalone` a script and a style sheet for each page that is one file.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { BuildOptions, OutputOptions, Plugin } from "rolldown";

const page = new URL("./src/studio/page/", import.meta.url);
const plots = import.meta.resolve("uplot/dist/uPlot.min.css");

/** The builds of the pages, into this folder of the package. */
export function pagesIn(dist: string): BuildOptions[] {
  const standalone = { dir: `${dist}/studio/standalone`, format: "iife" } as const;
  return [
    buildOf("studio", "main.tsx", [plots, "style.css"], { dir: `${dist}/studio/page`, cleanDir: true }),
    buildOf("report", "report/main.tsx", [plots, "style.css", "report/report.css"], { ...standalone, cleanDir: true }),
    buildOf("reference", "reference/main.tsx", ["style.css", "reference/reference.css"], standalone),
  ];
}

const builds: BuildOptions[] = pagesIn(fileURLToPath(new URL("./dist", import.meta.url)));
export default builds;

function buildOf(name: string, main: string, sheets: readonly string[], output: OutputOptions): BuildOptions {
  return {
    input: { [name]: fileURLToPath(new URL(main, page)) },
    platform: "browser",
    tsconfig: fileURLToPath(new URL("tsconfig.json", page)),
    transform: { target: "es2022" },
    plugins: [filesBeside(name, sheets)],
    output: { minify: true, entryFileNames: "[name].js", chunkFileNames: "[name].js", ...output },
  };
}

/** The style sheets as one, in the order of the cascade, and the icon of the studio. */
function filesBeside(name: string, sheets: readonly string[]): Plugin {
  return {
    name: "files-beside",
    generateBundle() {
      const source = sheets.map((sheet) => withoutSpace(readFileSync(new URL(sheet, page), "utf8"))).join("\n");
      this.emitFile({ type: "asset", fileName: `${name}.css`, source });
      if (name !== "studio") return;
      this.emitFile({ type: "asset", fileName: "icon.svg", source: readFileSync(new URL("icon.svg", page), "utf8") });
    },
  };
}

/** The sheet without its comments and indents. */
function withoutSpace(css: string): string {
  return css.replaceAll(/\/\*.*?\*\//gs, "").replaceAll(/\s*\n\s*/g, "\n");
}
