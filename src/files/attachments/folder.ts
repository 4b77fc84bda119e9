/** A folder as a store of the bytes of attachments. */
import { createReadStream } from "node:fs";
import { open, readdir, rename, rm, type FileHandle } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { invalidText } from "../../domain/values/invalid-argument.ts";
import type { AttachmentStore, ObjectRange } from "../../domain/attachments/attachment-store.ts";
import { makeFolder, removeDurably, syncFolder, withFileErrors } from "../durable-file.ts";

/** The names that Perdure gives; no other one becomes a path. */
const nameForm = /^[0-9a-f]{32}\/[0-9a-z]{26}$/;
/** What a put writes, until the file is whole. There is one for each name, which `delete` removes as well. */
const unfinished = ".tmp";

/**
 * A folder for the bytes of attachments: `openSessions({ store, attachments: { in: folder("./files") } })`. Each attachment is one
 * file, which its owner alone can read. The folder is created with the first one.
 * @throws SessionError `argument_invalid`
 */
export function folder(path: string): AttachmentStore {
  if (typeof path !== "string" || path === "" || path.includes("\0")) throw invalidText("path", path, { min: 1 });
  return new Folder(resolve(path));
}

class Folder implements AttachmentStore {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /** The file of an object: the last two characters of its name are random, and spread the files over folders. */
  #fileOf(name: string): string {
    if (!nameForm.test(name)) throw invalidText("name", name, { min: 1 });
    const [tenant = "", id = ""] = name.split("/");
    return join(this.#root, tenant, id.slice(-2), id);
  }

  async put(name: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
    const file = this.#fileOf(name);
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
      for (let folder = dirname(file); folder !== this.#root; folder = dirname(folder)) await syncFolder(folder);
      await syncFolder(this.#root);
    });
  }

  async get(name: string, { from, to }: ObjectRange): Promise<AsyncIterable<Uint8Array> | undefined> {
    const file = this.#fileOf(name);
    return await withFileErrors(file, async () => {
      const handle = await openExisting(file);
      // The stream closes the file at its end, and where its reader stops.
      return handle && createReadStream(file, { fd: handle, start: from, end: to });
    });
  }

  async delete(name: string): Promise<void> {
    const file = this.#fileOf(name);
    await removeDurably(file + unfinished);
    await removeDurably(file);
  }

  async *list(): AsyncGenerator<string, void, undefined> {
    for (const tenant of await namesIn(this.#root))
      for (const shard of await namesIn(join(this.#root, tenant)))
        for (const file of await namesIn(join(this.#root, tenant, shard))) {
          const name = `${tenant}/${file.endsWith(unfinished) ? file.slice(0, -unfinished.length) : file}`;
          if (nameForm.test(name)) yield name;
        }
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
