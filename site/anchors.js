/**
 * A plugin of TypeDoc that mends links of the pages. The markdown plugin numbers a heading that repeats a name of
 * another kind, `#sessioninfo-1`, also where the page has one heading of that name: such a link leads nowhere.
 */
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** @param {import("typedoc").Application} app */
export function load(app) {
  app.renderer.postRenderAsyncJobs.push(async ({ outputDirectory }) => mend(outputDirectory));
}

/** @param {string} folder */
function mend(folder) {
  const pages = globSync("**/*.md", { cwd: folder }).map((path) => join(folder, path));
  const texts = new Map(pages.map((path) => [path, readFileSync(path, "utf8")]));
  const headings = new Map([...texts].map(([path, text]) => [path, headingsOf(text)]));
  for (const [path, text] of texts) {
    const mended = text.replaceAll(/\]\(([^)#\s]*)#(\w+)-(\d+)\)/g, (link, file, name, number) => {
      const known = headings.get(file === "" ? path : join(dirname(path), file)) ?? [];
      const count = known.filter((heading) => heading === name).length;
      return count === 1 && !known.includes(`${name}-${number}`) ? `](${file}#${name})` : link;
    });
    if (mended !== text) writeFileSync(path, mended);
  }
}

/** @param {string} text */
function headingsOf(text) {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => heading.toLowerCase().replaceAll(/[^\w-]/g, ""));
}
