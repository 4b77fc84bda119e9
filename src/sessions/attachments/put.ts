/** Puts attachments, and notes that an entry of their session names them. */
import { bytesLog, isHash, type Attachment } from "../../domain/attachments/attachment.ts";
import { draftOf, unchanged, type Change } from "../../domain/record/change.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import { touchSession } from "../../domain/record/lifecycle.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { nextState } from "../../domain/record/states.ts";
import { hashesNamedIn, mayRefer, referencesIn } from "../../domain/attachments/reference-url.ts";
import type { Message } from "../../domain/turns/turn.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";
import { ArrivingLogs } from "../core/staged-logs.ts";
import type { WritableSession } from "../core/writable-session.ts";
import { ArrivingObject, objectOf, objectRemoval } from "./objects.ts";
import { dataOfPiece, piecesIn } from "./pieces.ts";
import {
  contentKey,
  countChange,
  countKey,
  lengthOfContent,
  newContent,
  newReference,
  referenceKey,
  referenceOf,
  usedReference,
  withBytes,
  type ArrivedBytes,
  type Reference,
  type Referrer,
} from "./records.ts";
import { countReferences, isDamaged, referencePages } from "./list.ts";

/** A use of an attachment is noted again after this time. */
export const usedAgainMs = 3_600_000;

/** What a caller says of an attachment. */
export type AttachmentFacts = Pick<Attachment, "type" | "name">;

/**
 * Put bytes as an attachment of a session, in one commit with a touch of the session: a session that is removed meanwhile gets none.
 * Large ones are staged in bounded commits before.
 * @throws SessionError `attachment_too_large`, `attachments_exceeded`, or that of the session's state; then nothing was put
 */
export async function putAttachment(
  view: WritableSession,
  core: Core,
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  facts: AttachmentFacts,
): Promise<Attachment> {
  const { record } = await view.peek();
  nextState(record, "use", core.now());
  await using uploading = new Uploading(core, record);
  const { bytes, ...about } = await uploading.read(source);
  const attachment = { ...about, ...facts };
  let put: Put | undefined;
  const beside = async (): Promise<readonly Change[]> => {
    put = await changesOf(core, view.record, { attachment, bytes });
    return put.isNew ? [...put.changes, await countedChange(core, view.record)] : put.changes;
  };
  await view.write((draft, context) => touchSession(draft.record, context), { beside });
  if (put?.takesBytes === true) uploading.taken();
  return put?.attachment ?? attachment;
}

/** Put bytes for a session that may not exist yet. @throws SessionError `attachment_too_large` */
export async function putBytes(
  core: Core,
  session: Referrer & Pick<SessionRecord, "user">,
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  facts: AttachmentFacts,
): Promise<void> {
  await using uploading = new Uploading(core, session);
  const { bytes, ...about } = await uploading.read(source);
  const attachment = { ...about, ...facts };
  await retryOnConflict({ sessionId: session.id, tenant: session.tenant }, async () => {
    const { changes, takesBytes } = await changesOf(core, session, { attachment, bytes });
    if ((await core.commit(changes)).status !== "ok") return undefined;
    if (takesBytes) uploading.taken();
    return true;
  });
}

/** Bytes that were read to their end. */
interface Uploaded extends Pick<Attachment, "hash" | "length"> {
  readonly bytes: ArrivedBytes;
}

/** An upload: into the attachment store where there is one, else into the log of a content. */
class Uploading implements AsyncDisposable {
  readonly #core: Core;
  readonly #session: SessionKey & Pick<SessionRecord, "user">;
  #arriving: ArrivingLogs | ArrivingObject | undefined;

  constructor(core: Core, session: SessionKey & Pick<SessionRecord, "user">) {
    this.#core = core;
    this.#session = session;
  }

