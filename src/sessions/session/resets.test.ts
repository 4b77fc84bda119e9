import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory, type InMemory } from "../../../test/support/in-memory.ts";
import type { Session } from "../../index.ts";

const hour = 3_600_000;
const day = 24 * hour;

/** The session `s` with a keyed turn, expired. */
async function expired(place: InMemory, key = "k"): Promise<Session> {
  const session = await place.sessions.ensure("s", { ttl: "1h", onExpired: "reset" });
  await session.append({ input: "a question", output: "an answer" }, { key });
  await place.clock.advance(2 * hour);
  return session;
}

async function reset(place: InMemory): Promise<Session> {
  return await place.another().ensure("s", { ttl: "365d", onExpired: "reset" });
}

const retry = { input: "a question", output: "an answer" };

test("a retry with a key of before a reset is refused, names the archived turn, and writes nothing", async () => {
  await using place = inMemory();
  await expired(place);
  const fresh = await reset(place);
  await assert.rejects(fresh.append(retry, { key: "k" }), (error) => {
    const { code, details } = error as { code?: string; details?: Record<string, unknown> };
    assert.equal(code, "key_archived");
    assert.deepEqual([details?.["sessionId"], details?.["key"], details?.["seq"]], ["s", "k", 1]);
    return true;
  });
  await assert.rejects(fresh.begin("a question", { key: "k" }), { code: "key_archived" });
  assert.equal((await fresh.refresh()).turn, 0);
  assert.equal((await fresh.append({ input: "another" }, { key: "k2" })).seq, 1);
  assert.equal((await fresh.append({ input: "another" }, { key: "k2" })).seq, 1, "its own keys are as before");
});

test("a handle of before the reset is refused with a conflict, and a repeated retry as well", async () => {
  await using place = inMemory();
  const session = await expired(place);
  await reset(place);
  await assert.rejects(session.append({ input: "more" }, { key: "k3" }), { code: "conflict" });
  await assert.rejects(session.append(retry, { key: "k" }), { code: "conflict" });
  await session.refresh();
  await assert.rejects(session.append(retry, { key: "k" }), { code: "key_archived" });
});

test("keys are refused through several resets, and where the archived session is compressed, for a week", async () => {
  await using place = inMemory();
  for (const key of ["a", "b", "c"]) await expired(place, key);
  const fresh = await reset(place);
  for (const { id } of (await place.sessions.list({ state: "archived" })).items)
    await (await place.sessions.get(id)).archive();
  for (const key of ["a", "b", "c"]) await assert.rejects(fresh.append(retry, { key }), { code: "key_archived" });
  await place.clock.advance(8 * day);
  assert.equal((await fresh.append(retry, { key: "a" })).seq, 1);
});

test("a removed archive is forgotten with its keys", async () => {
  await using place = inMemory();
  await expired(place);
  const fresh = await reset(place);
  const [old] = (await place.sessions.list({ state: "archived" })).items;
  assert.ok(old);
  await (await place.sessions.get(old.id)).remove();
  assert.equal((await fresh.append(retry, { key: "k" })).seq, 1);
});
