import assert from "node:assert/strict";
import { test } from "node:test";
import { eachPage, type After } from "./pages.ts";

const list = ["a", "b", "c", "d", "e"];

function pagesOf(asked: After[]) {
  return async (after: After) => {
    asked.push(after);
    const from = after.after === undefined ? 0 : list.indexOf(after.after) + 1;
    const items = list.slice(from, from + 2);
    return { items, next: from + 2 < list.length ? items.at(-1) : undefined };
  };
}

test("pages come in order, each asked for with the cursor of the one before", async () => {
  const asked: After[] = [];
  const pages = await Array.fromAsync(eachPage(pagesOf(asked)));
  assert.deepEqual(
    pages.flatMap(({ items }) => items),
    list,
  );
  assert.deepEqual(asked, [{}, { after: "b" }, { after: "d" }]);
});

test("a reader that stops asks for no further page, and a walk may begin at a cursor", async () => {
  const asked: After[] = [];
  for await (const { items } of eachPage(pagesOf(asked), { after: "b" })) {
    assert.deepEqual(items, ["c", "d"]);
    break;
  }
  assert.deepEqual(asked, [{ after: "b" }]);
});
