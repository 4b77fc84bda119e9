/** Attachments move with their sessions: in snapshots, exports, imports, copies and backups. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import {
  backupStore,
  copySessions,
  doctor,
  exportSessions,
  importSessions,
  removeSession,
  restoreStore,
  type ImportReport,
} from "../../src/admin.ts";
import { hasCode, openSessions, type Session, type Sessions, type SessionSnapshot } from "../../src/index.ts";
import { defaultLimits } from "../../src/domain/values/limits.ts";
import { coreOf } from "../../src/sessions/sessions.ts";
import { readSnapshot } from "../../src/sessions/snapshots/snapshot-reader.ts";
import { arrive, type ArrivalPolicy } from "../../src/sessions/transfer/arriving.ts";
import { digestOf } from "../../src/sessions/transfer/comparison.ts";
import { compared } from "../../src/sessions/transfer/merge.ts";
import { inMemory, type InMemory } from "../support/in-memory.ts";

const folder = mkdtempSync(join(tmpdir(), "perdure-moving-attachments-"));
after(() => rmSync(folder, { recursive: true }));
let files = 0;
const options = { sweep: false as const };

async function memory(): Promise<Sessions> {
  return await openSessions({ store: "memory:", ...options });
}

async function read(session: Session, hash: string): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(await session.attachments.open(hash)));
}

const small = Buffer.from("a small file");
// More than one commit takes.
const large = Buffer.alloc(2_500_000, "0123456789 is the beginning of a line that goes on.");
const hashOf = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

/** A session whose turn names two attachments. */
async function attached(sessions: Sessions, id = "s"): Promise<Session> {
  const session = await sessions.create({ id, agent: "a", user: "ada" });
  const one = await session.attachments.put(small, { type: "text/plain", name: "small.txt" });
  const two = await session.attachments.put(large, { type: "image/png" });
  await session.append({ input: [{ role: "user", content: [one.part, two.part] }], output: "Seen." });
  return session;
}

async function guardAttached(session: Session): Promise<void> {
  assert((await read(session, hashOf(small))).equals(small));
  assert((await read(session, hashOf(large))).equals(large));
  const listed = await session.attachments.list();
  assert.deepEqual(
    listed.map(({ type, name, length }) => [type, name, length]).sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)),
    [
      ["image/png", undefined, large.length],
      ["text/plain", "small.txt", small.length],
    ],
  );
}

test("a snapshot carries the attachments of its session, and a restore puts them, once", async () => {
  await using from = await memory();
  await using to = await memory();
  await attached(from);
  const snapshot = await from.snapshot("s");
  await guardAttached(await to.restore(JSON.stringify(snapshot)));
  assert.equal(JSON.stringify(await to.snapshot("s")), JSON.stringify(snapshot));
  const second = await to.restore(snapshot, { onExists: "new-id" });
  assert.notEqual(second.id, "s");
  await (await to.get("s")).remove();
  await guardAttached(second);
  await guardAttached(await to.restore(snapshot, { as: "t" }));
  await guardAttached(await to.restore(snapshot, { as: "t", onExists: "replace" }));
});

for (const before of [1, 2, 3])
  test(`a restore that meets a removal before its commit ${before} has the bytes, or fails`, async () => {
    await using place = inMemory();
    const { sessions } = place;
    await attached(sessions);
    const snapshot = await sessions.snapshot("s");
    const removed = removedBefore(place, before);
    const restored = await sessions.restore(snapshot, { onExists: "replace" }).catch(unlessContended);
    await removed;
    await guardAttached(restored ?? (await sessions.restore(snapshot)));
  });

test("an import that meets a removal between the attachments and the session has the bytes, or fails", async () => {
  await using place = inMemory();
  const { sessions } = place;
  const session = await attached(sessions);
  const texts: string[] = [];
  for await (const item of exportSessions(sessions)) texts.push(item.text);
  await session.append({ input: "more" });
  const removed = removedBefore(place, 3);
  const onExists = "replace" as const;
  await importSessions(sessions, texts, { onExists }).catch(unlessContended);
  await removed;
  if ((await sessions.count()) === 0) await importSessions(sessions, texts, { onExists });
  await guardAttached(await sessions.get("s"));
});

/** Another program removes the session before a commit from now on. */
async function removedBefore(place: InMemory, commit: number): Promise<void> {
  const removed = Promise.withResolvers<void>();
  let commits = 0;
  place.store.plan(() => {
    if (++commits !== commit) return undefined;
    removed.resolve(removeSession(place.another(), "s"));
    return { hold: removed.promise };
  });
  await removed.promise;
}

function unlessContended(error: unknown): undefined {
  assert(hasCode(error, "contended"), String(error));
}

