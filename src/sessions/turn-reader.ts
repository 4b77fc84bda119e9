import { headOf } from "../domain/change.ts";
import { CutTally, type Cut } from "../domain/spent.ts";
import { turnOf, type Turn } from "../domain/turn.ts";
import { show } from "../domain/show.ts";
import { SessionError } from "../errors.ts";
import type { Handle } from "./handle.ts";
import { perform } from "./operation.ts";

/** The last so many turns, or those from one number to another, bounds included; all of them where nothing is said. */
export interface TurnRange {
  readonly last?: number;
  readonly from?: number;
  readonly to?: number;
}

/** Read turns page by page, oldest first, never more than a page in memory. */
export async function* readTurns(handle: Handle, range: TurnRange): AsyncGenerator<Turn, void, undefined> {
  const { last, from = 1, to = Number.MAX_SAFE_INTEGER } = range;
  const { readMax } = handle.core.options.limits;
  if (last !== undefined && last <= readMax) {
    const tail = await perform(handle.about("turns"), async () => {
      guardRange(range);
      const page = await handle.core.store.read(handle.key, {
        log: "turns",
        from: 1,
        to: Number.MAX_SAFE_INTEGER,
        order: "descending",
        limit: last,
      });
      if (page.length === 0) await handle.peek(); // no turns, or no session any more, which is an error
      return page;
    });
    for (const entry of tail.toReversed()) yield turnOf(entry);
    return;
  }
  const head = await perform(handle.about("turns"), async () => {
    guardRange(range);
    return headOf((await handle.peek()).record, "turns");
  });
  const end = Math.min(to, head);
  for (let next = last === undefined ? from : Math.max(1, head - last + 1); next <= end;) {
    const page = await perform(handle.about("turns"), () =>
      handle.core.store.read(handle.key, { log: "turns", from: next, to: end, order: "ascending", limit: readMax }),
    );
    if (page.length === 0) return;
    for (const entry of page) yield turnOf(entry);
    next += page.length;
  }
}

function guardRange({ last, from, to }: TurnRange): void {
  if (last !== undefined && (!Number.isSafeInteger(last) || last < 0 || from !== undefined || to !== undefined)) {
    throw new SessionError("argument_invalid", {
      name: "last",
      value: show(last),
      expected: "a whole number, 0 or more, without from and to",
    });
  }
  const bounds = { from: from ?? 1, to: to ?? Number.MAX_SAFE_INTEGER };
  const wholes = Number.isSafeInteger(bounds.from) && Number.isSafeInteger(bounds.to);
  if (!wholes || bounds.from < 1 || bounds.to < bounds.from) throw new SessionError("range_invalid", bounds);
}

/** What these turns hold and took, for who cuts them off. */
export async function readCut(handle: Handle, range: { from: number; to: number }): Promise<Cut> {
  const tally = new CutTally();
  for await (const turn of readTurns(handle, range)) tally.add(turn);
  return tally.cut;
}
