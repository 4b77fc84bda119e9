import { parseId } from "../domain/values/ids.ts";
import { invalidArgument } from "../domain/values/invalid-argument.ts";

/** The server takes at most so many keys at once. */
const keysMax = 100;
/** The characters of the keys of one request: a URL is a header of limited length. */
const keyLengthMax = 4096;

/** Keys of one request each, every key once. @throws SessionError `argument_invalid`, `id_invalid` */
export function batchesOf(keys: readonly string[]): readonly (readonly string[])[] {
  const given: unknown = keys;
  if (!Array.isArray(given)) throw invalidArgument("keys", given, { expected: "array" });
  const batches: string[][] = [];
  let length = Infinity;
  for (const key of new Set(keys)) {
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
