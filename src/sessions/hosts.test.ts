import assert from "node:assert/strict";
import { test } from "node:test";
import { openMemory } from "../store/memory.ts";
import { scriptedClock } from "../testing/scripted-clock.ts";
import { coreOf, sessionsOn } from "./sessions.ts";
import { listHosts } from "../admin.ts";

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
