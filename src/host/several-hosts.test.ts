import assert from "node:assert/strict";
import { test } from "node:test";
import { settled } from "../../test/support/count-timers.ts";
import { identityOf } from "../domain/record/change.ts";
import { SessionError } from "../errors.ts";
import { coreOf, sessionsOn, type Sessions } from "../sessions/sessions.ts";
import { openMemory } from "../store/memory.ts";
import type { Store } from "../store/store.ts";
import { scriptedClock, type ScriptedClock } from "../testing/scripted-clock.ts";
import { startHost, type Host } from "./host.ts";
import type { HostOptions } from "./runtime/options.ts";
import type { Runtime } from "./runtime/runtime.ts";
import { until } from "../../test/support/until.ts";

const runtime: Runtime = {
  activate(session) {
    if (session.info.metadata["sick"] === true) throw new Error("it cannot wake up");
  },
  async onMessage(session, message: string) {
    if (message === "append") await session.append({ input: "hi" });
    return message;
  },
};

interface Place extends AsyncDisposable {
  readonly clock: ScriptedClock;
  readonly here: Sessions;
  readonly there: Sessions;
  readonly host: Host;
  readonly other: Host;
  /** The first host's process has ended, as far as the store can tell. */
  lose(): Promise<void>;
}

async function place(options: Partial<HostOptions> = {}): Promise<Place> {
  const clock = scriptedClock();
  const store = openMemory({ clock });
  const [here, there] = [sessionsOn(store, { clock, sweep: false }), sessionsOn(store, { clock, sweep: false })];
  const host = await startHost(here, { runtime, address: "http://127.0.0.1:1" });
  const other = await startHost(there, { runtime, address: "http://127.0.0.1:2", restart: { max: 0 }, ...options });
  return {
    clock,
    here,
    there,
    host,
    other,
    async lose() {
      const id = coreOf(here).instance.id;
      const self = { id, host: "", pid: 0, machine: "", startedAt: "", address: null, staleAfterMs: null };
      await store.heartbeat(self, { leaving: true });
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([host.close(), other.close()]);
      await here.close(); // and the store, which they share
    },
  };
}

test("a session is live in one host, and the others answer with its address", async () => {
  await using place_ = await place();
  const { host, other } = place_;
  await host.ensure("s");
  const owner = coreOf(place_.here).instance.id;
  await assert.rejects(other.send("s", "x"), {
    code: "not_owner",
    details: { sessionId: "s", tenant: "default", owner, address: "http://127.0.0.1:1" },
  });
  assert.equal([...other.each()].length, 0);
  await host.stop("s");
  assert.equal(await other.send("s", "x"), "x");
  await assert.rejects(host.send("s", "x"), { code: "not_owner" });
  const lease = await (await place_.here.create({ id: "leased elsewhere" })).lease();
  await assert.rejects(host.send("leased elsewhere", "x"), { code: "busy" });
  await lease.release();
});

test("the sessions of a dead host answer at another one when they get a message", async () => {
  await using place_ = await place();
  const { host, other } = place_;
  await host.ensure("s");
  await host.send("s", "append");
  await place_.lose();
  const { found } = await other.recover();
  assert.equal(found, 0, "nothing is looked for");
  assert.equal(await other.send("s", "append"), "append");
  await assert.rejects(host.send("s", "append"), { code: "fenced" });
  await until(() => host.live("s") === undefined);
  assert.equal((await place_.there.get("s")).info.turn, 2);
});

test("an eager recovery activates all sessions, reports failures, and reports its progress", async () => {
  await using place_ = await place();
  const { host, other } = place_;
  for (let index = 0; index < 40; index++) await host.ensure(`s${index}`);
  await place_.here.ensure("asleep");
  await (await place_.here.get("s7")).update({ metadata: { sick: true } });
  await place_.lose();
  const progress: number[] = [];
  const recovery = await other.recover({
    mode: "eager",
    onProgress: ({ recovered, broken }) => progress.push(recovered + broken.length),
  });
  assert.deepEqual([recovery.found, recovery.recovered, recovery.elsewhere], [40, 39, 0]);
  assert.deepEqual(
    recovery.broken.map(({ id, error }) => [id, (error as { code?: string }).code]),
    [["s7", "session_failed"]],
  );
  assert.equal(progress.at(-1), 40);
  assert.equal(other.gauges().live, 39);
  assert.equal(other.gauges().counts.recovered, 39);
});

