/** Lists and opens the attachments of a session. */
import {
  attachmentScopes,
  bytesLog,
  isHash,
  pieceBytes,
  type Attachment,
} from "../../domain/attachments/attachment.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { eachPage } from "../../domain/values/pages.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { recordPages } from "../core/record-pages.ts";
import { nodeCrypto } from "../../node-crypto.ts";
import { attachmentStoreOf, calling, objectName, objectOf } from "./objects.ts";
import { pieceOf } from "./pieces.ts";
import { contentKey, lengthOfContent, referenceKey, referenceOf, type Referrer } from "./records.ts";

/** The pieces that are read at once. */
const piecesAtOnce = 4;

/** The references of a session, page by page; the caller may remove them meanwhile. */
export async function* referencePages(
  core: Core,
  { tenant, id, createdAt }: Referrer,
): AsyncGenerator<readonly SessionRecord[]> {
  for await (const page of recordPages(core, attachmentScopes(tenant).references, id))
    yield page.filter((record) => referenceOf(record).session.createdAt === createdAt);
}

/** The number of references of a session, those of earlier sessions with its id included. */
export async function countReferences(core: Core, { tenant, id }: Referrer): Promise<number> {
  return await core.store.count({ tenant: attachmentScopes(tenant).references, user: id, now: core.now() });
}

/** The attachments of a session that callers put, by their hash. */
export async function attachmentsOf(core: Core, session: Referrer): Promise<readonly Attachment[]> {
  const found: Attachment[] = [];
  for await (const page of referencePages(core, session))
    for (const { attachment, isDetached } of page.map(referenceOf)) if (!isDetached) found.push(attachment);
  return found.sort((a, b) => (a.hash < b.hash ? -1 : 1));
}

/** What a tenant has beside its messages: attachments, and data inside messages that the store has beside them. */
export interface AttachmentSums {
  /** Each content counts once, however many sessions have it. */
  readonly count: number;
  /** The bytes of the files; the store has a third more. */
  readonly bytes: number;
}

/** The contents of a tenant, page by page. */
export async function attachmentSums(core: Core, tenant: string): Promise<AttachmentSums> {
  const { contents } = attachmentScopes(tenant);
  const sums = { count: 0, bytes: 0 };
  const query = { order: "key", tenant: contents, now: 0, limit: core.options.limits.pageMax } as const;
  for await (const { records } of eachPage((after) => core.store.find({ ...query, ...after })))
    for (const record of records) {
      sums.count++;
      sums.bytes += lengthOfContent(record);
    }
  return sums;
}

/** An attachment of a session. @throws SessionError `attachment_not_found` */
export async function findAttachment(core: Core, session: Referrer, hash: string): Promise<Attachment> {
  const found = isHash(hash) ? (await core.find(referenceKey(session, hash)))?.record : undefined;
  const reference = found && referenceOf(found);
  if (reference?.isDetached === false) return reference.attachment;
  throw new SessionError("attachment_not_found", { sessionId: session.id, tenant: session.tenant, hash });
}

/** Bytes `from` to `to` of an attachment, bounds included, a few pieces in memory at a time. */
export interface ByteSpan {
  readonly from: number;
  readonly to: number;
}

/**
 * The bytes of an attachment that the session has. All bytes together are compared with their hash before the last of them is given.
 * @throws SessionError `store_invalid` where bytes are missing, or are not those that were put; `attachment_not_found` where it was
 *   removed meanwhile, `attachment_store_failed`
 */
export async function* bytesOf(
  core: Core,
  session: Referrer,
  attachment: Attachment,
  { from = 0, to = attachment.length - 1 }: Partial<ByteSpan> = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const of = { session, attachment };
  const bytes = storedBytes(core, of, { from, to });
  yield* from === 0 && to === attachment.length - 1 ? checkedBytes(of, bytes) : bytes;
}

