/** Moves the bytes of contents from the store of sessions to its attachment store, and back. */
import { createHash } from "node:crypto";
import {
  attachmentScopes,
  bytesLog,
  isContentScope,
  isObjectScope,
  markerScope,
} from "../../domain/attachments/attachment.ts";
import { changeOf, draftOf, type Change } from "../../domain/record/change.ts";
import { removeSession } from "../../domain/record/lifecycle.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { tenantOfScope } from "../../domain/values/internal-scope.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { eachEntry } from "../core/log-reader.ts";
import { readablePages, sessionsBeginningWith } from "../core/record-pages.ts";
import { ArrivingLogs, StagedLogs } from "../core/staged-logs.ts";
import { parseOneOf } from "../options/arguments.ts";
import { errorOfContent } from "./carried.ts";
import { ArrivingObject, attachmentStoreOf, calling, objectOf, objectRemoval } from "./objects.ts";
import { openedAttachmentStore } from "./marked-store.ts";
import { pieceOf } from "./pieces.ts";
import { inObject, lengthOfContent, withBytes } from "./records.ts";

/** Where attachments go, and when to stop. */
export interface MoveAttachmentsOptions {
  /** The store of sessions, or the attachment store of the option `attachments.in`. */
  readonly to: "sessions" | "attachments";
  /** Attachments that were moved by then stay there. */
  readonly signal?: AbortSignal;
}

const optionNames: OptionNames<MoveAttachmentsOptions> = { to: true, signal: true };

/** What was moved. */
export interface MoveAttachmentsReport {
  readonly moved: number;
  readonly bytes: number;
  /** Attachments that were already there. */
  readonly present: number;
  /** False where the signal stopped it, or where an attachment changed at each attempt to move it: then repeat it. */
  readonly complete: boolean;
}

const attemptsMax = 5;

/**
 * Move the contents of a tenant.
 * @throws SessionError `attachment_store_failed`, and the store's; `store_invalid` for the first content with damaged bytes, once all
 *   others are moved
 */
export async function moveContents(
  core: Core,
  tenant: string,
  options: MoveAttachmentsOptions,
): Promise<MoveAttachmentsReport> {
  guardNames(options, "options", optionNames);
  const to = parseOneOf(options.to, "to", ["sessions", "attachments"]);
  const store = attachmentStoreOf(core);
  await core.learnTime();
  await calling(() => store.verify());
  const report = { moved: 0, bytes: 0, present: 0, complete: true };
  let failure: SessionError | undefined;
  const query = { order: "key", tenant: attachmentScopes(tenant).contents, now: 0, limit: 50 } as const;
  for await (const page of readablePages(core, query))
    for (const record of page) {
      if (options.signal?.aborted === true) return { ...report, complete: false };
      const moved = await moveContent(core, record, to).catch((error: unknown) => damageOf(record, error));
      if (moved instanceof SessionError) failure ??= moved;
      else if (moved === "present") report.present++;
      else if (moved === "moved") {
        report.moved++;
        report.bytes += lengthOfContent(record);
      } else report.complete &&= moved === "removed";
    }
  if (failure !== undefined) throw failure;
  return report;
}

/** The error for a content whose bytes cannot be read whole. @throws every other error */
function damageOf(content: SessionRecord, error: unknown): SessionError {
  if (hasCode(error, "store_invalid")) return errorOfContent(content, error);
  throw error;
}

type Moved = "moved" | "present" | "removed" | "contended";

async function moveContent(core: Core, first: SessionRecord, to: MoveAttachmentsOptions["to"]): Promise<Moved> {
  let record: SessionRecord | undefined = first;
  for (let attempt = 1; attempt <= attemptsMax && record !== undefined; attempt++) {
    const isObject = objectOf(record) !== undefined;
    if (isObject === (to === "attachments") || lengthOfContent(record) === 0) return "present";
    const isDone = isObject ? await moveToLog(core, record) : await moveToObject(core, record);
    if (isDone) return "moved";
    record = (await core.find(record))?.record;
  }
  return record === undefined ? "removed" : "contended";
}

