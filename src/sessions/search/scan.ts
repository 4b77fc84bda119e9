/** Search without an index: in one session, and in a store without one in every message of the matching sessions. */
import { piecesOf } from "../../domain/branches/segments.ts";
import { firstOwn, headOf } from "../../domain/record/change.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { messagesOf, titleSeq } from "../../domain/search/searched-messages.ts";
import { readTurn, type Turn } from "../../domain/turns/turn.ts";
import { defined } from "../../domain/values/defined.ts";
import { eachPage, type Page } from "../../domain/values/pages.ts";
import { decodeCursor, encodeCursor, type Position } from "../../store/cursor.ts";
import { comparePositions } from "../../store/ordered-rows.ts";
import type { MessageQuery } from "../../store/store.ts";
import type { Core } from "../core/core.ts";
import { readLog } from "../core/log-reader.ts";
import { foundMessage, foundTitle, type FoundText, type Search } from "./found-text.ts";

/** The page of a search. */
export interface Paging {
  readonly search: Search;
  readonly limit: number;
  readonly after?: string;
  readonly signal?: AbortSignal;
}

/** The most characters of turns that one page of a session is read from; a page that needs more is short. */
const scannedMax = 64 * 1024 * 1024;

/**
 * One page of what matches in the turns that a session shows, the last ones first, and then in its title. It reads archived
 * turns, and those that a fork shares.
 */
export async function scanSession(core: Core, record: SessionRecord, paging: Paging): Promise<Page<FoundText>> {
  const { search, limit, after, signal } = paging;
  const [first = headOf(record, "turns"), end = Number.MAX_SAFE_INTEGER] =
    after === undefined ? [] : decodeCursor(after, ["number", "number"]).map(Number);
  const items: FoundText[] = [];
  let scanned = 0;
  for await (const { turn, size } of turnsBack(core, record, { from: 1, to: first })) {
    signal?.throwIfAborted();
    for (let index = messagesOf(turn).length - 1; index >= 0; index--) {
      const isBehind = turn.seq === first && index >= end;
      const text = isBehind ? undefined : foundMessage(record, turn, index, search);
      if (text === undefined) continue;
      if (items.length === limit) return { items, next: encodeCursor([turn.seq, index + 1]) };
      items.push(text);
    }
    scanned += size;
    if (scanned > scannedMax) return { items, next: encodeCursor([turn.seq, 0]) };
  }
  const title = foundTitle(record, search);
  if (title === undefined) return { items };
  if (items.length === limit) return { items, next: encodeCursor([titleSeq, 1]) };
  return { items: [...items, title] };
}

/** A message, and its place in the order of the results: the last one first. */
interface Placed {
  readonly position: Position;
  readonly text: FoundText;
}

/** One page of what matches, the newest first. Turns in archives are not read, as an index has none of them. */
export async function scanPage(
  core: Core,
  query: Omit<MessageQuery, "limit" | "after">,
  { search, limit, after, signal }: Paging,
): Promise<Page<FoundText>> {
  const { tenant, words: _, since: _since, before: _before, ...filter } = query;
  const end = after === undefined ? undefined : decodeCursor(after, ["number", "string", "number", "number"]);
  const found: Placed[] = [];
  const { pageMax, pageBytesMax: bytesMax } = core.options.limits;
  const ask = (rest: { readonly after?: string }) =>
    core.store.find({ ...filter, ...rest, order: "key", tenant, limit: pageMax, bytesMax });
  for await (const { records } of eachPage(ask)) {
    for (const record of records) {
      signal?.throwIfAborted();
      for await (const one of ownTexts(core, record, search))
        if (end === undefined || comparePositions(one.position, end) < 0) found.push(one);
    }
  }
  found.sort((a, b) => comparePositions(b.position, a.position));
  const page = found.slice(0, limit);
  const last = found.length > limit ? page.at(-1) : undefined;
  return { items: page.map(({ text }) => text), ...defined({ next: last && encodeCursor(last.position) }) };
}

/** What matches in the title and in the turns of a session that no other session has. */
async function* ownTexts(core: Core, record: SessionRecord, search: Search): AsyncGenerator<Placed, void, undefined> {
  const placed = (text: FoundText): Placed => ({
    position: [text.at.getTime(), record.id, text.turn ?? titleSeq, text.message],
    text,
  });
  const title = foundTitle(record, search);
  if (title !== undefined) yield placed(title);
  if (record.archive !== null) return;
  for (const { log, offset, from, to } of piecesOf(record, "turns")) {
    const first = log === "turns" ? Math.max(from, firstOwn(record, "turns") + offset) : from;
    for await (const { turn } of turnsBack(core, record, { from: first, to })) {
      for (const [message] of messagesOf(turn).entries()) {
        const text = foundMessage(record, turn, message, search);
        if (text !== undefined) yield placed(text);
      }
    }
  }
}

/** The turns of a range that can be read, the last one first, with the length of their data. */
async function* turnsBack(
  core: Core,
  record: SessionRecord,
  { from, to }: { readonly from: number; readonly to: number },
): AsyncGenerator<{ readonly turn: Turn; readonly size: number }, void, undefined> {
  const { readMax: limit, readBytesMax: bytesMax } = core.options.limits;
  for (let last = to; last >= from;) {
    const range = { log: "turns", from, to: last, order: "descending", limit, bytesMax } as const;
    const entries = await readLog(core, record, range);
    if (entries.length === 0) return; // truncated meanwhile
    for (const entry of entries) {
      last = entry.seq - 1;
      const turn = readTurn(entry);
      if (typeof turn !== "string") yield { turn, size: entry.data.length };
    }
  }
}
