/** Devices that share a session by a link code, and the turns that they can have said there. */
import { headOf } from "../../domain/record/change.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { internalScope, isInternalScope, tenantOfScope } from "../../domain/values/internal-scope.ts";
import type { Core } from "../core/core.ts";
import type { UserContent, Said, Marked } from "./mark.ts";
import { recordsOf } from "../core/record-pages.ts";

/** The pointer of a device that shares a session by a link code. */
export interface SharingPointer {
  readonly kind: "linked";
  readonly session: string;
  /** The first turn that the device can have said there, in the session that was created at `born`. @default 1 */
  readonly from?: number;
  readonly born?: number;
}

/** A device that shares a session. */
interface Sharer {
  /** The name of the device. */
  readonly name: string;
  readonly said: Said;
  readonly pointer: SessionRecord;
}

/** The devices that share a session; of a session that is gone, those that shared it. */
export async function sharersOf(core: Core, session: Marked & Partial<SessionRecord>): Promise<readonly Sharer[]> {
  const { tenant, id } = session;
  if (core.isFallback || isInternalScope(tenant)) return [];
  const sharers: Sharer[] = [];
  for await (const pointer of recordsOf(core, internalScope(tenant, "devices"), id)) {
    const said = saidBySharer(core, pointer, session);
    if (said !== undefined) sharers.push({ name: pointer.id, said, pointer });
  }
  return sharers;
}

/**
 * The turns of a device in the session that its pointer shares, also where the pointer has expired; undefined where it can have
 * said nothing.
 */
export async function sharedByPointer(core: Core, pointer: SessionRecord): Promise<UserContent | undefined> {
  const tenant = tenantOfScope(pointer.tenant);
  const { kind, session: id } = pointer.metadata as unknown as SharingPointer;
  const record = kind === "linked" ? (await core.find({ tenant, id }))?.record : undefined;
  const said = record && saidBySharer(core, pointer, record);
  if (record === undefined || said === undefined || headOf(record, "turns") < said.from) return undefined;
  return { ...said, record };
}

/** The turns that the device of this pointer can have said in the session; undefined where the pointer leads elsewhere. */
function saidBySharer(
  core: Core,
  { metadata }: SessionRecord,
  { id, createdAt, lastActivityAt }: Marked & Partial<SessionRecord>,
): Said | undefined {
  const { kind, session, from = 1, born } = metadata as unknown as SharingPointer;
  if (kind !== "linked" || session !== id) return undefined;
  const isGone = lastActivityAt === undefined;
  // The device joined a later session of this id.
  if (isGone && born !== undefined && born > createdAt) return undefined;
  return { from: born === createdAt ? from : 1, until: Math.max(core.now(), lastActivityAt ?? 0), isTheirs: false };
}
