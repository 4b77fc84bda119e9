/** A whole store as one file, and back: from whichever store, into whichever. What that takes is imported when it is asked for. */
import { createReadStream } from "node:fs";
import { copyFile, mkdtemp, open, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { SessionKey } from "./domain/record/entry.ts";
import { defaultLimits, type Limits } from "./domain/values/limits.ts";
import { hasCode, SessionError } from "./errors.ts";
import type { BackupSession, LinesContent } from "./files/backup-lines.ts";
import { openStore } from "./open.ts";
import { Core } from "./sessions/core/core.ts";
import type { CopyOptions, CopyReport } from "./sessions/transfer/copying.ts";
import { makeDurably, withStoreErrors, removeForgotten } from "./files/durable-file.ts";
import { resolveOptions } from "./sessions/options/options.ts";
import { guardTarget } from "./files/target-file.ts";
import type { Store } from "./store/store.ts";

/** What a backup holds, and where. */
export interface BackupReport {
  readonly file: string;
  /** `sqlite` is a database, `lines` are lines of JSON, packed by gzip where the name ends in `.gz`. */
  readonly kind: "sqlite" | "lines";
  /** Sessions of all tenants, and what else is kept for them. */
  readonly sessions: number;
  readonly entries: number;
  readonly bytes: number;
}

/** How far a backup is. */
export interface BackupProgress {
  readonly done: number;
  /** What `done` comes to; undefined where nobody knows. */
  readonly total: number | undefined;
  readonly sessions: number;
  readonly bytes: number;
}

/** How to back up. */
export interface BackupOptions {
  readonly onProgress?: (progress: BackupProgress) => void;
  /** Called for a session of PostgreSQL that is damaged and left out. @default the backup fails */
  readonly onSkipped?: (session: SessionKey, error: SessionError) => void;
  readonly limits?: Partial<Limits>;
}

/**
 * Write the whole store, as it is at one moment, into a file, while writers go on; read it back, and only then give it its
 * name. Of an SQLite store that is a database made by SQLite's own backup, of a PostgreSQL store lines of JSON.
 * @throws SessionError `argument_invalid` for a store in memory and for a file that a store is in, `store_full`, `store_invalid` where something is damaged
 */
export async function backupStore(url: string, path: string, options: BackupOptions = {}): Promise<BackupReport> {
  const file = resolve(path);
  if (/^sqlite:/i.test(url)) return await backupDatabase(url, file, options);
  if (/^postgres(ql)?:/i.test(url)) return await backupAsLines(url, file, options);
  throw new SessionError("argument_invalid", {
    name: "store",
    value: url.split(":")[0] ?? "",
    expected: "an sqlite: or postgres: URL",
  });
}

async function backupDatabase(url: string, file: string, { onProgress }: BackupOptions): Promise<BackupReport> {
  const { fileOfUrl } = await import("./store/sqlite/open.ts");
  const { guardExisting } = await import("./store/sqlite/database-file.ts");
  const { backupSqlite } = await import("./store/sqlite/backup.ts");
  const source = fileOfUrl(url);
  if (source === undefined) {
    throw new SessionError("argument_invalid", { name: "store", value: url, expected: "a database in a file" });
  }
  guardExisting(source);
  guardTarget(file, source);
  const { size } = await withStoreErrors(source, () => stat(source));
  let content = { sessions: 0, entries: 0 };
  await makeDurably(file, async (temporary) => {
    content = await backupSqlite(source, { copy: temporary, target: file }, ({ pages, total }) => {
      onProgress?.({ done: pages, total, sessions: content.sessions, bytes: (size * pages) / Math.max(1, total) });
    });
  });
  return { file, kind: "sqlite", ...content, bytes: (await stat(file)).size };
}

async function backupAsLines(url: string, file: string, options: BackupOptions): Promise<BackupReport> {
  const { onProgress, onSkipped, limits } = options;
  const { openPostgresMoment } = await import("./store/postgres/snapshot-store.ts");
  const { packedPiece, Piece } = await import("./files/export-file.ts");
  const { backupLines } = await import("./files/backup-lines.ts");
  guardTarget(file, undefined);
  const packed = file.endsWith(".gz");
  let content = { sessions: 0, entries: 0 };
  await makeDurably(file, async (temporary) => {
    await using moment = await openPostgresMoment(url);
    const core = coreOn(moment.store, limits);
    await using handle = await open(temporary, "wx", 0o600);
    const lines = backupLines(core, onSkipped);
    const total = onProgress === undefined ? undefined : await core.store.count({ now: core.now() });
    const piece = new Piece();
    let [written, bytes] = [0, 0];
    const write = async (): Promise<void> => {
      const taken = piece.take();
      bytes += taken.length;
      await handle.writeFile(packed ? await packedPiece(taken) : taken);
      // The first line names the format.
      const sessions = Math.max(0, written - 1);
      onProgress?.({ done: sessions, total, sessions, bytes });
    };
    let next = await lines.next();
    for (; next.done !== true; next = await lines.next()) {
      written++;
      if (piece.add(next.value)) await write();
    }
    await write();
    content = next.value;
    await checkLines(temporary, limitsOf(limits));
  });
  return { file, kind: "lines", ...content, bytes: (await stat(file)).size };
}

/** Read it to its end, which says whether it is whole. */
async function checkLines(file: string, limits: Limits): Promise<LinesContent> {
  const sessions = sessionsIn(file, limits);
  for (;;) {
    const next = await sessions.next();
    if (next.done === true) return next.value;
  }
}

/** The sessions of a backup of lines, each checked. */
async function* sessionsIn(file: string, limits: Limits): AsyncGenerator<BackupSession, LinesContent, undefined> {
  const { backupSessions } = await import("./files/backup-lines.ts");
  const { unpacked } = await import("./files/bytes.ts");
  return yield* backupSessions(unpacked(createReadStream(file), file), { file, limits });
}

function limitsOf(limits: Partial<Limits> | undefined): Limits {
  return { ...defaultLimits, ...limits };
}

/** On a store that somebody else closes. */
function coreOn(store: Store, limits: Partial<Limits> | undefined): Core {
  return new Core(store, resolveOptions({ sweep: false, ...(limits === undefined ? {} : { limits }) }));
}

/** How to restore a backup. */
export interface RestoreStoreOptions extends Omit<CopyOptions, "everything"> {
  readonly limits?: Partial<Limits>;
}

/**
 * Put everything that a backup holds into a store, each session whole or not at all, and check it there. What stands there
 * already is left alone, so a restore that was broken off is run again. The backup is read to its end before anything is
 * written.
 * @throws SessionError `snapshot_invalid`, `snapshot_newer`, `store_invalid` for a file that is no whole backup, and the store's
 */
export async function restoreStore(path: string, url: string, options: RestoreStoreOptions = {}): Promise<CopyReport> {
  const file = resolve(path);
  const isDatabase = (await headOf(file)).toString("latin1") === "SQLite format 3\0";
  const content = isDatabase ? undefined : await checkLines(file, limitsOf(options.limits));
  const store = await openStore(url);
  try {
    const target = coreOn(store, options.limits);
    return content === undefined
      ? await restoreDatabase(file, target, options)
      : await restoreLines(file, target, { ...options, total: content.sessions });
  } finally {
    await store.close();
  }
}

async function headOf(file: string): Promise<Buffer> {
  return await withStoreErrors(file, async () => {
    await using handle = await open(file);
    const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(16) });
    return buffer.subarray(0, bytesRead);
  });
}

