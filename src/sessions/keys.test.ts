import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../test/support/in-memory.ts";
import { sweep } from "../admin.ts";

test("a key opens its tenant with its right until it is revoked, in every process", async () => {
  await using place = inMemory();
  const { keys } = place.sessions;
  const { token, ...info } = await keys.create({ name: "billing", tenant: "shop", right: "read" });
  assert.match(token, /^pdk_[0-9a-z]{26}_[\w-]{43}$/);
  assert.deepEqual(await place.another().keys.verify(token), info);
  assert.deepEqual(await Array.fromAsync(keys.each()), [info]);
  assert.equal(await keys.revoke(info.id), true);
  assert.equal(await keys.revoke(info.id), false);
  assert.equal(await place.another().keys.verify(token), null);
  assert.deepEqual(await Array.fromAsync(keys.each()), []);
});

test("keys are listed by pages, the newest first", async () => {
  await using place = inMemory();
  const { keys } = place.sessions;
  for (const name of ["a", "b", "c"]) {
    await keys.create({ name });
    await place.clock.advance(60_000);
  }
  const first = await keys.list({ limit: 2 });
  const rest = await keys.list({ limit: 2, after: first.next ?? "" });
  assert.deepEqual(
    [first, rest].map(({ items }) => items.map(({ name }) => name)),
    [["c", "b"], ["a"]],
  );
  assert.equal(rest.next, undefined);
  await assert.rejects(keys.list({ limit: 0 }), { code: "argument_invalid" });
});

test("a text that is not exactly a key opens nothing", async () => {
  await using place = inMemory();
  const { keys } = place.sessions;
  const { token, id } = await keys.create({ name: "one" });
  const other = await keys.create({ name: "two" });
  const altered = [
    "",
    "pdk_",
    token.slice(0, -1),
    `${token}A`,
    token.toUpperCase(),
    `${token.slice(0, -1)}${token.endsWith("A") ? "B" : "A"}`,
    other.token.replace(other.id, id),
    `pdk_${id}_${"A".repeat(43)}`,
  ];
  for (const text of altered) assert.equal(await keys.verify(text), null, text);
  await assert.rejects(keys.create({ name: "" }), { code: "id_invalid" });
  await assert.rejects(keys.create({ name: "x", tenant: "\u0001keys" }), { code: "id_invalid" });
  await assert.rejects(keys.create({ name: "x", right: "owner" as "admin" }), { code: "argument_invalid" });
});

test("the store holds no token, and no list of sessions shows a key", async () => {
  await using place = inMemory();
  const { token } = await place.sessions.keys.create({ name: "one" });
  const { records } = await place.store.find({
    order: "recent",
    tenant: "\u0001keys",
    now: place.clock.now(),
    limit: 10,
  });
  assert.equal(records.length, 1);
  assert(!JSON.stringify(records).includes(token.slice(31)));
  assert.deepEqual((await place.sessions.list()).items, []);
  assert.equal((await sweep(place.sessions)).looked, 0);
});
