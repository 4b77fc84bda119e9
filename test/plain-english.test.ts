/** Docs, messages and comments are plain English: components act, and the field's own words name them. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), "utf8");

/** Names that stores have on disk, each with the files that translate them. */
const stored: readonly { readonly path: string; readonly word: string }[] = [
  { path: "src/domain/record/entry.ts", word: "spent" },
  { path: "src/store/row.ts", word: "spent" },
];

/** Indefinite persons and home-made words, where a component, the caller or the client is meant. */
const oldIdiom =
  /\b(whoever|whomever|whosoever|nobody|somebody|befell|befalls?|befallen|nought|come by|comes by|begun afresh|put in order|put away|made ready|the floor|tally|(?:over)?spent|spends?|spending|spender|goes on with|(?:is|are|was|be) told|heeds?|remedy|flaws?|mend(?:s|ed|ing)?)\b/i;

// UPGRADING.md has the old names. The API pages are made from comments, which the test below measures.
test("docs, examples and sources, with their messages, help texts and names, use no word of the old idiom", () => {
  const spoken = globSync(["*.md", "docs/**/*.md", "{bench,demo,examples}/*.{md,ts}", "src/**/*.ts"], {
    cwd: root,
    exclude: (path) => path.endsWith(".test.ts") || path === "UPGRADING.md" || path.includes("reference/api"),
  });
  const judged = spoken.filter((path) => path !== "UPGRADING.md" && !path.includes("reference/api"));
  const found = judged.flatMap((path) =>
    read(path)
      .split("\n")
      .flatMap((line, index) => {
        const [word] = oldIdiom.exec(line) ?? [];
        const isStored = stored.some((name) => name.path === path && name.word === word);
        return word === undefined || isStored ? [] : [`${path}:${index + 1}: ${word}`];
      }),
  );
  assert.deepEqual(found, []);
});

/** The comments of a source file, each as one text. */
function commentsOf(source: string): string[] {
  return [...source.matchAll(/\/\*\*?([\s\S]*?)\*\/|((?:^[ \t]*\/\/[^\n]*\n?)+)/gm)]
    .map(([, block, lines]) => (block ?? lines ?? "").replace(/^[ \t]*(?:\*|\/\/)+ ?/gm, "").trim())
    .filter((text) => text !== "");
}

test("comments name the component first: few open with a relative pronoun, few speak of persons", (t) => {
  const sources = globSync("src/**/*.ts", { cwd: root, exclude: (path) => path.endsWith(".test.ts") });
  const comments = sources.flatMap((path) => commentsOf(read(path)));
  const opening = comments.filter((text) =>
    /^(?:What|Who|Whom|Whose|Whoever|Where|Nobody|Somebody|So often)\b/.test(text),
  );
  const words = comments.flatMap((text) => text.split(/\s+/));
  const persons = words.filter((word) => /^\W*(?:who|whom|whoever|nobody|somebody)\W*$/i.test(word));
  const share = (100 * opening.length) / comments.length;
  const rate = (1000 * persons.length) / words.length;
  t.diagnostic(`${share.toFixed(1)} % of ${comments.length} comments open with What, Who, Where or Nobody`);
  t.diagnostic(`${rate.toFixed(2)} of 1 000 words of comments are who, nobody or somebody`);
  // The limits may only fall.
  assert(share < 3, `${share.toFixed(1)} %: ${opening.slice(0, 10).join(" | ")}`);
  assert(rate < 1, `${rate.toFixed(2)} of 1 000 words`);
});

test("no comment of the server and the protocol opens with a relative pronoun", () => {
  const sources = globSync("src/{server,protocol}/**/*.ts", {
    cwd: root,
    exclude: (path) => path.endsWith(".test.ts"),
  });
  const opening = sources.flatMap((path) =>
    commentsOf(read(path))
      .filter((text) => /^(?:What|Who|Whom|Whose|Whoever|Where|Nobody|Somebody)\b/.test(text))
      .map((text) => `${path}: ${text}`),
  );
  assert.deepEqual(opening, []);
});
