/**
 * Sums over the sessions, turns and handoffs of a tenant: the query and the result of `Store.stats`, and an accumulator for
 * stores that read rows one by one. A fact is the part of a row that the sums need, without messages.
 */
import { feedbackLog, summarizedTo, truncatedUsageLog, type Entry } from "../domain/record/entry.ts";
import type { SessionRecord, SessionState } from "../domain/record/record.ts";
import type { TruncatedUsage } from "../domain/turns/truncated-usage.ts";
import { stateAt } from "../domain/record/states.ts";
import type { TurnData } from "../domain/turns/turn.ts";
import { invalidText, parseArray } from "../domain/values/invalid-argument.ts";
import { dateMaxMs } from "../domain/values/limits.ts";
import { guardObject } from "../domain/values/option-names.ts";

/** The groups of turns: by answering agent, session, its user, model, and day or hour (UTC) of the beginning. */
export type StatsKind = "agent" | "session" | "user" | "model" | "day" | "hour";

/** The query of `Store.stats`. */
export interface StoreStatsQuery {
  readonly tenant: string;
  /** A session that has expired at this time counts as expired, epoch ms. */
  readonly now: number;
  /** Only turns and events since this time, and sessions that were active, ended or expired since, epoch ms. */
  readonly since?: number;
  readonly by: readonly StatsKind[];
  /** The most groups of each kind, and the most days. */
  readonly limit: number;
}

/** Sums over turns, truncated turns included. */
export interface TurnSums {
  readonly turns: number;
  /** In progress, or waiting to be resumed. */
  readonly open: number;
  readonly failed: number;
  readonly interrupted: number;
  /** Turns that are in no log and no archive any more. */
  readonly truncated: number;
  /** Calls of a model. */
  readonly requests: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly totalTokens: number;
  /** Turns whose tokens are an estimate. */
  readonly estimated: number;
  readonly durationMs: number;
  readonly longestMs: number;
  /** Bytes of the turns in the log, as text. */
  readonly bytes: number;
  /**
   * Writes of turns that were refused because another writer had changed the log, as far as their events are kept. They
   * count for an agent, session, user, day and hour, and for no model.
   */
  readonly conflicts: number;
}

/** The turns of one agent, session, user, model, day or hour. */
export interface TurnGroup extends TurnSums {
  /** A name, or the first moment of the day or hour, epoch ms; null: turns without a name. */
  readonly key: string | number | null;
}

/** The number of occurrences of each value, the smallest value first. Values are cut to three digits, so there are few. */
export type Histogram = readonly (readonly [value: number, count: number])[];

/** Sessions that were created, ended or expired on one day. */
export interface SessionDay {
  /** The first moment of the day in UTC, epoch ms. */
  readonly day: number;
  readonly created: number;
  readonly ended: number;
  readonly expired: number;
}

/** The result of a {@link StoreStatsQuery}. */
export interface StoreStats {
  readonly sessions: {
    readonly states: Readonly<Record<SessionState, number>>;
    /** Sessions with an active handoff. */
    readonly handoffs: number;
    /** Turns in the log of each session. */
    readonly turns: Histogram;
    /** Time from the creation of each session to its last activity. */
    readonly lifeMs: Histogram;
    /** Bytes of the records, as text. */
    readonly bytes: number;
  };
  /** The latest day first. */
  readonly days: readonly SessionDay[];
  readonly turns: TurnSums;
  /** Durations of the turns in the log that have one. */
  readonly durationMs: Histogram;
  readonly handoffs: {
    /** Durations of the handoffs that ended. */
    readonly activeMs: Histogram;
    /** Handoffs that expired. */
    readonly expired: number;
  };
  readonly ratings: RatingSums;
  readonly logs: readonly { readonly log: string; readonly entries: number; readonly bytes: number }[];
  /** Days and hours the latest first; the others by tokens, the most first, then by key. */
  readonly groups: { readonly [Kind in StatsKind]?: readonly TurnGroup[] };
  /** Records and entries that cannot be read. Only the sums of bytes and entries include them. */
  readonly unreadable: UnreadableCounts;
}

