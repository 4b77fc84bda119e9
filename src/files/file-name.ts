import { createHash } from "node:crypto";

/** Longer names are truncated, so that name, hash and extension fit every file system. */
const lengthMax = 100;
const plain = /^[a-z0-9][a-z0-9_-]*$/;
/** Device names on Windows. */
const reserved = /^(con|prn|aux|nul|com\d|lpt\d)$/;

/**
 * A file name that is unique to this id, also on file systems that ignore case, reserve names or allow few characters.
 * It is the id itself if that is short and consists of a-z, 0-9, `_` and `-`; else its allowed characters, and a hash.
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
