/** The users and devices that have own turns in a session and in the sessions above it. */
import { firstOwn } from "../../domain/record/change.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { internalScope, isInternalScope } from "../../domain/values/internal-scope.ts";
import type { Core } from "../core/core.ts";
import { guestDeviceOf } from "../../domain/values/device.ts";
import { liveMetadata } from "../core/internal-record.ts";
import { defined } from "../../domain/values/defined.ts";
import { type UserContent, type Marked, isMarked, contentOf, markKey } from "./mark.ts";
import { containsTurn } from "./marked-turns.ts";

/** A user, and the store and tenant of the user's turns. */
export interface Owner {
  readonly core: Core;
  readonly tenant: string;
  readonly user: string;
  /** The names of the user in marks. @default the user */
  readonly names?: readonly string[];
}

/** The speaker of a session's own turns. */
export interface SessionOwner {
  readonly name: string;
  /** The pointer of the device that is named. */
  readonly pointer?: SessionRecord;
}

/**
 * The user of a session. The id of a guest's session begins with the name of its device: the owner is the device, or the user
 * that it is linked to; undefined if a mark names that user.
 */
export async function ownerOf(
  core: Core,
  session: Marked & Pick<SessionRecord, "user">,
): Promise<SessionOwner | undefined> {
  const { tenant, id, user } = session;
  if (user !== null) return { name: user };
  const device = core.isFallback || isInternalScope(tenant) ? undefined : guestDeviceOf(id);
  if (device === undefined || (await isMarked(core, session))) return undefined;
  const pointer = (await core.find({ tenant: internalScope(tenant, "devices"), id: device }))?.record;
  const claimed = liveMetadata(core, pointer)?.["user"];
  if (typeof claimed === "string") return { name: claimed };
  return defined({ name: device, pointer });
}

/** A session and those above it, each with its first own turn, and the last turn that the session at the bottom has of it. */
export async function* lineOf(
  core: Core,
  bottom: SessionRecord,
): AsyncGenerator<{ readonly record: SessionRecord; readonly from: number; readonly reach: number }, void, void> {
  let reach = Infinity;
  for (let record = bottom; ;) {
    yield { record, from: firstOwn(record, "turns"), reach };
    const { parent, tenant } = record;
    if (parent === null) return;
    reach = Math.min(reach, parent.at);
    const above = (await core.find({ tenant, id: parent.id }))?.record;
    if (above === undefined || above.createdAt !== parent.born) return;
    record = above;
  }
}

/** A session of the user, with the first turn of the user in it and in the sessions above it. */
export async function ownTurnsOf(owner: Owner, record: SessionRecord): Promise<UserContent> {
  return await withTurnsAbove(owner, { record, from: firstOwn(record, "turns"), isTheirs: true });
}

/** The content of a session with the first turn of the user, which may be an earlier one of the sessions above it. */
export async function withTurnsAbove(
  { core, user, names = [user] }: Owner,
  content: UserContent,
): Promise<UserContent> {
  let { from } = content;
  for await (const { record: above, from: first, reach } of lineOf(core, content.record)) {
    if (first <= reach && first < from && (await ownerOf(core, above))?.name === user) from = first;
    const marks = await core.findAll(names.map((name) => markKey(name, above)));
    for (const mark of marks) {
      const turns = mark && contentOf(mark);
      if (turns === undefined || turns.from >= from || turns.from > reach || !(await containsTurn(core, above, turns)))
        continue;
      ({ from } = turns);
    }
  }
  return { ...content, from };
}

/** The last moment at which a turn of this session can have been written, as far as the session and the store's clock tell. */
export function untilNow(core: Core, { lastActivityAt }: SessionRecord): number {
  return Math.max(core.now(), lastActivityAt);
}
