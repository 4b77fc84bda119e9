/** Search in a store without an index: it reads every message of the matching sessions. */
import { firstOwn, headOf } from "../../domain/record/change.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { messagesOf, titleSeq } from "../../domain/search/searched-messages.ts";
import { readTurn } from "../../domain/turns/turn.ts";
import { defined } from "../../domain/values/defined.ts";
import { eachPage, type Page } from "../../domain/values/pages.ts";
import { decodeCursor, encodeCursor, type Position } from "../../store/cursor.ts";
import { comparePositions } from "../../store/ordered-rows.ts";
import type { MessageQuery } from "../../store/store.ts";
import type { Core } from "../core/core.ts";
import { readLog } from "../core/log-reader.ts";
import { foundMessage, foundTitle, isOwn, type FoundText, type Search } from "./found-text.ts";

/** A message, and its place in the order of the results: the last one first. */
interface Placed {
  readonly position: Position;
  readonly text: FoundText;
}

/** One page of what matches, the newest first. Turns in archives are not read, as an index has none of them. */
export async function scanPage(
  core: Core,
  query: Omit<MessageQuery, "limit" | "after">,
  { search, limit, after }: { readonly search: Search; readonly limit: number; readonly after?: string },
): Promise<Page<FoundText>> {
  const { tenant, words: _, sessions, since: _since, before: _before, ...filter } = query;
  const end = after === undefined ? undefined : decodeCursor(after, ["number", "string", "number", "number"]);
  const found: Placed[] = [];
  const { pageMax, pageBytesMax: bytesMax } = core.options.limits;
  const ask = (rest: { readonly after?: string }) =>
    core.store.find({ ...filter, ...rest, order: "key", tenant, limit: pageMax, bytesMax });
  for await (const { records } of eachPage(ask)) {
    for (const record of records) {
      const to = sessions === undefined ? Infinity : sessions.find(({ id }) => id === record.id)?.to;
      if (to === undefined) continue;
      for await (const one of textsOf(core, record, to, search))
        if (end === undefined || comparePositions(one.position, end) < 0) found.push(one);
    }
  }
  found.sort((a, b) => comparePositions(b.position, a.position));
  const page = found.slice(0, limit);
  const last = found.length > limit ? page.at(-1) : undefined;
  return { items: page.map(({ text }) => text), ...defined({ next: last && encodeCursor(last.position) }) };
}

/** What matches in the entries of a session of its own, up to a turn. */
async function* textsOf(
  core: Core,
  record: SessionRecord,
  to: number,
  search: Search,
): AsyncGenerator<Placed, void, undefined> {
  const { id } = record;
  const shown = search.within ?? record;
  const placed = (text: FoundText): Placed => ({
    position: [text.at.getTime(), id, text.turn ?? titleSeq, text.message],
    text,
  });
  const title = isOwn(search, id, titleSeq) ? foundTitle(shown, search) : undefined;
  if (title !== undefined) yield placed(title);
  if (record.archive !== null) return;
  const { readMax: limit, readBytesMax: bytesMax } = core.options.limits;
  const end = Math.min(to, headOf(record, "turns"));
  for (let from = firstOwn(record, "turns"); from <= end;) {
    const range = { log: "turns", from, to: end, order: "ascending", limit, bytesMax } as const;
    const entries = await readLog(core, record, range);
    if (entries.length === 0) return; // truncated meanwhile
    for (const entry of entries) {
      from = entry.seq + 1;
      const turn = readTurn(entry);
      if (typeof turn === "string") continue;
      for (const [message] of messagesOf(turn).entries()) {
        const text = foundMessage(shown, turn, message, search);
        if (text !== undefined) yield placed(text);
      }
    }
  }
}