/** Ratings of turns in the log of ratings; those of archived sessions are in no log. */
export interface RatingSums {
  readonly up: number;
  readonly down: number;
  /** Ratings that are a number, and their sum. */
  readonly scores: number;
  readonly scoreSum: number;
}

/** The number of records and entries that cannot be read. */
export interface UnreadableCounts {
  readonly sessions: number;
  readonly entries: number;
}

/** The facts of a session record. */
export interface SessionFacts extends Pick<
  SessionRecord,
  "state" | "createdAt" | "lastActivityAt" | "stateSince" | "expiresAt"
> {
  readonly turns: number;
  readonly handoffExpiresAt: number | null;
  readonly bytes: number;
}

/** The facts of an entry. `data` may end before the messages of a turn, see {@link headOfData}. */
export interface EntryFacts extends Pick<Entry, "at" | "data"> {
  readonly log: string;
  /** The id of its session. */
  readonly session: string;
  readonly user: string | null;
  /** True for the usage, in the log of truncated usage, of turns that are in the session's archive. */
  readonly isArchived: boolean;
  /** Bytes of the whole data; for an archive, which engines store as bytes, those bytes. */
  readonly bytes: number;
}

/** The beginning of the messages in the data of a turn. These characters occur at no earlier place of the JSON text. */
export const inputMark = ',"input":[';

/** The log name for the turns up to `inherited` of a session: their usage counts for another session. */
export const inheritedLog = "inherited";

/** The data of a turn without its messages. @throws SessionError `argument_invalid` */
export function headOfData(data: string): string {
  if (typeof data !== "string") throw invalidText("data", data, {});
  const end = data.indexOf(inputMark);
  return end < 0 ? data : `${data.slice(0, end)}}`;
}

/** Sums while they are computed. */
export type MutableSums = { -readonly [Name in keyof TurnSums]: number };

export const sumNames: readonly (keyof TurnSums)[] = [
  "turns",
  "open",
  "failed",
  "interrupted",
  "truncated",
  "requests",
  "inputTokens",
  "outputTokens",
  "totalTokens",
  "estimated",
  "durationMs",
  "longestMs",
  "bytes",
  "conflicts",
];

export function noSums(): MutableSums {
  return {
    turns: 0,
    open: 0,
    failed: 0,
    interrupted: 0,
    truncated: 0,
    requests: 0,
    inputTokens: 0,
    outputTokens: 0,
    totalTokens: 0,
    estimated: 0,
    durationMs: 0,
    longestMs: 0,
    bytes: 0,
    conflicts: 0,
  };
}

export function addSums(sums: MutableSums, more: TurnSums): void {
  sums.turns += more.turns;
  sums.open += more.open;
  sums.failed += more.failed;
  sums.interrupted += more.interrupted;
  sums.truncated += more.truncated;
  sums.requests += more.requests;
  sums.inputTokens += more.inputTokens;
  sums.outputTokens += more.outputTokens;
  sums.totalTokens += more.totalTokens;
  sums.estimated += more.estimated;
  sums.durationMs += more.durationMs;
  sums.longestMs = Math.max(sums.longestMs, more.longestMs);
  sums.bytes += more.bytes;
  sums.conflicts += more.conflicts;
}

/** The name of all logs of summaries together. */
export const summariesName = "#summaries";

const dayMs = 86_400_000;
const spanMs = { day: dayMs, hour: 3_600_000 } as const;

/** The first three digits of a value, followed by zeros. */
export function cutToThreeDigits(value: number): number {
  const whole = Math.max(0, Math.floor(value));
  let step = 1;
  while (whole / step >= 1000) step *= 10;
  return whole - (whole % step);
}

