import assert from "node:assert/strict";
import { test } from "node:test";
import { readTree, treeData } from "./tree.ts";

/** The text of a tree: number, parent and first turn of each kept branch. */
const text = (current: number, ...kept: readonly (readonly [number, number, number])[]): string =>
  JSON.stringify({ current, kept: kept.map((branch) => [...branch, 0, 0]) });

test("a tree comes back from its text", () => {
  const data = text(5, [1, 5, 3], [2, 1, 4], [3, 2, 9]);
  const tree = readTree(data);
  assert.equal(tree && treeData(tree), data);
});

test("a text is no tree where parents of a branch lead to no current branch, or a branch begins before its parent", () => {
  const damaged = {
    "a branch is its own parent": text(5, [1, 1, 3]),
    "two branches are parents of each other": text(5, [1, 2, 3], [2, 1, 4]),
    "a parent is missing": text(5, [1, 7, 3]),
    "a branch begins where its parent does": text(5, [1, 5, 3], [2, 1, 3]),
    "a branch begins at no turn": text(5, [1, 5, 0]),
    "a number is there twice": text(5, [1, 5, 3], [1, 5, 4]),
    "the current branch is kept": text(5, [5, 5, 3]),
  };
  for (const [what, data] of Object.entries(damaged)) assert.equal(readTree(data), undefined, what);
});