async function moveToObject(core: Core, record: SessionRecord): Promise<boolean> {
  await using arriving = await ArrivingObject.begin(core, tenantOfScope(record.tenant));
  await arriving.put(checkedBytes(core, record));
  arriving.arrived(record.id);
  // The log of staged logs without entries takes the place of the log, whose entries are deleted in bounded steps.
  const empty = await StagedLogs.begin(core, record, null);
  const draft = draftOf(record);
  inObject(draft, arriving.id, lengthOfContent(record));
  const change = { ...changeOf(draft), logsOf: empty.staged.key };
  const outcome = await core.commit([change, arriving.removal, empty.removal]);
  if (outcome.status !== "ok") {
    await empty.discard();
    return false;
  }
  arriving.taken();
  return true;
}

async function* checkedBytes(core: Core, record: SessionRecord): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = createHash("sha256");
  for await (const { data } of eachEntry(core, record, bytesLog)) {
    const piece = pieceOf(data);
    hash.update(piece);
    yield piece;
  }
  guardHash(record, hash.digest("hex"));
}

/** @throws SessionError `store_invalid` */
function guardHash({ id, tenant }: SessionRecord, hash: string): void {
  if (hash === id) return;
  const details = { sessionId: id, tenant: tenantOfScope(tenant), problem: "entries_missing", log: bytesLog } as const;
  throw new SessionError("store_invalid", details);
}

/** `leaves`: the object stays, which belongs to another store. */
async function moveToLog(core: Core, record: SessionRecord, { leaves = false } = {}): Promise<boolean> {
  await using arriving = new ArrivingLogs(core, record, null);
  const hash = createHash("sha256");
  for await (const entry of eachEntry(core, record, bytesLog)) {
    hash.update(pieceOf(entry.data));
    await arriving.add(bytesLog, entry);
  }
  if ((await core.find(record))?.record.version !== record.version) return false;
  guardHash(record, hash.digest("hex"));
  const bytes = await arriving.arrived();
  const change = withBytes(draftOf(record), lengthOfContent(record), bytes);
  const objects = leaves ? [] : objectRemoval(core, record);
  if ((await core.commit([change, ...bytes.beside, ...objects])).status !== "ok") return false;
  arriving.taken();
  return true;
}

/**
 * Give a copy of a store the bytes of all its contents, for which it names objects of the original. No process uses the copy, and it
 * reads what programs move meanwhile from the original.
 * @throws SessionError `attachment_store_failed`; `store_invalid` for an object that is missing, without `onSkipped`
 */
export async function takeObjects(
  copy: Core,
  original: Core,
  onSkipped?: (session: SessionKey, error: SessionError) => void,
): Promise<void> {
  await copy.learnTime();
  // The copy loses its marker first.
  await openedAttachmentStore(copy)?.verify();
  for await (const page of readablePages(copy, { order: "key", now: 0, limit: 50 }))
    for (const record of page) {
      // These objects are being written or deleted by the original, and the copy has no attachment store.
      if (isObjectScope(record.tenant) || record.tenant === markerScope) await copy.commit([removeSession(record)]);
      else if (isContentScope(record.tenant) && objectOf(record) !== undefined) {
        const error = await takeObject(copy, record);
        if (error === undefined) continue;
        if ((await original.find(record)) !== undefined) {
          if (onSkipped === undefined) throw error;
          onSkipped({ tenant: record.tenant, id: record.id }, error);
        }
        await removeFromCopy(copy, record);
      }
    }
  await copy.instance.leave();
}

/** The error of a content whose bytes are removed, lost or damaged. */
async function takeObject(copy: Core, record: SessionRecord): Promise<SessionError | undefined> {
  try {
    await moveToLog(copy, record, { leaves: true });
    return undefined;
  } catch (error) {
    return damageOf(record, error);
  }
}

/** Without its bytes the content goes, and so do the references to it. */
async function removeFromCopy(copy: Core, content: SessionRecord): Promise<void> {
  const { references } = attachmentScopes(tenantOfScope(content.tenant));
  const removed: Change[] = [removeSession(content)];
  for await (const record of sessionsBeginningWith(copy, references, `${content.id}.`))
    removed.push(removeSession(record));
  for (const change of removed) await copy.commit([change]);
}