/** Sums up facts in any order. Its memory grows with the number of groups, not with the number of facts. */
export class StatsAccumulator {
  readonly #query: StoreStatsQuery;
  readonly #states: Record<SessionState, number> = { active: 0, inactive: 0, expired: 0, ended: 0, archived: 0 };
  readonly #days = new Map<number, { created: number; ended: number; expired: number }>();
  readonly #turnsOfSessions = new Map<number, number>();
  readonly #lifeMs = new Map<number, number>();
  readonly #durationMs = new Map<number, number>();
  readonly #activeMs = new Map<number, number>();
  readonly #logs = new Map<string, { entries: number; bytes: number }>();
  /** The turns that are in no group yet. */
  readonly #ungrouped = noSums();
  readonly #unreadable = { sessions: 0, entries: 0 };
  readonly #ratings = { up: 0, down: 0, scores: 0, scoreSum: 0 };
  #handoffs = 0;
  #handoffsExpired = 0;
  #conflicts = 0;
  #recordBytes = 0;
  readonly #groups = new Map<StatsKind, Map<string | number | null, MutableSums>>();

  /** @throws SessionError `argument_invalid`, as its methods */
  constructor(query: StoreStatsQuery) {
    guardObject(query, "query");
    parseArray(query.by, "by");
    this.#query = query;
    for (const kind of query.by) this.#groups.set(kind, new Map());
  }

  /** A session whose record cannot be read. */
  missSession(): void {
    this.#unreadable.sessions++;
  }

