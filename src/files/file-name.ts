import { createHash } from "node:crypto";

/** Longer names are cut, so that with their hash and an ending they fit every file system. */
const lengthMax = 100;
const plain = /^[a-z0-9][a-z0-9_-]*$/;
/** Names that Windows keeps for devices. */
const reserved = /^(con|prn|aux|nul|com\d|lpt\d)$/;

/**
 * A name for a file that stands for this id and no other, on file systems that ignore case, have reserved names or take
 * few characters. It is the id itself where that is short and made of a-z, 0-9, `_` and `-`; else what of it is, and a hash.
 */
export function fileNameOf(id: string): string {
  if (plain.test(id) && id.length <= lengthMax && !reserved.test(id)) return id;
  const hash = createHash("sha256").update(id).digest("hex").slice(0, 32);
  const readable = id
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]+/g, "-")
    .slice(0, 40);
  return `${readable.replace(/^-+/, "") || "id"}~${hash}`;
}
