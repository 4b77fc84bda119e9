/**
 * Finds the sessions that an eager recovery activates: those of dead hosts, whose lease belongs to an instance that is
 * not alive, and on request those that a host has passivated. A lazy recovery needs no search, as the next open of a
 * session finds its lease.
 */
import type { SessionRecord } from "../domain/record/record.ts";
import { eachPage, type After } from "../domain/values/pages.ts";
import type { Core } from "../sessions/core/core.ts";
import type { FoundRecords } from "../store/store.ts";

/** Sessions per query. */
const pageSize = 500;

interface Search {
  /** Also find passivated sessions. */
  readonly includesStopped: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The active sessions of a tenant whose lease holder is dead, and on request the passivated ones; page by page, the most
 * recently active first.
 */
export async function* recoverableSessions(
  core: Core,
  tenant: string,
  { includesStopped, signal }: Search,
): AsyncGenerator<readonly SessionRecord[], void, undefined> {
  const states = includesStopped ? (["active", "inactive"] as const) : (["active"] as const);
  const aliveByInstance = new Map<string, boolean>();
  const ask = async (after: After): Promise<FoundRecords> => {
    signal?.throwIfAborted();
    const query = { order: "recent", tenant, now: core.now(), states, limit: pageSize } as const;
    return await core.store.find({ ...query, ...after });
  };
  for await (const { records } of eachPage(ask)) yield await recoverableOf(core, records, aliveByInstance);
}

async function recoverableOf(
  core: Core,
  records: readonly SessionRecord[],
  aliveByInstance: Map<string, boolean>,
): Promise<readonly SessionRecord[]> {
  const found: SessionRecord[] = [];
  for (const record of records) {
    const { lease } = record;
    if (lease === null) {
      if (record.state === "inactive") found.push(record);
      continue;
    }
    if (lease.instance === core.instance.id) continue;
    // Asked once per instance, not once per session.
    let isAlive = aliveByInstance.get(lease.instance);
    if (isAlive === undefined) {
      isAlive = await core.instance.isAlive(record, lease);
      aliveByInstance.set(lease.instance, isAlive);
    }
    if (!isAlive) found.push(record);
  }
  return found;
}
