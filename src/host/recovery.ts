/**
 * Finds the sessions of dead hosts: those whose lease belongs to an instance that is not alive. A lazy recovery needs
 * no search, as the next open of a session finds its lease; an eager recovery searches the store here.
 */
import type { SessionRecord } from "../domain/record/record.ts";
import { eachPage, type After } from "../domain/values/pages.ts";
import type { Core } from "../sessions/core/core.ts";
import type { FoundRecords } from "../store/store.ts";

/** Sessions per query. */
const pageSize = 500;

/** The active sessions of a tenant whose lease holder is dead, page by page. */
export async function* abandonedSessions(
  core: Core,
  tenant: string,
  { signal }: { readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<readonly SessionRecord[], void, undefined> {
  const aliveByInstance = new Map<string, boolean>();
  const ask = async (after: After): Promise<FoundRecords> => {
    signal?.throwIfAborted();
    const query = { order: "recent", tenant, now: core.now(), states: ["active"], limit: pageSize } as const;
    return await core.store.find({ ...query, ...after });
  };
  for await (const { records } of eachPage(ask)) yield await abandonedOf(core, records, aliveByInstance);
}

async function abandonedOf(
  core: Core,
  records: readonly SessionRecord[],
  aliveByInstance: Map<string, boolean>,
): Promise<readonly SessionRecord[]> {
  const found: SessionRecord[] = [];
  for (const record of records) {
    const { lease } = record;
    if (lease === null || lease.instance === core.instance.id) continue;
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
