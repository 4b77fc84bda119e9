/** Stores that break the contract of instances and heartbeats. */
import type { Instance } from "../../../src/domain/record/record.ts";
import type { Store } from "../../../src/store/store.ts";
import type { NamedBreakage } from "./breakage.ts";

export const instanceBreakages: readonly NamedBreakage[] = [
  ["stores no heartbeat", "heartbeats", () => ({ heartbeat: async () => {} })],
  [
    "never lets instances go",
    "heartbeats: an instance that leaves",
    (store) => ({ heartbeat: (instance) => store.heartbeat(instance) }),
  ],
  ["lists every worker of a host", "a-host-is-listed-once", listsWorkers],
  ["returns instances that were not asked for", "heartbeats: only those", tellsAll],
  [
    "makes up what it does not know",
    "heartbeats",
    (store) => ({
      instances: async (ids) => ({
        now: (await store.instances([])).now,
        instances: (ids === "hosts" ? [] : ids).map((id) => ({
          id,
          host: "host",
          pid: 7,
          machine: "machine",
          startedAt: "12345",
          address: null,
          staleAfterMs: null,
          seenAt: 0,
        })),
      }),
    }),
  ],
  ["never deletes dead instances", "dead-instances-are-deleted", keepsDeadInstances],
];

function tellsAll(store: Store): Partial<Store> {
  const ids = new Set<string>();
  return {
    heartbeat: async (instance, options) => {
      ids.add(instance.id);
      await store.heartbeat(instance, options);
    },
    instances: () => store.instances([...ids]),
  };
}

function listsWorkers(store: Store): Partial<Store> {
  const { heartbeat, instances } = tellsAll(store);
  if (heartbeat === undefined || instances === undefined) throw new Error("it tells all");
  return { heartbeat, instances: (ids) => (ids === "hosts" ? instances([]) : store.instances(ids)) };
}

function keepsDeadInstances(store: Store): Partial<Store> {
  const known = new Map<string, Instance>();
  return {
    heartbeat: async (instance, options) => {
      await store.heartbeat(instance, options);
      if (options?.leaving === true) known.delete(instance.id);
      else known.set(instance.id, (await store.instances([instance.id])).instances[0]!);
    },
    instances: async (ids) => ({
      now: (await store.instances([])).now,
      instances: [...known.values()].filter(({ id }) => ids.includes(id)),
    }),
  };
}
