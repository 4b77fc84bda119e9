/** Searches the messages and the titles of the sessions of a tenant. */
import { setImmediate as turnOfTheLoop } from "node:timers/promises";
import type { SessionRecord, SessionState } from "../../domain/record/record.ts";
import { parseSearch } from "../../domain/search/search-terms.ts";
import { defined } from "../../domain/values/defined.ts";
import { parseId } from "../../domain/values/ids.ts";
import { invalidArgument, parseInstant } from "../../domain/values/invalid-argument.ts";
import type { LabelFilter } from "../../domain/values/labels.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import type { Page, PageQuery } from "../../domain/values/pages.ts";
import { SessionError } from "../../errors.ts";
import type { MessageQuery, SessionFilter } from "../../store/store.ts";
import type { Core } from "../core/core.ts";
import { parseLimit, parseWholeNumber } from "../options/arguments.ts";
import { filterOf } from "../session/session-list.ts";
import { readFound, type FoundText, type Search } from "./found-text.ts";
import { scanPage, scanSession, type Paging } from "./scan.ts";

/** The text to search, and the messages among which. */
export interface SearchQuery extends PageQuery {
  /** Words, "phrases in quotes" and beginnings of words (`sess*`), at most 1000 characters. A message has all of them. */
  readonly text: string;
  /** Only in this session, its shared and archived turns included. No other field may name sessions then. */
  readonly session?: string;
  /** Only in sessions of this active agent. */
  readonly agent?: string;
  readonly user?: string;
  /** Only in sessions with all of these labels, each with this value or, for `true`, with any. */
  readonly labels?: LabelFilter;
  /** Only in sessions in these states. @default any */
  readonly state?: SessionState | readonly SessionState[];
  /** Only messages of turns that began at or after this. */
  readonly since?: Date;
  /** Only messages of turns that began before this. */
  readonly before?: Date;
  /** The maximum number of messages. @default 20 */
  readonly limit?: number;
  /**
   * How long the search may bring the index up to date, ms. Afterwards it searches what is indexed, and a later search
   * continues. @default 10 000
   */
  readonly waitMs?: number;
  /** Called after each step of the index. */
  readonly onProgress?: (progress: IndexingProgress) => void;
  /** Ends the search with the reason of the signal. */
  readonly signal?: AbortSignal;
}

/** What is not indexed yet. */
export interface IndexingProgress {
  /** About how many entries are left. */
  readonly left: number;
}

/**
 * One page of messages, the newest first; in one session the last turns first, and its title at the end. It may have fewer than
 * `limit` and be followed by another.
 */
export interface SearchPage extends Page<FoundText> {
  /** False if the index did not become current within `waitMs`: messages may be missing. */
  readonly isCurrent: boolean;
}

const queryNames: OptionNames<SearchQuery> = {
  text: true,
  session: true,
  agent: true,
  user: true,
  labels: true,
  state: true,
  since: true,
  before: true,
  limit: true,
  after: true,
  waitMs: true,
  onProgress: true,
  signal: true,
};

/** The most calls of the store for one page; a page that needs more is short. */
const callsMax = 20;
/** For one page, at most so many times as many messages are looked at. */
const lookedPerItem = 20;
/** An index has the words of a phrase alone, so for each text to find it is asked for so many messages at once. */
const askedForPhrase = 4;

/** `among`: only sessions of this user or guest. @throws SessionError `argument_invalid`, `id_invalid`, `session_not_found` */
export async function searchOn(
  core: Core,
  tenant: string,
  query: SearchQuery,
  among: Pick<SessionFilter, "user" | "guest"> = {},
): Promise<SearchPage> {
  core.guardOpen();
  guardNames(query, "query", queryNames);
  const { text, session, agent, user, labels, state, since, before, limit = 20, after, waitMs = 10_000 } = query;
  const terms = parseSearch(text);
  const count = parseLimit(limit, core.options.limits.pageMax);
  const until = performance.now() + parseWholeNumber(waitMs, "waitMs", 0);
  const instants = {
    since: since === undefined ? undefined : parseInstant(since, "since"),
    before: before === undefined ? undefined : parseInstant(before, "before"),
  };
  const selection = defined({ agent, user, labels, state });
  if (session !== undefined && Object.keys(selection).length > 0)
    throw invalidArgument("session", session, { expected: "without_selection" });
  const filter = { ...(await filterOf(core, selection)), ...among };
  const search: Search = { terms, ...defined(instants) };
  const paging = { search, limit: count, ...defined({ after, signal: query.signal }) };
  const record = session === undefined ? undefined : await recordOf(core, tenant, parseId(session, "session"));
  if (terms.words.length === 0) return { items: [], isCurrent: true };
  // The turns of one session are read anyway, so its archived and shared ones are found too.
  if (record !== undefined) return { ...(await scanSession(core, record, paging)), isCurrent: true };
  const asked = { tenant, words: terms.words, ...filter, ...defined(instants) };
  if (!core.store.capabilities.searches) return { ...(await scanPage(core, asked, paging)), isCurrent: true };
  const isCurrent = await bringForward(core, until, query);
  const page = await indexedPage(core, asked, paging);
  return { ...page, isCurrent };
}

/** One page of what the index has and what matches. */
async function indexedPage(
  core: Core,
  asked: Omit<MessageQuery, "limit">,
  { search, limit: count, after, signal }: Paging,
): Promise<Page<FoundText>> {
  const items: FoundText[] = [];
  let next = after;
  let left = lookedPerItem * count;
  let perItem = search.terms.phrases.length === 0 ? 1 : askedForPhrase;
  for (let call = 0; call < callsMax && left > 0; call++) {
    signal?.throwIfAborted();
    const most = count - items.length;
    const limit = Math.min(most * perItem, left);
    const bytesMax = core.options.limits.readBytesMax;
    const { messages, next: behind } = await core.store.search({
      ...asked,
      limit,
      bytesMax,
      ...defined({ after: next }),
    });
    const { texts, looked } = await readFound(core, asked.tenant, { found: messages, search, most });
    items.push(...texts);
    next = looked < messages.length ? messages[looked - 1]?.cursor : behind;
    if (next === undefined || items.length >= count) break;
    left -= looked;
    if (perItem > 1) perItem *= askedForPhrase;
  }
  return { items, ...defined({ next }) };
}

/** @throws SessionError `session_not_found` */
async function recordOf({ store }: Core, tenant: string, id: string): Promise<SessionRecord> {
  const { sessions } = await store.load([{ key: { tenant, id }, tails: [] }]);
  const record = sessions[0]?.record;
  if (record === undefined) throw new SessionError("session_not_found", { sessionId: id, tenant });
  return record;
}

/** Brings the index forward until it is current or the time is over; at least one step. True if it is current. */
async function bringForward(
  { store }: Core,
  until: number,
  { onProgress, signal }: Pick<SearchQuery, "onProgress" | "signal">,
): Promise<boolean> {
  for (;;) {
    signal?.throwIfAborted();
    const { isCurrent, left } = await store.index();
    if (isCurrent) return true;
    onProgress?.({ left });
    if (performance.now() >= until) return false;
    await turnOfTheLoop();
  }
}
