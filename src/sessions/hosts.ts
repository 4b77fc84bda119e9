import type { Core } from "./core/core.ts";
import { isLive } from "./instances/liveness.ts";

/** A host of live sessions, and its address. */
export interface HostInfo {
  /** A URL. */
  readonly address: string;
  /** The name of its machine, for display. */
  readonly host: string;
  readonly pid: number;
  /** The time of its last heartbeat. */
  readonly seenAt: Date;
  /** False where its sessions are there for the taking. */
  readonly alive: boolean;
}

/** The hosts on a store, the latest heartbeat first. Workers of a host have its address and are not listed. */
export async function hostsOn({ store, options: { staleAfterMs } }: Core): Promise<readonly HostInfo[]> {
  const { now, instances } = await store.instances("hosts");
  const hosts = new Map<string, HostInfo>();
  for (const instance of instances) {
    const { address, host, pid, seenAt } = instance;
    if (address === null || hosts.get(address)?.alive === true) continue;
    const alive = isLive(instance, { now, staleAfterMs });
    if (alive || !hosts.has(address)) hosts.set(address, { address, host, pid, seenAt: new Date(seenAt), alive });
  }
  return [...hosts.values()];
}
