/** An attachment store that is not the one of the sessions: a mistyped folder. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { inMemory } from "../../../test/support/in-memory.ts";
import { ObjectStore } from "../../../test/support/object-store.ts";
import { backupStore, erase, moveAttachments, sweep } from "../../admin.ts";
import { hasCode } from "../../errors.ts";
import { folder } from "../../files/attachments/folder.ts";
import { openSessions, type Sessions } from "../../index.ts";

const place = mkdtempSync(join(tmpdir(), "perdure-other-store-"));
after(() => rmSync(place, { recursive: true }));
const store = `sqlite:${join(place, "sessions.db")}`;
const [right, wrong] = [join(place, "files"), join(place, "typo")];

const open = (path?: string): Promise<Sessions> =>
  openSessions({
    store,
    secret: "a secret for these tests only",
    sweep: false,
    ...(path === undefined ? {} : { attachments: { in: folder(path) } }),
  });
const filesIn = (path: string): number =>
  readdirSync(path, { recursive: true, encoding: "utf8" }).filter((name) => statSync(join(path, name)).isFile()).length;
const fails =
  (problem: string) =>
  (error: unknown): boolean =>
    hasCode(error, "attachment_store_failed") && error.details.problem === problem;

test("an attachment store whose get gives no bytes is named with what it gave", async () => {
  const objects = new ObjectStore();
  await using here = inMemory({ attachments: { in: objects } });
  const { attachments } = await here.sessions.create({ id: "s" });
  const { hash } = await attachments.put(Buffer.from("bytes"), { type: "text/plain" });
  const get = objects.get.bind(objects);
  const texts = async function* (): AsyncGenerator<string> {
    yield "bytes";
  };
  for (const [given, named] of [
    [() => "bytes", '"bytes"'],
    [texts, '"bytes"'],
    [() => Buffer.from("bytes"), "a Uint8Array"],
    [() => [Buffer.from("bytes")], "an array"],
  ] as const) {
    objects.get = async (name, range) => (name.startsWith("0000") ? await get(name, range) : (given() as never));
    const read = async (): Promise<unknown> => await Array.fromAsync(await attachments.open(hash));
    const message = `SessionError: get of the attachment store gave ${named}; expected undefined, or an async iterable`;
    await assert.rejects(read(), (error) => fails("wrong_bytes")(error) && String(error).startsWith(message), named);
    await assert.rejects(attachments.put(Buffer.from("bytes"), { type: "text/plain" }), fails("wrong_bytes"));
  }
  objects.get = async () => "marker" as never;
  await assert.rejects(attachments.put(Buffer.from("others"), { type: "text/plain" }), fails("wrong_bytes"));
});

test("with another folder or none, erase, put and move change nothing", async () => {
  let id: string;
  {
    await using sessions = await open(right);
    const session = await sessions.create({ agent: "a", user: "ada" });
    await session.attachments.put(new TextEncoder().encode("one"), { type: "text/plain" });
    id = session.id;
  }
  {
    await using sessions = await open();
    await assert.rejects(erase(sessions, { user: "ada" }), fails("not_opened"));
    assert.equal((await sessions.get(id)).id, id);
  }
  {
    await using sessions = await open(wrong);
    await assert.rejects(erase(sessions, { user: "ada" }), fails("other_store"));
    await assert.rejects(
      (await sessions.get(id)).attachments.put(new TextEncoder().encode("one"), { type: "text/plain" }),
      fails("other_store"),
    );
    await assert.rejects(moveAttachments(sessions, { to: "attachments" }), fails("other_store"));
    await assert.rejects(moveAttachments(sessions, { to: "sessions" }), fails("other_store"));
    assert.equal((await sessions.get(id)).id, id);
  }
  const backup = join(place, "backup.db");
  await assert.rejects(backupStore(store, backup, { attachments: { in: folder(wrong) } }), fails("other_store"));
  assert(!existsSync(backup));
  assert.equal(filesIn(right), 2, "the attachment and the marker");
  await using sessions = await open(right);
  assert.equal((await erase(sessions, { user: "ada" })).erased.sessions, 1);
  assert.equal(filesIn(right), 1);
  assert(!existsSync(wrong));
});

test("a folder that another one replaces while a process runs gets nothing, and loses nothing", async () => {
  const [mounted, away] = [join(place, "mounted"), join(place, "away")];
  const bytes = new TextEncoder().encode("two");
  await using sessions = await openSessions({
    store: `sqlite:${join(place, "unmounted.db")}`,
    sweep: false,
    attachments: { in: folder(mounted) },
  });
  const session = await sessions.create({ id: "s" });
  const { hash } = await session.attachments.put(bytes, { type: "text/plain" });
  renameSync(mounted, away);
  mkdirSync(mounted);
  await assert.rejects(session.attachments.put(new Uint8Array(9), { type: "a/b" }), fails("other_store"));
  await assert.rejects(session.attachments.put(bytes, { type: "a/b" }), fails("other_store"));
  await assert.rejects(Array.fromAsync(await session.attachments.open(hash)), fails("other_store"));
  await (await sessions.create({ id: "t" })).append({ input: "none" });
  await session.remove();
  assert.equal(filesIn(mounted), 0);
  assert.equal(filesIn(away), 2, "the attachment and the marker");
  rmSync(mounted, { recursive: true });
  renameSync(away, mounted);
  await sweep(sessions);
  assert.equal(filesIn(mounted), 1, "the sweep deletes what was removed meanwhile");
});
