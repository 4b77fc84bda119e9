/** A process is killed while it puts attachments and appends turns that name them, on every engine. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { doctor, sweep } from "../../src/admin.ts";
import { defined } from "../../src/domain/values/defined.ts";
import { folder, hasCode, openSessions, type Session, type Sessions } from "../../src/index.ts";
import { isMarker } from "../../src/sessions/attachments/marked-store.ts";
import { coreOf, sessionsOn } from "../../src/sessions/sessions.ts";
import { openSqlite } from "../../src/store/sqlite/open.ts";
import { scriptedClock } from "../../src/testing/scripted-clock.ts";
import { WorkerProcess } from "../processes/worker-process.ts";
import { chanceOf } from "../support/chance.ts";
import { rounds } from "../support/rounds.ts";
import { Engines, enginesOfRun } from "./engines.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());
const day = 86_400_000;

async function hashOfBytes(session: Session, hash: string): Promise<string> {
  const read = createHash("sha256");
  for await (const bytes of await session.attachments.open(hash)) read.update(bytes);
  return read.digest("hex");
}

async function contentsOf(sessions: Sessions): Promise<number> {
  return await coreOf(sessions).store.count({ tenant: "default\u0001contents", now: 0 });
}

const places = enginesOfRun("SQLite").map((name) => [name, undefined] as const);
for (const [name, files] of [...places, ["SQLite", await mkdtemp(join(tmpdir(), "perdure-attachments-"))] as const]) {
  const attachments = files === undefined ? {} : { attachments: { in: folder(files) } };
  after(() => files && rm(files, { recursive: true }));
  const place = files === undefined ? name : `${name} and a folder`;
  test(`a kill loses no acknowledged attachment, and leaves an upload that the sweep removes: ${place}`, async (context) => {
    const chance = chanceOf(context);
    const store = await (await engines.get(name)).fresh();
    const named = new Set<string>();
    for (let round = 0; round < rounds(8, 1); round++) {
      const worker = new WorkerProcess({ store, task: { kind: "attach", session: "s", ...defined({ in: files }) } });
      // Odd kills come between an upload and its turn.
      await worker.hear(round % 2 === 0 ? "put" : "named", 1 + round);
      if (round % 4 > 1) await sleep(chance() * 40);
      await worker.kill();
      await using sessions = await openSessions({ store, sweep: false, ...attachments });
      const session = await sessions.get("s");
      for (const { put } of worker.reports)
        if (put !== undefined) assert.equal(await hashOfBytes(session, String(put)), put);
      for (const turn of await Array.fromAsync(session.turns()))
        for (const hash of JSON.stringify(turn.input).match(/[0-9a-f]{64}/g) ?? []) named.add(hash);
      for (const report of worker.reports)
        if (report["named"] !== undefined) assert(named.has(String(report["named"])));
      for (const hash of named) assert.equal(await hashOfBytes(session, hash), hash);
      const findings: string[] = [];
      await doctor(sessions, { onFinding: ({ kind, what }) => void (kind === "attachment" && findings.push(what)) });
      assert.deepEqual(findings, []);
    }
    if (name !== "SQLite") return; // its clock is that of the server
    const clock = scriptedClock(Date.now() + 8 * day);
    const sessions = sessionsOn(await openSqlite({ url: store, clock }), { clock, sweep: false, ...attachments });
    await sweep(sessions);
    const session = await sessions.get("s");
    assert.deepEqual(
      (await session.attachments.list()).map(({ hash }) => hash),
      [...named].sort(),
    );
    assert.equal(await contentsOf(sessions), named.size);
    await session.remove();
    assert.equal(await contentsOf(sessions), 0);
    await assert.rejects(session.attachments.open([...named][0] ?? "0".repeat(64)), (error) =>
      hasCode(error, "attachment_not_found"),
    );
    await sessions.close();
    if (files === undefined) return;
    const left = await Array.fromAsync(folder(files).list());
    assert(left.every(isMarker), left.join(" "));
  });
}
