import { parseId } from "../domain/values/ids.ts";

/** The server takes at most so many keys at once. */
const keysMax = 100;
/** The characters of the keys of one request: a URL is a header of limited length. */
const keyLengthMax = 4096;

/** Keys of one request each. @throws SessionError `id_invalid` */
export function batchesOf(keys: readonly string[]): readonly (readonly string[])[] {
  const batches: string[][] = [];
  let length = Infinity;
  for (const key of keys) {
    const added = encodeURIComponent(parseId(key, "key")).length;
    const batch = batches.at(-1);
    if (batch === undefined || batch.length === keysMax || length + added > keyLengthMax) {
      batches.push([key]);
      length = added;
    } else {
      batch.push(key);
      length += added;
    }
  }
  return batches;
}
