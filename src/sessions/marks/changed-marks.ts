/** The marks and pointers that change with a session, to be committed with its change. */
import { countTurns } from "../../domain/branches/segments.ts";
import { changeOf, draftOf, headOf, namedLogs, set, type Change } from "../../domain/record/change.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { isInternalScope } from "../../domain/values/internal-scope.ts";
import type { Core } from "../core/core.ts";
import { ownerOf, ownTurnsOf, untilNow } from "./turn-owners.ts";
import { type SharingPointer, sharersOf } from "./sharing-devices.ts";
import { Speakers } from "./speakers.ts";

/**
 * The references that change with a session, to be committed with its change: a mark of the former speaker if its user changes,
 * and the pointers of devices that share it if it is truncated.
 */
export function changedReferences(
  core: Core,
  before: SessionRecord,
  { record: after, splices }: ChangedSession,
): readonly Change[] | Promise<readonly Change[]> {
  // Most changes have none, so an append need not wait.
  if (after === null || !changesReferences(before, { record: after, splices })) return [];
  return referencesOf(core, { before, user: after.user, next: nextTurn(before, { record: after, splices }) });
}

type ChangedSession = Pick<Change, "splices" | "record">;

/** True if other records may have to change with the session. */
export function changesReferences(before: SessionRecord, { record: after, splices }: ChangedSession): boolean {
  if (after === null) return false;
  return before.user !== after.user || nextTurn(before, { record: after, splices }) <= headOf(before, "turns");
}

/** The number of the first turn that the change writes, or the next one writes. */
function nextTurn(
  before: SessionRecord,
  { record: after, splices }: { readonly record: SessionRecord; readonly splices: Change["splices"] },
): number {
  const first = splices.find(({ log }) => log === "turns")?.from ?? Infinity;
  // The end of the open turn writes at its number and truncates no other turn.
  return Math.min(headOf(after, "turns") + 1, first === before.openTurn ? Infinity : first);
}

async function referencesOf(
  core: Core,
  { before, user, next }: { readonly before: SessionRecord; readonly user: string | null; readonly next: number },
): Promise<readonly Change[]> {
  const speakers = new Speakers();
  await addFormer(core, speakers, { before, user });
  return [...(await speakers.changes(core, before)), ...(await truncatedSharings(core, { before, next }))];
}

/**
 * The pointer of a device that shares a session has the first turn that the device may have written: a truncation lowers it to `next`,
 * the number of the next turn.
 */
export async function truncatedSharings(
  core: Core,
  { before, next }: { readonly before: SessionRecord; readonly next: number },
): Promise<readonly Change[]> {
  if (next > headOf(before, "turns") || core.isFallback || isInternalScope(before.tenant)) return [];
  const changes: Change[] = [];
  for (const { pointer } of await sharersOf(core, before)) {
    const { from = 1 } = pointer.metadata as unknown as SharingPointer;
    if (from <= next) continue;
    const draft = draftOf(pointer);
    set(draft, { metadata: { ...pointer.metadata, from: next } });
    changes.push(changeOf(draft));
  }
  return changes;
}

/** Add the former speaker of a session that becomes this user's, where it has words of the speaker or gets them. */
export async function addFormer(
  core: Core,
  speakers: Speakers,
  {
    before,
    user,
    getsWords = false,
  }: { readonly before: SessionRecord; readonly user: string | null; readonly getsWords?: boolean },
): Promise<void> {
  const { tenant } = before;
  if (before.user === user || isInternalScope(tenant)) return;
  const owner = await ownerOf(core, before);
  if (owner === undefined || owner.name === user) return;
  const hasWords = getsWords || countTurns(before) > 0 || namedLogs(before).length > 0;
  if (!hasWords) return;
  const { from } = await ownTurnsOf({ core, tenant, user: owner.name }, before);
  speakers.add(owner.name, { from, until: untilNow(core, before), isTheirs: user === null }, owner.pointer);
}
