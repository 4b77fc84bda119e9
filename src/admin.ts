/**
 * Functions for operators: each takes the `Sessions` object first, and imports its implementation when it is called.
 *
 * @module perdure/admin
 */
import { guardNames, type OptionNames } from "./domain/values/option-names.ts";
import { invalidArgument, invalidText, parseArray, parseFunction } from "./domain/values/invalid-argument.ts";
import { defined } from "./domain/values/defined.ts";
import { parseId } from "./domain/values/ids.ts";
import type { Page } from "./domain/values/pages.ts";
import { SessionError } from "./errors.ts";
import type { FilesOptions } from "./imports/file-items.ts";
import type { ReadFile } from "./imports/import-items.ts";
import type { CopyOptions, CopyReport } from "./sessions/transfer/copying.ts";
import type { DoctorReport, DoctorRequest } from "./sessions/doctor.ts";
import type { ErasureRequest } from "./sessions/erasure/erasure.ts";
import { isReceipt, type ErasureReceipt, type ErasureReceiptFormat1 } from "./sessions/erasure/erasure-receipt.ts";
import type { References } from "./sessions/erasure/references.ts";
import { guestOf, hashedText, type Erased, type Subject } from "./sessions/erasure/subject.ts";
import { guardSecret } from "./sessions/devices/secret-check.ts";
import type { MoveAttachmentsOptions, MoveAttachmentsReport } from "./sessions/attachments/moving.ts";
import { hostsOn, type HostInfo } from "./sessions/hosts.ts";
import { sweep as sweepTenant } from "./sessions/retention/sweep.ts";
import type { SweepReport, SweepRequest } from "./sessions/retention/sweep-run.ts";
import { coreOf, fallbackOf, type Sessions } from "./sessions/sessions.ts";
import { filterOf, selectionNames, type SessionSelection } from "./sessions/session/session-list.ts";
import type { Stats, StatsQuery } from "./sessions/stats.ts";
import { traceCall } from "./sessions/tracing/operation.ts";
import type { ImportItem, ImportOptions, ImportReport } from "./sessions/transfer/importing.ts";

export {
  backupStore,
  restoreStore,
  type BackupOptions,
  type BackupProgress,
  type BackupReport,
  type RestoreStoreOptions,
} from "./backup.ts";
export type {
  ConversationFormat,
  DocumentKind,
  FoundDocument,
  BranchOptions,
} from "./imports/conversations/conversation-format.ts";
export type { ReadFile } from "./imports/import-items.ts";
export type { Conversation, ConversationBranch, LeftOut, MessageFacts } from "./sessions/transfer/conversation.ts";
export type { RecordKinds } from "./domain/attachments/record-kinds.ts";
export type { CopyOptions, CopyProgress, CopyReport, ExtraDocuments } from "./sessions/transfer/copying.ts";
export type { ProblemKind } from "./domain/copies/session-check.ts";
export type { DoctorReport, DoctorRequest, Finding } from "./sessions/doctor.ts";
export type { InlineData } from "./sessions/attachments/problems.ts";
export type { ErasureRequest } from "./sessions/erasure/erasure.ts";
export type { ErasedCounts, ErasureReceipt, ErasureReceiptFormat1 } from "./sessions/erasure/erasure-receipt.ts";
export type { Erased } from "./sessions/erasure/subject.ts";
export type { DocumentReferences, References } from "./sessions/erasure/references.ts";
export type { SharedForks } from "./sessions/erasure/shared-forks.ts";
export type { HostInfo } from "./sessions/hosts.ts";
export type {
  ImportItem,
  ImportOptions,
  ImportReport,
  IncompleteItem,
  SkippedItem,
} from "./sessions/transfer/importing.ts";
export type { AttachmentSums } from "./sessions/attachments/list.ts";
export type { MoveAttachmentsOptions, MoveAttachmentsReport } from "./sessions/attachments/moving.ts";
export type { Stats, StatsDay, StatsGroup, StatsQuery } from "./sessions/stats.ts";
export type { StatsKind, UnreadableCounts } from "./store/stats.ts";
export type { Percentiles } from "./domain/values/percentiles.ts";
export type { SweepAction, SweepFailure, SweepReport, SweepRequest } from "./sessions/retention/sweep-run.ts";
export { removeSession } from "./sessions/remove-session.ts";
export { SnapshotDirectory, type SavedSnapshot, type SaveOptions } from "./files/snapshot-directory.ts";

