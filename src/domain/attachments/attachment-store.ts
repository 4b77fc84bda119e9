/**
 * The contract of a store of the bytes of attachments: a folder, or an object store behind a network. It has no rules and no
 * references: the store of sessions knows which object is used, and decides what is deleted. The conformance suite
 * (`perdure/testing`) has a case for each invariant, with the same name.
 */

/** The bytes `from` to `to` of an object, bounds included, from 0. */
export interface ObjectRange {
  readonly from: number;
  readonly to: number;
}

/**
 * A store of objects: bytes under a name. Names have lower case letters, digits and one `/`, and at most 64 characters. A name is put
 * once, and never again after it was deleted, so a store without a rename and with late deletes is enough.
 */
export interface AttachmentStore {
  /**
   * Stores bytes, as they arrive. An error of `bytes` is thrown, and there is no such object.
   * INVARIANT put-is-whole: an object that can be read has all of its bytes, also after a process was killed meanwhile.
   * INVARIANT put-is-durable: once the promise resolves, no crash loses the object.
   */
  put(name: string, bytes: AsyncIterable<Uint8Array>): Promise<void>;

  /**
   * Opens a range of an object, which is within it; undefined if there is no such object.
   * INVARIANT get-is-exact: the bytes are those of the range that were put, in pieces of any size.
   * INVARIANT get-finds-what-was-put: an object is found from the moment on at which its `put` resolved.
   */
  get(name: string, range: ObjectRange): Promise<AsyncIterable<Uint8Array> | undefined>;

  /**
   * Deletes an object, and what an interrupted `put` of it left.
   * INVARIANT delete-of-nothing: the deletion of an object that is not there does nothing.
   * INVARIANT deleted-is-gone: the bytes are gone, at once or soon after.
   */
  delete(name: string): Promise<void>;

  /**
   * The names of all objects, in any order, and of interrupted puts that left something. Only the doctor calls it.
   * INVARIANT list-is-complete: an object that exists and does not change meanwhile is listed. It may come more than once.
   */
  list(): AsyncIterable<string>;
}