  /** @throws SessionError `attachment_too_large`, `attachment_store_failed`, and what the source throws */
  async read(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Uploaded> {
    await this.#core.learnTime();
    const pieces = piecesIn(source);
    const first = await pieces.next();
    // Without a byte there is nothing to store.
    if (this.#core.options.attachmentStore === undefined || first.done === true)
      return await this.#readToLog(pieces, first);
    return await this.#readToObject(pieces, first);
  }

  async #readToLog(pieces: Pieces, first: Piece): Promise<Uploaded> {
    const core = this.#core;
    const arriving = new ArrivingLogs(core, this.#session, this.#session.user);
    this.#arriving = arriving;
    let length = 0;
    let next = first;
    for (let seq = 1; next.done !== true; seq++) {
      length += next.value.length;
      await this.#guardLength(pieces, length);
      await arriving.add(bytesLog, { seq, key: null, at: core.now(), data: dataOfPiece(next.value) });
      next = await pieces.next();
    }
    return { ...next.value, bytes: await arriving.arrived() };
  }

  async #readToObject(pieces: Pieces, first: Piece): Promise<Uploaded> {
    const arriving = await ArrivingObject.begin(this.#core, this.#session.tenant);
    this.#arriving = arriving;
    let about: Pick<Attachment, "hash" | "length"> | undefined;
    const bounded = async function* (this: Uploading): AsyncGenerator<Uint8Array, void, undefined> {
      let length = 0;
      let next = first;
      while (next.done !== true) {
        length += next.value.length;
        await this.#guardLength(pieces, length);
        yield next.value;
        next = await pieces.next();
      }
      about = next.value;
    };
    await arriving.put(bounded.call(this));
    if (about === undefined) throw new SessionError("attachment_store_failed", { problem: "failed" });
    arriving.arrived(about.hash);
    const bytes = { logs: new Map(), staged: undefined, beside: [arriving.removal], object: arriving.id };
    return { ...about, bytes };
  }

  async #guardLength(pieces: Pieces, length: number): Promise<void> {
    const { attachmentBytesMax: bytesMax } = this.#core.options.limits;
    if (length <= bytesMax) return;
    await pieces.return({ hash: "", length });
    const { id: sessionId, tenant } = this.#session;
    throw new SessionError("attachment_too_large", { sessionId, tenant, bytesMax });
  }

  /** A content took the bytes over. */
  taken(): void {
    this.#arriving?.taken();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#arriving?.[Symbol.asyncDispose]();
  }
}

type Pieces = ReturnType<typeof piecesIn>;
type Piece = Awaited<ReturnType<Pieces["next"]>>;

/** The changes that put an attachment. */
interface Put {
  readonly attachment: Attachment;
  readonly changes: readonly Change[];
  /** The session has no reference to it yet. */
  readonly isNew: boolean;
  /** The content takes the arrived bytes: it is new, or has lost its own. */
  readonly takesBytes: boolean;
}

async function changesOf(
  core: Core,
  session: Referrer,
  { attachment, bytes }: { readonly attachment: Attachment; readonly bytes: ArrivedBytes },
): Promise<Put> {
  const { tenant } = session;
  const [reference, content] = await core.findAll([
    referenceKey(session, attachment.hash),
    contentKey(tenant, attachment.hash),
  ]);
  const known = reference && referenceOf(reference);
  const isNew = known?.isDetached !== false;
  const referring =
    reference === undefined
      ? newReference(core, session, attachment)
      : usedReference(core, reference, isNew ? attachment : undefined);
  // The content is part of the commit, so that it is not removed with its last other reference meanwhile.
  const lost = content !== undefined && (await isLost(core, session, { attachment, content })) ? content : undefined;
  const takesBytes = content === undefined || lost !== undefined;
  const changes = !takesBytes
    ? [unchanged(content), referring]
    : lost === undefined
      ? [newContent(core, { ...attachment, tenant }, bytes), referring, ...bytes.beside]
      : [...replacedBytes(core, lost, bytes), referring, ...bytes.beside];
  return {
    attachment: known === undefined || isNew ? attachment : known.attachment,
    changes,
    isNew: reference === undefined,
    takesBytes,
  };
}

/** True for a content whose bytes are missing or damaged, as far as this process can read them. */
async function isLost(
  core: Core,
  session: Referrer,
  { attachment, content }: { readonly attachment: Attachment; readonly content: SessionRecord },
): Promise<boolean> {
  const isElsewhere = objectOf(content) !== undefined && core.options.attachmentStore === undefined;
  return !isElsewhere && (await isDamaged(core, session, attachment));
}

/** The changes that give a content the uploaded bytes in the place of those that are missing or damaged. */
function replacedBytes(core: Core, content: SessionRecord, bytes: ArrivedBytes): readonly Change[] {
  return [withBytes(draftOf(content), lengthOfContent(content), bytes), ...objectRemoval(core, content)];
}

/** The change that holds the limit for a commit with a new reference. @throws SessionError `attachments_exceeded` */
async function countedChange(core: Core, session: SessionRecord): Promise<Change> {
  const [found] = await core.findAll([countKey(session)]);
  const { attachmentsMax } = core.options.limits;
  const attachments = await countReferences(core, session);
  if (attachments < attachmentsMax) return countChange(core, session, found);
  throw new SessionError("attachments_exceeded", { ...sessionIds(session), attachments, attachmentsMax });
}

/**
 * Note that an entry of the session is about to name these attachments: the sweep leaves them for a week at least.
 * @throws SessionError `attachment_not_found` for one that the session does not have
 */
export async function useAttachments(core: Core, session: Referrer, hashes: ReadonlySet<string>): Promise<void> {
  const ids = { sessionId: session.id, tenant: session.tenant };
  for (const hash of hashes)
    await retryOnConflict(ids, async () => {
      const found = isHash(hash) ? (await core.find(referenceKey(session, hash)))?.record : undefined;
      if (found === undefined || referenceOf(found).isDetached)
        throw new SessionError("attachment_not_found", { ...ids, hash });
      if (core.now() - referenceOf(found).usedAt < usedAgainMs) return true;
      return (await core.commit([usedReference(core, found)])).status === "ok" ? true : undefined;
    });
}

/** A session as its writers know it. */
interface Known {
  readonly core: Core;
  readonly record: SessionRecord;
}

/**
 * As {@link useAttachments}, for the references in messages that are about to be written; undefined where they have none. The fallback
 * has no attachments, and the replay of its turns checks no reference: the sweep leaves an upload without a turn for a week.
 */
export function useReferences(
  { core, record }: Known,
  ...lists: readonly (readonly Message[])[]
): Promise<void> | undefined {
  if (core.isFallback || !lists.some(mayRefer)) return undefined;
  const references = lists.flatMap(referencesIn);
  if (references.length === 0) return undefined;
  return useAttachments(core, record, new Set(references.map(({ hash }) => hash)));
}

/** Note that entries of named logs are about to name attachments. A text that names none of the session is written all the same. */
export function useNamed(known: Known, entries: readonly { readonly data: string }[]): Promise<void> | undefined {
  const hashes = new Set(entries.flatMap(({ data }) => hashesNamedIn(data)));
  return hashes.size === 0 || known.core.isFallback ? undefined : useThose(known, hashes);
}

async function useThose({ core, record }: Known, hashes: ReadonlySet<string>): Promise<void> {
  for (const hash of hashes)
    await useAttachments(core, record, new Set([hash])).catch((error: unknown) => {
      if (!hasCode(error, "attachment_not_found")) throw error;
    });
}

/** Give another session references to all attachments of a session, before it gets entries that name them. */
export async function shareAttachments(core: Core, from: Referrer, to: Referrer): Promise<void> {
  for await (const page of referencePages(core, from))
    for (const reference of page.map(referenceOf)) await shareOne(core, reference, to);
}

async function shareOne(core: Core, { attachment, isDetached }: Reference, to: Referrer): Promise<void> {
  await retryOnConflict({ sessionId: to.id, tenant: to.tenant }, async () => {
    const keys = [referenceKey(to, attachment.hash), contentKey(to.tenant, attachment.hash)];
    const [reference, content] = await core.findAll(keys);
    // Removed with the session that it is shared from.
    if (content === undefined) return true;
    const isPut = reference !== undefined && referenceOf(reference).isDetached && !isDetached;
    const referring =
      reference === undefined
        ? newReference(core, to, attachment, { isDetached })
        : usedReference(core, reference, isPut ? attachment : undefined);
    return (await core.commit([unchanged(content), referring])).status === "ok" ? true : undefined;
  });
}