for (const whenFull of ["reject", "wait", "passivate-least-recent"] as const) {
  test(`an eager recovery stops at the limit of live sessions and leaves the rest for their next message (${whenFull})`, async () => {
    await using place_ = await place({ maxSessions: 10, whenFull });
    const { host, other } = place_;
    for (let index = 0; index < 40; index++) await host.ensure(`s${index}`);
    await place_.lose();
    await place_.here.create({ id: "mine" });
    await other.send("mine", "x");
    const recovery = await other.recover({ mode: "eager" });
    assert.deepEqual(recovery, { found: 40, recovered: 9, elsewhere: 0, left: 31, broken: [] });
    assert.equal(other.gauges().live, 10);
    assert.equal(other.gauges().counts.passivated, 0, "no session had to give way");
    assert.equal(other.gauges().rejected, 0, "no message was refused");
    const asleep = Array.from({ length: 40 }, (_, index) => `s${index}`).find((id) => other.live(id) === undefined);
    await other.stop("mine");
    assert.equal(await other.send(asleep ?? "", "x"), "x", "one that was left wakes when there is a place");
  });
}

test("a host that was paused drops the sessions that others took meanwhile, also those without messages", async () => {
  await using place_ = await place();
  const { host, other } = place_;
  for (const id of ["a", "b"]) await host.ensure(id);
  await place_.lose();
  await other.send("a", "append");
  // Time passes without a heartbeat of the first host.
  place_.clock.set(place_.clock.now() + 60_000);
  await coreOf(place_.here).instance.ensureAlive();
  await until(() => host.live("a") === undefined);
  assert.equal(host.gauges().counts.fenced, 1);
  assert.equal(await host.send("b", "append"), "append", "a session that no other host took is still its own");
});

test("after a gap in its heartbeat, a host drops the sessions that others took, also if one of its own cannot be read", async () => {
  await using place_ = await place();
  const { host, other, here } = place_;
  for (const id of ["a", "b", "damaged"]) await host.ensure(id);
  await place_.lose();
  await other.send("a", "append");
  const { store } = coreOf(here);
  const { sessions } = await store.load([{ key: { tenant: "default", id: "damaged" }, tails: [] }]);
  const record = sessions[0]?.record ?? assert.fail();
  const damaged = { ...record, version: record.version + 1, metadata: 5 as never };
  const key = { tenant: "default", id: "damaged" };
  await store.commit([[{ key, expected: identityOf(record), record: damaged, splices: [], claims: [] }]]);
  place_.clock.set(place_.clock.now() + 60_000);
  await coreOf(here).instance.ensureAlive();
  await until(() => host.live("a") === undefined);
  assert.deepEqual([host.live("b")?.phase, host.live("damaged")?.phase], ["live", "live"]);
  await assert.rejects(host.stop("damaged"), { code: "session_unreadable" });
});

test("after a gap in its heartbeat, a host checks its sessions until the store answers", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  await using place_ = await place();
  const { host, other, here, clock } = place_;
  await host.ensure("taken");
  await place_.lose();
  await other.send("taken", "append");
  const { store } = coreOf(here);
  const load = t.mock.method(store, "load", () =>
    Promise.reject(new SessionError("store_unavailable", { problem: "unreachable" })),
  );
  clock.set(clock.now() + 60_000);
  await coreOf(here).instance.ensureAlive();
  await settled();
  assert.equal(host.live("taken")?.phase, "live", "the store is away");
  load.mock.restore();
  clock.set(clock.now() + 1000);
  t.mock.timers.tick(100);
  await settled();
  assert.equal(host.live("taken"), undefined);
});

test("after a gap in its heartbeat, a host does not answer for a session that another host took", async () => {
  await using place_ = await place();
  const { host, other } = place_;
  await host.ensure("s");
  await place_.lose();
  assert.equal(await other.send("s", "x"), "x");
  // Before its next heartbeat, and before its code writes anything that the store would refuse.
  place_.clock.set(place_.clock.now() + 60_000);
  await assert.rejects(host.send("s", "x"), { code: "fenced" });
  await until(() => host.live("s") === undefined);
});

test("a host does not answer for a session that another host took while it was activated", async (t) => {
  await using place_ = await place();
  const { host, other, here, clock } = place_;
  await here.create({ id: "s" });
  const { store, instance } = coreOf(here);
  const gate = Promise.withResolvers<void>();
  const written = Promise.withResolvers<void>();
  const commit = store.commit.bind(store);
  t.mock.method(
    store,
    "commit",
    async (batch: Parameters<Store["commit"]>[0]) => {
      const outcomes = await commit(batch);
      written.resolve();
      await gate.promise;
      return outcomes;
    },
    { times: 1 },
  );
  const started = host.start("s");
  await written.promise;
  clock.set(clock.now() + 60_000);
  assert.equal(await other.send("s", "x"), "x");
  await instance.ensureAlive();
  gate.resolve();
  await started;
  await assert.rejects(host.send("s", "x"), { code: "fenced" });
});
