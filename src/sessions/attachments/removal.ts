/** Removes references, and each content with its last reference. */
import { graceMs, isContentScope, nextVisit } from "../../domain/attachments/attachment.ts";
import { logsOf } from "../../domain/copies/archive.ts";
import { isSame, unchanged, type Change } from "../../domain/record/change.ts";
import { removeSession } from "../../domain/record/lifecycle.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { encode } from "../../domain/values/codec.ts";
import { tenantOfScope } from "../../domain/values/internal-scope.ts";
import { eachEntry } from "../core/log-reader.ts";
import type { Core } from "../core/core.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";
import { referencePages } from "./list.ts";
import { contentKey, isReferred, referenceOf, visitedAt, type Referrer } from "./records.ts";

/** A visit that met another process is repeated after this time. */
const visitedAgainMs = 86_400_000;

/** The changes that remove the attachments of sessions, for the commit that removes the sessions. */
export async function removalChanges(core: Core, ...sessions: readonly Referrer[]): Promise<readonly Change[]> {
  const records: SessionRecord[] = [];
  for (const session of sessions) for await (const page of referencePages(core, session)) records.push(...page);
  return records.length === 0 ? [] : await changesOf(core, records);
}

/**
 * The changes that remove references of a tenant, and each content with its last reference. They change the other contents as well:
 * of two commits that remove the last references of a content, the second one finds it changed, and is made again.
 */
async function changesOf(core: Core, records: readonly SessionRecord[]): Promise<readonly Change[]> {
  const removed = new Set(records.map(({ id }) => id));
  const contents = new Map(
    records.map((record) => {
      const { session, attachment } = referenceOf(record);
      return [attachment.hash, contentKey(session.tenant, attachment.hash)];
    }),
  );
  const found = await core.findAll([...contents.values()]);
  const changes = records.map((record) => removeSession(record));
  for (const content of found) {
    if (content === undefined) continue;
    const isUsed = await isReferred(core, tenantOfScope(content.tenant), content.id, removed);
    changes.push(isUsed ? unchanged(content) : removeSession(content));
  }
  return changes;
}

/** Entries of the session were deleted: the sweep visits its references soon, and removes those that no entry names. */
export async function visitSoon(core: Core, session: Referrer): Promise<void> {
  for await (const page of referencePages(core, session))
    for (const record of page) {
      const at = Math.max(core.now(), referenceOf(record).usedAt + graceMs);
      if (at < record.sweepAt) await core.commit([visitedAt(record, at)]);
    }
}

/**
 * Remove a reference in this state, with its content where no other reference leads to it. `beside`: what the commit must find
 * unchanged. False where the reference or one of those changed.
 */
async function removeReference(core: Core, record: SessionRecord, beside: readonly Change[] = []): Promise<boolean> {
  const { tenant, id: sessionId } = referenceOf(record).session;
  return await retryOnConflict({ tenant, sessionId }, async () => {
    const changes = await changesOf(core, [record]);
    if ((await core.commit([...changes, ...beside])).status === "ok") return true;
    const newest = (await core.find(record))?.record;
    const isUnmoved = newest !== undefined && isSame(newest, record);
    // Else another session began or ended to refer to the content.
    return isUnmoved && beside.length === 0 ? undefined : false;
  });
}

/** The visits of a sweep, one after the other: those to references of one session, or of one content, change the same records. */
const visits = new WeakMap<Core, Promise<void>>();

/** A visit of the sweep to a reference or a content that is due. */
export async function visitAttachment(core: Core, record: SessionRecord, now: number): Promise<void> {
  const visit = isContentScope(record.tenant) ? visitContent : visitReference;
  const visited = (visits.get(core) ?? Promise.resolve()).then(() => visit(core, record, now));
  visits.set(
    core,
    visited.catch(() => undefined),
  );
  await visited;
}

async function visitContent(core: Core, record: SessionRecord, now: number): Promise<void> {
  const isOld = now - record.createdAt >= graceMs;
  const isUnused = isOld && !(await isReferred(core, tenantOfScope(record.tenant), record.id));
  // A reference that is put meanwhile changes the content, and then this commit does not land.
  await core.commit([isUnused ? removeSession(record) : visitedAt(record, nextVisit(record.createdAt, now))]);
}

async function visitReference(core: Core, record: SessionRecord, now: number): Promise<void> {
  const { session, usedAt, attachment } = referenceOf(record);
  if (now - usedAt < graceMs) {
    await core.commit([visitedAt(record, usedAt + graceMs)]);
    return;
  }
  const found = (await core.find({ tenant: session.tenant, id: session.id }))?.record;
  if (found?.createdAt !== session.createdAt) {
    // A session that is restored under this id meanwhile uses its references first, which changes them.
    await removeReference(core, record);
    return;
  }
  const isKept = found.legalHold !== null || (await names(core, found, attachment.hash));
  if (!isKept && (await removeReference(core, record, [unchanged(found)]))) return;
  // Another process wrote to the session, or swept as well: the visit is repeated in a day.
  const at = isKept ? nextVisit(record.createdAt, now) : now + visitedAgainMs;
  const newest = isKept ? record : (await core.find(record))?.record;
  if (newest !== undefined && isSame(newest, record)) await core.commit([visitedAt(record, at)]);
}

/** True where an entry of the session, of whatever log, or its metadata names the content. */
async function names(core: Core, session: SessionRecord, hash: string): Promise<boolean> {
  if (encode(session.metadata).includes(hash)) return true;
  for (const log of logsOf(session))
    for await (const { data } of eachEntry(core, session, log)) if (data.includes(hash)) return true;
  return false;
}