/** True where bytes of a content are missing, or are not those that were put. It reads all of them. @throws SessionError `attachment_store_failed` */
export async function isDamaged(core: Core, session: Referrer, attachment: Attachment): Promise<boolean> {
  try {
    for await (const _ of bytesOf(core, session, attachment));
    return false;
  } catch (error) {
    // Without a reference of the session, missing bytes are not found.
    if (hasCode(error, "store_invalid") || hasCode(error, "attachment_not_found")) return true;
    throw error;
  }
}

/** The bytes, one piece late: a reader that has got the last one has the bytes that were put. */
async function* checkedBytes(
  of: Opened,
  bytes: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = nodeCrypto().createHash("sha256");
  let last: Uint8Array | undefined;
  for await (const piece of bytes) {
    hash.update(piece);
    if (last !== undefined) yield last;
    last = piece;
  }
  if (hash.digest("hex") !== of.attachment.hash) throw damaged(of);
  if (last !== undefined) yield last;
}

async function* storedBytes(
  core: Core,
  of: Opened,
  { from, to }: ByteSpan,
): AsyncGenerator<Uint8Array, void, undefined> {
  let begin = from;
  // One request for all bytes, where the attachment store has them. What that leaves is read piece by piece.
  if (core.options.attachmentStore !== undefined && from <= to)
    for await (const bytes of bytesOfObject(core, of, { from, to })) {
      begin += bytes.length;
      yield bytes;
    }
  yield* bytesOfPieces(core, of, { from: begin, to });
}

interface Opened {
  readonly session: Referrer;
  readonly attachment: Attachment;
}

/** The bytes of an object, as far as it has them; none for a content that the store of sessions has. */
async function* bytesOfObject(
  core: Core,
  { session: { tenant }, attachment: { hash } }: Opened,
  { from, to }: ByteSpan,
): AsyncGenerator<Uint8Array, void, undefined> {
  const content = (await core.find(contentKey(tenant, hash)))?.record;
  const id = content && objectOf(content);
  if (id === undefined) return;
  const opened = await calling(() => attachmentStoreOf(core).get(objectName(tenant, id), { from, to }));
  if (opened == null) return;
  let left = to - from + 1;
  const pieces = await calling(async () => opened[Symbol.asyncIterator]());
  try {
    for (;;) {
      const next = await calling(() => pieces.next());
      if (next.done === true || next.value.length > left) return;
      left -= next.value.length;
      yield next.value;
    }
  } finally {
    await pieces.return?.();
  }
}

async function* bytesOfPieces(
  core: Core,
  of: Opened,
  { from, to }: ByteSpan,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { session, attachment } = of;
  const { hash, length } = attachment;
  const key = contentKey(session.tenant, hash);
  const last = Math.floor(to / pieceBytes) + 1;
  for (let seq = Math.floor(from / pieceBytes) + 1; seq <= last && from <= to;) {
    const limit = Math.min(piecesAtOnce, last - seq + 1);
    const range = { log: bytesLog, from: seq, to: last, order: "ascending", limit } as const;
    const page = await core.store.read(key, range);
    for (const entry of page) {
      const piece = pieceOf(entry.data);
      const begin = (entry.seq - 1) * pieceBytes;
      if (entry.seq !== seq || piece.length !== Math.min(pieceBytes, length - begin)) throw damaged(of);
      yield piece.subarray(Math.max(0, from - begin), Math.min(piece.length, to - begin + 1));
      seq++;
    }
    if (page.length > 0) continue;
    if ((await core.find(referenceKey(session, hash))) === undefined)
      throw new SessionError("attachment_not_found", { sessionId: session.id, tenant: session.tenant, hash });
    throw damaged(of);
  }
}

function damaged({ session: { id: sessionId, tenant }, attachment: { hash } }: Opened): SessionError {
  return new SessionError("store_invalid", { sessionId, tenant, problem: "attachment_damaged", key: hash });
}
