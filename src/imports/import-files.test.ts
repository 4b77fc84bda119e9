/** `importFiles`: its arguments, and forms of the caller. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { importFiles, type ConversationFormat } from "../admin.ts";
import { importText } from "../../test/support/import-text.ts";
import { inMemory } from "../../test/support/in-memory.ts";
import { zipOf } from "../../test/support/zip.ts";

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

/** A form of the caller. Its functions do what the document says. */
const notes = (fields: Partial<ConversationFormat> = {}): ConversationFormat => ({
  name: "notes",
  title: "notes",
  kindOf: (document) => (Object.hasOwn(Object(document), "said") ? "conversation" : undefined),
  read: ([{ value }]) => {
    const { said } = value as { said: string };
    return [{ id: said.trim(), messages: [{ role: "user", content: said }] }];
  },
  ...fields,
});
const three = ['{"said":"a"}', '{"said":1}', '{"said":"c"}'].join("\n");

test("a form of the caller that fails refuses that conversation with its place, and the others come in", async () => {
  const isBroken = (value: unknown): boolean => (value as { said: unknown }).said === 1;
  const fail = (): never => {
    throw new TypeError("no reader");
  };
  const forms: readonly [form: ConversationFormat, restored: number, message: RegExp][] = [
    [notes(), 2, /^f:2 cannot be read as notes: said\.trim is not a function$/],
    [
      notes({ kindOf: (value) => (isBroken(value) ? fail() : "conversation") }),
      2,
      /^f:2 cannot be read as notes: no re/,
    ],
    [notes({ read: () => undefined as never }), 0, /^f:1 cannot be read as notes: /],
    [notes({ read: () => [null as never] }), 0, /^f:1 cannot be read as notes: /],
    [
      notes({ kindOf: () => "entry", groupOf: (value) => (isBroken(value) ? fail() : "one") }),
      0,
      /^f:2 cannot be read as notes: no reader$/,
    ],
    [notes({ read: ([{ value }]) => [{ messages: [{ role: "user", content: "x" }], facts: value as never }] }), 0, /f/],
  ];
  for (const [form, restored, message] of forms) {
    await using place = inMemory();
    const report = await importText(place.sessions, three, { formats: [form] });
    assert.equal(report.restored, restored);
    assert.match(report.reasons[0]?.message ?? "", message);
  }
});

test("conversations without messages are counted by themselves", async () => {
  await using place = inMemory();
  const file = ['{"id":"e","messages":[]}', '{"id":"a","messages":[{"role":"user","content":"Hi"}]}', "{"].join("\n");
  const { restored, skipped, empty, reasons } = await importText(place.sessions, file);
  assert.deepEqual([restored, skipped, empty, reasons[0]?.message], [1, 2, 1, "f:1 has no messages"]);
});

test("damaged JSON is named as such, and unknown JSON by its names and the known forms, on one line", async () => {
  const texts: readonly [text: string, message: RegExp][] = [
    ['{"id":"a"', /^f:1 cannot be read as JSON: column 10: found the end of the file, expected/],
    ['[{"id":"a"},{"id":}]', /^f:item 2 cannot be read as JSON: line 1, column 7: found/],
    ['{"foo":1,"b\\nr":2}', /^f:1 is \{ foo, b\\nr \}: no conversation in one of the forms chatgpt, .*, codex$/],
    ["{}", /^f:1 is \{\}: no conversation in one of the forms chatgpt, /],
  ];
  for (const [text, message] of texts) {
    await using place = inMemory();
    const { reasons } = await importText(place.sessions, text);
    assert(
      reasons.some((reason) => message.test(reason.message)),
      JSON.stringify(reasons),
    );
  }
});

test("half a surrogate pair in an id is named", async () => {
  await using place = inMemory();
  const { reasons } = await importText(place.sessions, '{"id":"a\\ud800","messages":[{"role":"user","content":"Hi"}]}');
  assert.match(reasons[0]?.message ?? "", /expected a text without halves of surrogate pairs/);
});

test("calls that are none are refused with their place, and so is an entry of no form between others", async () => {
  const texts: readonly [text: string, message: RegExp][] = [
    [
      '{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","tool_calls":" "}]}',
      /^f:1 messages\[1\]\.tool_calls is/,
    ],
    [
      '{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","tool_calls":[{}]}]}',
      /^f:1 messages\[1\]\.tool_calls is/,
    ],
    [
      '{"data":[{"object":"thread.message","thread_id":"k","role":"user","content":[{"type":"text","text":{"value":"Hi"}}]},null]}',
      /^f:1 item 2 is null/,
    ],
  ];
  for (const [text, message] of texts) {
    await using place = inMemory();
    const { restored, reasons } = await importText(place.sessions, text);
    assert.equal(restored, 0);
    assert.match(reasons[0]?.message ?? "", message);
  }
});

test("of two entries of one name both are read, and one with another checksum not at all", async () => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-zip-"));
  try {
    const said = (id: string): string => JSON.stringify({ id, messages: [{ role: "user", content: "My code is 1" }] });
    const archive = zipOf({ "one.json": said("a"), "two.json": said("b"), "six.json": said("c") });
    for (let at = archive.indexOf("two.json"); at >= 0; at = archive.indexOf("two.json")) archive.write("one.json", at);
    // The checksum in the directory of the archive.
    const checksum = archive.lastIndexOf("six.json") - 30;
    archive.writeUInt32LE((archive.readUInt32LE(checksum) ^ 1) >>> 0, checksum);
    const file = join(folder, "all.zip");
    writeFileSync(file, archive);
    await using place = inMemory();
    const report = await importFiles(place.sessions, [file]);
    assert.deepEqual([report.restored, report.skipped], [2, 1]);
    assert.match(report.reasons[0]!.message, /all\.zip is a damaged zip archive: wrong checksum/);
    const { items } = await place.sessions.list({});
    assert.deepEqual(items.map(({ id }) => id).toSorted(), ["a", "b"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
