import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../test/support/in-memory.ts";
import { correlated } from "./tracing/correlation.ts";
import type { Session } from "./session/session.ts";
import { sweep } from "../admin.ts";

const hour = 3_600_000;

async function told(session: Session): Promise<string[]> {
  return (await Array.fromAsync(session.events())).map(({ type }) => type);
}

test("what becomes of a session is told in its events: creation, expiry, revival, restart, its end and why", async () => {
  await using place = inMemory({ ttl: "1h" });
  const { sessions, clock } = place;
  const session = await sessions.create({ id: "s", user: "ada" });
  await session.append({ input: "one" });
  await session.touch();
  assert.deepEqual(await told(session), ["created"], "appends and signs of life are no events");
  await clock.advance(2 * hour);
  await sweep(sessions);
  const revived = await sessions.ensure("s", { onExpired: "revive" });
  assert.deepEqual(await told(revived), ["created", "expired", "revived"]);
  await revived.update({ user: "bob" });
  await clock.advance(2 * hour);
  const fresh = await sessions.ensure("s", { onExpired: "reset" });
  const [restarted] = await Array.fromAsync(fresh.events());
  assert.ok(restarted?.type === "reset");
  assert.deepEqual(await told(await sessions.get(restarted.archive)), [
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

test("who takes a lease from whom is told with the fence that counts from then on, and so is what a dead holder left", async () => {
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

test("an event bears the name of the request it came of, however deep inside, and no other's", async () => {
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