/** As `mkdtemp` makes them. */
const copies = /^perdure-restore-[A-Za-z0-9]{6}$/;

/** From a copy of its own: opening a database may bring it up to date, and a backup stays as it is. */
async function restoreDatabase(
  file: string,
  target: Core,
  { limits, ...options }: RestoreStoreOptions,
): Promise<CopyReport> {
  // What a restore that was killed left is a whole store. A folder that may not be listed is no reason against this one.
  await removeForgotten(tmpdir(), copies).catch(() => undefined);
  const folder = await mkdtemp(join(tmpdir(), "perdure-restore-"));
  const copy = join(folder, "backup.db");
  try {
    await withStoreErrors(copy, () => copyFile(file, copy));
    const store = await openStore(`sqlite:${copy}`);
    try {
      const both = { tenant: "default", into: "default" }; // everything is copied, whatever its tenant
      const { copyAll } = await import("./sessions/transfer/copying.ts");
      return await copyAll(coreOn(store, limits), target, { ...options, ...both, everything: true });
    } finally {
      await store.close();
    }
  } catch (error) {
    throw ofBackup(error, { copy, file });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What is wrong with the copy is wrong with the backup, which is what its owner knows. */
function ofBackup(error: unknown, { copy, file }: { readonly copy: string; readonly file: string }): unknown {
  if (hasCode(error, "store_invalid") && error.details.store === copy) {
    return new SessionError("store_invalid", { ...error.details, store: file }, { cause: error });
  }
  if (hasCode(error, "store_schema_newer") && error.details.store === copy) {
    return new SessionError("store_schema_newer", { ...error.details, store: file }, { cause: error });
  }
  return error;
}

async function restoreLines(
  file: string,
  target: Core,
  { limits, signal, onProgress, total }: RestoreStoreOptions & { readonly total: number },
): Promise<CopyReport> {
  const { Copying } = await import("./sessions/transfer/copying.ts");
  const copying = new Copying(target, {
    signal,
    onProgress: onProgress && ((report) => onProgress({ ...report, total })),
  });
  await copying.take(sessionsIn(file, limitsOf(limits)));
  return copying.report(true);
}
