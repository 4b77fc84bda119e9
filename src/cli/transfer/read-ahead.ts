import { importSessions, type ImportItem, type ImportOptions, type ImportReport } from "../../admin.ts";
import { hasCode, type Sessions } from "../../index.ts";

type Items = AsyncGenerator<ImportItem, void, undefined>;

/** Items of which the first ones are read already. */
export interface ReadAhead {
  /** False where an import of the items would write nothing. Behind the limit of memory the items are not examined. */
  readonly canImport: boolean;
  /** All of the items, with the error of their stream. */
  readonly items: Items;
}

/** The most bytes of items that stay in memory. */
const bytesMax = 64 * 1024 * 1024;

/** Reads the items up to the first ones that a dry run imports into `sessions`, which are of an empty store. */
export async function readAhead(
  sessions: Sessions,
  items: Items,
  options: Pick<ImportOptions, "agent" | "ttl">,
): Promise<ReadAhead> {
  const read: ImportItem[] = [];
  let failure: { readonly error: unknown } | undefined;
  let canImport = false;
  let bytes = 0;
  const first = async function* (): Items {
    while (!canImport && bytes < bytesMax) {
      const next = await items.next().catch((error: unknown) => void (failure = { error }));
      if (next === undefined || next.done === true) return;
      read.push(next.value);
      bytes += bytesOf(next.value);
      yield next.value;
    }
  };
  const onProgress = ({ restored }: ImportReport): void => void (canImport ||= restored > 0);
  try {
    await importSessions(sessions, first(), { ...options, dryRun: true, onProgress });
  } catch (error) {
    // Too many items cannot be read: the import ends with the same error, and reports the first ones.
    if (!hasCode(error, "snapshot_invalid")) throw error;
  }
  return { canImport: canImport || bytes >= bytesMax, items: continued(read, items, () => failure) };
}

function bytesOf(item: ImportItem): number {
  if ("text" in item) return item.text.length;
  return "conversation" in item ? (item.size ?? 0) : 0;
}

async function* continued(
  read: ImportItem[],
  rest: Items,
  failureOf: () => { readonly error: unknown } | undefined,
): Items {
  try {
    // An item that was taken does not stay in memory.
    for (let item = read.shift(); item !== undefined; item = read.shift()) yield item;
    const failure = failureOf();
    if (failure !== undefined) throw failure.error;
    yield* rest;
  } finally {
    await rest.return();
  }
}
