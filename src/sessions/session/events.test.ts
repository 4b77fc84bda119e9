import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../../test/support/in-memory.ts";
import { correlated } from "../tracing/correlation.ts";
import type { Session } from "./session.ts";
import { sweep } from "../../admin.ts";

const hour = 3_600_000;

async function eventTypes(session: Session): Promise<string[]> {
  return (await Array.fromAsync(session.events())).map(({ type }) => type);
}

test("the events of a session record its creation, expiry, revival, reset, and end with the reason", async () => {
  await using place = inMemory({ ttl: "1h" });
  const { sessions, clock } = place;
  const session = await sessions.create({ id: "s", user: "ada" });
  await session.append({ input: "one" });
  await session.touch();
  assert.deepEqual(await eventTypes(session), ["created"], "appends and signs of life are no events");
  await clock.advance(2 * hour);
  await sweep(sessions);
  const revived = await sessions.ensure("s", { onExpired: "revive" });
  assert.deepEqual(await eventTypes(revived), ["created", "expired", "revived"]);
  await revived.update({ user: "bob" });
  await clock.advance(2 * hour);
  const fresh = await sessions.ensure("s", { onExpired: "reset" });
  const [restarted] = await Array.fromAsync(fresh.events());
  assert.ok(restarted?.type === "reset");
  assert.deepEqual(await eventTypes(await sessions.get(restarted.archive)), [
    "created",
    "expired",
    "revived",
    "reassigned",
    "archived",
  ]);
  await fresh.end({ reason: "the case is closed" });
  const end = (await Array.fromAsync(fresh.events())).at(-1);
  assert.equal(end?.type === "ended" ? end.reason : undefined, "the case is closed");
  await assert.rejects(fresh.end({ reason: "x".repeat(4001) }), { code: "argument_invalid" });
});

test("the events of a takeover and of a recovery name both instances and the new fencing token", async () => {
  await using place = inMemory();
  const first = await place.sessions.create({ id: "s" });
  const lease = await first.lease({ ttl: "1m" });
  const elsewhere = await place.another().get("s");
  await elsewhere.exclusive(async () => undefined, { busy: "take-over" });
  const taken = (await Array.fromAsync(elsewhere.events())).at(-1);
  assert.ok(taken?.type === "taken_over");
  assert.deepEqual([taken.category, taken.severity], ["lease", "warning"]);
  assert.ok(taken.fence > lease.fence);
  assert.notEqual(taken.from, taken.to);

  await elsewhere.lease({ ttl: "1m" });
  await place.clock.advance(2 * 60_000);
  const third = await place.sessions.get("s");
  await third.append({ input: "after" });
  const recovered = (await Array.fromAsync(third.events())).at(-1);
  assert.ok(recovered?.type === "recovered");
  assert.equal(recovered.from, taken.to);
});

test("an event names the request that caused it, at any depth of calls, and no other request", async () => {
  await using place = inMemory();
  const { sessions } = place;
  await Promise.all(
    ["req-a", "req-b"].map((id) =>
      correlated(id, async () => {
        const session = await sessions.create({ id });
        await session.handOff("cto");
      }),
    ),
  );
  for (const id of ["req-a", "req-b"]) {
    const events = await Array.fromAsync((await sessions.get(id)).events());
    assert.deepEqual(
      events.map(({ type, correlation }) => [type, correlation]),
      [
        ["created", id],
        ["handed_off", id],
      ],
    );
  }
  const other = await sessions.create({ id: "s" });
  assert.equal((await Array.fromAsync(other.events()))[0]?.correlation, null);
  assert.throws(() => correlated("", () => undefined), { code: "id_invalid" });
});
