import type { SessionRecord } from "../../domain/record/record.ts";
import { eachPage } from "../../domain/values/pages.ts";
import type { Core } from "./core.ts";

const pageSize = 50;

/**
 * Records of a scope that name this user, page by page; the caller may remove them on the way.
 * @throws SessionError for a record that cannot be read: an erasure that passed over it would not be complete
 */
export async function* recordPages(core: Core, tenant: string, user: string): AsyncGenerator<readonly SessionRecord[]> {
  const query = { order: "recent", tenant, user, now: 0, limit: pageSize } as const;
  for await (const { records, unreadable } of eachPage((after) => core.store.find({ ...query, ...after }))) {
    if (unreadable[0] !== undefined) throw unreadable[0];
    if (records.length > 0) yield records;
  }
}