const sweepNames: OptionNames<SweepRequest> = {
  rows: true,
  time: true,
  signal: true,
  retention: true,
  olderThan: true,
  eventRetention: true,
  dryRun: true,
};
const erasureNames: OptionNames<ErasureRequest> = { user: true, device: true, store: true, forks: true, signal: true };
const copyNames: OptionNames<CopyOptions> = { everything: true, signal: true, onProgress: true };
const exportNames: OptionNames<ExportQuery> = { ...selectionNames, after: true, onSkipped: true };
const importNames: OptionNames<ImportOptions> = {
  dryRun: true,
  onExists: true,
  agent: true,
  ttl: true,
  onProgress: true,
};
const importFilesNames: OptionNames<ImportFilesOptions> = {
  ...importNames,
  formats: true,
  format: true,
  branches: true,
};

/**
 * Run one bounded sweep over the sessions of the tenant: mark expired sessions, archive and remove by the retention
 * policies, delete old events. A long-lived process sweeps all tenants by itself; elsewhere call it from cron.
 * `sweep(sessions, { olderThan: "90d" })` removes all sessions that expired or ended more than 90 days ago.
 */
export async function sweep(sessions: Sessions, request: SweepRequest = {}): Promise<SweepReport> {
  guardNames(request, "request", sweepNames);
  return await sweepTenant(openCore(sessions), sessions.tenant, request);
}

/**
 * Check the whole store, all tenants: gaps in logs, counters that disagree with their logs, leases of dead instances,
 * entries without a session, damage. With `repair`, repair what needs no deletion. Sessions in use are skipped.
 */
export async function doctor(sessions: Sessions, request: DoctorRequest = {}): Promise<DoctorReport> {
  const core = openCore(sessions);
  const { examineStore } = await import("./sessions/doctor.ts");
  return await examineStore(core, request);
}

/**
 * Move the bytes of the tenant's attachments from the store of sessions to its attachment store, `attachments.in`, or back. Programs
 * read and write attachments meanwhile. An attachment that was moved stays where it is, so an aborted move can be repeated.
 * @throws SessionError `attachment_store_failed` without an attachment store or where its call failed, `store_invalid` for damaged bytes
 */
export async function moveAttachments(
  sessions: Sessions,
  options: MoveAttachmentsOptions,
): Promise<MoveAttachmentsReport> {
  const core = coreOf(sessions);
  core.guardOpen();
  const { moveContents } = await import("./sessions/attachments/moving.ts");
  return await moveContents(core, sessions.tenant, options);
}

/**
 * Count the sessions of the tenant by state, and sum up their turns by agent, user, model, day or hour. The store computes
 * the sums from one moment, while writers continue.
 * @throws SessionError `argument_invalid`
 */
export async function stats(sessions: Sessions, query: StatsQuery = {}): Promise<Stats> {
  const core = openCore(sessions);
  const { stats: statsOfTenant } = await import("./sessions/stats.ts");
  return await statsOfTenant(core, sessions.tenant, query);
}

/** The hosts of live sessions on this store, of all tenants, the latest heartbeat first: one page of at most 1000. */
export async function listHosts(sessions: Sessions): Promise<Page<HostInfo>> {
  return { items: await hostsOn(openCore(sessions)) };
}

/**
 * Erase a user, or a device that speaks for no user, in bounded batches: sessions with their turns, forks, archives and events, linked devices, and turns in the
 * outbox of this machine. Sessions under legal hold stay, and are counted. The next run resumes an interrupted erasure; a
 * run after a finished one returns the same receipt for 30 days, unless the user has new data. The last step scrubs the
 * files of the store.
 * @throws SessionError `secret_missing`, `contended`, `argument_invalid` without a user, and for a device that speaks for
 *   one, `id_invalid`, the store's; the reason of the signal
 */