  addSession(session: SessionFacts): void {
    guardObject(session, "session");
    const { now, since = 0 } = this.#query;
    const { createdAt, lastActivityAt, turns, handoffExpiresAt, bytes } = session;
    const state = stateAt(session, now);
    const settledAt = settledAtOf(session, now);
    if (lastActivityAt < since && (settledAt === null || settledAt < since)) return;
    this.#states[state]++;
    this.#recordBytes += bytes;
    count(this.#turnsOfSessions, turns);
    count(this.#lifeMs, lastActivityAt - createdAt);
    if (handoffExpiresAt !== null && handoffExpiresAt > now) this.#handoffs++;
    if (createdAt >= since) this.#day(createdAt).created++;
    if (settledAt === null || settledAt < since) return;
    if (state === "ended") this.#day(settledAt).ended++;
    if (state === "expired") this.#day(settledAt).expired++;
  }

  #day(at: number): { created: number; ended: number; expired: number } {
    const start = at - (at % dayMs);
    const found = this.#days.get(start);
    if (found !== undefined) return found;
    const day = { created: 0, ended: 0, expired: 0 };
    this.#days.set(start, day);
    return day;
  }

  addEntry(entry: EntryFacts): void {
    guardObject(entry, "entry");
    const { at, bytes } = entry;
    if (typeof entry.log !== "string") throw invalidText("entry.log", entry.log, {});
    const log = summarizedTo(entry.log) === undefined ? entry.log : summariesName;
    if (at < (this.#query.since ?? 0)) return;
    let sums = this.#logs.get(log);
    if (sums === undefined) this.#logs.set(log, (sums = { entries: 0, bytes: 0 }));
    sums.entries++;
    sums.bytes += bytes;
    if (log !== "turns" && log !== truncatedUsageLog && log !== "events" && log !== feedbackLog) return;
    const fact = parsed(entry);
    if (fact === undefined || !(Math.abs(at) <= dateMaxMs)) this.#unreadable.entries++;
    else if (log === "turns") this.#addTurn(entry, fact);
    else if (log === truncatedUsageLog) this.#addTruncated(entry, fact);
    else if (log === feedbackLog) this.#addRating(fact);
    else this.#addEvent(entry, fact);
  }

  #addTurn(entry: EntryFacts, fact: object): void {
    // Without a rest pattern, which would make one more object for each turn.
    const turn = fact as Partial<TurnData>;
    const { status, agent, model, usage } = turn;
    const requests = numberOf(turn.requests);
    const durationMs = numberOf(turn.durationMs);
    const sums: TurnSums = {
      turns: 1,
      open: status === "open" || status === "waiting" ? 1 : 0,
      failed: status === "failed" ? 1 : 0,
      interrupted: status === "interrupted" ? 1 : 0,
      truncated: 0,
      requests,
      inputTokens: numberOf(usage?.inputTokens),
      outputTokens: numberOf(usage?.outputTokens),
      totalTokens: numberOf(usage?.totalTokens),
      estimated: usage?.estimated === true ? 1 : 0,
      durationMs,
      longestMs: durationMs,
      bytes: entry.bytes,
      conflicts: 0,
    };
    this.#add(entry, { agent, model }, sums);
    if (durationMs > 0) count(this.#durationMs, durationMs);
  }

  #addTruncated(entry: EntryFacts, fact: object): void {
    const { agent, model, usage, ...sum } = fact as Partial<TruncatedUsage>;
    const turns = numberOf(sum.turns);
    const sums: TurnSums = {
      turns,
      open: 0,
      failed: numberOf(sum.failed),
      interrupted: numberOf(sum.interrupted),
      truncated: entry.isArchived ? 0 : turns,
      requests: numberOf(sum.requests),
      inputTokens: numberOf(usage?.inputTokens),
      outputTokens: numberOf(usage?.outputTokens),
      totalTokens: numberOf(usage?.totalTokens),
      estimated: numberOf(sum.estimated),
      durationMs: numberOf(sum.durationMs),
      longestMs: numberOf(sum.longestMs),
      bytes: 0,
      conflicts: 0,
    };
    // The usage of a summary belongs to no turn.
    if (turns > 0 || sums.requests > 0) this.#add(entry, { agent, model }, sums);
  }

  #add(
    { at, session, user }: EntryFacts,
    { agent, model }: { agent?: string | undefined; model?: string | undefined },
    sums: TurnSums,
  ): void {
    // With groups, each turn is in one group of each kind, so the groups of the first kind add up to the whole.
    if (this.#groups.size === 0) addSums(this.#ungrouped, sums);
    for (const [kind, groups] of this.#groups) {
      const place = placeOf(kind, { at, session, user, agent, model });
      let group = groups.get(place);
      if (group === undefined) groups.set(place, (group = noSums()));
      addSums(group, sums);
    }
  }

  /** Facts without a turn have no model. */
  #addConflict({ at, session, user }: EntryFacts, agent: string | undefined): void {
    this.#conflicts++;
    for (const [kind, groups] of this.#groups) {
      if (kind === "model") continue;
      const place = placeOf(kind, { at, session, user, agent, model: undefined });
      const sums = groups.get(place) ?? noSums();
      sums.conflicts++;
      groups.set(place, sums);
    }
  }

  #addEvent(entry: EntryFacts, fact: object): void {
    const event = fact as { type?: string; agent?: string; heldMs?: number | null; reason?: string };
    const { type, heldMs, reason } = event;
    if (type === "conflicted") this.#addConflict(entry, event.agent);
    if (type !== "released" && type !== "handed_off") return;
    if (typeof heldMs === "number") count(this.#activeMs, heldMs);
    if (type === "released" && reason === "expired") this.#handoffsExpired++;
  }

  #addRating({ rating }: { readonly rating?: unknown }): void {
    if (rating === "up" || rating === "down") this.#ratings[rating]++;
    if (typeof rating !== "number") return;
    this.#ratings.scores++;
    this.#ratings.scoreSum += rating;
  }

