import type { SessionRecord } from "../../domain/record/record.ts";
import { SessionError } from "../../errors.ts";
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

/**
 * Refuses one more live session of a guest device. The limit holds exactly where the pointer of the device is part of the commit
 * that creates the session: of two such commits at once the second one conflicts.
 * @throws SessionError `conversations_exceeded`
 */
export async function guardGuestSessions(core: Core, tenant: string, guest: string): Promise<void> {
  const { conversationsMax } = core.options.limits;
  const { now } = await core.store.instances([]);
  const conversations = await core.store.count({ tenant, guest, states: ["active", "inactive"], now });
  if (conversations >= conversationsMax)
    throw new SessionError("conversations_exceeded", { tenant, conversations, conversationsMax });
}
