import { eachPage } from "../domain/values/pages.ts";
import type { ListQuery, SessionInfo, Sessions } from "../index.ts";

/** Maximum number of sessions that a gauge reads. */
const sessionsMax = 10_000;

/** The sessions that a gauge counts, most recently active first. */
export async function* countedSessions(
  sessions: Sessions,
  { state }: Required<Pick<ListQuery, "state">>,
): AsyncGenerator<SessionInfo, void, undefined> {
  let seen = 0;
  for await (const { items } of eachPage((after) => sessions.list({ state, limit: 1000, ...after }))) {
    yield* items;
    seen += items.length;
    if (seen >= sessionsMax) return;
  }
}
