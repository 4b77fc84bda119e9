/** The messages that a search found, read where they are. */
import { piecesOf } from "../../domain/branches/segments.ts";
import type { Entry } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { matchesTerms, type SearchTerms } from "../../domain/search/search-terms.ts";
import { messagesOf, searchedText, titleSeq } from "../../domain/search/searched-messages.ts";
import { snippetOf, type Snippet } from "../../domain/search/snippet.ts";
import { readTurn, type Message, type Turn } from "../../domain/turns/turn.ts";
import { hasCode } from "../../errors.ts";
import type { FoundMessage } from "../../store/store.ts";
import type { Core } from "../core/core.ts";
import { readLog } from "../core/log-reader.ts";

/** A message or a title that has all words of a search. */
export interface FoundText {
  /** The id of the session. */
  readonly session: string;
  readonly title: string | null;
  /** The active agent of the session. */
  readonly agent: string;
  readonly user: string | null;
  /** The number of the turn; null: the title of the session was found. */
  readonly turn: number | null;
  /** The place of the message in the turn, from 0: those of the input, then those of the output. 0 for a title. */
  readonly message: number;
  /** The role of the message; null for a title. */
  readonly role: Message["role"] | null;
  /** When the turn began; for a title, when the session was created. */
  readonly at: Date;
  readonly snippet: Snippet;
}

/** What a found message has to be. */
export interface Search {
  readonly terms: SearchTerms;
  readonly since?: number;
  readonly before?: number;
}

/** What of a page was looked at. */
export interface ReadMessages {
  readonly texts: readonly FoundText[];
  /** The messages at the beginning of the page that were looked at. */
  readonly looked: number;
}

/** A message that may be shown. */
interface Candidate {
  readonly message: FoundMessage;
  /** Its turn by the number in the store; undefined for a title, and where the store did not give it. */
  readonly turn: Turn | undefined;
}

/**
 * Reads what was found, at most so many texts, and leaves out what does not match any more, or never did: an index has the words of
 * phrases alone. Only the sessions of messages that match are loaded.
 */
export async function readFound(
  core: Core,
  tenant: string,
  { found, search, most }: { readonly found: readonly FoundMessage[]; readonly search: Search; readonly most: number },
): Promise<ReadMessages> {
  const candidates: Candidate[] = [];
  let looked = 0;
  for (const message of found) {
    if (candidates.length === most) break;
    looked++;
    const turn = message.entry && turnIn(message.entry);
    if (message.entry === undefined || (turn && matchesAt(turn, message.message, search)))
      candidates.push({ message, turn });
  }
  const records = await recordsOf(
    core,
    tenant,
    candidates.map(({ message }) => message),
  );
  const turns = new Map<string, Promise<Turn | undefined>>();
  const texts = await Promise.all(
    candidates.map(async ({ message: { session, log, seq, message }, turn: given }): Promise<FoundText | undefined> => {
      const record = records.get(session);
      if (record === undefined) return undefined;
      if (seq === titleSeq) return foundTitle(record, search);
      const shown = shownAs(record, { log, seq });
      if (shown === undefined) return undefined;
      if (given !== undefined) return foundMessage(record, { ...given, seq: shown }, message, search);
      const place = `${log} ${seq} ${session}`;
      const turn = turns.get(place) ?? turnAt(core, record, shown);
      turns.set(place, turn);
      const read = await turn;
      return read && foundMessage(record, read, message, search);
    }),
  );
  return { texts: texts.filter((text) => text !== undefined), looked };
}

/** The records of the sessions that exist and can be read. */
async function recordsOf(
  { store }: Core,
  tenant: string,
  found: readonly FoundMessage[],
): Promise<ReadonlyMap<string, SessionRecord>> {
  const ids = [...new Set(found.map(({ session }) => session))];
  const load = async (some: readonly string[]): Promise<readonly SessionRecord[]> => {
    try {
      const { sessions } = await store.load(some.map((id) => ({ key: { tenant, id }, tails: [] })));
      return sessions.flatMap((one) => (one === undefined ? [] : [one.record]));
    } catch (error) {
      if (!hasCode(error, "session_unreadable")) throw error;
      return some.length === 1 ? [] : (await Promise.all(some.map((id) => load([id])))).flat();
    }
  };
  return new Map((await load(ids)).map((record) => [record.id, record]));
}

/** The number by which the session shows a turn of this place; undefined if its current branch has none from there. */
function shownAs(record: SessionRecord, { log, seq }: Pick<FoundMessage, "log" | "seq">): number | undefined {
  const piece = piecesOf(record, "turns").find((one) => one.log === log);
  const shown = seq + (piece?.offset ?? 0);
  return piece === undefined || shown < piece.from || shown > piece.to ? undefined : shown;
}

async function turnAt(core: Core, record: SessionRecord, seq: number): Promise<Turn | undefined> {
  try {
    const [entry] = await readLog(core, record, { log: "turns", from: seq, to: seq, order: "ascending", limit: 1 });
    return entry && turnIn(entry);
  } catch (error) {
    // It was removed meanwhile.
    if (hasCode(error, "session_not_found")) return undefined;
    throw error;
  }
}

/** Undefined if it cannot be read. */
function turnIn(entry: Entry): Turn | undefined {
  const turn = readTurn(entry);
  return typeof turn === "string" ? undefined : turn;
}

function matchesAt(turn: Turn, message: number, { terms }: Search): boolean {
  const one = messagesOf(turn)[message];
  return one !== undefined && matchesTerms(terms, searchedText(one));
}

/** The message at this place of a turn; undefined if it does not match. */
export function foundMessage(
  record: SessionRecord,
  turn: Turn,
  message: number,
  search: Search,
): FoundText | undefined {
  const one = messagesOf(turn)[message];
  const text = one === undefined ? "" : searchedText(one);
  if (one === undefined || !isWithin(search, turn.at.getTime()) || !matchesTerms(search.terms, text)) return undefined;
  return {
    ...sessionFields(record),
    turn: turn.seq,
    message,
    role: one.role,
    at: turn.at,
    snippet: snippetOf(search.terms, text),
  };
}

/** The title of a session; undefined if it does not match. */
export function foundTitle(record: SessionRecord, search: Search): FoundText | undefined {
  const { title, createdAt } = record;
  if (title === null || !isWithin(search, createdAt) || !matchesTerms(search.terms, title)) return undefined;
  return {
    ...sessionFields(record),
    turn: null,
    message: 0,
    role: null,
    at: new Date(createdAt),
    snippet: snippetOf(search.terms, title),
  };
}

function isWithin({ since = -Infinity, before = Infinity }: Search, at: number): boolean {
  return at >= since && at < before;
}

function sessionFields({
  id,
  title,
  agent,
  user,
}: SessionRecord): Pick<FoundText, "session" | "title" | "agent" | "user"> {
  return { session: id, title, agent, user };
}
