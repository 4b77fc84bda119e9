import type { Entry, LogName } from "../../domain/record/entry.ts";
import type { LogRange } from "../../store/store.ts";

type SeqRange = Extract<LogRange, { readonly from: number }>;

/** The beginning of a page, and its limits. */
export interface LogPageQuery {
  readonly log: LogName;
  readonly from: number;
  readonly to: number;
  readonly order: "ascending" | "descending";
  readonly limit: number;
  readonly bytesMax: number;
}

/**
 * The next page behind an entry that was read before, or the first page. The entry is read again with the page; `undefined` where it
 * is no longer the same, because the log was rewritten.
 */
export async function pageBehind(
  before: Entry | undefined,
  { bytesMax, ...query }: LogPageQuery,
  read: (range: SeqRange) => Promise<readonly Entry[]>,
): Promise<readonly Entry[] | undefined> {
  if (before === undefined) return await read({ ...query, bytesMax });
  const bounds = query.order === "ascending" ? { from: before.seq } : { to: before.seq };
  const range = { ...query, ...bounds };
  const page = await read({
    ...range,
    limit: query.limit + 1,
    // The entry from before may fill a page.
    bytesMax: bytesMax + Buffer.byteLength(before.data),
  });
  // The next entry alone may have more bytes than a page.
  const [again, ...entries] = page.length === 1 ? await read({ ...range, limit: 2 }) : page;
  return isSame(before, again) ? entries : undefined;
}

function isSame({ seq, at, key, data }: Entry, other: Entry | undefined): boolean {
  return other?.seq === seq && other.at === at && other.key === key && other.data === data;
}
