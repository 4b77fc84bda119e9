import assert from "node:assert/strict";
import { test } from "node:test";
import { mayRefer, partOf, readReferenceUrl, referencesIn, replacedUrls } from "./reference-url.ts";

const hash = "ab".repeat(32);
const url = `attachment:image/png;sha256,${hash}`;

test("a reference is found in every part but a text, at any depth, and nowhere else", () => {
  const picture = partOf({ hash, type: "image/png", length: 1 });
  const result = { type: "tool_result", content: [{ type: "text", text: url }, { nested: { deep: [picture] } }] };
  for (const [content, count] of [
    [[picture], 1],
    [[result, picture], 2],
    [[{ type: "text", text: url }], 0],
    [[{ type: "file", file: { file_data: `${url}x` } }], 0],
    [url, 0],
    [null, 0],
    [["a", 1, new Uint8Array(3), new Date(0)], 0],
  ] as const) {
    const messages = [{ role: "user" as const, content }];
    assert.equal(referencesIn(messages).length, count, JSON.stringify(content));
    if (count > 0) assert(mayRefer(messages));
  }
  assert(
    !mayRefer([
      { role: "user", content: url },
      { role: "user", content: [{ type: "text", text: "a" }] },
    ]),
  );
});

test("references are replaced at any depth, and a part of which one has no text is undefined", () => {
  const picture = partOf({ hash, type: "image/png", length: 1 });
  const part = { type: "tool_result", content: [{ type: "text", text: url }, picture] };
  assert.deepEqual(replacedUrls(part, { read: readReferenceUrl, textFor: ({ type }) => `data:${type}` }), {
    type: "tool_result",
    content: [part.content[0], { type: "image_url", image_url: { url: "data:image/png" } }],
  });
  assert.equal(replacedUrls(part, { read: readReferenceUrl, textFor: () => undefined }), undefined);
});

test("a reference has the media type with its parameters", () => {
  const type = "text/plain;charset=utf-8;x=1,2";
  const part = partOf({ hash, type, length: 1, name: "a.txt" });
  assert.deepEqual(part, { type: "file", file: { filename: "a.txt", file_data: `attachment:${type};sha256,${hash}` } });
  assert.deepEqual(readReferenceUrl(`attachment:${type};sha256,${hash}`), { type, hash });
  assert.equal(readReferenceUrl(`attachment:${type};sha256,${hash.toUpperCase()}`), undefined);
});
