import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../../test/support/in-memory.ts";
import { createConversations, createNasty } from "../../../test/support/nasty-sessions.ts";
import type { Sessions } from "../sessions.ts";
import { importSessions, exportSessions } from "../../admin.ts";

async function linesOf(sessions: Sessions, query: Parameters<typeof exportSessions>[1] = {}): Promise<string[]> {
  return (await Array.fromAsync(exportSessions(sessions, query))).map(({ text }) => text);
}

test("an export of imported sessions is the same, byte for byte, and importing it again changes nothing", async () => {
  await using from = inMemory();
  await using to = inMemory();
  const ids = [...(await createNasty(from.sessions)), ...(await createConversations(from.sessions))];
  const lines = await linesOf(from.sessions);
  assert.equal(lines.length, ids.length);
  const { turns, ...report } = await importSessions(to.sessions, lines);
  assert.deepEqual(report, {
    restored: ids.length,
    present: 0,
    grown: 0,
    replaced: 0,
    aside: 0,
    leftOut: {},
    incomplete: [],
    empty: 0,
    skipped: 0,
    reasons: [],
  });
  assert(turns > ids.length);
  assert.deepEqual(await linesOf(to.sessions), lines);
  const again = await importSessions(to.sessions, lines);
  assert.deepEqual([again.restored, again.present], [0, ids.length]);
  assert.deepEqual(await linesOf(to.sessions), lines);
});

test("an export is by id, of those that match, from anywhere on", async () => {
  await using place = inMemory();
  for (const id of ["c", "a", "d", "b"])
    await place.sessions.create({ id, agent: id < "c" ? "ceo" : "cfo", user: "ada" });
  await place.sessions.for("other").create({ id: "x" });
  await (await place.sessions.get("d")).end();
  const ids = async (query: Parameters<typeof exportSessions>[1]): Promise<string> =>
    (await Array.fromAsync(exportSessions(place.sessions, query))).map(({ id }) => id).join("");
  assert.equal(await ids({}), "abcd");
  assert.equal(await ids({ agent: "cfo" }), "cd");
  assert.equal(await ids({ state: "ended" }), "d");
  assert.equal(await ids({ user: "bob" }), "");
  assert.equal(await ids({ after: "b" }), "cd");
  assert.equal(await place.sessions.count({ agent: "ceo" }), 2);
});

test("another session of the same id is left alone, or replaced on request, and a dry run only reports", async () => {
  await using from = inMemory();
  await using to = inMemory();
  for (const id of ["a", "b", "c"]) await (await from.sessions.create({ id })).append({ input: `${id} of ours` });
  const lines = await linesOf(from.sessions);
  await to.sessions.restore(lines[0] ?? "");
  await (await to.sessions.create({ id: "b" })).append({ input: "theirs" });
  const before = await linesOf(to.sessions);

  const dry = await importSessions(to.sessions, lines, { dryRun: true });
  assert.deepEqual([dry.restored, dry.present, dry.skipped], [1, 1, 1]);
  const wouldReplace = await importSessions(to.sessions, lines, { dryRun: true, onExists: "replace" });
  assert.deepEqual([wouldReplace.restored, wouldReplace.present, wouldReplace.replaced], [1, 1, 1]);
  assert.deepEqual(await linesOf(to.sessions), before);

  const kept = await importSessions(to.sessions, lines);
  assert.deepEqual([kept.restored, kept.present, kept.skipped], [1, 1, 1]);
  assert.deepEqual(
    kept.reasons.map(({ source, code }) => [source, code]),
    [["item 2", "session_exists"]],
  );
  const replaced = await importSessions(to.sessions, lines, { onExists: "replace" });
  assert.deepEqual([replaced.present, replaced.replaced], [2, 1]);
  assert.deepEqual(await linesOf(to.sessions), lines);
});

test("an import that the store breaks off is run again, and is complete and single", async () => {
  await using from = inMemory();
  await using to = inMemory();
  for (let index = 0; index < 400; index++)
    await (await from.sessions.create({ id: `s${index}` })).append({ input: `${index}` });
  const lines = await linesOf(from.sessions);
  const commits = to.store.commits;
  to.store.plan({ [commits + 2]: { fails: "before" } });
  await assert.rejects(importSessions(to.sessions, lines), { code: "store_unavailable" });
  to.store.plan({});
  const { restored, present } = await importSessions(to.sessions, lines);
  assert.equal(restored + present, 400);
  assert(present > 0 && restored > 0, `${restored} and ${present}`);
  assert.deepEqual(await linesOf(to.sessions), lines);
});

test("a damaged session is reported and left out, or fails an export without a listener", async () => {
  await using place = inMemory({ limits: { snapshotBytesMax: 5000 } });
  for (const id of ["a", "b", "c"])
    await (await place.sessions.create({ id })).append({ input: id === "b" ? "x".repeat(6000) : id });
  await assert.rejects(linesOf(place.sessions), { code: "snapshot_too_large" });
  const skipped: string[] = [];
  const lines = await linesOf(place.sessions, { onSkipped: (id) => skipped.push(id) });
  assert.deepEqual([lines.length, skipped], [2, ["b"]]);
});

test("an import stops at the 10 001st item that cannot be read", async () => {
  await using place = inMemory();
  let read = 0;
  function* items(): Generator<string> {
    for (;;) {
      read++;
      yield "0";
    }
  }
  await assert.rejects(importSessions(place.sessions, items()), {
    code: "snapshot_invalid",
    message: /more than 10000 items that cannot be read/,
  });
  assert(read < 20_000, `${read} were read`);
});

test("a conversation is imported if and only if its session can be exported and imported again", async () => {
  const limits = { snapshotBytesMax: 5000, metadataBytesMax: 1000 };
  const lengths = Array.from({ length: 300 }, (_, index) => 4000 + index);
  await using place = inMemory({ limits });
  await using other = inMemory({ limits });
  const items = lengths.map((length) => {
    const id = `c${length}`;
    return { source: id, conversation: { id, messages: [{ role: "user", content: "x".repeat(length) }] } } as const;
  });
  const { restored, skipped, reasons } = await importSessions(place.sessions, items);
  assert(restored > 0 && skipped > 0, `${restored} and ${skipped}`);
  assert.deepEqual([...new Set(reasons.map(({ code }) => code))], ["snapshot_too_large"]);
  const lines = await linesOf(place.sessions);
  assert.equal(Math.max(...lines.map((line) => line.length)), limits.snapshotBytesMax);
  assert.equal((await importSessions(other.sessions, lines)).restored, restored);
  assert.equal((await importSessions(place.sessions, items, { dryRun: true })).skipped, skipped);
});
