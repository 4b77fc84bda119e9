/**
 * What dead hosts left behind: sessions whose lease is of an instance that is gone. The store knows them, so nothing has to
 * be found before one of them is spoken to; who wants them all awake has them found and woken here.
 */
import type { SessionRecord } from "../domain/record/record.ts";
import type { Core } from "../sessions/core/core.ts";

/** Sessions per look at the store. */
const pageSize = 500;

/** The abandoned sessions of a tenant that were live, page by page. */
export async function* abandoned(
  core: Core,
  tenant: string,
  { signal }: { readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<readonly SessionRecord[], void, undefined> {
  const lives = new Map<string, boolean>();
  let after: string | undefined;
  do {
    signal?.throwIfAborted();
    const page = await core.store.find({
      order: "recent",
      tenant,
      now: core.now(),
      states: ["active"],
      limit: pageSize,
      ...(after === undefined ? {} : { after }),
    });
    yield await abandonedOf(core, page.records, lives);
    after = page.next;
  } while (after !== undefined);
}

async function abandonedOf(
  core: Core,
  records: readonly SessionRecord[],
  lives: Map<string, boolean>,
): Promise<readonly SessionRecord[]> {
  const found: SessionRecord[] = [];
  for (const record of records) {
    const { lease } = record;
    if (lease === null || lease.instance === core.instance.id) continue;
    // One question for each instance, however many sessions it had.
    let isAlive = lives.get(lease.instance);
    if (isAlive === undefined) {
      isAlive = await core.instance.isAlive(record, lease);
      lives.set(lease.instance, isAlive);
    }
    if (!isAlive) found.push(record);
  }
  return found;
}
