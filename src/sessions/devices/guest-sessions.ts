import type { SessionRecord } from "../../domain/record/record.ts";
import type { Core } from "../core/core.ts";
import { isDeviceName } from "../core/keyed-hash.ts";
import { sessionsBeginningWith } from "../core/record-pages.ts";

/**
 * The sessions that a device had as a guest and that name no user since. Their ids begin with the device's name: the first one,
 * those after it was unlinked, and the archived part of one that was reset.
 */
export async function* guestSessions(
  core: Core,
  tenant: string,
  name: string,
): AsyncGenerator<SessionRecord, void, void> {
  if (!isDeviceName(name)) return;
  const first = (await core.find({ tenant, id: name }))?.record;
  if (first?.user === null) yield first;
  for await (const record of sessionsBeginningWith(core, tenant, name)) if (record.user === null) yield record;
}
