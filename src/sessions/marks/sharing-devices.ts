/** Devices that share a session by a link code, and the turns that they may have written there. */
import { headOf } from "../../domain/record/change.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { internalScope, isInternalScope, tenantOfScope } from "../../domain/values/internal-scope.ts";
import type { Core } from "../core/core.ts";
import type { UserContent, SpeakerTurns, Marked } from "./mark.ts";
import { recordsOf } from "../core/record-pages.ts";

/** The pointer of a device that shares a session by a link code. */
export interface SharingPointer {
  readonly kind: "linked";
  readonly session: string;
  /** The first turn that the device may have written, in the session that was created at `born`. @default 1 */
  readonly from?: number;
  readonly born?: number;
}

/** A device that shares a session. */
interface Sharer {
  /** The name of the device. */
  readonly name: string;
  readonly turns: SpeakerTurns;
  readonly pointer: SessionRecord;
}

/** The devices that share a session; of a deleted session, the devices that shared it. */
export async function sharersOf(core: Core, session: Marked & Partial<SessionRecord>): Promise<readonly Sharer[]> {
  const { tenant, id } = session;
  if (core.isFallback || isInternalScope(tenant)) return [];
  const sharers: Sharer[] = [];
  for await (const pointer of recordsOf(core, internalScope(tenant, "devices"), id)) {
    const turns = turnsOfSharer(core, pointer, session);
    if (turns !== undefined) sharers.push({ name: pointer.id, turns, pointer });
  }
  return sharers;
}

/**
 * The turns of a device in the session that its pointer shares, also if the pointer has expired; undefined if the device can
 * have written none.
 */
export async function sharedByPointer(core: Core, pointer: SessionRecord): Promise<UserContent | undefined> {
  const tenant = tenantOfScope(pointer.tenant);
  const { kind, session: id } = pointer.metadata as unknown as SharingPointer;
  const record = kind === "linked" ? (await core.find({ tenant, id }))?.record : undefined;
  const turns = record && turnsOfSharer(core, pointer, record);
  if (record === undefined || turns === undefined || headOf(record, "turns") < turns.from) return undefined;
  return { ...turns, record };
}

/** The turns that the device of this pointer may have written in the session; undefined if the pointer names another session. */
function turnsOfSharer(
  core: Core,
  { metadata }: SessionRecord,
  { id, createdAt, lastActivityAt }: Marked & Partial<SessionRecord>,
): SpeakerTurns | undefined {
  const { kind, session, from = 1, born } = metadata as unknown as SharingPointer;
  if (kind !== "linked" || session !== id) return undefined;
  const isDeleted = lastActivityAt === undefined;
  // The device joined a later session of this id.
  if (isDeleted && born !== undefined && born > createdAt) return undefined;
  return { from: born === createdAt ? from : 1, until: Math.max(core.now(), lastActivityAt ?? 0), isTheirs: false };
}
