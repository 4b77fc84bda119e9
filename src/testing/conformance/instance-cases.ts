import assert from "node:assert/strict";
import type { Instance } from "../../domain/record.ts";
import type { Check } from "./bench.ts";
import { oddIds } from "./odd-texts.ts";

export function instanceCases(check: Check): void {
  check("heartbeats: an instance is known by what it last said, at the store's time", async ({ store, tenant }) => {
    const self = instance(`${tenant} self`);
    const before = (await store.instances([])).now;
    await store.heartbeat(self);
    const { now, instances } = await store.instances([self.id]);
    assert.equal(instances.length, 1);
    const { seenAt, ...rest } = instances[0]!;
    assert.deepEqual(rest, self);
    assert.ok(before <= seenAt && seenAt <= now, `${before} <= ${seenAt} <= ${now}`);

    await store.heartbeat({ ...self, host: "moved", pid: 8 });
    const again = await store.instances([self.id]);
    assert.equal(again.instances.length, 1);
    assert.deepEqual([again.instances[0]!.host, again.instances[0]!.pid], ["moved", 8]);
    assert.ok(again.instances[0]!.seenAt >= seenAt);
  });

  check("heartbeats: only those asked for are told, and unknown ones are absent", async ({ store, tenant }) => {
    const ids = ["a", "b", "c"].map((name) => `${tenant} ${name}`);
    for (const id of ids) await store.heartbeat(instance(id));
    const found = await store.instances([ids[2]!, `${tenant} nobody`, ids[0]!, ids[0]!]);
    assert.deepEqual(found.instances.map(({ id }) => id).toSorted(), [ids[0], ids[2]]);
    assert.deepEqual((await store.instances([])).instances, []);
  });

  check("heartbeats: who leaves is gone, also where it was not there", async ({ store, tenant }) => {
    const [gone, stays] = [instance(`${tenant} gone`), instance(`${tenant} stays`)];
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
  });

  check("heartbeats: names are ordinary text", async ({ store, tenant }) => {
    const all = oddIds
      .filter((text) => text.length < 200)
      .map((text) => ({
        ...instance(`${text}${tenant}${text}`),
        host: text,
        machine: text,
        startedAt: text,
      }));
    for (const one of all) await store.heartbeat(one);
    const { instances } = await store.instances(all.map(({ id }) => id));
    const byId = new Map(instances.map(({ seenAt: _, ...one }) => [one.id, one]));
    for (const one of all) assert.deepEqual(byId.get(one.id), one);
  });
}

function instance(id: string): Omit<Instance, "seenAt"> {
  return { id, host: "host", pid: 7, machine: "machine", startedAt: "12345" };
}
