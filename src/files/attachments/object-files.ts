/** The bytes of attachments as files of a folder. */
import { createReadStream } from "node:fs";
import { open, readdir, rename, rm, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { invalidText } from "../../domain/values/invalid-argument.ts";
import type { ObjectRange } from "../../domain/attachments/attachment-store.ts";
import { makeFolder, removeDurably, syncFolder, withFileErrors } from "../durable-file.ts";

/** The names that Perdure gives; no other one becomes a path. */
const nameForm = /^[0-9a-f]{32}\/[0-9a-z]{26}$/;
/** What a put writes, until the file is whole. There is one for each name, which `deleteFile` removes as well. */
const unfinished = ".tmp";

/** The file of an object: the last two characters of its name are random, and spread the files over folders. */
function fileOf(root: string, name: string): string {
  if (!nameForm.test(name)) throw invalidText("name", name, { min: 1 });
  const [tenant = "", id = ""] = name.split("/");
  return join(root, tenant, id.slice(-2), id);
}

export async function putFile(root: string, name: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  const file = fileOf(root, name);
  const temporary = file + unfinished;
  await withFileErrors(file, async () => {
    await makeFolder(dirname(file));
    try {
      await write(temporary, bytes);
      await rename(temporary, file);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    // Another process may have made these folders, and was stopped before it synced them.
    for (let folder = dirname(file); folder !== root; folder = dirname(folder)) await syncFolder(folder);
    await syncFolder(root);
  });
}

export async function getFile(
  root: string,
  name: string,
  { from, to }: ObjectRange,
): Promise<AsyncIterable<Uint8Array> | undefined> {
  const file = fileOf(root, name);
  return await withFileErrors(file, async () => {
    const handle = await openExisting(file);
    // The stream closes the file at its end, and where its reader stops.
    return handle && createReadStream(file, { fd: handle, start: from, end: to });
  });
}

export async function deleteFile(root: string, name: string): Promise<void> {
  const file = fileOf(root, name);
  await removeDurably(file + unfinished);
  await removeDurably(file);
}

export async function* listFiles(root: string): AsyncGenerator<string, void, undefined> {
  for (const tenant of await namesIn(root))
    for (const shard of await namesIn(join(root, tenant)))
      for (const file of await namesIn(join(root, tenant, shard))) {
        const name = `${tenant}/${file.endsWith(unfinished) ? file.slice(0, -unfinished.length) : file}`;
        if (nameForm.test(name)) yield name;
      }
}

async function write(file: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  await using handle = await open(file, "wx", 0o600);
  for await (const piece of bytes) await writeWhole(handle, piece);
  await handle.sync();
}

async function writeWhole(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let from = 0; from < bytes.length;) from += (await handle.write(bytes, from)).bytesWritten;
}

async function openExisting(file: string): Promise<FileHandle | undefined> {
  return await open(file, "r").catch(unlessMissing);
}

/** The entries of a folder; none of a file, or of a folder that does not exist. */
async function namesIn(path: string): Promise<readonly string[]> {
  return (await withFileErrors(path, () => readdir(path).catch(unlessMissing))) ?? [];
}

function unlessMissing(error: unknown): undefined {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== "ENOENT" && code !== "ENOTDIR") throw error;
}
