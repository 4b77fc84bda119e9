/** Files that are there whole or not at all, whatever happens meanwhile, and stay once they are there. */
import { mkdir, open, readdir, rename, rm, stat, type FileHandle } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { systemClock } from "../clock.ts";
import { SessionError } from "../errors.ts";

/** What a write that was killed leaves behind is removed by a later one, once nobody can be at work in it any more. */
const forgottenAfterMs = 3_600_000;
/** A database has its journal beside it. */
const unfinished = /^\..*\.[0-9a-f]{16}\.tmp(-journal|-wal|-shm)?$/;

/**
 * Write a file under a temporary name, sync it, give it its name and sync the folder: who looks finds the old one or the
 * new one, whole. `write` gets the open file; what it throws leaves nothing behind.
 * @throws SessionError `store_full`, `store_read_only`, `store_unavailable`
 */
export async function writeDurably(file: string, write: (handle: FileHandle) => Promise<void>): Promise<void> {
  await makeDurably(file, async (temporary) => {
    await using handle = await open(temporary, "wx", 0o600);
    await write(handle);
  });
}

/** As {@link writeDurably}, where `make` brings about a file of this temporary name by itself. */
export async function makeDurably(file: string, make: (temporary: string) => Promise<void>): Promise<void> {
  const folder = dirname(file);
  await withStoreErrors(file, async () => {
    await makeFolder(folder);
    await removeForgotten(folder, unfinished);
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

/** Remove a file for good; false where there is none. @throws SessionError as {@link writeDurably} */
export async function removeDurably(file: string): Promise<boolean> {
  return await withStoreErrors(file, async () => {
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

/** What the file system says against it, as one of the errors of a store. */
export async function withStoreErrors<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = codeOf(error);
    if (error instanceof SessionError || code === undefined) throw error;
    const cause = { cause: error };
    if (code === "ENOSPC" || code === "EDQUOT") throw new SessionError("store_full", { store: file }, cause);
    const reason = `the file system says ${code}`;
    if (["EACCES", "EPERM", "EROFS"].includes(code)) {
      throw new SessionError("store_read_only", { store: file, reason }, cause);
    }
    throw new SessionError("store_unavailable", { store: file, reason }, cause);
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}

/** A folder and those it stands in, kept by the disk. */
export async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: 0o700 });
  // A folder that was made is kept by the one it stands in.
  if (first !== undefined) await syncFolder(dirname(first));
}

/** Let the disk keep the names in a folder. */
export async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, "r").catch(ignoreOnWindows);
  await handle?.sync().catch(ignoreOnWindows);
}

/** Windows neither opens nor syncs folders; it keeps names by itself. */
function ignoreOnWindows(error: unknown): undefined {
  if (process.platform !== "win32") throw error;
}

/** Remove what has such a name and was not touched for an hour: nobody is at work in it any more. */
export async function removeForgotten(folder: string, names: RegExp): Promise<void> {
  // The file system's times are those of the machine.
  const now = systemClock.now();
  for (const name of await readdir(folder)) {
    if (!names.test(name)) continue;
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined); // another process was faster
    if (found === undefined || found.mtimeMs >= now - forgottenAfterMs) continue;
    await rm(path, { force: true, recursive: true }).catch(() => undefined); // of another user, whose it stays
  }
}
