/** A folder as a store of the bytes of attachments. Its first use loads the code that reads and writes files. */
import { resolve } from "node:path";
import { parsePath } from "../../domain/values/invalid-argument.ts";
import type { AttachmentStore, ObjectRange } from "../../domain/attachments/attachment-store.ts";

/**
 * A folder for the bytes of attachments: `openSessions({ store, attachments: { in: folder("./files") } })`. Each attachment is one
 * file, which its owner alone can read. The folder is created with the first one.
 * @throws SessionError `argument_invalid`
 */
export function folder(path: string): AttachmentStore {
  return new Folder(resolve(parsePath(path, "path")));
}

class Folder implements AttachmentStore {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  async put(name: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
    const { putFile } = await import("./object-files.ts");
    await putFile(this.#root, name, bytes);
  }

  async get(name: string, range: ObjectRange): Promise<AsyncIterable<Uint8Array> | undefined> {
    const { getFile } = await import("./object-files.ts");
    return await getFile(this.#root, name, range);
  }

  async delete(name: string): Promise<void> {
    const { deleteFile } = await import("./object-files.ts");
    await deleteFile(this.#root, name);
  }

  async *list(): AsyncGenerator<string, void, undefined> {
    const { listFiles } = await import("./object-files.ts");
    yield* listFiles(this.#root);
  }
}
