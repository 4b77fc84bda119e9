/** Files that are written completely or not at all, and that survive a crash once they are written. */
import { mkdir, open, readdir, rename, rm, stat, type FileHandle } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { systemClock } from "../clock.ts";
import { SessionError } from "../errors.ts";

/** A later write removes the temporary files of a killed one, once no process can still be writing them. */
const abandonedAfterMs = 3_600_000;
/** A database may have a journal beside it. */
const unfinished = /^\..*\.[0-9a-f]{16}\.tmp(-journal|-wal|-shm)?$/;

/**
 * Writes a file under a temporary name, syncs it, renames it and syncs the folder: a reader finds the old file or the
 * new one, complete. `write` gets the open file; an error leaves nothing behind.
 * @throws SessionError `store_full`, `store_read_only`, `store_unavailable`
 */
export async function writeDurably(file: string, write: (handle: FileHandle) => Promise<void>): Promise<void> {
  await makeDurably(file, async (temporary) => {
    await using handle = await open(temporary, "wx", 0o600);
    await write(handle);
  });
}

/** As {@link writeDurably}, for a `make` that creates the temporary file by itself. */
export async function makeDurably(file: string, make: (temporary: string) => Promise<void>): Promise<void> {
  const folder = dirname(file);
  await withFileErrors(file, async () => {
    await makeFolder(folder);
    await removeAbandoned(folder, unfinished);
    const temporary = join(folder, `.${basename(file)}.${Buffer.from(systemClock.random(8)).toString("hex")}.tmp`);
    try {
      await make(temporary);
      await syncFile(temporary);
      await rename(temporary, file);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    } finally {
      for (const end of ["-journal", "-wal", "-shm"]) await rm(temporary + end, { force: true });
    }
    await syncFolder(folder);
  });
}

async function syncFile(file: string): Promise<void> {
  await using handle = await open(file, "r+");
  await handle.sync();
}

/**
 * Deletes a file durably; returns false if it does not exist.
 * @throws SessionError as {@link writeDurably}
 */
export async function removeDurably(file: string): Promise<boolean> {
  return await withFileErrors(file, async () => {
    try {
      await rm(file);
    } catch (error) {
      if (codeOf(error) === "ENOENT") return false;
      throw error;
    }
    await syncFolder(dirname(file));
    return true;
  });
}

/** Turns errors of the file system into errors that name the file. Other errors pass, such as that of an aborted signal. */
export async function withFileErrors<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = codeOf(error);
    if (error instanceof SessionError || code?.startsWith("E") !== true) throw error;
    const cause = { cause: error };
    if (code === "ENOSPC" || code === "EDQUOT") throw new SessionError("store_full", { file }, cause);
    if (["EACCES", "EPERM", "EROFS"].includes(code)) throw new SessionError("store_read_only", { file }, cause);
    throw new SessionError("store_unavailable", { file, problem: "unreachable" }, cause);
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}

/**
 * Creates a folder and its parents, durably. The recursive `mkdir` of Node repeats itself without end where a parent exists
 * and takes no entry, as /proc.
 */
export async function makeFolder(folder: string): Promise<void> {
  const parent = dirname(folder);
  try {
    await mkdir(folder, { mode: 0o700 });
  } catch (error) {
    if (codeOf(error) !== "ENOENT" || parent === folder) {
      if (await isFolder(folder)) return;
      throw error;
    }
    await makeFolder(parent);
    await mkdir(folder, { mode: 0o700 }).catch(async (cause: unknown) => {
      if (!(await isFolder(folder))) throw cause; // else another process has made it meanwhile
    });
  }
  // A new folder is an entry of its parent, so the parent is synced.
  await syncFolder(parent);
}

async function isFolder(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isDirectory() === true;
}

/** Syncs the entries of a folder. */
export async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, "r").catch(ignoreOnWindows);
  await handle?.sync().catch(ignoreOnWindows);
}

/** Windows cannot open or sync folders, and needs no sync for names. */
function ignoreOnWindows(error: unknown): undefined {
  if (process.platform !== "win32") throw error;
}

/** Removes matching files that were not modified for an hour: no process is writing them any more. */
export async function removeAbandoned(folder: string, names: RegExp): Promise<void> {
  // File times are those of the machine's clock.
  const now = systemClock.now();
  for (const name of await readdir(folder)) {
    if (!names.test(name)) continue;
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined); // another process was faster
    if (found === undefined || found.mtimeMs >= now - abandonedAfterMs) continue;
    await rm(path, { force: true, recursive: true }).catch(() => undefined); // it belongs to another user
  }
}