export async function erase(sessions: Sessions, request: ErasureRequest): Promise<ErasureReceipt> {
  const core = coreOf(sessions);
  return await traceCall({ operation: "erase", tenant: sessions.tenant }, async () => {
    guardNames(request, "request", erasureNames);
    const { user, device } = request;
    core.guardOpen();
    await guardSecret(core);
    const { Erasure } = await import("./sessions/erasure/erasure.ts");
    const subject = await subjectOf(sessions, device === undefined ? user : { device, user });
    // The marks of what it wrote in a shared session land when the device leaves it.
    if (device !== undefined) await sessions.devices.unlink(device);
    return await new Erasure(subject, request).run();
  });
}

/**
 * Count what the store has of a user, or of a device that speaks for no user; changes nothing. What a device wrote in a session
 * that it still shares is not counted.
 * @throws SessionError `secret_missing`, `id_invalid`, `argument_invalid` for a device that speaks for a user
 */
export async function findReferences(sessions: Sessions, erased: Erased): Promise<References> {
  await guardSecret(openCore(sessions));
  const { countReferences } = await import("./sessions/erasure/references.ts");
  return await countReferences(await subjectOf(sessions, erased));
}

/**
 * True if `erase` signed this receipt under this secret, for this user or device if one is named. Receipts of earlier
 * versions are valid.
 * @throws SessionError `secret_missing`
 */
export function verifyErasure(
  sessions: Sessions,
  receipt: ErasureReceipt | ErasureReceiptFormat1,
  erased?: Erased,
): boolean {
  return isReceipt(coreOf(sessions), receipt, erased);
}

/**
 * Copy the sessions and devices of the tenant into another store, or everything of all tenants, while writers continue. A
 * repeated copy resumes, and brings what changed since.
 * @throws SessionError a store's; a problem of one session is in the report
 */
export async function copySessions(
  sessions: Sessions,
  target: Sessions,
  options: CopyOptions = {},
): Promise<CopyReport> {
  const [from, to] = [coreOf(sessions), coreOf(target)];
  const { tenant } = sessions;
  return await traceCall({ operation: "copy", tenant }, async () => {
    guardNames(options, "options", copyNames);
    const { copyAll } = await import("./sessions/transfer/copying.ts");
    return await copyAll(from, to, { ...options, tenant, into: target.tenant });
  });
}

/** The sessions to export. */
export interface ExportQuery extends SessionSelection {
  /** Start after the session with this id. */
  readonly after?: string;
  /** Called for a damaged session, which the export skips. @default the export fails */
  readonly onSkipped?: (id: string, error: SessionError) => void;
}

/** A session of an export. */
export interface ExportedSession {
  readonly id: string;
  readonly turns: number;
  /** Its snapshot, on one line. */
  readonly text: string;
}

/**
 * Export the matching sessions by id, each as it is at its own moment; only a few are in memory.
 * @throws SessionError `argument_invalid`, `store_invalid` and `snapshot_too_large` of a session that cannot be exported
 */
export async function* exportSessions(
  sessions: Sessions,
  options: ExportQuery = {},
): AsyncGenerator<ExportedSession, void, undefined> {
  guardNames(options, "query", exportNames);
  const { after, onSkipped, ...selection } = options;
  const core = openCore(sessions);
  const { tenant } = sessions;
  const behind = after === undefined ? undefined : { tenant, id: after };
  const query = { ...(await filterOf(core, selection)), tenant, after: behind };
  const { snapshotTexts } = await import("./sessions/transfer/exporting.ts");
  for await (const found of snapshotTexts(core, query)) {
    const { id } = found.key;
    if ("text" in found) yield { id, turns: found.record.counters.turns, text: found.text };
    else if (onSkipped === undefined) throw found.error;
    else onSkipped(id, found.error);
  }
}

/**
 * Import snapshots of `exportSessions` and conversations of other programs, each completely or not at all. Existing
 * sessions are left unchanged, so an interrupted import can be repeated.
 * @throws SessionError the store's; a problem of one session is in the report
 */
