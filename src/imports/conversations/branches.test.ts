/** The branches of a deep tree are found in one pass over its messages. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { conversationsOfTree } from "./branched.ts";

const depth = 200;

/** A conversation with a side answer at each message, and how many times a parent was read. */
class DeepTree {
  looks = 0;
  readonly nodes = Array.from({ length: depth }, (_, index) => index).flatMap((index) => {
    const parent = index === 0 ? undefined : `m${index - 1}`;
    return [this.#node(`m${index}`, parent), this.#node(`side${index}`, parent)];
  });
  readonly paths: (readonly string[])[] = [];

  #node(
    id: string,
    before: string | undefined,
  ): { readonly id: string; readonly parent: string | undefined; readonly at: number } {
    const look = (): void => void this.looks++;
    return {
      id,
      at: 0,
      get parent() {
        look();
        return before;
      },
    };
  }

  read = (ids: readonly string[]): { id: string; messages: { role: "user"; content: string }[] } => {
    this.paths.push(ids);
    return { id: "c", messages: ids.map((content) => ({ role: "user", content })) };
  };
}

const current = `m${depth - 1}`;

test("the branches that are not imported are counted without their paths", () => {
  const tree = new DeepTree();
  const [conversation] = conversationsOfTree({ nodes: tree.nodes, current, read: tree.read }, { branches: "shown" });
  assert.deepEqual(conversation!.leftOut, { branch: depth });
  assert.equal(conversation!.messages.length, depth);
  assert.ok(tree.looks <= 4 * tree.nodes.length, `${tree.looks} looks at a parent`);
});

test("of more branches than a session may have, only those that it gets are read", () => {
  const tree = new DeepTree();
  const options = { branches: "keep", branchesMax: 3 } as const;
  const [conversation] = conversationsOfTree({ nodes: tree.nodes, current, read: tree.read }, options);
  assert.equal(conversation!.branches!.length, 2);
  assert.equal(conversation!.leftOut!["branch"], depth + 1 - 3);
  const ends = new Set(tree.paths.map((ids) => ids.at(-1)));
  assert.ok(ends.size <= 5, [...ends].join());
  assert.ok(tree.looks <= 8 * tree.nodes.length, `${tree.looks} looks at a parent`);
});
