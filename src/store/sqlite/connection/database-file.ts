/** The state of a database file in the file system. SQLite only reports that it cannot open or write the file. */
import { dirname, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { SessionError } from "../../../errors.ts";

// An import of this module would load the streams of Node too, for 4 ms.
const { accessSync, closeSync, constants, openSync, readlinkSync, statfsSync, statSync } =
  process.getBuiltinModule("node:fs");

/** @throws SessionError `store_unavailable` or `store_invalid` if there can be no database */
function guardPlace(file: string): void {
  const folder = dirname(file);
  const kind = kindOf(folder);
  if (kind !== "folder") {
    const problem = kind === undefined ? "folder_missing" : "no_folder";
    throw new SessionError("store_unavailable", { store: file, problem, folder });
  }
  if (kindOf(file) === "folder") {
    throw new SessionError("store_invalid", { store: file, problem: "folder" });
  }
}

/** @throws SessionError as {@link guardPlace}, `store_access_denied`, and `store_read_only` if no database can be written there */
export function guardWritable(file: string): void {
  guardReadable(file);
  guardPlace(file);
  // A read-only folder may have a writable database, which only SQLite finds out.
  const found = kindOf(file) === undefined ? undefined : notWritable(file);
  if (found !== undefined) throw readOnlyError(file, found);
}

/**
 * Creates a missing file for its owner only: SQLite gives its log and shared memory the mode of the database. An existing
 * file keeps its mode.
 */
export function makeForOwner(file: string): void {
  if (kindOf(file) !== undefined) return;
  try {
    // Only a missing file: closing an existing one would release the locks of this process on it.
    closeSync(openSync(targetOf(file), "wx", 0o600));
  } catch {
    // Another process created the file first, or it cannot be created: the open that follows reports the cause.
  }
}

/** The target of a symbolic link, which may not exist yet; the file itself if it is no link. */
function targetOf(file: string): string {
  try {
    return resolve(dirname(file), readlinkSync(file));
  } catch {
    return file;
  }
}

/**
 * Guards an access that creates nothing: SQLite would create a missing file, so a mistyped name would be an empty store.
 * @throws SessionError as {@link guardPlace}, `store_access_denied`, and `store_unavailable` if there is no file
 */
export function guardExisting(file: string): void {
  guardReadable(file);
  guardPlace(file);
  if (kindOf(file) !== undefined) return;
  throw new SessionError("store_unavailable", { store: file, problem: "file_missing" });
}

/** @throws SessionError `store_access_denied` */
function guardReadable(file: string): void {
  const hidden = unreadableErrorOf(file);
  if (hidden !== undefined) throw hidden;
}

/** The error of a file, its log, or a folder on the way to it that this user may not read; undefined for others. */
export function unreadableErrorOf(file: string): SessionError | undefined {
  for (const path of [file, `${file}-wal`, `${file}-shm`]) {
    const cause = denialOf(path);
    if (cause !== undefined) return new SessionError("store_access_denied", { store: file, path }, { cause });
  }
  return undefined;
}

function denialOf(path: string): Error | undefined {
  try {
    accessSync(path, constants.R_OK);
    return undefined;
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    return ["EACCES", "EPERM"].includes(code) ? (error as Error) : undefined;
  }
}

/**
 * A connection that only reads. SQLite needs a shared memory file beside a database with a write-ahead log. A connection with
 * the right to write removes it at the end, so one is used if this user may write, and statements that write are off.
 */
export function openToRead(file: string): DatabaseSync {
  if (readOnlyErrorOf(file) !== undefined) return openReadOnly(file);
  const database = new DatabaseSync(file, { timeout: 0 });
  database.exec("pragma query_only = 1");
  return database;
}

/**
 * A connection without the right to write, which may have temporary tables. A database that this user may not write and that
 * has no log is read as an immutable one: SQLite could not make its shared memory, and a program that writes to it would have
 * made a log.
 */
export function openReadOnly(file: string): DatabaseSync {
  const options = { timeout: 0, readOnly: true };
  if (readOnlyErrorOf(file) === undefined || kindOf(`${file}-wal`) !== undefined)
    return new DatabaseSync(file, options);
  const immutable = pathToFileURL(file);
  immutable.search = "?immutable=1";
  return new DatabaseSync(immutable, options);
}

/** A path that this user cannot write, and the error of the file system. */
interface ReadOnlyPath {
  readonly path: string;
  readonly cause: Error;
}

/** The error of a file that cannot be written, or whose folder, which has the log, cannot; undefined if both can. */
export function readOnlyErrorOf(file: string): SessionError | undefined {
  const found = (kindOf(file) === undefined ? undefined : notWritable(file)) ?? notWritable(dirname(file));
  return found && readOnlyError(file, found);
}

function readOnlyError(store: string, { path, cause }: ReadOnlyPath): SessionError {
  return new SessionError("store_read_only", { store, path }, { cause });
}

/** True if the disk has no room for the smallest growth of the log and its shared memory (32 KiB). */
export function hasNoSpace(file: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(dirname(file));
    return bavail * bsize < 65_536;
  } catch {
    // The folder is missing, so space is not the cause.
    return false;
  }
}

function kindOf(path: string): "folder" | "file" | undefined {
  const stat = statOf(path);
  if (stat === undefined) return undefined;
  return stat.isDirectory() ? "folder" : "file";
}

function statOf(path: string): ReturnType<typeof statSync> {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    // The path is in a folder that this user may not enter, or below a file. The open that follows reports the cause.
    return undefined;
  }
}

function notWritable(path: string): ReadOnlyPath | undefined {
  try {
    accessSync(path, constants.W_OK);
    return undefined;
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    return ["EROFS", "EACCES", "EPERM"].includes(code) ? { path, cause: error as Error } : undefined;
  }
}
