import type { Capabilities } from "../store.ts";

/** The space of the file system that a store writes to. */
export interface DiskSpace {
  /** Bytes that the user of this process may still write. */
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/** Free space below this part of the file system, and below `lowBytes`, is a finding of the doctor. */
const lowPart = 0.05;
const lowBytes = 2 ** 30;

/**
 * The space for the files of a store. Null if this process cannot know it: the files are on another machine, or the file
 * system does not report it. Undefined for a store in memory.
 */
export async function diskSpaceOf({ folder, durable }: Capabilities): Promise<DiskSpace | null | undefined> {
  if (folder === null) return durable ? null : undefined;
  const { statfs } = await import("node:fs/promises");
  try {
    const { bavail, blocks, bsize } = await statfs(folder);
    return blocks === 0 ? null : { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  } catch {
    // The folder was moved, or the file system does not report its space.
    return null;
  }
}

/** True for free space below 5 % of the file system and below 1 GiB. */
export function isLow({ freeBytes, totalBytes }: DiskSpace): boolean {
  return freeBytes < Math.min(totalBytes * lowPart, lowBytes);
}
