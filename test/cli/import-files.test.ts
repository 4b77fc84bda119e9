/** `perdure import` of several files, folders, archives and encodings. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { Workplace } from "./command-line.ts";
import { zipOf } from "../support/zip.ts";

const said = (id: string, words = "Hi"): string => JSON.stringify({ id, messages: [{ role: "user", content: words }] });

test("files, folders and zip archives are read in one command, each with its form", async () => {
  await using place = await Workplace.open();
  const at = (name: string): string => join(place.folder, name);
  mkdirSync(at("folder/inner"), { recursive: true });
  writeFileSync(at("folder/one.jsonl"), `${said("a")}\n`);
  writeFileSync(at("folder/inner/two.json.gz"), gzipSync(`[${said("b")}]`));
  writeFileSync(at("folder/notes.txt"), "no conversation");
  writeFileSync(at("utf16.jsonl"), Buffer.from(`\ufeff${said("ü")}\r\n`, "utf16le"));
  const chat = { uuid: "c", chat_messages: [{ sender: "human", text: "Hi" }] };
  writeFileSync(at("claude.zip"), zipOf({ "users.json": "[{}]", "export/conversations.json": JSON.stringify([chat]) }));
  const { code, stdout, stderr } = await place.run([
    "import",
    at("folder"),
    at("utf16.jsonl"),
    at("claude.zip"),
    "--json",
  ]);
  assert.equal(code, 0, stderr);
  const { restored, files } = JSON.parse(stdout) as { restored: number; files: { file: string; format: string }[] };
  assert.equal(restored, 4);
  assert.deepEqual(
    files.map(({ file, format }) => [file.slice(place.folder.length + 1), format]),
    [
      ["folder/inner/two.json.gz", "openai"],
      ["folder/one.jsonl", "openai"],
      ["utf16.jsonl", "openai"],
      ["claude.zip:export/conversations.json", "claude"],
    ],
  );
  const text = await place.run(["import", at("folder")]);
  assert.match(text.stderr, /one\.jsonl: read as chats of OpenAI's format, 1 conversation\n/);
});

test("an export hides the files of its account alone, and archives the files that macOS adds", async () => {
  await using place = await Workplace.open();
  const at = (name: string): string => join(place.folder, name);
  mkdirSync(at("chats/export/projects"), { recursive: true });
  writeFileSync(at("chats/export/conversations.json"), `[${said("a")}]`);
  for (const name of ["users.json", "projects/one.json"]) writeFileSync(at(`chats/export/${name}`), '{"about":"ada"}');
  writeFileSync(at("chats/other.jsonl"), said("b"));
  writeFileSync(at("chats/utf16.jsonl"), Buffer.from(said("ü"), "utf16le"));
  writeFileSync(
    at("mac.zip"),
    zipOf({ "one.jsonl": said("c"), "__MACOSX/._one.jsonl": "\0\u0005", "x/.two.json": "?" }),
  );
  const { code, stdout, stderr } = await place.run(["import", at("chats"), at("mac.zip"), "--json"]);
  const { restored, skipped } = JSON.parse(stdout) as { restored: number; skipped: number };
  assert.deepEqual([code, restored, skipped], [0, 4, 0], stdout + stderr);
});

test("a path that does not exist is exit code 3, a form that does not 2, and both make no store", async () => {
  await using place = await Workplace.open();
  const file = join(place.folder, "a.jsonl");
  writeFileSync(file, said("a"));
  const misnamed = await place.run(["import", file, "--format", "nonsense"]);
  assert.deepEqual([misnamed.code, existsSync(join(place.folder, "perdure.db"))], [2, false], misnamed.stderr);
  const { code, stderr } = await place.run(["import", join(place.folder, "nope.jsonl")]);
  assert.equal(code, 3);
  assert.match(stderr, /nope\.jsonl does not exist/);
  assert.equal(existsSync(join(place.folder, "perdure.db")), false);
});

test("files of other kinds are one line each, and exit code 1", async () => {
  await using place = await Workplace.open();
  const name = "conversations.json";
  const damagedZip = zipOf({ [name]: said("x") });
  // The first byte of the packed text names a kind of block that does not exist.
  damagedZip[30 + name.length] = 0x07;
  const files: readonly [string, string | Buffer, RegExp][] = [
    ["page.html", "<!doctype html><html>", /is a page of HTML or XML/],
    ["data.db", "SQLite format 3\0rest of the file", /is an SQLite database; copy it/],
    ["rows.csv", "id,role,content\n1,user,Hi\n", /is neither JSON nor lines of JSON/],
    ["bad.zip", "PK\u0003\u0004 and nothing else", /is a damaged zip archive/],
    ["bad-entry.zip", damagedZip, /is a damaged zip archive: invalid/],
    ["cut.gz", gzipSync(said("x")).subarray(0, -12), /is damaged or cut off/],
    ["empty.jsonl", "", /has no documents: it is empty/],
  ];
  for (const [name, content, message] of files) {
    const file = join(place.folder, name);
    writeFileSync(file, content);
    const { code, stderr } = await place.run(["import", file]);
    assert.equal(code, name === "bad.zip" ? 2 : 1, `${name} ${stderr}`);
    assert.match(stderr, message);
    assert.equal(stderr.split("\n").filter((line) => line.includes(name)).length, 1, stderr);
  }
});
