/** Backs up a whole store into one file and restores it, on any engine. Its parts are imported on demand. */
import { copyFile, mkdtemp, open, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { RecordKinds } from "./domain/attachments/record-kinds.ts";
import type { StoredDocument } from "./domain/documents/document.ts";
import type { SessionKey } from "./domain/record/entry.ts";
import { defaultLimits, type Limits } from "./domain/values/limits.ts";
import { defined } from "./domain/values/defined.ts";
import { hasCode, SessionError } from "./errors.ts";
import type { BackupContent } from "./store/sqlite/backup.ts";
import type { BackupReading, BackupSession, LinesContent, WrittenLines } from "./files/backup-lines.ts";
import { openStore } from "./open.ts";
import { detachedForm } from "./sessions/attachments/detached.ts";
import { withObjects } from "./sessions/attachments/object-reads.ts";
import type { AttachmentStore } from "./domain/attachments/attachment-store.ts";
import { Core } from "./sessions/core/core.ts";
import type { CopyOptions, CopyReport } from "./sessions/transfer/copying.ts";
import { withInputErrors } from "./files/bytes.ts";
import { makeDurably, withFileErrors, removeAbandoned } from "./files/durable-file.ts";
import { resolveOptions } from "./sessions/options/options.ts";
import { guardTarget } from "./files/target-file.ts";
import type { Store } from "./store/store.ts";
import { guardNames, type OptionNames } from "./domain/values/option-names.ts";
import { invalidArgument, invalidText, parsePath } from "./domain/values/invalid-argument.ts";

/** Contents and place of a backup. */
export interface BackupReport {
  readonly file: string;
  /** `sqlite` is a database; `lines` are lines of JSON, packed with gzip if the name ends in `.gz`. */
  readonly kind: "sqlite" | "lines";
  /** Sessions and internal records of all tenants. */
  readonly sessions: number;
  /** The records of `sessions` by their kind. */
  readonly kinds: RecordKinds;
  readonly entries: number;
  /** Documents of a backup of lines; absent if there are none. */
  readonly documents?: number;
  readonly bytes: number;
}

/** Progress of a backup. */
export interface BackupProgress {
  readonly done: number;
  /** The final value of `done`; undefined if unknown. */
  readonly total: number | undefined;
  readonly sessions: number;
  readonly bytes: number;
}

/** Options of a backup. */
export interface BackupOptions {
  readonly onProgress?: (progress: BackupProgress) => void;
  /**
   * Called for a damaged session of PostgreSQL, and for an attachment whose bytes in an attachment store are lost (its tenant ends in
   * `contents`, its id is the hash). They are left out, an attachment also where sessions have it.
   * @default the backup fails
   */
  readonly onSkipped?: (session: SessionKey, error: SessionError) => void;
  /** The attachment store of the sessions, where they have one: the backup has the bytes of all attachments. @default none */
  readonly attachments?: { readonly in: AttachmentStore };
  readonly limits?: Partial<Limits>;
}

const backupNames: OptionNames<BackupOptions> = {
  onProgress: true,
  onSkipped: true,
  attachments: true,
  limits: true,
};

/**
 * Writes a consistent snapshot of the whole store into a file while writers continue; reads it back, and only then
 * renames it. For SQLite the file is a database made by SQLite's own backup, for PostgreSQL it is lines of JSON.
 * @throws SessionError `argument_invalid` for a store in memory and for a file that contains a store, `store_full`,
 *   `store_invalid` if something is damaged
 */
export async function backupStore(url: string, path: string, options: BackupOptions = {}): Promise<BackupReport> {
  guardNames(options, "options", backupNames);
  const file = resolve(parsePath(path, "path"));
  parseText(url, "store");
  if (/^sqlite:/i.test(url)) return await backupDatabase(url, file, options);
  if (/^postgres(ql)?:/i.test(url)) return await backupAsLines(url, file, options);
  throw invalidArgument("store", `${url.split(":")[0] ?? ""}:`, { expected: "database_url" });
}

const nothing = { sessions: 0, entries: 0, kinds: { sessions: 0, attachments: 0, others: 0 } };

async function backupDatabase(
  url: string,
  file: string,
  { onProgress, ...options }: BackupOptions,
): Promise<BackupReport> {
  const { fileOfUrl } = await import("./store/sqlite/open.ts");
  const { guardExisting } = await import("./store/sqlite/connection/database-file.ts");
  const { backupSqlite } = await import("./store/sqlite/backup.ts");
  const source = fileOfUrl(url);
  if (source === undefined) {
    throw invalidArgument("store", url, { expected: "database_file" });
  }
  guardExisting(source);
  guardTarget(file, source);
  const { size } = await withFileErrors(source, () => stat(source));
  let content: BackupContent = nothing;
  await makeDurably(file, async (temporary) => {
    const { hasObjects, ...copied } = await backupSqlite(
      source,
      { copy: temporary, target: file },
      ({ pages, total }) => {
        onProgress?.({ done: pages, total, sessions: content.sessions, bytes: (size * pages) / Math.max(1, total) });
      },
    );
    content = hasObjects ? await withBytes(temporary, url, options) : copied;
  });
  return { file, kind: "sqlite", ...content, bytes: (await stat(file)).size };
}

/** Give the copy of a database the bytes of its attachments, which are in the attachment store of the original. */
async function withBytes(copy: string, url: string, options: BackupOptions): Promise<BackupContent> {
  const { takeObjects } = await import("./sessions/attachments/moving.ts");
  const { closedContent } = await import("./store/sqlite/backup.ts");
  const store = await openStore(`sqlite:${copy}`);
  try {
    const original = await openStore(url, {}, { access: "examine" });
    try {
      const live = coreOn(original, options);
      await takeObjects(coreOn(store, options, live), live, options.onSkipped);
    } finally {
      await original.close();
    }
    await store.scrub();
  } finally {
    await store.close();
  }
  return closedContent(copy);
}

async function backupAsLines(url: string, file: string, options: BackupOptions): Promise<BackupReport> {
  const { onProgress, onSkipped, limits } = options;
  const { openPostgresMoment } = await import("./store/postgres/snapshot-store.ts");
  const { packedPiece, Piece } = await import("./files/export-file.ts");
  const { backupPieces } = await import("./files/backup-lines.ts");
  guardTarget(file, undefined);
  const packed = file.endsWith(".gz");
  let content: WrittenLines = nothing;
  await makeDurably(file, async (temporary) => {
    await using moment = await openPostgresMoment(url);
    // Programs remove and move objects meanwhile, which the moment still names.
    await using original = options.attachments && disposable(await openStore(url, {}, { access: "examine" }));
    const live = original && coreOn(original.store, options);
    const core = coreOn(moment.store, options, live);
    await using handle = await open(temporary, "wx", 0o600);
    const pieces = backupPieces(core, live, onSkipped);
    const total = onProgress === undefined ? undefined : await core.store.count({ now: core.now() });
    const piece = new Piece();
    let [sessions, bytes] = [0, 0];
    const write = async (): Promise<void> => {
      const taken = piece.take();
      bytes += taken.length;
      await handle.writeFile(packed ? await packedPiece(taken) : taken);
      onProgress?.({ done: sessions, total, sessions, bytes });
    };
    let next = await pieces.next();
    for (; next.done !== true; next = await pieces.next()) {
      ({ sessions } = next.value);
      if (piece.add(next.value.text)) await write();
    }
    await write();
    content = next.value;
    await checkLines(temporary, defined({ limits }));
  });
  return { file, kind: "lines", ...content, bytes: (await stat(file)).size };
}

function disposable(store: Store): AsyncDisposable & { readonly store: Store } {
  return { store, [Symbol.asyncDispose]: () => store.close() };
}

/** A text that is not empty. */
function parseText(text: string, name: string): string {
  if (typeof text === "string" && text !== "") return text;
  throw invalidText(name, text, { min: 1 });
}

/** Reads the backup to its last line, which shows whether it is complete. */
async function checkLines(file: string, options: LinesOptions): Promise<LinesContent> {
  const sessions = sessionsIn(file, options);
  for (;;) {
    const next = await sessions.next();
    if (next.done === true) return next.value;
  }
}

type LinesOptions = Pick<RestoreStoreOptions, "limits" | "skipDamaged"> & Pick<BackupReading, "onDocument">;

/** The sessions of a lines backup, each checked. */
async function* sessionsIn(
  file: string,
  { limits, skipDamaged, onDocument }: LinesOptions,
): AsyncGenerator<BackupSession, LinesContent, undefined> {
  const { backupSessions } = await import("./files/backup-lines.ts");
  const { rangedFile } = await import("./files/bytes.ts");
  return yield* backupSessions(await rangedFile(file), { file, limits: limitsOf(limits), skipDamaged, onDocument });
}

function limitsOf(limits: Partial<Limits> | undefined): Limits {
  return { ...defaultLimits, ...limits };
}

/** A core on a store that the caller closes. `original`: the store is a moment of this one. */
function coreOn(
  store: Store,
  { limits, attachments }: Pick<BackupOptions, "limits" | "attachments">,
  original?: Core,
): Core {
  const options = resolveOptions({ sweep: false, ...defined({ limits, attachments }) });
  return new Core(store, options, { form: detachedForm, objects: (core, read) => withObjects(core, read, original) });
}

/** Options of a restore. */
export interface RestoreStoreOptions extends Omit<CopyOptions, "everything"> {
  /**
   * Restore the sessions of a damaged backup that can be read. Each damaged line is counted in `skipped` and named in `reasons`,
   * and `complete` is false. @default a backup of lines is read to its end first, and a damaged line fails the restore
   */
  readonly skipDamaged?: boolean;
  /** The attachment store of the sessions in the target, where they have one. @default none */
  readonly attachments?: { readonly in: AttachmentStore };
  readonly limits?: Partial<Limits>;
}

const restoreNames: OptionNames<RestoreStoreOptions> = {
  signal: true,
  onProgress: true,
  skipDamaged: true,
  attachments: true,
  limits: true,
};

/**
 * Restores everything in a backup into a store, each session completely or not at all, and checks it there. Existing
 * sessions are left alone, so an aborted restore can be run again. The backup is read to its end before anything is
 * written.
 * @throws SessionError `argument_invalid` for a file that does not exist or cannot be read, `snapshot_invalid`,
 *   `snapshot_newer`, `store_invalid` for an incomplete backup, and the store's
 */
export async function restoreStore(path: string, url: string, options: RestoreStoreOptions = {}): Promise<CopyReport> {
  guardNames(options, "options", restoreNames);
  const file = resolve(parsePath(path, "path"));
  parseText(url, "store");
  const isDatabase = (await headOf(file)).toString("latin1") === "SQLite format 3\0";
  const content = isDatabase ? undefined : await checkLines(file, options);
  const store = await openStore(url);
  try {
    const target = coreOn(store, options);
    return content === undefined
      ? await restoreDatabase(file, target, options)
      : await restoreLines(file, target, { ...options, total: content.sessions });
  } finally {
    await store.close();
  }
}

async function headOf(file: string): Promise<Buffer> {
  return await withInputErrors(file, async () => {
    await using handle = await open(file);
    const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(16) });
    return buffer.subarray(0, bytesRead);
  });
}

