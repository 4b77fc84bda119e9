import { defined } from "../domain/values/defined.ts";
import { eachPage, type After } from "../domain/values/pages.ts";
import type { Turn, TurnRange } from "../index.ts";
import { turnOfWire, type WireTurn } from "../protocol/wire.ts";
import type { Http } from "./http.ts";

interface WireTurnPage {
  readonly turns: readonly WireTurn[];
  readonly next?: number;
}

/** The turns of a range, page by page, as the server divides it. */
export async function* turnPages(
  http: Http,
  path: string,
  { last, ...range }: TurnRange,
): AsyncGenerator<Turn, void, undefined> {
  const ask = async ({ after: from }: After<number>): Promise<WireTurnPage> => {
    const query = from === undefined ? { ...defined({ last }), ...range } : { ...range, from };
    return (await http.ask({ method: "GET", path, query })).body as WireTurnPage;
  };
  let left = last ?? Number.POSITIVE_INFINITY;
  for await (const { turns } of eachPage<WireTurnPage, number>(ask)) {
    for (const wire of turns) {
      // Turns added meanwhile do not belong to the last ones that were requested.
      if (left-- <= 0) return;
      yield turnOfWire(wire);
    }
    if (left <= 0) return;
  }
}
