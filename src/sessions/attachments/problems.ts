/** The doctor's check of contents and of references to them. */
import { createHash } from "node:crypto";
import { bytesLog, graceMs, isContentScope, isReferenceScope } from "../../domain/attachments/attachment.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { dataIn } from "../../domain/attachments/detached-data.ts";
import { hasTurns, piecesOf } from "../../domain/branches/segments.ts";
import { tenantOfScope } from "../../domain/values/internal-scope.ts";
import type { Core } from "../core/core.ts";
import { eachEntry } from "../core/log-reader.ts";
import type { LogName } from "../../domain/record/entry.ts";
import { isWritten } from "../../store/calls/stored-form.ts";
import { pieceOf } from "./pieces.ts";
import { contentKey, isReferred, lengthOfContent, referenceOf } from "./records.ts";

/** Data inside messages and named logs, in entries. */
export interface InlineData {
  /** The texts that are such data. */
  readonly count: number;
  /** The bytes of the data; the entries have a third more. */
  readonly bytes: number;
}

/** Data of more bytes counts. */
const inlineBytesMax = 64 * 1024;
const entriesAtOnce = 20;

/** True where the entry of a log may have data that counts. */
export function mayHaveInlineData(log: LogName, data: string): boolean {
  return data.length > inlineBytesMax && isWritten(log);
}

/** The data in a session's own entries, as they are stored; without archived ones, and those of a parent. */
export async function inlineDataOf(core: Core, record: SessionRecord): Promise<InlineData> {
  const sums = { count: 0, bytes: 0 };
  const named = Object.keys(record.heads).filter(isWritten);
  const logs = named.flatMap((log) => (hasTurns(log) ? piecesOf(record, log).map((piece) => piece.log) : [log]));
  for (const log of new Set(logs))
    for (let from = 1; ;) {
      const range = { log, from, to: Number.MAX_SAFE_INTEGER, order: "ascending", limit: entriesAtOnce } as const;
      const page = await core.asStored.store.read(record, range);
      for (const { data } of page)
        for (const { bytes } of dataIn(data, inlineBytesMax)) {
          sums.count++;
          sums.bytes += bytes.length;
        }
      if (page.length < entriesAtOnce) break;
      from = (page.at(-1)?.seq ?? from) + 1;
    }
  return sums;
}

/** The problems of a record: a reference without its content, a content with other bytes, or one that no session has. */
export async function attachmentProblems(core: Core, record: SessionRecord): Promise<readonly string[]> {
  if (isReferenceScope(record.tenant)) return await referenceProblems(core, record);
  return isContentScope(record.tenant) ? await contentProblems(core, record) : [];
}

async function referenceProblems(core: Core, record: SessionRecord): Promise<readonly string[]> {
  const { session, attachment } = referenceOf(record);
  const content = await core.find(contentKey(session.tenant, attachment.hash));
  // It may have been removed together with its content since it was listed.
  const isThere = content !== undefined || (await core.find(record)) === undefined;
  return isThere ? [] : [`the bytes of its attachment ${attachment.hash} are missing; a backup may have them`];
}

async function contentProblems(core: Core, record: SessionRecord): Promise<readonly string[]> {
  const hash = createHash("sha256");
  let length = 0;
  try {
    for await (const { data } of eachEntry(core, record, bytesLog)) {
      const piece = pieceOf(data);
      hash.update(piece);
      length += piece.length;
    }
  } catch {
    return [`the bytes of attachment ${record.id} cannot be read; a backup may have them`];
  }
  if ((await core.find(record)) === undefined) return [];
  if (length === 0 && lengthOfContent(record) > 0)
    return [`the bytes of attachment ${record.id} are missing; a backup may have them`];
  if (hash.digest("hex") !== record.id) return [`the bytes of attachment ${record.id} are not those that were put`];
  const isLeft =
    record.sweepAt < core.now() - graceMs && !(await isReferred(core, tenantOfScope(record.tenant), record.id));
  return isLeft ? [`no session has attachment ${record.id}; the next sweep removes it`] : [];
}
