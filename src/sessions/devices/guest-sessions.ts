import type { SessionRecord } from "../../domain/record/record.ts";
import { eachPage } from "../../domain/values/pages.ts";
import { encodeCursor } from "../../store/cursor.ts";
import type { Core } from "../core/core.ts";
import { isDeviceName } from "../core/keyed-hash.ts";

/** A device has few sessions of its own. */
const guestsPage = 10;

/**
 * The sessions that a device had as a guest and that name no user since. Their ids begin with the device's name: the first
 * one, those after it was unlinked, and what is kept of one that was begun afresh.
 */
export async function* guestSessions(
  core: Core,
  tenant: string,
  name: string,
): AsyncGenerator<SessionRecord, void, void> {
  if (!isDeviceName(name)) return;
  const first = (await core.find({ tenant, id: name }))?.record;
  if (first?.user === null) yield first;
  const query = { order: "key", tenant, now: 0, limit: guestsPage } as const;
  const behindFirst = { after: encodeCursor([tenant, name]) };
  for await (const { records } of eachPage((after) => core.store.find({ ...query, ...after }), behindFirst)) {
    for (const record of records) {
      if (!record.id.startsWith(name)) return;
      if (record.user === null) yield record;
    }
  }
}
