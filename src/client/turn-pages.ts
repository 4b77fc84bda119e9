import { defined } from "../domain/values/defined.ts";
import type { Turn, TurnRange } from "../index.ts";
import { turnOfWire, type WireTurn } from "../protocol/wire.ts";
import type { Http } from "./http.ts";

/** The turns of a range, page by page, as the server divides it. */
export async function* turnPages(
  http: Http,
  path: string,
  { last, ...range }: TurnRange,
): AsyncGenerator<Turn, void, undefined> {
  let left = last ?? Number.POSITIVE_INFINITY;
  for (let query: TurnRange = { ...defined({ last }), ...range }; ;) {
    const { body } = await http.ask({ method: "GET", path, query: { ...query } });
    const { turns, next } = body as { readonly turns: readonly WireTurn[]; readonly next?: number };
    for (const wire of turns) {
      // Turns added meanwhile do not belong to the last ones that were requested.
      if (left-- <= 0) return;
      yield turnOfWire(wire);
    }
    if (next === undefined || left <= 0) return;
    query = { ...range, from: next };
  }
}
