/** The table of docs/reference/formats.md against the converters. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { withoutNative } from "../../src/domain/request/native-form.ts";
import type { Message } from "../../src/domain/turns/turn.ts";
import { sameValue } from "../../src/domain/values/same-value.ts";
import type { Value } from "../../src/domain/values/codec.ts";
import { fromFormat, toFormat } from "../../src/formats/conversion.ts";
import { messageFormats } from "../../src/formats/registry.ts";

const picture = { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } };
const call = { id: "call-7", type: "function", function: { name: "look", arguments: '{"at":1}' } } as const;
const asked: Message = { role: "assistant", content: null, tool_calls: [call] };
const result = (fields: { readonly [field: string]: Value }): Message => ({
  role: "tool",
  tool_call_id: call.id,
  content: "seven",
  ...fields,
});

/** The columns: each is kept where these messages are the same after a conversion and back. */
const columns: readonly (readonly [string, readonly Message[]])[] = [
  [
    "text",
    [
      { role: "user", content: "Hi" },
      { role: "assistant", content: "Hello." },
    ],
  ],
  [
    "system messages",
    [
      { role: "user", content: "Hi" },
      { role: "system", content: "Be brief." },
    ],
  ],
  ["names", [{ role: "user", content: "Hi", name: "ada" }]],
  ["pictures", [{ role: "user", content: [{ type: "text", text: "See:" }, picture] }]],
  [
    "files",
    [
      {
        role: "user",
        content: [
          { type: "text", text: "See:" },
          { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,AAAA" } },
        ],
      },
    ],
  ],
  ["calls, results", [asked, result({})]],
  ["failed results", [asked, result({ is_error: true })]],
  ["pictures in results", [asked, result({ content: [{ type: "text", text: "See:" }, picture] })]],
];

const rows = messageFormats.map(({ name }) => {
  const kept = columns.map(([, messages]) => {
    const back = fromFormat(toFormat(messages, name), name).map(withoutNative);
    return sameValue(back, messages) ? "yes" : "–";
  });
  return [`\`${name}\``, ...kept];
});

test("the table of formats says what each converter keeps", () => {
  const page = readFileSync(new URL("../../docs/reference/formats.md", import.meta.url), "utf8");
  const written = page
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  const first = written.findIndex(([, column]) => column === "text");
  assert.deepEqual(written[first], ["format", ...columns.map(([name]) => name)]);
  assert.deepEqual(written.slice(first + 2, first + 2 + rows.length), rows);
});
