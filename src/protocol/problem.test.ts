import assert from "node:assert/strict";
import { test } from "node:test";
import { errorOf } from "./problem.ts";

test("an error of a server keeps the server's text, also if its details are unknown to this version", () => {
  const error = errorOf({ code: "method_not_allowed", detail: "this path accepts no PUT", details: {} });
  assert.equal(error?.message, "this path accepts no PUT");
  const newer = errorOf({
    code: "argument_invalid",
    detail: "n is 0",
    details: { name: "n", expected: "of_a_newer_version" },
  });
  assert.deepEqual([newer?.message, newer?.code], ["n is 0", "argument_invalid"]);
  assert.equal(errorOf({ code: "busy" })?.message, "busy");
});

test("a document that is no problem of Perdure is no error", () => {
  for (const other of [null, 5, {}, { code: "of_a_newer_version" }]) assert.equal(errorOf(other), undefined);
});