  /** The number of groups so far. */
  get size(): number {
    return [...this.#groups.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** Removes and returns the groups, for a caller that stores them elsewhere. */
  takeGroups(): (readonly [kind: StatsKind, group: TurnGroup])[] {
    addSums(this.#ungrouped, this.#grouped());
    const taken: (readonly [StatsKind, TurnGroup])[] = [];
    for (const [kind, groups] of this.#groups) {
      for (const [place, sums] of groups) taken.push([kind, groupOf(kind, place, sums)]);
      groups.clear();
    }
    return taken;
  }

  #grouped(): MutableSums {
    const [first = new Map<unknown, TurnSums>()] = this.#groups.values();
    const whole = noSums();
    for (const sums of first.values()) addSums(whole, sums);
    return whole;
  }

  /** The result. `groups`: those that the caller stored elsewhere. */
  result(groups: StoreStats["groups"] = this.#sortedGroups()): StoreStats {
    guardObject(groups, "groups");
    const { limit } = this.#query;
    const turns = this.#grouped();
    addSums(turns, this.#ungrouped);
    // Not every kind of groups has them.
    turns.conflicts = this.#conflicts;
    const days = [...this.#days].map(([day, counts]) => ({ day, ...counts }));
    return {
      sessions: {
        states: this.#states,
        handoffs: this.#handoffs,
        turns: histogram(this.#turnsOfSessions),
        lifeMs: histogram(this.#lifeMs),
        bytes: this.#recordBytes,
      },
      days: days.toSorted((a, b) => b.day - a.day).slice(0, limit),
      turns,
      durationMs: histogram(this.#durationMs),
      handoffs: { activeMs: histogram(this.#activeMs), expired: this.#handoffsExpired },
      ratings: this.#ratings,
      logs: [...this.#logs].map(([log, sums]) => ({ log, ...sums })).toSorted((a, b) => (a.log < b.log ? -1 : 1)),
      groups,
      unreadable: this.#unreadable,
    };
  }

  #sortedGroups(): StoreStats["groups"] {
    return Object.fromEntries(
      [...this.#groups].map(([kind, groups]) => {
        const sorted = [...groups].map(([place, sums]) => groupOf(kind, place, sums)).toSorted(orderOf(kind));
        return [kind, sorted.slice(0, this.#query.limit)];
      }),
    );
  }
}

/** The time at which a session ended or expired; null while it is live. */
function settledAtOf(session: SessionFacts, now: number): number | null {
  if (session.state !== "active" && session.state !== "inactive") return session.stateSince;
  return session.expiresAt <= now ? session.expiresAt : null;
}

function parsed({ data }: EntryFacts): object | undefined {
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    // The sums count it; the doctor names the entry.
    return undefined;
  }
}

/** The group key of a turn. Days and hours are small numbers, which a map finds many times faster than large ones. */
function placeOf(
  kind: StatsKind,
  turn: { at: number; session: string; user: string | null; agent: string | undefined; model: string | undefined },
): string | number | null {
  switch (kind) {
    case "day":
    case "hour":
      return Math.floor(turn.at / spanMs[kind]);
    case "user":
      return turn.user;
    default:
      return typeof turn[kind] === "string" && turn[kind] !== "" ? turn[kind] : null;
  }
}

function groupOf(kind: StatsKind, place: string | number | null, sums: TurnSums): TurnGroup {
  const key = kind === "day" || kind === "hour" ? Number(place) * spanMs[kind] : place;
  return { key, ...sums };
}

/** A number in JSON; another value, such as a tagged -0, counts as 0. */
function numberOf(value: unknown): number {
  return typeof value === "number" ? value : 0;
}

function count(counts: Map<number, number>, value: number): void {
  const cut = cutToThreeDigits(value);
  counts.set(cut, (counts.get(cut) ?? 0) + 1);
}

function histogram(counts: ReadonlyMap<number, number>): Histogram {
  return [...counts].toSorted(([a], [b]) => a - b);
}

/** The order of groups: days and hours the latest first, others by tokens, the most first, then by key, null first. */
export function orderOf(kind: StatsKind): (a: TurnGroup, b: TurnGroup) => number {
  if (kind === "day" || kind === "hour") return (a, b) => Number(b.key) - Number(a.key);
  const bytes = ({ key }: TurnGroup): Buffer => Buffer.from(String(key ?? ""));
  return (a, b) => b.totalTokens - a.totalTokens || Buffer.compare(bytes(a), bytes(b));
}
