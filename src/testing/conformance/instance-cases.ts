import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import type { Check } from "./bench.ts";
import { oddIds } from "./odd-texts.ts";
import { sampleInstance } from "../samples.ts";

export function instanceCases(check: Check): void {
  check("heartbeats: an instance is stored as announced, with the store's time", async ({ store, tenant }) => {
    const self = { ...sampleInstance(`${tenant} self`), staleAfterMs: 120_000 };
    const before = (await store.instances([])).now;
    await store.heartbeat(self);
    const { now, instances } = await store.instances([self.id]);
    assert.equal(instances.length, 1);
    const { seenAt, ...rest } = instances[0]!;
    assert.deepEqual(rest, self);
    assert.ok(before <= seenAt && seenAt <= now, `${before} <= ${seenAt} <= ${now}`);

    await store.heartbeat(self);
    const again = await store.instances([self.id]);
    assert.equal(again.instances.length, 1);
    assert.ok(again.instances[0]!.seenAt >= seenAt);
  });

  check("heartbeats: only those asked for are returned, and unknown ones are absent", async ({ store, tenant }) => {
    const ids = ["a", "b", "c"].map((name) => `${tenant} ${name}`);
    for (const id of ids) await store.heartbeat(sampleInstance(id));
    const found = await store.instances([ids[2]!, `${tenant} absent`, ids[0]!, ids[0]!]);
    assert.deepEqual(found.instances.map(({ id }) => id).toSorted(), [ids[0], ids[2]]);
    assert.deepEqual((await store.instances([])).instances, []);
  });

  check(
    "heartbeats: an instance that leaves is no longer listed, and leaving twice does nothing",
    async ({ store, tenant }) => {
      const [gone, stays] = [sampleInstance(`${tenant} gone`), sampleInstance(`${tenant} stays`)];
      await store.heartbeat(gone);
      await store.heartbeat(stays);
      await store.heartbeat(gone, { leaving: true });
      await store.heartbeat(gone, { leaving: true });
      const { instances } = await store.instances([gone.id, stays.id]);
      assert.deepEqual(
        instances.map(({ id }) => id),
        [stays.id],
      );
      await store.heartbeat(gone, { leaving: false });
      assert.equal((await store.instances([gone.id])).instances.length, 1);
    },
  );

  check("dead-instances-are-deleted: after a day, when another one lives", async (bench, context) => {
    const { store, tenant, clock } = bench;
    if (clock === undefined) {
      context.skip("the harness has no clock to set");
      return;
    }
    const [dead, drowsy, alive] = ["dead", "drowsy", "alive"].map((name) => sampleInstance(`${tenant} ${name}`));
    assert.ok(dead && drowsy && alive);
    await store.heartbeat(dead);
    clock.set(clock.now() + 1000);
    await store.heartbeat(drowsy);
    clock.set(clock.now() + 86_400_000);
    await store.heartbeat(alive);
    const { now, instances } = await store.instances([dead.id, drowsy.id, alive.id]);
    assert.equal(now, clock.now());
    assert.deepEqual(
      new Map(instances.map(({ id, seenAt }) => [id, now - seenAt])),
      new Map([
        [drowsy.id, 86_400_000],
        [alive.id, 0],
      ]),
    );
  });

  check("heartbeats: hosts are instances with an address, the latest heartbeat first", async ({ store, tenant }) => {
    const address = `http://127.0.0.1:1/${tenant}`;
    await store.heartbeat(sampleInstance(`${tenant} no host`));
    await store.heartbeat({ ...sampleInstance(`${tenant} host`), address });
    const mine = async () => (await store.instances("hosts")).instances.filter(({ id }) => id.startsWith(tenant));
    assert.deepEqual(
      (await mine()).map((host) => [host.id, host.address]),
      [[`${tenant} host`, address]],
    );
    await store.heartbeat({ ...sampleInstance(`${tenant} host`), address }, { leaving: true });
    assert.deepEqual(await mine(), []);
  });

  check("a-host-is-listed-once: with its workers, as the one of them seen last", async ({ store, tenant, clock }) => {
    const address = `http://127.0.0.1:1/${tenant}`;
    const host = { ...sampleInstance(`${tenant} host`), address };
    const worker = (number: number) => ({ ...host, id: `${tenant} worker ${number}` });
    await store.heartbeat(host);
    for (let number = 1; number <= 5; number++) await store.heartbeat(worker(number));
    clock?.set(clock.now() + 1000);
    await store.heartbeat(worker(3));
    const others = [
      { ...host, id: `${tenant} restarted`, pid: 8 },
      { ...host, id: `${tenant} same pid, later`, startedAt: "12346" },
      { ...host, id: `${tenant} same pid, elsewhere`, machine: "another" },
      { ...host, id: `${tenant} second address`, address: `${address}/2` },
    ];
    for (const other of others) await store.heartbeat(other);
    const { instances } = await store.instances("hosts");
    const listed = instances.filter(({ id }) => id.startsWith(tenant));
    assert.deepEqual(
      listed.map(({ id }) => id.slice(tenant.length + 1).replace(/worker \d|^host/, "host")).toSorted(),
      ["host", "restarted", "same pid, elsewhere", "same pid, later", "second address"],
    );
    const seen = (await store.instances([worker(3).id])).instances[0]?.seenAt;
    const [one] = listed.filter(({ address: at, pid, machine, startedAt }) =>
      isDeepStrictEqual([at, pid, machine, startedAt], [address, host.pid, host.machine, host.startedAt]),
    );
    assert.equal(one?.seenAt, seen, "as late as the last of them");
  });

  check("heartbeats: names are ordinary text", async ({ store, tenant }) => {
    const all = oddIds
      .filter((text) => text.length < 200)
      .map((text) => ({
        ...sampleInstance(`${text}${tenant}${text}`),
        host: text,
        machine: text,
        startedAt: text,
      }));
    for (const one of all) await store.heartbeat(one);
    const { instances } = await store.instances(all.map(({ id }) => id));
    const byId = new Map(instances.map((one) => [one.id, one]));
    for (const one of all) {
      const found = byId.get(one.id);
      assert.deepEqual({ ...found }, { ...one, seenAt: found?.seenAt });
    }
  });
}
