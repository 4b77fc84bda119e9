/**
 * The documentation as a static site. Its pages are the Markdown files of docs/, unchanged; its sidebar is the index in
 * docs/README.md, so that the reading order is written down once.
 */
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig, type DefaultTheme } from "vitepress";

const docs = new URL("../../docs/", import.meta.url);

/** The sections of the index: each heading with the links of the list below it. */
function sidebar(): DefaultTheme.SidebarItem[] {
  const sections: { text: string; items: { text: string; link: string }[] }[] = [];
  for (const line of readFileSync(new URL("README.md", docs), "utf8").split("\n")) {
    const [, heading] = /^## (.+)$/.exec(line) ?? [];
    if (heading !== undefined) sections.push({ text: heading, items: [] });
    const [, text, path] = /^(?:-|\d+\.) \[([^\]]+)\]\(([^)]+)\)/.exec(line) ?? [];
    if (text !== undefined && path !== undefined && path.endsWith(".md") && !path.startsWith("..")) {
      sections.at(-1)?.items.push({
        text: text.replaceAll("`", ""),
        link: `/${path.replace(/^([^/]+\/)?README\.md$/, "$1").replace(/\.md$/, "")}`,
      });
    }
  }
  return sections;
}

/** Files that pages link to and that are no pages, such as examples, by their path from the root of the repository. */
const files = new Set<string>();

/** A file has its path below this one, as text, so that a browser shows it. */
const filesPath = "/files/";

/** The path on the site of a linked file that is no page; undefined for a page, an address and a heading. */
function fileLink(href: string, page: string): string | undefined {
  const [target = ""] = href.split("#", 1);
  if (target === "" || /^[a-z]+:/.test(target)) return undefined;
  const path = posix.join("docs", posix.dirname(page), decodeURI(target));
  if (path.startsWith("docs/") && path.endsWith(".md")) return undefined;
  files.add(path);
  return `${filesPath}${path}.txt`;
}

/** A file of a package that this site brings. */
function here(path: string): string {
  return fileURLToPath(new URL(`../node_modules/${path}`, import.meta.url));
}

export default defineConfig({
  title: "Perdure",
  description: "The durable session layer for AI agents and LLM chats",
  srcDir: "../docs",
  outDir: "./dist",
  cacheDir: "./node_modules/.cache/vitepress",
  rewrites: { "README.md": "index.md", ":folder/README.md": ":folder/index.md" },
  cleanUrls: true,
  lastUpdated: false,
  markdown: {
    config: ({ core }) => {
      core.ruler.push("file_links", ({ tokens, env }) => {
        for (const token of tokens.flatMap(({ children }) => children ?? [])) {
          const link =
            token.type === "link_open" ? fileLink(String(token.attrGet("href")), String(env.relativePath)) : undefined;
          if (link === undefined) continue;
          token.attrSet("href", link);
          token.attrSet("target", "_blank");
        }
      });
    },
  },
  buildEnd: ({ outDir }) => {
    for (const path of files) {
      const copy = join(outDir, filesPath, `${path}.txt`);
      mkdirSync(dirname(copy), { recursive: true });
      copyFileSync(new URL(`../${path}`, docs), copy);
    }
  },
  // The pages lie outside this folder, and the compiled ones import vue from where they lie.
  vite: {
    resolve: {
      alias: {
        "vue/server-renderer": here("vue/server-renderer/index.mjs"),
        vue: here("vue/dist/vue.runtime.esm-bundler.js"),
      },
    },
  },
  themeConfig: {
    search: { provider: "local" },
    sidebar: sidebar(),
    outline: [2, 3],
    docFooter: { prev: "Before", next: "Next" },
  },
});
