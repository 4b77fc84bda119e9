/**
 * References from a user to sessions that contain the user's words and do not name the user: forks of the user's sessions,
 * sessions that another user has now, copies of sessions, and sessions that a device shared by a link code.
 *
 * A reference ("mark") is a record that names the session and the speaker: the user, or the device of a guest until a user
 * claims it. A mark of a device lands in one commit with the device's pointer as it was read, because the marks of a device
 * become the user's when the pointer changes. The log of the session decides whether it still contains the words.
 */
import type { Change } from "../../domain/record/change.ts";
import { keyText, type SessionKey } from "../../domain/record/entry.ts";
import type { Metadata, SessionRecord } from "../../domain/record/record.ts";
import { internalScope } from "../../domain/values/internal-scope.ts";
import type { Core } from "../core/core.ts";
import { isDeviceName } from "../core/keyed-hash.ts";
import { internalChange } from "../core/internal-record.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";
import { recordsOf } from "../core/record-pages.ts";
import { nodeCrypto } from "../../node-crypto.ts";

/** A session that contains turns of a speaker. */
export interface UserContent {
  readonly record: SessionRecord;
  /** The number of the first such turn. */
  readonly from: number;
  /** Turns written after this time are of other speakers, epoch ms. @default the turns that a fork shares with its parent */
  readonly until?: number;
  /** An erasure of the speaker deletes the session: it names no user, and the nearest user above it is the speaker. */
  readonly isTheirs: boolean;
}

/** The content of a mark: the id of the session, its creation, and the turns of the speaker. */
export interface MarkContent extends Omit<UserContent, "record"> {
  readonly session: string;
  readonly born: number;
}

/** The turns of one speaker in a session. */
export type SpeakerTurns = Omit<UserContent, "record">;

/** The fields by which marks name a session. */
export type Marked = Pick<SessionRecord, "tenant" | "id" | "createdAt">;

/** The longest time to live of a fork, so no mark ends before its session. */
const markTtlMs = 100 * 365 * 86_400_000;

/** The marks of a session, page by page. */
export async function* marksFor(core: Core, record: Marked): AsyncGenerator<SessionRecord, void, void> {
  yield* recordsOf(core, marksScope(record.tenant), nameOf(record));
}

/**
 * True if a mark assigns the session to a user: it then counts for that user, and not for a later user of its device. The mark
 * of a user that shared the session assigns nothing.
 */
export async function isMarked(core: Core, record: Marked): Promise<boolean> {
  for await (const mark of marksFor(core, record))
    if (mark.user !== null && !isDeviceName(mark.user) && contentOf(mark).isTheirs) return true;
  return false;
}

/** Write a mark, once. @throws SessionError `contended`, and the store's */
export async function putMark(core: Core, name: string, content: UserContent): Promise<void> {
  const { id: sessionId, tenant } = content.record;
  await retryOnConflict({ sessionId, tenant }, async () => {
    const change = await markChange(core, name, content);
    return change === null || (await core.commit([change])).status === "ok" ? true : undefined;
  });
}

/** The change that writes a mark; null if the stored mark covers the same turns. */
export async function markChange(core: Core, name: string, { record, ...turns }: UserContent): Promise<Change | null> {
  const key = markKey(name, record);
  const found = (await core.find(key))?.record;
  const known = found === undefined ? undefined : contentOf(found);
  const { from, until, isTheirs } = known ?? turns;
  const merged = {
    from: Math.min(from, turns.from),
    ...laterOf(until, turns.until),
    isTheirs: isTheirs || turns.isTheirs,
  };
  if (known !== undefined && merged.from === from && merged.until === until && merged.isTheirs === isTheirs)
    return null;
  const { id: session, createdAt: born } = record;
  const metadata: Metadata = { session, born, ...merged };
  // The mark has the creation time of the session, so a copy of the store that writes the same mark makes the same record.
  return internalChange(core, key, found, { agent: nameOf(record), user: name, metadata, ttlMs: markTtlMs, now: born });
}

export function contentOf(mark: SessionRecord): MarkContent {
  return mark.metadata as unknown as MarkContent;
}

/** The key of a session's mark for the speaker of this name. */
export function markKey(name: string, { tenant, id, createdAt }: Marked): SessionKey {
  return { tenant: marksScope(tenant), id: nodeCrypto().hash("sha256", JSON.stringify([name, id, createdAt]), "hex") };
}

/** The name that all marks of a session have in common. */
function nameOf({ id, createdAt }: Marked): string {
  return nodeCrypto().hash("sha256", JSON.stringify([id, createdAt]), "hex");
}

/** The scope of the marks of a tenant. */
export function marksScope(tenant: string): string {
  return internalScope(tenant, "shared-forks");
}

export function laterOf(one: number | undefined, other: number | undefined): { until?: number } {
  const later = Math.max(one ?? 0, other ?? 0);
  return later === 0 ? {} : { until: later };
}

/** The changes, each record once: the first change of a record decides. */
export function eachOnce(changes: readonly Change[]): readonly Change[] {
  const byKey = new Map<string, Change>();
  for (const change of changes) if (!byKey.has(keyText(change.key))) byKey.set(keyText(change.key), change);
  return [...byKey.values()];
}
