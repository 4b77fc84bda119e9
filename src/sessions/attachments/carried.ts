/**
 * Attachments in a snapshot: a log that no store has. For each attachment it has an entry that describes it, and then one entry for
 * each piece of its bytes, in base64.
 */
import { attachmentsLog, bytesLog, isContentScope, type Attachment } from "../../domain/attachments/attachment.ts";
import type { Entry, SessionKey } from "../../domain/record/entry.ts";
import type { PortableRecord } from "../../domain/copies/snapshot.ts";
import { defined } from "../../domain/values/defined.ts";
import { decode, encode } from "../../domain/values/codec.ts";
import { tenantOfScope } from "../../domain/values/internal-scope.ts";
import { hasCode, SessionError } from "../../errors.ts";
import { nodeCrypto } from "../../node-crypto.ts";
import type { Core } from "../core/core.ts";
import type { LoggedEntry, SessionSource } from "../snapshots/session-source.ts";
import { attachmentsOf, bytesOf } from "./list.ts";
import { dataOfPiece, pieceOf, piecesIn } from "./pieces.ts";
import { putBytes } from "./put.ts";
import type { Referrer } from "./records.ts";

/**
 * The source with the attachments of its session, for a document that leaves the store.
 * @throws SessionError `snapshot_too_large`
 */
export async function withAttachments<Source extends SessionSource>(
  core: Core,
  { tenant, id }: SessionKey,
  source: Source,
): Promise<Source> {
  const session = { tenant, id, createdAt: source.record.createdAt };
  const attachments = await attachmentsOf(core, session);
  if (attachments.length === 0) return source;
  const { snapshotBytesMax: bytesMax } = core.options.limits;
  const bytes = attachments.reduce((sum, { length }) => sum + Math.ceil(length / 3) * 4, 0);
  if (bytes > bytesMax) throw new SessionError("snapshot_too_large", { sessionId: id, bytes, bytesMax });
  const entries = async function* (): AsyncGenerator<LoggedEntry, void, undefined> {
    let seq = 0;
    const entry = (data: string): LoggedEntry => ({
      log: attachmentsLog,
      entry: { seq: ++seq, key: null, at: session.createdAt, data },
    });
    for (const attachment of attachments) {
      yield entry(encode(attachment));
      // An attachment store gives pieces of other sizes than those of a snapshot.
      for await (const piece of piecesIn(bytesOf(core, session, attachment))) yield entry(dataOfPiece(piece));
    }
    yield* source.entries();
  };
  return { ...source, inMemory: undefined, entries };
}

/** The error of a content that cannot be read whole, as one of the attachment that a caller knows; every other error as it is. */
export function errorOfContent<Failure>({ tenant, id }: SessionKey, error: Failure): Failure | SessionError {
  if (!isContentScope(tenant) || !hasCode(error, "store_invalid")) return error;
  const details = { tenant: tenantOfScope(tenant), problem: "attachment_damaged", key: id } as const;
  return new SessionError("store_invalid", details, { cause: error });
}

/** A content whose entries are compared with its hash. @throws SessionError `store_invalid`, at the end of the entries */
export function checkedContent<Source extends SessionSource>(source: Source, tenant: string): Source {
  const { id } = source.record;
  const entries = async function* (): AsyncGenerator<LoggedEntry, void, undefined> {
    const hash = nodeCrypto().createHash("sha256");
    for await (const logged of source.entries()) {
      if (logged.log === bytesLog) hash.update(pieceOf(logged.entry.data));
      yield logged;
    }
    if (hash.digest("hex") === id) return;
    throw new SessionError("store_invalid", { tenant, problem: "attachment_damaged", key: id });
  };
  return { ...source, entries };
}

/**
 * The entries of a source but its attachments, which are put for the session on the way. `seen` gets all entries, `put` the hashes.
 * @throws SessionError `attachment_too_large`
 */
export async function* takingAttachments(
  core: Core,
  key: SessionKey,
  { record, entries }: SessionSource,
  seen: (entry: LoggedEntry) => void,
  put: Set<string>,
): AsyncGenerator<LoggedEntry, void, undefined> {
  const source = entries();
  try {
    for (let next = await source.next(); next.done !== true; next = await source.next()) {
      seen(next.value);
      if (next.value.log === attachmentsLog)
        put.add(await putCarried(core, key, { record, first: next.value.entry, source, seen }));
      else yield next.value;
    }
  } finally {
    await source.return();
  }
}

interface Carried {
  readonly record: PortableRecord;
  readonly first: Entry;
  readonly source: AsyncGenerator<LoggedEntry, void, undefined>;
  readonly seen: (entry: LoggedEntry) => void;
}

async function putCarried(core: Core, key: SessionKey, { record, first, source, seen }: Carried): Promise<string> {
  const { hash, type, length, name } = decode(first.data) as unknown as Attachment;
  const pieces = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    for (let left = length; left > 0;) {
      const next = await source.next();
      if (next.done === true) return;
      seen(next.value);
      const piece = pieceOf(next.value.entry.data);
      left -= piece.length;
      yield piece;
    }
  };
  const session: Referrer & Pick<PortableRecord, "user"> = { ...key, createdAt: record.createdAt, user: record.user };
  await putBytes(core, session, pieces(), { type, ...defined({ name }) });
  return hash;
}