test("a snapshot with damaged attachments is refused before anything is written", async () => {
  await using from = await memory();
  await using to = await memory();
  const session = await from.create({ id: "s", agent: "a" });
  await session.attachments.put(small, { type: "text/plain" });
  const snapshot = await from.snapshot("s");
  const altered = (change: (entries: { data: unknown }[]) => void): SessionSnapshot => {
    const copy = structuredClone(snapshot) as unknown as { logs: Record<string, { data: unknown }[]> };
    change(copy.logs["#attachments"]!);
    return copy as unknown as SessionSnapshot;
  };
  for (const change of [
    (entries: { data: unknown }[]) => void (entries[1]!.data = Buffer.from("another file").toString("base64")),
    (entries: { data: unknown }[]) => void (entries[1]!.data = "!"),
    (entries: { data: unknown }[]) => void entries.pop(),
    (entries: { data: object }[]) => void (entries[0]!.data = { ...entries[0]!.data, hash: "x" }),
    (entries: { data: object }[]) => void (entries[0]!.data = { ...entries[0]!.data, type: "x" }),
    (entries: { data: object }[]) => void (entries[0]!.data = { ...entries[0]!.data, length: -1 }),
  ])
    await assert.rejects(to.restore(altered(change as never)), (error) => hasCode(error, "snapshot_invalid"));
  assert.equal(await to.count(), 0);
  assert.deepEqual(await found(to), []);
});

test("an export and its import carry attachments, and a second import finds the session present", async () => {
  await using from = await memory();
  await using to = await memory();
  await attached(from);
  const texts: string[] = [];
  for await (const item of exportSessions(from)) texts.push(item.text);
  assert((await imported(to, texts)).restored === 1);
  await guardAttached(await to.get("s"));
  assert((await imported(to, texts)).present === 1);
  await guardAttached(await to.get("s"));
});

async function imported(to: Sessions, texts: readonly string[]): Promise<ImportReport> {
  return await importSessions(to, texts);
}

test("a conversation that has grown brings the attachments that its source has", async () => {
  await using from = await memory();
  await using to = await memory();
  const session = await attached(from);
  const earlier = await from.snapshot("s");
  const { hash, part } = await session.attachments.put(Buffer.from("later"), { type: "text/plain" });
  await session.append({ input: [{ role: "user", content: [part] }] });
  await to.restore(earlier);
  const limits = { ...defaultLimits };
  const source = await readSnapshot(JSON.stringify(await from.snapshot("s")), { source: "s", limits });
  const key = { tenant: to.tenant, id: "s" };
  const fateBeside: ArrivalPolicy["fateBeside"] = async (existing, arriving) => {
    const comparison = compared(await digestOf(existing), await digestOf(arriving), limits);
    return comparison.relation === "grown" ? comparison.merge : undefined;
  };
  const policy = { fateBeside, dryRun: false };
  const { arrived } = await arrive(coreOf(to), { key, source }, policy);
  assert.equal(arrived, "grown");
  const grown = await to.get("s");
  assert.equal((await Array.fromAsync(grown.turns())).length, 2);
  assert.equal(String(await read(grown, hash)), "later");
  assert((await read(grown, hashOf(large))).equals(large));
  assert.deepEqual(await found(to), []);
});

test("a snapshot with more attachments than a session may have is refused before anything is written", async () => {
  await using from = await memory();
  const session = await from.create({ id: "s", agent: "a" });
  for (const name of ["one", "two", "three"]) await session.attachments.put(Buffer.from(name), { type: "text/plain" });
  const snapshot = await from.snapshot("s");
  for (const [attachmentsMax, isTaken] of [
    [2, false],
    [3, true],
  ] as const) {
    await using to = await openSessions({ store: "memory:", ...options, limits: { attachmentsMax } });
    const restored = await to.restore(snapshot).catch((error: unknown) => error);
    assert.equal(hasCode(restored, "snapshot_invalid"), !isTaken, String(restored));
    assert.equal(await to.count(), isTaken ? 1 : 0);
    assert.deepEqual(await found(to), []);
  }
});

test("a copy of a tenant and a copy of everything carry attachments, also when they run again", async () => {
  await using from = await memory();
  await attached(from);
  await attached(from.for("other"), "t");
  await using one = await memory();
  await using all = await memory();
  for (let run = 0; run < 2; run++) {
    const report = await copySessions(from, one);
    assert(report.complete, JSON.stringify(report));
    await guardAttached(await one.get("s"));
    const everything = await copySessions(from, all, { everything: true });
    assert(everything.complete, JSON.stringify(everything));
    await guardAttached(await all.get("s"));
    await guardAttached(await all.for("other").get("t"));
    assert.deepEqual(await found(all), []);
    // A target that has the content already.
    await (await one.create({ agent: "a" })).attachments.put(small, { type: "text/plain" });
  }
  await (await from.get("s")).remove();
  await copySessions(from, one);
});

test("a backup of a database carries attachments, and they are there after its restore", async () => {
  const [file, backup, restored] = [1, 2, 3].map(() => join(folder, `${files++}.db`)) as [string, string, string];
  await using from = await openSessions({ store: `sqlite:${file}`, ...options });
  await attached(from);
  await backupStore(`sqlite:${file}`, backup);
  const report = await restoreStore(backup, `sqlite:${restored}`);
  assert(report.complete, JSON.stringify(report));
  await using to = await openSessions({ store: `sqlite:${restored}`, ...options });
  await guardAttached(await to.get("s"));
  assert.deepEqual(await found(to), []);
});

async function found(sessions: Sessions): Promise<readonly string[]> {
  const findings: string[] = [];
  await doctor(sessions, { onFinding: ({ what }) => void findings.push(what) });
  return findings;
}
