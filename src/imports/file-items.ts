/** The items of several files, one file after the other. */
import { hasCode } from "../errors.ts";
import type { ImportItem } from "../sessions/transfer/importing.ts";
import { importItems, type ItemsOptions } from "./import-items.ts";
import type { ImportSource } from "./sources.ts";

/** How to read files. */
export interface FilesOptions extends Omit<ItemsOptions, "file"> {
  /** Called with the bytes of each piece that is read. */
  readonly onRead?: (length: number) => void;
}

/** The items of the sources. A file that is damaged, of another kind, or with too many messages of no conversation of their own is an item with its error. */
export async function* fileItems(
  sources: readonly ImportSource[],
  { onRead = () => undefined, ...options }: FilesOptions,
): AsyncGenerator<ImportItem, void, undefined> {
  for (const { name, bytes } of sources) {
    try {
      yield* importItems(bytes(onRead), { ...options, file: name });
    } catch (error) {
      if (!hasCode(error, "snapshot_invalid") && !hasCode(error, "snapshot_too_large")) throw error;
      yield { source: name, error };
    }
  }
}
