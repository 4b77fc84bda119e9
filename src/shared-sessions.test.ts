import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { sharedSessions } from "./shared-sessions.ts";
import { coreOf } from "./sessions/sessions.ts";

async function place(): Promise<AsyncDisposable & { readonly url: string }> {
  const folder = await mkdtemp(join(tmpdir(), "perdure-shared-"));
  return {
    url: `sqlite:${join(folder, "perdure.db")}`,
    [Symbol.asyncDispose]: async () => await rm(folder, { recursive: true }),
  };
}

test("calls with the same URL share one store, and the last close closes it", async () => {
  await using here = await place();
  const [one, other] = await Promise.all([
    sharedSessions({ store: here.url, sweep: false }),
    sharedSessions({ store: here.url, sweep: false }),
  ]);
  assert.notEqual(one, other);
  assert.equal(coreOf(one), coreOf(other));
  await one.create({ id: "s" });
  await one.close();
  await one.close();
  assert.equal((await other.get("s")).id, "s", "a second close of the same object counts once");
  await other.close();
  await assert.rejects(other.get("s"), { code: "closed" });
  const again = await sharedSessions({ store: here.url, sweep: false });
  assert.notEqual(coreOf(again), coreOf(other));
  assert.equal((await again.get("s")).id, "s");
  await again.close();
});

test("shared sessions may differ in the tenant, and in no other option", async () => {
  await using here = await place();
  const first = await sharedSessions({ store: here.url, sweep: false, ttl: "1h" });
  const theirs = await sharedSessions({ store: here.url, sweep: false, ttl: "1h", tenant: "theirs" });
  await first.create({ id: "s" });
  await assert.rejects(theirs.get("s"), { code: "session_not_found" });
  for (const options of [{ ttl: "2h" }, {}, { ttl: "1h", agents: { ceo: {} } }]) {
    await assert.rejects(
      sharedSessions({ store: here.url, sweep: false, ...options }),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, "argument_invalid");
        assert.match(error.message, /options is "(ttl|agents)"; expected every option as in the first call/);
        return true;
      },
    );
  }
  await theirs.for("more").close();
  await first.create({ id: "still open" });
  await first.close();
  await assert.rejects(first.get("s"), { code: "closed" }, "refused calls are not counted");
});

test("a store that cannot be opened is opened again by the next call", async () => {
  await using here = await place();
  const missing = here.url.replace("perdure.db", "missing/perdure.db");
  for (let time = 0; time < 2; time++) await assert.rejects(sharedSessions(missing), { code: "store_unavailable" });
  await assert.rejects(sharedSessions({ store: {} as never }), { code: "argument_invalid" });
});
