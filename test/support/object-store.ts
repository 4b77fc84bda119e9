/** An attachment store in memory, as an object store behind a network is: deletions may happen late, and calls may fail. */
import type { AttachmentStore, ObjectRange } from "../../src/domain/attachments/attachment-store.ts";

export class ObjectStore implements AttachmentStore {
  readonly objects: Map<string, Buffer> = new Map();
  /** The markers of sessions, which are no attachments. */
  readonly markers: Map<string, Buffer> = new Map();
  /** Set: deletions are only noted, and done by {@link deleteLate}. */
  isLate = false;
  /** Called before each call of the attachment store. */
  before: (call: "put" | "get" | "delete") => void | Promise<void> = () => undefined;
  readonly #late: string[] = [];

  async put(name: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
    await this.before("put");
    const objects = this.#of(name);
    if (objects.has(name)) throw new Error(`${name} is put again`);
    objects.set(name, Buffer.concat(await Array.fromAsync(bytes)));
  }

  async get(name: string, { from, to }: ObjectRange): Promise<AsyncIterable<Uint8Array> | undefined> {
    await this.before("get");
    const bytes = this.#of(name)
      .get(name)
      ?.subarray(from, to + 1);
    return bytes && inParts(bytes);
  }

  async delete(name: string): Promise<void> {
    await this.before("delete");
    if (this.isLate) this.#late.push(name);
    else this.#of(name).delete(name);
  }

  /** Do the deletions that were noted. */
  deleteLate(): void {
    for (const name of this.#late.splice(0)) this.objects.delete(name);
  }

  async *list(): AsyncGenerator<string> {
    yield* this.objects.keys();
    yield* this.markers.keys();
  }

  #of(name: string): Map<string, Buffer> {
    return /^0+\//.test(name) ? this.markers : this.objects;
  }
}

async function* inParts(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < bytes.length; from += 100_000) yield bytes.subarray(from, from + 100_000);
}
