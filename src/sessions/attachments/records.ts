/** The records of contents and of references to them, and the changes that write them. */
import {
  attachmentScopes,
  bytesLog,
  countScope,
  nextVisit,
  piecesOf,
  type Attachment,
} from "../../domain/attachments/attachment.ts";
import { changeOf, draftOf, markLogs, set, splice, type Change, type Draft } from "../../domain/record/change.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import { draftOfNew } from "../../domain/record/lifecycle.ts";
import type { Metadata, SessionRecord } from "../../domain/record/record.ts";
import { defined } from "../../domain/values/defined.ts";
import { durationMaxMs } from "../../domain/values/limits.ts";
import { tenantOfScope } from "../../domain/values/internal-scope.ts";
import type { Core } from "../core/core.ts";
import { internalChange } from "../core/internal-record.ts";
import { sessionsBeginningWith } from "../core/record-pages.ts";
import type { ArrivedLogs } from "../core/staged-logs.ts";
import { nodeCrypto } from "../../node-crypto.ts";

/** The session of a reference: its creation distinguishes it from a later session with its id. */
export interface Referrer extends SessionKey {
  readonly createdAt: number;
}

/** A reference as its record stores it. */
export interface Reference {
  readonly session: Referrer;
  /** When it was put or last used, epoch ms. */
  readonly usedAt: number;
  readonly attachment: Attachment;
  /** Perdure took it out of an entry: entries are given with its bytes, and no caller knows of it. */
  readonly isDetached: boolean;
}

export function contentKey(tenant: string, hash: string): SessionKey {
  return { tenant: attachmentScopes(tenant).contents, id: hash };
}

/** The key of a reference. It begins with the hash, by which all references to a content are found. */
export function referenceKey(session: Referrer, hash: string): SessionKey {
  return { tenant: attachmentScopes(session.tenant).references, id: `${hash}.${nameOf(session)}` };
}

/** The key of the record that each commit with a new reference of the session changes. */
export function countKey(session: Referrer): SessionKey {
  return { tenant: countScope(session.tenant), id: nameOf(session) };
}

function nameOf({ id, createdAt }: Referrer): string {
  return nodeCrypto().createHash("sha256").update(`${createdAt}.${id}`).digest("base64url");
}

/** The record of the count lives this long. No commit takes longer from its reads to its end. */
const countTtlMs = 86_400_000;

/**
 * The change that goes into a commit with a new reference. `found` was read before the references were counted: the commit lands only
 * where no other one added a reference since.
 */
export function countChange(core: Core, session: Referrer, found: SessionRecord | undefined): Change {
  return internalChange(core, countKey(session), found, { metadata: {}, ttlMs: countTtlMs });
}

/** The metadata of a reference. */
interface StoredReference extends Attachment {
  readonly born: number;
  readonly usedAt: number;
  readonly detached?: true;
}

export function referenceOf({ tenant, user, metadata }: SessionRecord): Reference {
  const { hash, type, length, name, born, usedAt, detached } = metadata as unknown as StoredReference;
  return {
    session: { tenant: tenantOfScope(tenant), id: user ?? "", createdAt: born },
    usedAt,
    attachment: { hash, type, length, ...defined({ name }) },
    isDetached: detached === true,
  };
}

/** A new reference of a session, which is found by the session in the place of a user. */
export function newReference(
  core: Core,
  session: Referrer,
  attachment: Attachment,
  { isDetached = false }: Partial<Pick<Reference, "isDetached">> = {},
): Change {
  const detached = isDetached ? true : undefined;
  const metadata = { ...attachment, born: session.createdAt, usedAt: core.now(), ...defined({ detached }) };
  return changeOf(newRecord(core, referenceKey(session, attachment.hash), { user: session.id, metadata }));
}

/** The reference, used now. `attachment`: what a caller calls it, that was detached until now. */
export function usedReference(core: Core, record: SessionRecord, attachment?: Attachment): Change {
  const { session } = referenceOf(record);
  const named = attachment === undefined ? record.metadata : { ...attachment, born: session.createdAt };
  const draft = draftOf(record);
  set(draft, {
    metadata: { ...named, usedAt: core.now() },
    sweepAt: nextVisit(record.createdAt, core.now()),
  });
  return changeOf(draft);
}

/** Bytes that were uploaded: in a log, or in an object of the attachment store. */
export interface ArrivedBytes extends ArrivedLogs {
  /** The id of the object; then the logs are empty. */
  readonly object?: string;
}

/** A new content with these bytes. */
export function newContent(
  core: Core,
  { tenant, hash, length }: { readonly tenant: string; readonly hash: string; readonly length: number },
  bytes: ArrivedBytes,
): Change {
  return withBytes(newRecord(core, contentKey(tenant, hash), { user: null, metadata: { length } }), length, bytes);
}

/** The change that gives a content these bytes, in place of those that it has. */
export function withBytes(draft: Draft, length: number, { logs, staged, object }: ArrivedBytes): Change {
  if (object !== undefined) {
    // Entries of its own are deleted.
    if (draft.base.version > 0 && draft.base.user === null) splice(draft, bytesLog, 1, []);
    inObject(draft, object, length);
    return changeOf(draft);
  }
  set(draft, { user: null, heads: staged?.heads ?? {} });
  if (staged === undefined) {
    splice(draft, bytesLog, 1, logs.get(bytesLog) ?? []);
    return changeOf(draft);
  }
  markLogs(draft, [bytesLog]);
  return { ...changeOf(draft), logsOf: staged.key };
}

/** A content whose bytes are this object: its log has the pieces, and no entries of its own. */
export function inObject(draft: Draft, object: string, length: number): void {
  set(draft, { user: object, heads: { [bytesLog]: piecesOf(length) } });
  markLogs(draft, [bytesLog]);
}

/** The number of bytes of a content. */
export function lengthOfContent({ metadata }: SessionRecord): number {
  return (metadata as unknown as Pick<Attachment, "length">).length;
}

/** A record that never expires. Programs of earlier versions, which do not know it, only postpone the visits of the sweep. */
function newRecord(
  core: Core,
  key: SessionKey,
  { user, metadata }: { readonly user: string | null; readonly metadata: Metadata },
): Draft {
  const context = core.context();
  const session = { key, agent: "perdure", user, metadata, ttlMs: durationMaxMs, maxAgeMs: null, instructions: null };
  const draft = draftOfNew(session, undefined, context);
  set(draft, { sweepAt: nextVisit(context.now, context.now) });
  return draft;
}

/** The record, which the sweep visits next at this time. */
export function visitedAt(record: SessionRecord, sweepAt: number): Change {
  const draft = draftOf(record);
  set(draft, { sweepAt });
  return changeOf(draft);
}

/** True where a reference to the content exists, other than those with these ids. */
export async function isReferred(
  core: Core,
  tenant: string,
  hash: string,
  but: ReadonlySet<string> = new Set(),
): Promise<boolean> {
  const { references } = attachmentScopes(tenant);
  for await (const { id } of sessionsBeginningWith(core, references, `${hash}.`)) if (!but.has(id)) return true;
  return false;
}
