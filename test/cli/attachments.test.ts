/** Attachments on the command line: list, save, add. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { workplaceOfFile, jsonLines, type Finished } from "./command-line.ts";

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
  assert.deepEqual([added.code, added.stderr], [0, `session s has attachment ${hash}\n`]);
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
