/** Pages of one file, made with the kit of the studio: a document that holds its script, its style and its data. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export interface StandalonePage {
  readonly html: string;
  /** The Content-Security-Policy that the document also states itself: its own script and style alone run, and nothing loads. */
  readonly policy: string;
}

export interface PageContent {
  /** The page of the build. */
  readonly name: "report" | "reference";
  readonly title: string;
  /** JSON that the script reads. */
  readonly data: unknown;
  /** The text for a browser without scripts. */
  readonly withoutScripts: string;
}

/** Where the build has its pages. src/pages/ and dist/parts/ are two folders below the package. */
const built = fileURLToPath(new URL("../../dist/studio/standalone/", import.meta.url));

/** Makes the document of a page; undefined in a checkout whose pages are not built. */
export function standalonePage(
  { name, title, data, withoutScripts }: PageContent,
  folder: string = built,
): StandalonePage | undefined {
  const [script, style] = [textOf(`${folder}/${name}.js`), textOf(`${folder}/${name}.css`)];
  if (script === undefined || style === undefined) return undefined;
  // The end tag of a script would end it inside of a text, too.
  const safe = script.replaceAll("</script", String.raw`<\/script`);
  const policy = `default-src 'none'; script-src ${sourceOf(safe)}; style-src ${sourceOf(style)}; base-uri 'none'; form-action 'none'`;
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="content-security-policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escaped(title)}</title>
<style>${style}</style>
</head>
<body><div id="app"></div><noscript>${escaped(withoutScripts)}</noscript>
<script type="application/json" id="data">${JSON.stringify(data).replaceAll("<", String.raw`\u003c`)}</script>
<script>${safe}</script>
</body>
</html>
`;
  return { html, policy: `${policy}; frame-ancestors 'none'` };
}

function sourceOf(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}

function textOf(path: string): string | undefined {
  try {
    // An HTML parser reads CR LF as LF, and the hash is of what it reads.
    return readFileSync(path, "utf8").replaceAll("\r\n", "\n");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
}
