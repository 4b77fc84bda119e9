import assert from "node:assert/strict";
import { test } from "node:test";
import { openMemory } from "../../store/memory.ts";
import { sessionsOn } from "../sessions.ts";

test("metadata is stored as it was at the call, also if the caller changes the object afterwards", async () => {
  await using sessions = sessionsOn(openMemory(), { sweep: false });
  const given = { plan: "free", limits: { seats: 2 } };
  const session = await sessions.create({ id: "s", metadata: given });
  const patch = { tags: ["new"] };
  await session.update({ metadata: patch });

  given.plan = "gold";
  given.limits.seats = 99;
  patch.tags.push("forged");
  await session.append({ input: "hello" });

  const expected = { plan: "free", limits: { seats: 2 }, tags: ["new"] };
  assert.deepEqual(session.info.metadata, expected);
  assert.deepEqual((await sessions.get("s")).info.metadata, expected);
});

test("a caller that changes the metadata it was given changes no session", async () => {
  await using sessions = sessionsOn(openMemory(), { sweep: false });
  const metadata = { limits: { seats: 2 }, since: new Date(0) };
  const session = await sessions.create({ id: "s", metadata });
  const page = await sessions.list();
  for (const info of [session.info, ...page.items]) {
    const given = info.metadata as { limits: { seats: number }; since: Date };
    given.limits.seats = 99;
    given.since.setTime(1);
  }
  await session.append({ input: "hello" });
  assert.deepEqual(session.info.metadata, metadata);
  assert.deepEqual((await sessions.get("s")).info.metadata, metadata);
});
