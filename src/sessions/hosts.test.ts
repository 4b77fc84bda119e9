import assert from "node:assert/strict";
import { test } from "node:test";
import { openMemory } from "../store/memory.ts";
import { scriptedClock } from "../testing/scripted-clock.ts";
import { coreOf, sessionsOn } from "./sessions.ts";
import { listHosts } from "../admin.ts";
import { storeBefore } from "../store/calls/forwarding-store.ts";
import type { Store } from "../store/store.ts";

test("hosts are listed by their address, once each, with their workers; a host with a stale heartbeat is not alive", async () => {
  const clock = scriptedClock();
  const store = openMemory({ clock });
  const instance = async (address?: string) => {
    const { instance: keeper } = coreOf(sessionsOn(store, { clock, sweep: false }));
    if (address === undefined) await keeper.ensureAlive();
    else await keeper.announce(address);
    return keeper;
  };
  await instance();
  const silent = await instance("http://silent.test");
  await clock.advance(60_000);
  await store.heartbeat({
    id: "gone",
    host: "h",
    pid: 1,
    machine: "m",
    startedAt: "0",
    address: "http://here.test",
    staleAfterMs: null,
  });
  await clock.advance(20_000);
  const here = [await instance("http://here.test"), await instance("http://here.test")];
  const looking = sessionsOn(store, { clock, sweep: false });
  const hosts = (await listHosts(looking)).items;
  assert.deepEqual(
    hosts.map(({ address, pid, alive }) => [address, pid, alive]),
    [
      ["http://here.test", process.pid, true],
      ["http://silent.test", process.pid, false],
    ],
  );
  assert.equal(hosts[0]?.seenAt.getTime(), clock.now());
  for (const keeper of [silent, ...here]) await keeper.leave();
  assert.deepEqual(
    (await listHosts(looking)).items.map(({ address, alive }) => [address, alive]),
    [["http://here.test", false]],
    "an instance that left is not listed; its killed worker is",
  );
  await looking.close();
});

test("the other hosts are listed for any number of workers of one host", async () => {
  const clock = scriptedClock();
  const store = openMemory({ clock });
  await using looking = sessionsOn(store, { clock, sweep: false });
  const host = { host: "h", pid: 1, machine: "m", startedAt: "0", address: "http://few.test", staleAfterMs: null };
  await store.heartbeat({ ...host, id: "few" });
  await clock.advance(1);
  const crowd = { ...host, pid: 2, address: "http://crowd.test" };
  for (let worker = 0; worker < 1200; worker++) await store.heartbeat({ ...crowd, id: `worker ${worker}` });
  assert.deepEqual(
    (await listHosts(looking)).items.map(({ address, alive }) => [address, alive]),
    [
      ["http://crowd.test", true],
      ["http://few.test", true],
    ],
  );
});

test("an address that could not be published is not published by a later heartbeat", async () => {
  const clock = scriptedClock();
  const memory = openMemory({ clock });
  let isAway = false;
  const store = withHeartbeat(memory, async (...beat) => {
    if (isAway) throw new Error("the store is away");
    return await memory.heartbeat(...beat);
  });
  await using sessions = sessionsOn(store, { clock, sweep: false });
  const { instance } = coreOf(sessions);
  await instance.ensureAlive();
  isAway = true;
  await assert.rejects(instance.announce("http://here.test"), /away/);
  isAway = false;
  await clock.advance(20_000);
  await instance.ensureAlive();
  assert.deepEqual((await listHosts(sessions)).items, []);
});

test("an address is published after a heartbeat that was under way", async () => {
  const clock = scriptedClock();
  const memory = openMemory({ clock });
  const gate = Promise.withResolvers<void>();
  const store = withHeartbeat(memory, async (...beat) => (await gate.promise, await memory.heartbeat(...beat)));
  await using sessions = sessionsOn(store, { clock, sweep: false });
  const { instance } = coreOf(sessions);
  const announced = Promise.all([instance.ensureAlive(), instance.announce("http://here.test")]);
  gate.resolve();
  await announced;
  assert.equal((await listHosts(sessions)).items.length, 1);
});

test("a gap between two heartbeats is noticed, also if the answer to the first one was late", async () => {
  const clock = scriptedClock();
  const memory = openMemory({ clock });
  const gate = Promise.withResolvers<void>();
  const store = withHeartbeat(memory, async (...beat) => {
    await memory.heartbeat(...beat);
    await gate.promise;
  });
  await using sessions = sessionsOn(store, { clock, sweep: false, staleAfter: "10s" });
  const other = sessionsOn(memory, { clock, sweep: false, staleAfter: "10s" });
  const { instance } = coreOf(sessions);
  const first = instance.ensureAlive();
  await clock.advance(8000);
  gate.resolve();
  await first;
  await clock.advance(4000);
  assert.equal(await coreOf(other).instance.runs(instance.id), false, "another process may take its leases");
  await instance.ensureAlive();
  assert.equal(instance.lapses, 1);
});

function withHeartbeat(store: Store, heartbeat: Store["heartbeat"]): Store {
  return Object.assign(storeBefore(store), { heartbeat });
}
