/** Attachments on the command line: list, save, add. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, lstatSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { finish, workplaceOfFile, jsonLines, type Finished } from "./command-line.ts";

const { place, sessions } = await workplaceOfFile();

async function run(command: string, ...args: string[]): Promise<Finished> {
  return await place.run(["attachments", command, ...args]);
}

test("add stores a file, list names it, and save writes the same bytes", async () => {
  const session = await sessions.create({ id: "s" });
  const bytes = randomBytes(500_000);
  const hash = createHash("sha256").update(bytes).digest("hex");
  const file = join(place.folder, "Plan.PDF");
  writeFileSync(file, bytes);
  const added = await run("add", "s", file);
  assert.deepEqual(added, { code: 0, stdout: `${hash}\n`, stderr: `session s has attachment ${hash}\n` });
  const about = { hash, type: "application/pdf", length: 500_000, name: "Plan.PDF" };
  assert.deepEqual(await session.attachments.list(), [about]);
  assert.deepEqual(jsonLines(await run("list", "s", "--json")), [about]);
  assert.equal((await run("list", "s")).stdout, `${hash}  application/pdf  500000 bytes  Plan.PDF\n`);
  const copy = join(place.folder, "saved", "copy.pdf");
  const [saved] = jsonLines(await run("save", "s", hash, copy, "--json"));
  assert.deepEqual(saved, { session: "s", hash, type: "application/pdf", length: 500_000, file: copy });
  assert.ok(readFileSync(copy).equals(bytes));
  assert.deepEqual(readdirSync(join(place.folder, "saved")), ["copy.pdf"]);
  // An entry of the file's name would be the second of one content.
  const [again] = jsonLines(await run("add", "s", file, "--type", "a/b", "--name", "other", "--json"));
  assert.deepEqual([again?.["session"], again?.["hash"], again?.["type"]], ["s", hash, "application/pdf"]);
  assert.equal((again?.["part"] as { type?: string } | undefined)?.type, "file");
});

test("add takes stdin, save prints to stdout, and a name is shown as harmless text", async () => {
  const session = await sessions.create({ id: "pipe" });
  const args = ["attachments", "add", "pipe", "-", "--type", "text/plain", "--json"];
  const [added] = jsonLines(await place.run(args, { input: "some text" }));
  assert.equal((await run("save", "pipe", String(added?.["hash"]), "-")).stdout, "some text");
  await session.attachments.put(Buffer.from("x"), { type: "text/plain", name: "a\u202eb" });
  assert.match((await run("list", "pipe")).stdout, /a\\u202eb\n/);
});

test("what is not there is exit code 3, and wrong usage is 2; no file is left", async () => {
  await sessions.create({ id: "empty" });
  const none = await run("list", "empty");
  assert.deepEqual([none.code, none.stdout, none.stderr], [0, "", "session empty has no attachments\n"]);
  const hash = "a".repeat(64);
  const file = join(place.folder, "absent", "file");
  for (const args of [
    ["list", "absent"],
    ["save", "empty", hash, file],
    ["save", "absent", hash, file],
  ])
    assert.equal((await run(args[0] ?? "", ...args.slice(1))).code, 3, args.join(" "));
  for (const args of [
    ["save", "empty", "short", file],
    ["add", "empty", join(place.folder, "..", "no-such-file"), "--type", "picture"],
  ])
    assert.equal((await run(args[0] ?? "", ...args.slice(1))).code, 2, args.join(" "));
  const { code, stderr } = await run("add", "empty", join(place.folder, "no-such-file"));
  assert.notEqual(code, 0);
  assert.match(stderr, /no-such-file/);
  assert.ok(!readdirSync(place.folder).includes("absent"));
});

test("save replaces neither the store nor a file that is not regular", async () => {
  const session = await sessions.create({ id: "guarded" });
  const { hash } = await session.attachments.put(Buffer.from("not a store"), { type: "text/plain" });
  const store = join(place.folder, "perdure.db");
  const [link, pipe] = [join(place.folder, "link"), join(place.folder, "save.fifo")];
  symlinkSync(store, link);
  execFileSync("mkfifo", [pipe]);
  for (const file of [store, `${store}-wal`, link, pipe]) {
    const { code, stderr } = await run("save", "guarded", hash, file);
    assert.deepEqual([code, /argument_invalid/.test(stderr)], [2, true], `${file}: ${stderr}`);
  }
  assert.ok(lstatSync(pipe).isFIFO());
  assert.ok(lstatSync(link).isSymbolicLink());
  assert.match(readFileSync(store).toString("latin1", 0, 15), /^SQLite format 3/);
});

test("a closed pipe after save is no failure, and --json beside the bytes is wrong usage", async () => {
  const session = await sessions.create({ id: "head" });
  const { hash } = await session.attachments.put(randomBytes(3_000_000), { type: "a/b" });
  const child = place.start(["attachments", "save", "head", hash, "-"]);
  const finished = finish(child);
  assert.ok(child.stdout);
  await once(child.stdout, "data");
  child.stdout.destroy();
  const { code, stderr } = await finished;
  assert.deepEqual([code, stderr], [0, ""]);
  const refused = await run("save", "head", hash, "-", "--json");
  assert.deepEqual([refused.code, refused.stdout], [2, ""]);
});

test("SIGINT ends add with an error that names the signal, not the file", async () => {
  await sessions.create({ id: "stopped" });
  const pipe = join(place.folder, "add.fifo");
  execFileSync("mkfifo", [pipe]);
  const child = place.start(["attachments", "add", "stopped", pipe]);
  const finished = finish(child);
  const writer = await open(pipe, "w"); // opens once the command reads
  child.kill("SIGINT");
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null;
  // A read of a pipe that waits for bytes keeps the process alive.
  while (isRunning() && (await writer.write("x").catch(() => undefined)) !== undefined) await sleep(5);
  await writer.close();
  const { code, stdout, stderr } = await finished;
  assert.deepEqual([code, stdout], [130, ""]);
  assert.match(stderr, /stopped by SIGINT.*\[interrupted\]/);
});

test("an attachment whose object has other bytes is not saved, and its session is not exported", async () => {
  const objects = join(place.folder, "objects");
  const env = { PERDURE_ATTACHMENTS: objects };
  await sessions.create({ id: "changed" });
  const [added] = jsonLines(
    await place.run(["attachments", "add", "changed", "-", "--json"], { env, input: "one of the files" }),
  );
  const files = readdirSync(objects, { recursive: true, withFileTypes: true }).filter((found) => found.isFile());
  const [object] = files.filter(({ parentPath }) => !parentPath.includes("00000000000000000000000000000000"));
  assert(object);
  writeFileSync(join(object.parentPath, object.name), "two of the files");
  const [saved, exported] = [join(place.folder, "changed.txt"), join(place.folder, "changed.jsonl")];
  for (const file of [saved, "-"]) {
    const { code, stdout, stderr } = await place.run(
      ["attachments", "save", "changed", String(added?.["hash"]), file],
      { env },
    );
    assert.deepEqual([code, stdout], [1, ""], stderr);
    assert.match(stderr, /are missing, or are not those that were put/);
  }
  assert(!existsSync(saved));
  const { code, stderr } = await place.run(["export", "--out", exported], { env });
  assert.equal(code, 1, stderr);
  assert.match(stderr, /changed.*are not those that were put/);
  assert(!readFileSync(exported, "utf8").includes('"changed"'));
});
