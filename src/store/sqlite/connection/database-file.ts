/** What the file system knows of a database's file; SQLite itself only says that it cannot open or write it. */
import { accessSync, closeSync, constants, openSync, readlinkSync, statfsSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { SessionError } from "../../../errors.ts";

/** @throws SessionError `store_unavailable`, `store_invalid` or `store_read_only` where no database can be opened there */
export function guardFile(file: string): void {
  const folder = dirname(file);
  const kind = kindOf(folder);
  if (kind !== "folder") {
    const problem = kind === undefined ? "folder_missing" : "no_folder";
    throw new SessionError("store_unavailable", { store: file, problem, folder });
  }
  if (kindOf(file) === "folder") {
    throw new SessionError("store_invalid", { store: file, problem: "folder" });
  }
  // A folder that cannot be written may hold a database that can; only SQLite can tell.
  const found = kindOf(file) === undefined ? undefined : notWritable(file);
  if (found !== undefined) throw readOnlyError(file, found);
}

/**
 * Make the file for its owner only, where there is none: SQLite gives its log and shared memory the mode of the database. An
 * existing file keeps its mode.
 */
export function makeForOwner(file: string): void {
  if (kindOf(file) !== undefined) return;
  try {
    // Never a file that is there: closing it would give up the locks that this process holds on it.
    closeSync(openSync(targetOf(file), "wx", 0o600));
  } catch {
    // Another process made it first, or it cannot be made: opening it says the rest.
  }
}

/** Where a link leads whose file does not exist yet; the file itself where it is no link. */
function targetOf(file: string): string {
  try {
    return resolve(dirname(file), readlinkSync(file));
  } catch {
    return file;
  }
}

/**
 * For who only reads or removes: SQLite would make the file where there is none, and a mistyped name would be an empty store.
 * @throws SessionError as {@link guardFile}, and `store_unavailable` where there is no file
 */
export function guardExisting(file: string): void {
  guardFile(file);
  if (kindOf(file) !== undefined) return;
  throw new SessionError("store_unavailable", { store: file, problem: "file_missing" });
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

/** True where not even the smallest growth of the log and its shared memory (32 KiB) is left. */
export function hasNoSpace(file: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(dirname(file));
    return bavail * bsize < 65_536;
  } catch {
    // The folder has gone: whatever else is wrong then, it is not the space.
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
    // Behind a folder that may not be entered, or under a file: not there for us. Opening it will say the rest.
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