/** Names made by `mkdtemp`. */
const copies = /^perdure-restore-[A-Za-z0-9]{6}$/;

/** Works on a copy: opening a database may migrate it, and a backup must not change. */
async function restoreDatabase(
  file: string,
  target: Core,
  { limits, ...options }: RestoreStoreOptions,
): Promise<CopyReport> {
  // A killed restore leaves a copy of a whole store. A folder that cannot be listed does not prevent this restore.
  await removeAbandoned(tmpdir(), copies).catch(() => undefined);
  const folder = await mkdtemp(join(tmpdir(), "perdure-restore-"));
  const copy = join(folder, "backup.db");
  try {
    await withFileErrors(copy, () => copyFile(file, copy));
    const store = await openStore(`sqlite:${copy}`);
    try {
      const both = { tenant: "default", into: "default" }; // everything is copied, whatever its tenant
      const { copyAll } = await import("./sessions/transfer/copying.ts");
      return await copyAll(coreOn(store, { ...defined({ limits }) }), target, {
        ...options,
        ...both,
        everything: true,
      });
    } finally {
      await store.close();
    }
  } catch (error) {
    throw ofBackup(error, { copy, file });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Reports an error of the copy as one of the backup file, which the caller knows. */
function ofBackup(error: unknown, { copy, file }: { readonly copy: string; readonly file: string }): unknown {
  if (hasCode(error, "store_invalid") && error.details.store === copy) {
    return new SessionError("store_invalid", { ...error.details, store: file }, { cause: error.cause });
  }
  if (hasCode(error, "store_schema_newer") && error.details.store === copy) {
    return new SessionError("store_schema_newer", { ...error.details, store: file }, { cause: error });
  }
  return error;
}

async function restoreLines(
  file: string,
  target: Core,
  { signal, onProgress, total, ...options }: RestoreStoreOptions & { readonly total: number },
): Promise<CopyReport> {
  const { Copying } = await import("./sessions/transfer/copying.ts");
  const copying = new Copying(target, {
    signal,
    onProgress: onProgress && ((report) => onProgress({ ...report, total })),
  });
  const onDocument = (document: StoredDocument): Promise<void> => copying.takeDocuments([document]);
  await copying.take(sessionsIn(file, { ...options, onDocument }));
  return copying.report(true);
}
