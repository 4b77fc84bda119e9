/**
 * The attachment store of these sessions. It gets a marker with its first object: an object whose name a record of the store of sessions
 * has. A process with another folder finds no marker there, and puts and deletes nothing in it.
 */
import { markerScope } from "../../domain/attachments/attachment.ts";
import type { AttachmentStore, ObjectRange } from "../../domain/attachments/attachment-store.ts";
import { formatValue } from "../../domain/values/format-value.ts";
import { sortableId } from "../../domain/values/ids.ts";
import { durationMaxMs } from "../../domain/values/limits.ts";
import { SessionError } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { internalChange } from "../core/internal-record.ts";

const markerKey = { tenant: markerScope, id: "marker" } as const;
/** The part of a marker's name that stands for the tenant of other objects. */
const markerFolder = "0".repeat(32);

/** True for the name of a marker, also of that of other sessions. */
export function isMarker(name: string): boolean {
  return name.startsWith(`${markerFolder}/`);
}

/** True where these sessions have put an object, in whichever store. */
export async function isMarked(core: Core): Promise<boolean> {
  return (await core.find(markerKey)) !== undefined;
}

const stores = new WeakMap<Core, MarkedStore>();

/** The attachment store that this process opens; undefined: none. */
export function openedAttachmentStore(core: Core): MarkedStore | undefined {
  const { attachmentStore } = core.options;
  if (attachmentStore === undefined) return undefined;
  const known = stores.get(core);
  if (known !== undefined) return known;
  const marked = new MarkedStore(core, attachmentStore);
  stores.set(core, marked);
  return marked;
}

/**
 * Puts, deletions and lists fail with `attachment_store_failed` where the attachment store is not that of these sessions. Each one looks
 * for the marker: a disk may be unmounted while this process runs, and then the path is another, empty folder. A read looks for it where
 * the object is missing.
 */
export class MarkedStore implements AttachmentStore {
  readonly #core: Core;
  readonly #store: AttachmentStore;
  /** The name of the marker, which never changes; undefined until a record with it was found. */
  #marker: string | undefined;

  constructor(core: Core, store: AttachmentStore) {
    this.#core = core;
    this.#store = store;
  }

  async put(name: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
    if (!(await this.verify())) await this.#mark();
    await this.#store.put(name, bytes);
  }

  async get(name: string, range: ObjectRange): Promise<AsyncIterable<Uint8Array> | undefined> {
    const opened = await this.#store.get(name, range);
    if (opened != null) return piecesOf(opened);
    await this.verify();
    return undefined;
  }

  async delete(name: string): Promise<void> {
    await this.verify();
    await this.#store.delete(name);
  }

  async *list(): AsyncGenerator<string, void, undefined> {
    await this.verify();
    yield* this.#store.list();
  }

  /** True for the marker of these sessions, once this process has verified the store. */
  isOwnMarker(name: string): boolean {
    return name === this.#marker;
  }

  /** False where these sessions have no marker yet, because they have put no object. @throws SessionError `attachment_store_failed` */
  async verify(): Promise<boolean> {
    const object = (this.#marker ??= await this.#namedMarker());
    if (object === undefined) return false;
    const opened = await this.#store.get(object, { from: 0, to: 0 });
    if (opened == null) throw new SessionError("attachment_store_failed", { problem: "other_store", object });
    await Array.fromAsync(piecesOf(opened));
    return true;
  }

  /**
   * Puts a marker before the record that names it. Of several processes the first one has marked the store. One that is killed in between
   * leaves a marker that no record names, which the doctor reports.
   */
  async #mark(): Promise<void> {
    const core = this.#core;
    await core.learnTime();
    const name = `${markerFolder}/${sortableId(core.now(), core.options.clock.random(16))}`;
    await this.#store.put(name, markerBytes());
    const change = internalChange(core, markerKey, undefined, { metadata: { name }, ttlMs: durationMaxMs });
    await core.commit([change]);
    this.#marker = await this.#namedMarker();
    if (this.#marker !== name) await this.#store.delete(name);
    await this.verify();
  }

  /** The marker that the record of these sessions names. */
  async #namedMarker(): Promise<string | undefined> {
    const name = (await this.#core.find(markerKey))?.record.metadata["name"];
    return typeof name === "string" ? name : undefined;
  }
}

/**
 * What `get` of an attachment store returned, each piece checked: the store is a program of the caller.
 * @throws SessionError `attachment_store_failed`
 */
function piecesOf(opened: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const given: unknown = opened;
  if (typeof given !== "object" || given === null || !(Symbol.asyncIterator in given)) throw wrongBytes(given);
  return {
    async *[Symbol.asyncIterator]() {
      for await (const piece of opened) {
        if (!(piece instanceof Uint8Array)) throw wrongBytes(piece);
        yield piece;
      }
    },
  };
}

function wrongBytes(given: unknown): SessionError {
  const reported = given instanceof Uint8Array ? "a Uint8Array" : formatValue(given);
  return new SessionError("attachment_store_failed", { problem: "wrong_bytes" }, { reported });
}

async function* markerBytes(): AsyncGenerator<Uint8Array, void, undefined> {
  yield await Promise.resolve(new TextEncoder().encode("perdure"));
}
