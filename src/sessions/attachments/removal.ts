/** Removes references, and each content with its last reference. */
import { graceMs, isContentScope, isObjectScope, nextVisit } from "../../domain/attachments/attachment.ts";
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
import { objectRemoval, visitObject } from "./objects.ts";
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
    changes.push(...(isUsed ? [unchanged(content)] : contentRemoval(core, content)));
  }
  return changes;
}

/** The changes that remove a content, and leave its object to be deleted. */
function contentRemoval(core: Core, content: SessionRecord): readonly Change[] {
  return [removeSession(content), ...objectRemoval(core, content)];
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
 * Remove references of a session in these states, each with its content where no other reference leads to it, in one commit. `beside`:
 * what the commit must find unchanged. False where a reference or one of those changed.
 */
async function removeReferences(
  core: Core,
  { tenant, id: sessionId }: Referrer,
  records: readonly SessionRecord[],
  beside: readonly Change[] = [],
): Promise<boolean> {
  return await retryOnConflict({ tenant, sessionId }, async () => {
    const changes = await changesOf(core, records);
    if ((await core.commit([...changes, ...beside])).status === "ok") return true;
    const unmoved = await unmovedOf(core, records);
    // Else another session began or ended to refer to a content.
    return unmoved.length === records.length && beside.length === 0 ? undefined : false;
  });
}

/** Those of the records that the store has in this state. */
async function unmovedOf(core: Core, records: readonly SessionRecord[]): Promise<readonly SessionRecord[]> {
  const newest = await core.findAll(records);
  return records.filter((record, index) => {
    const found = newest[index];
    return found !== undefined && isSame(found, record);
  });
}

/** The visits of a sweep, one after the other: those to references of one session, or of one content, change the same records. */
const visits = new WeakMap<Core, Promise<void>>();

/** A visit of the sweep to a reference, a content or an object that is due. */
export async function visitAttachment(core: Core, record: SessionRecord, now: number): Promise<void> {
  const { tenant } = record;
  const visit = isContentScope(tenant) ? visitContent : isObjectScope(tenant) ? visitObject : visitReference;
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
  await core.commit(isUnused ? contentRemoval(core, record) : [visitedAt(record, nextVisit(record.createdAt, now))]);
}

/** Visit all references of a session that are due: its logs are read once for them. */
async function visitReference(core: Core, record: SessionRecord, now: number): Promise<void> {
  // The visit to another reference of the session may have been to this one as well.
  if ((await unmovedOf(core, [record])).length === 0) return;
  const { session } = referenceOf(record);
  const old: SessionRecord[] = [];
  for await (const page of referencePages(core, session))
    for (const due of page.filter(({ sweepAt }) => sweepAt <= now)) {
      const { usedAt } = referenceOf(due);
      if (now - usedAt < graceMs) await core.commit([visitedAt(due, usedAt + graceMs)]);
      else old.push(due);
    }
  if (old.length > 0) await visitOld(core, session, old, now);
}

async function visitOld(core: Core, session: Referrer, records: readonly SessionRecord[], now: number): Promise<void> {
  const found = (await core.find({ tenant: session.tenant, id: session.id }))?.record;
  if (found?.createdAt !== session.createdAt) {
    // A session that is restored under this id meanwhile uses its references first, which changes them.
    await removeReferences(core, session, records);
    return;
  }
  const hashes = new Set(records.map((record) => referenceOf(record).attachment.hash));
  // A process that does not see the stored entries does not see what they name.
  const isKept = found.legalHold !== null || core.isServed;
  const named = isKept ? hashes : await namedIn(core, found, hashes);
  const isNamed = (record: SessionRecord): boolean => named.has(referenceOf(record).attachment.hash);
  for (const record of records.filter(isNamed))
    await core.commit([visitedAt(record, nextVisit(record.createdAt, now))]);
  const unused = records.filter((record) => !isNamed(record));
  if (unused.length === 0 || (await removeReferences(core, session, unused, [unchanged(found)]))) return;
  // Another process wrote to the session, or swept as well: the visit is repeated in a day.
  for (const record of await unmovedOf(core, unused)) await core.commit([visitedAt(record, now + visitedAgainMs)]);
}

/** Those of the hashes that an entry of the session, of whatever log, or its metadata holds. */
async function namedIn(core: Core, session: SessionRecord, hashes: ReadonlySet<string>): Promise<ReadonlySet<string>> {
  const named = new Set(hashesIn(encode(session.metadata), hashes));
  for (const log of logsOf(session))
    for await (const { data } of eachEntry(core.asStored, session, log)) {
      for (const hash of hashesIn(data, hashes)) named.add(hash);
      if (named.size === hashes.size) return named;
    }
  return named;
}

/** Those of the hashes that a text holds, at any place: hexadecimal digits may stand beside one. */
function* hashesIn(text: string, hashes: ReadonlySet<string>): Generator<string, void, void> {
  for (const [digits] of text.matchAll(/[0-9a-f]{64,}/g))
    for (let end = 64; end <= digits.length; end++) {
      const hash = digits.slice(end - 64, end);
      if (hashes.has(hash)) yield hash;
    }
}
