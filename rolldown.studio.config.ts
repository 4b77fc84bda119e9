/** The page of the studio, as the package has it in `dist/studio/page`: scripts and one style sheet, without a request to another origin. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { RolldownOptions } from "rolldown";

const page = new URL("./src/studio/page/", import.meta.url);
/** The style sheets, in the order of the cascade. */
const sheets = [import.meta.resolve("uplot/dist/uPlot.min.css"), new URL("style.css", page)];

const build: RolldownOptions = {
  input: { studio: fileURLToPath(new URL("main.tsx", page)) },
  platform: "browser",
  tsconfig: fileURLToPath(new URL("tsconfig.json", page)),
  transform: { target: "es2022" },
  plugins: [
    {
      name: "studio-style",
      generateBundle() {
        const source = sheets.map((sheet) => withoutSpace(readFileSync(new URL(sheet), "utf8"))).join("\n");
        this.emitFile({ type: "asset", fileName: "studio.css", source });
        this.emitFile({ type: "asset", fileName: "icon.svg", source: readFileSync(new URL("icon.svg", page), "utf8") });
      },
    },
  ],
  output: {
    dir: fileURLToPath(new URL("./dist/studio/page/", import.meta.url)),
    cleanDir: true,
    minify: true,
    entryFileNames: "[name].js",
    chunkFileNames: "[name].js",
  },
};

export default build;

/** The sheet without its comments and indents. */
function withoutSpace(css: string): string {
  return css.replaceAll(/\/\*.*?\*\//gs, "").replaceAll(/\s*\n\s*/g, "\n");
}
