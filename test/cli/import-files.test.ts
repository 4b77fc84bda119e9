/** `perdure import` of several files, folders, archives and encodings. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import type { ImportReport } from "../../src/admin.ts";
import { finish, Workplace } from "./command-line.ts";
import { zipOf } from "../support/zip.ts";

/** Root reads every file, and alone can run a process of another user. */
const rootNeeded = process.getuid?.() === 0 ? false : "only root can run a process of another user";

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

test("wrong arguments and paths make no store", async () => {
  await using place = await Workplace.open();
  const at = (name: string): string => join(place.folder, name);
  writeFileSync(at("a.jsonl"), said("a"));
  writeFileSync(at("bad.zip"), "PK\u0003\u0004 and nothing else");
  const commands: readonly [args: readonly string[], code: number][] = [
    [["import", at("a.jsonl"), "--agent", ""], 2],
    [["import", at("a.jsonl"), "--tenant", ""], 2],
    [["import", at("a.jsonl/inside")], 3],
    [["import", at("bad.zip")], 1],
    [["import", "--from", `sqlite:${at("nope.db")}`, "--table", "t"], 3],
    [["snapshot", "restore", "nope"], 3],
    [["keys", "create", "--name", "x", "--ttl", "soon"], 2],
  ];
  const codes = await Promise.all(commands.map(async ([args]) => (await place.run(args)).code));
  assert.deepEqual(
    codes,
    commands.map(([, code]) => code),
  );
  assert.equal(existsSync(at("perdure.db")), false);
});

test("a file that is damaged or cannot be read is one reason, and the others come in", async () => {
  await using place = await Workplace.open();
  const at = (name: string): string => join(place.folder, name);
  mkdirSync(at("folder/closed"), { recursive: true });
  writeFileSync(at("folder/a.jsonl"), said("a"));
  symlinkSync("a.jsonl", at("folder/linked.jsonl"));
  symlinkSync("nope.jsonl", at("folder/loose.jsonl"));
  symlinkSync("loop.jsonl", at("loop.jsonl"));
  writeFileSync(at("bad.zip"), "PK\u0003\u0004 and nothing else");
  writeFileSync(at("cut.gz"), gzipSync(said("x")).subarray(0, -12));
  // The last of its bytes is half a character.
  writeFileSync(at("odd.jsonl"), Buffer.from(`\ufeff${said("ü")}\n\n`, "utf16le").subarray(0, -1));
  writeFileSync(at("last.jsonl"), said("z"));
  const names = ["bad.zip", "folder", "loop.jsonl", "cut.gz", "odd.jsonl", "last.jsonl"];
  const { code, stdout, stderr } = await place.run(["import", ...names.map(at), "--json"]);
  const { restored, present, reasons } = JSON.parse(stdout) as ImportReport;
  assert.deepEqual([code, restored, present], [1, 3, 1], stderr);
  assert.deepEqual(
    reasons.map(({ source }) => source.slice(place.folder.length + 1)),
    ["bad.zip", "folder/loose.jsonl", "loop.jsonl", "cut.gz", "odd.jsonl"],
  );
  assert.match(reasons[1]?.message ?? "", /loose\.jsonl cannot be read: ENOENT/);
  assert.match(reasons[4]?.message ?? "", /ends within a character of UTF-16/);
});

test("a folder without rights is one reason", { skip: rootNeeded }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-rights-"));
  after(() => rmSync(folder, { recursive: true }));
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, "closed"), { mode: 0o700 });
  writeFileSync(join(folder, "closed/b.jsonl"), said("b"));
  writeFileSync(join(folder, "a.jsonl"), said("a"));
  writeFileSync(join(folder, "secret.jsonl"), said("c"), { mode: 0o600 });
  const script =
    'import { importFiles } from "./src/admin.ts"; import { openSessions } from "./src/index.ts";' +
    'const report = await importFiles(await openSessions("memory:"), process.argv.slice(1)); console.log(JSON.stringify(report));';
  const args = ["--input-type=module", "-e", script, folder];
  const { stdout } = await promisify(execFile)(process.execPath, args, { uid: 65_534 });
  const { restored, reasons } = JSON.parse(stdout) as ImportReport;
  assert.equal(restored, 1);
  assert.deepEqual(
    reasons.map(({ source, message }) => [source.slice(folder.length + 1), /cannot be read: EACCES/.test(message)]),
    [
      ["secret.jsonl", true],
      ["closed", true],
    ],
  );
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
    ["snapshot.jsonl", '{"format":"perdure.session","version":1}', /snapshot\.jsonl/],
    ["empty.jsonl", "", /has no documents: it is empty/],
  ];
  for (const [name, content, message] of files) {
    const file = join(place.folder, name);
    writeFileSync(file, content);
    const { code, stderr } = await place.run(["import", file]);
    assert.equal(code, 1, `${name} ${stderr}`);
    assert.match(stderr, message);
    assert.equal(stderr.split("\n").filter((line) => line.includes(name)).length, 1, stderr);
    assert.equal(existsSync(join(place.folder, "perdure.db")), false, `${name} makes a store`);
  }
});

test("an import whose store cannot be opened ends before its pipe does, and reads all of a pipe that has sessions", async () => {
  await using place = await Workplace.open();
  mkdirSync(join(place.folder, "folder.db"));
  const input = Array.from({ length: 200 }, (_, number) => `${said(`s${number}`)}\n`).join("");
  const child = place.start(["import", "-", "--store", `sqlite:${join(place.folder, "folder.db")}`]);
  // The pipe stays open.
  child.stdin?.on("error", () => undefined).write(input);
  const failed = await finish(child);
  assert.deepEqual([failed.code, failed.stdout], [1, ""], failed.stderr);
  const { code, stdout } = await place.run(["import", "-", "--json"], { input: `no JSON\n${input}` });
  const { restored, skipped } = JSON.parse(stdout) as ImportReport;
  assert.deepEqual([code, restored, skipped], [1, 200, 1]);
});
