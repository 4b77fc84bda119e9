/**
 * The documentation as a static site. Its pages are the Markdown files of docs/, unchanged; its sidebar is the index in
 * docs/README.md, so that the reading order is written down once.
 */
import { readFileSync } from "node:fs";
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

/** Links that leave docs/, such as those to the sources, lead somewhere in the repository and in the package only. */
const outside = /^(?:\.\.\/)+(?!docs\/)/;

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
  ignoreDeadLinks: [(link) => link.includes("/../") || outside.test(link)],
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