export async function importSessions(
  sessions: Sessions,
  items: AsyncIterable<ImportItem | string> | Iterable<ImportItem | string>,
  options: ImportOptions = {},
): Promise<ImportReport> {
  const core = coreOf(sessions);
  const { tenant } = sessions;
  return await traceCall({ operation: "import", tenant }, async () => {
    guardNames(options, "options", importNames);
    const given: object = Object(items);
    if (typeof items === "string" || !(Symbol.asyncIterator in given || Symbol.iterator in given))
      throw invalidArgument("items", items, { expected: "iterable" });
    const { importAll } = await import("./sessions/transfer/importing.ts");
    return await importAll(core, items, { ...options, tenant });
  });
}

/** How files are imported. */
export interface ImportFilesOptions extends ImportOptions, Pick<FilesOptions, "formats" | "format" | "branches"> {}

/** The result of an import of files. */
export interface ImportFilesReport extends ImportReport {
  /** The files of conversations, each with its form; files of snapshots are not among them. */
  readonly files: readonly ReadFile[];
}

/**
 * Import files of conversations and snapshots: paths of files, of folders, and of zip archives. The
 * form of each file is the first one that all of its documents fit. `formats` adds forms of your own, before those that
 * Perdure knows.
 * @throws SessionError `argument_invalid` for a wrong option or a path that does not exist, before anything is imported; the store's
 */
export async function importFiles(
  sessions: Sessions,
  paths: readonly string[],
  options: ImportFilesOptions = {},
): Promise<ImportFilesReport> {
  coreOf(sessions);
  for (const [index, path] of parseArray(paths, "paths").entries())
    if (typeof path !== "string" || path === "") throw invalidText(`paths[${index}]`, path, { min: 1 });
  guardNames(options, "options", importFilesNames);
  const { formats = [], format, branches, ...importing } = options;
  for (const [index, form] of parseArray(formats, "formats").entries()) {
    if (typeof form !== "object" || form === null)
      throw invalidArgument(`formats[${index}]`, form, { expected: "object" });
    parseFunction(form.kindOf, `formats[${index}].kindOf`);
    parseFunction(form.read, `formats[${index}].read`);
  }
  const choices = ["shown", "fork", "keep"] as const;
  if (branches !== undefined && !choices.includes(branches))
    throw invalidArgument("branches", branches, { expected: "one_of", known: choices });
  const [{ sourcesOf }, { fileItems }, { conversationFormats }] = await Promise.all([
    import("./imports/sources.ts"),
    import("./imports/file-items.ts"),
    import("./imports/forms/registry.ts"),
  ]);
  const sources = await sourcesOf(paths);
  const files: ReadFile[] = [];
  const items = fileItems(sources, {
    bytesMax: sessions.limits.snapshotBytesMax,
    branchesMax: sessions.limits.branchesMax,
    formats: [...formats, ...conversationFormats],
    onForm: (file) => files.push(file),
    ...defined({ format, branches }),
  });
  return { ...(await importSessions(sessions, items, importing)), files };
}

/** @throws SessionError `closed` */
function openCore(sessions: Sessions): ReturnType<typeof coreOf> {
  const core = coreOf(sessions);
  core.guardOpen();
  return core;
}

/** @throws SessionError `argument_invalid` if both a user and a device are named, `id_invalid` */
async function subjectOf(
  sessions: Sessions,
  erased: string | undefined | { readonly device: string; readonly user?: string | undefined },
): Promise<Subject> {
  const { tenant } = sessions;
  const place = { core: coreOf(sessions), fallback: fallbackOf(sessions), tenant };
  if (typeof erased !== "object" || erased === null) {
    const user = parseId(erased, "user");
    return { ...place, user, isGuest: false, hashed: user };
  }
  if (erased.user !== undefined) throw new SessionError("argument_invalid", { name: "device", expected: "alone" });
  return {
    ...place,
    user: await guestOf(place.core, tenant, erased.device),
    isGuest: true,
    hashed: hashedText(place.core, erased),
  };
}
