/** Wrong arguments of an import of files are named before any file is read. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { importFiles } from "../admin.ts";
import { inMemory } from "../../test/support/in-memory.ts";

test("wrong forms and branches of an import are refused by their names", async () => {
  await using place = inMemory();
  const wrong: readonly { readonly options: object; readonly message: RegExp }[] = [
    { options: { formats: [{ name: "notes" }] }, message: /^formats\[0\]\.kindOf is undefined; expected a function/ },
    {
      options: { formats: [{ kindOf: () => undefined }] },
      message: /^formats\[0\]\.read is undefined; expected a func/,
    },
    { options: { branches: "all" }, message: /^branches is "all"; expected one of shown, fork/ },
  ];
  for (const { options, message } of wrong)
    await assert.rejects(importFiles(place.sessions, [], options), { code: "argument_invalid", message });
});
