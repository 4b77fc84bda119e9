/** What a backup promises, whichever store it is of. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { countAll } from "../../src/domain/turns/counters.ts";
import { hasCode, openSessions, type Sessions } from "../../src/index.ts";
import { backupStore, doctor, exportSessions, moveAttachments, restoreStore } from "../../src/admin.ts";
import { ObjectStore } from "./object-store.ts";

const program = fileURLToPath(new URL("backup-writer.ts", import.meta.url));

export async function linesOf(sessions: Sessions): Promise<string[]> {
  return (await Array.fromAsync(exportSessions(sessions))).map(({ text }) => text);
}

/** Eight processes that write while `work` runs. */
export async function underWriters(url: string, work: () => Promise<void>): Promise<void> {
  const writers: ChildProcess[] = Array.from({ length: 8 }, (_, index) =>
    spawn(process.execPath, [program, url, String(index)], { stdio: ["ignore", "ignore", "inherit"] }),
  );
  try {
    await using sessions = await openSessions({ store: url, sweep: false });
    // All of them are at work.
    const atWork = async (): Promise<number> => {
      const listed = await sessions.list({ limit: 1000 });
      return listed.items.filter(({ id, turn }) => /^(own|shadow)-/.test(id) && turn > 2).length;
    };
    while ((await atWork()) < 16) await sleep(50);
    await work();
  } finally {
    await Promise.all(
      writers.map(async (writer) => {
        const closed = once(writer, "close");
        writer.kill("SIGKILL");
        await closed;
      }),
    );
  }
}

/** The writers' sessions are as they were at one moment, which lies before now. */
export async function assertStateExisted(restored: Sessions, original: Sessions): Promise<void> {
  let turns = 0;
  for (let index = 0; index < 8; index++) {
    const [own, shadow] = await Promise.all(
      [`own-${index}`, `shadow-${index}`].map(async (id) => Array.fromAsync((await restored.get(id)).turns())),
    );
    assert(own && shadow);
    assert(shadow.length === own.length || shadow.length === own.length - 1, `${shadow.length} after ${own.length}`);
    const now = await Array.fromAsync((await original.get(`own-${index}`)).turns());
    assert.deepEqual(own, now.slice(0, own.length));
    assert.deepEqual((await restored.get(`own-${index}`)).info.counters, countAll(own));
    turns += own.length;
  }
  assert(turns > 16);
}

/** What happens to attachments in an attachment store while a backup runs. */
export const waysOfObjects = ["removed", "moved", "lost", "damaged"] as const;

/** A small attachment and a large one, which takes more than one commit; the large one, or all, go at the first read of the backup. */
export async function guardObjects(store: string, backup: string, how: (typeof waysOfObjects)[number]): Promise<void> {
  const objects = new ObjectStore();
  const bytes = { small: Buffer.alloc(70_000, "small, "), large: Buffer.alloc(2_500_000, "large, ") };
  await using from = await openSessions({ store, sweep: false, attachments: { in: objects } });
  for (const id of ["small", "large"] as const) {
    await (await from.create({ id, agent: "a" })).attachments.put(bytes[id], { type: "a/b" });
    await (await from.create({ id: `${id}-2`, agent: "a" })).attachments.put(bytes[id], { type: "a/b" });
  }
  const hash = (await (await from.get("large")).attachments.list())[0]?.hash;
  let isFirst = true;
  const get: ObjectStore["get"] = async (name, range) => {
    if (isFirst) {
      isFirst = false;
      if (how === "moved") await moveAttachments(from, { to: "sessions" });
      if (how === "removed") for (const id of ["large", "large-2"]) await (await from.get(id)).remove();
      for (const [one, { length }] of objects.objects) {
        if (length <= 70_000) continue;
        if (how === "lost") objects.objects.delete(one);
        if (how === "damaged") objects.objects.set(one, Buffer.from(bytes.large).fill("x", 2_400_000, 2_400_001));
      }
      // The object goes after the commit.
      while (objects.objects.size > (how === "moved" ? 0 : how === "damaged" ? 2 : 1)) await turn();
    }
    return await objects.get(name, range);
  };
  const attachments = { in: Object.assign(new ObjectStore(), { get }) };
  const skipped: string[] = [];
  const isBad = how === "lost" || how === "damaged";
  if (isBad) {
    await assert.rejects(backupStore(store, backup, { attachments }), (error) => hasCode(error, "store_invalid"));
    await backupStore(store, backup, { attachments, onSkipped: ({ id }) => void skipped.push(id) });
  } else await backupStore(store, backup, { attachments });
  assert.deepEqual(skipped, isBad ? [hash] : []);
  const target = "sqlite:" + backup + "-restored.db";
  assert.equal((await restoreStore(backup, target)).complete, true);
  await using restored = await openSessions({ store: target, sweep: false });
  for (const [id, given] of Object.entries(bytes))
    for (const { attachments: of } of [await restored.get(id), await restored.get(`${id}-2`)]) {
      const [one, ...others] = await of.list();
      assert.equal(others.length, 0);
      if (id === "large" && how !== "moved") assert.equal(one, undefined);
      else assert(Buffer.concat(await Array.fromAsync(await of.open(one?.hash ?? ""))).equals(given));
    }
  const found: string[] = [];
  await doctor(restored, { onFinding: ({ what }) => void found.push(what) });
  assert.deepEqual(found, []);
}
