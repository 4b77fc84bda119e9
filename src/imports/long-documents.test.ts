/** Documents that are longer than what is read at once: lists in an object around them, one long conversation, loose messages. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { importText } from "../../test/support/import-text.ts";
import { inMemory } from "../../test/support/in-memory.ts";
import { importFiles } from "../admin.ts";

const folder = mkdtempSync(join(tmpdir(), "perdure-long-"));
after(() => rmSync(folder, { recursive: true }));

const chat = (id: string, length: number): string =>
  JSON.stringify({ id, messages: [{ role: "user", content: `]}"\\{[${"x".repeat(length)}` }] });
const chats = (count: number): string => Array.from({ length: count }, (_, n) => chat(`c${n}`, 40_000)).join();
const around = `{"exported":"to\\"day","about":{"conversations":"[{","list":[1,{"]":2}]},"empty":[],`;

test("a list of conversations in a long object is read item by item", async () => {
  const files: readonly [name: string, text: string, restored: number, skipped: number][] = [
    ["between other fields", `${around}"conversations":[${chats(40)}],"end":[{}]}`, 40, 0],
    ["laid out", `${around}\n  "conversations" : [\n${chats(40)}\n ]\n}\n`, 40, 0],
    ["two lists", `{"data":[${chats(30)}],"x":1,"chats":[${chat("other", 10)}]}`, 31, 0],
    ["a document behind it", `{"data":[${chats(30)}]}\n${chat("other", 10)}\n`, 31, 0],
    ["cut off within the list", `{"data":[${chats(30)},`, 30, 1],
    ["cut off behind the list", `{"data":[${chats(30)}]`, 30, 1],
    ["an item over the limit", `{"data":[${chats(30)},${chat("large", 200_000)},${chat("last", 1)}]}`, 31, 1],
  ];
  for (const [name, text, restored, skipped] of files)
    for (const length of [999, 65_536]) {
      await using place = inMemory();
      const report = await importText(place.sessions, text, { length, bytesMax: 100_000 });
      assert.deepEqual(
        [report.restored, report.skipped],
        [restored, skipped],
        `${name}: ${report.reasons[0]?.message}`,
      );
    }
});

test("fields beside lists of conversations are counted by name, alike in short and in long objects", async () => {
  const about = `"version":4,"us\\u0065r":{"name":"[x"},"none":null,"empty": [ ],"nothing":"","map":{ },`;
  const layouts: readonly ((list: string) => string)[] = [
    (list) => `{${about}"data":[${list}],"history":["a",{"conversations":[1]}],"end":[{}],"chats":3}`,
    (list) => `{\n ${about}\n "data": [\n${list}\n],\n "history":[ "a" ],\n "end":[{}], "chats":3\n}\n`,
    (list) => `\n{${about}"history":[7],"data":[${list}],"chats":3,"end":0}\n${chat("behind", 1)}\n`,
    (list) => `{${about}"history":[7],"data":[null,${list}],"chats":3,"end":0}`,
    (list) => `{${about}"data":[${list},{"id":3,}],"history":[7],"chats":3,"end":0}`,
    (list) => `{${about}"data":[${list}],"chats":3,"end":0,"history":[7]`,
  ];
  for (const layout of layouts) {
    const reports = [];
    for (const length of [10, 700_000]) {
      await using place = inMemory();
      const text = layout(`${chat("a", length)},${chat("b", length)}`);
      const { leftOut, incomplete, reasons, restored } = await importText(place.sessions, text, { length: 50_000 });
      reports.push({ leftOut, incomplete, reasons: reasons.map(({ source }) => source), restored });
    }
    assert.deepEqual(reports[0], reports[1]);
    assert.deepEqual(reports[0]?.leftOut, { "field of the file": 4, "item of history": layout === layouts[0] ? 2 : 1 });
    const [file] = reports[0]?.incomplete ?? [];
    assert.deepEqual(file?.fields?.toSorted(), ["chats", "end", "history", "user", "version"]);
  }
});

test("the first item of a list may be long itself, and a long conversation is one session", async () => {
  const said = Array.from({ length: 300 }, (_, n) => ({ from: n % 2 ? "gpt" : "human", value: "x".repeat(5000) }));
  const files: readonly [text: string, sessions: number][] = [
    [`{"data":[${chat("first", 3_000_000)},${chat("second", 3_000_000)}]}`, 2],
    [JSON.stringify({ id: "s", conversations: said }), 1],
    [`${JSON.stringify({ id: "s", conversations: said })}\n${chat("b", 1)}\n`, 2],
  ];
  for (const [text, sessions] of files) {
    await using place = inMemory({ limits: { turnBytesMax: 4_000_000 } });
    const report = await importText(place.sessions, text, { length: 131_072, bytesMax: 4_000_000 });
    assert.deepEqual([report.restored, report.reasons], [sessions, []]);
  }
});

test("a file with more loose messages than the limit is refused, and the next file comes in", async () => {
  await using place = inMemory({ limits: { snapshotBytesMax: 10_000 } });
  const row = (n: number): string => JSON.stringify({ role: "user", content: "x".repeat(900), chatId: `c${n}` });
  const [loose, other] = [join(folder, "loose.jsonl"), join(folder, "other.jsonl")];
  writeFileSync(loose, Array.from({ length: 20 }, (_, n) => row(n)).join("\n"));
  writeFileSync(other, chat("other", 1));
  const report = await importFiles(place.sessions, [loose, other]);
  assert.deepEqual([report.restored, report.skipped], [1, 1]);
  assert.equal(report.reasons[0]?.code, "snapshot_too_large");
});
