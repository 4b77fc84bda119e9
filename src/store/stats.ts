/**
 * Sums over a tenant's sessions, turns and floors: what {@link Store.tally} is asked and answers, and the summing itself
 * for stores that hand out facts one by one. A fact is what a turn says apart from its messages.
 */
import type { Entry } from "../domain/record/entry.ts";
import type { SessionRecord, SessionState } from "../domain/record/record.ts";
import type { Spent } from "../domain/turns/truncated-usage.ts";
import { stateAt } from "../domain/record/states.ts";
import type { TurnData } from "../domain/turns/turn.ts";
import { dateMaxMs } from "../domain/values/limits.ts";

/** By what turns are grouped: who answered, whose session it is, which model, when they began (UTC). */
export type StatsKind = "agent" | "user" | "model" | "day" | "hour";

/** What to sum up. */
export interface StoreStatsQuery {
  readonly tenant: string;
  /** What has expired by then counts as expired, epoch ms. */
  readonly now: number;
  /** Only turns and events from then on, and sessions that were active, ended or expired since, epoch ms. */
  readonly since?: number;
  readonly by: readonly StatsKind[];
  /** The most groups of each kind, and the most days. */
  readonly limit: number;
}

/** What some turns came to, those included that were cut off since. */
export interface TurnSums {
  readonly turns: number;
  readonly open: number;
  readonly failed: number;
  readonly interrupted: number;
  /** How many of them stand in no log any more, nor in an archive. */
  readonly cut: number;
  /** Calls of a model. */
  readonly requests: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly totalTokens: number;
  /** Turns whose tokens are an estimate. */
  readonly estimated: number;
  readonly durationMs: number;
  readonly longestMs: number;
  /** What stands of them in the log, as text. */
  readonly bytes: number;
  /**
   * Writes of turns that were refused because the log had gone on elsewhere, as far as the events that tell of them are kept.
   * They are of an agent, user, day and hour, and of no model.
   */
  readonly conflicts: number;
}

/** The turns of one agent, user, model, day or hour. */
export interface TurnGroup extends TurnSums {
  /** A name, or the day's or hour's first moment, epoch ms; null: the turns that name none. */
  readonly key: string | number | null;
}

/** How often each value occurs, the smallest first; values are cut to three digits, so that there are few. */
export type Histogram = readonly (readonly [value: number, count: number])[];

/** Sessions that came and went on one day. */
export interface SessionDay {
  /** Its first moment in UTC, epoch ms. */
  readonly day: number;
  readonly created: number;
  readonly ended: number;
  readonly expired: number;
}

/** What a store answers to a {@link StoreStatsQuery}. */
export interface StoreStats {
  readonly sessions: {
    readonly states: Readonly<Record<SessionState, number>>;
    /** Sessions with a handoff in force. */
    readonly handoffs: number;
    /** Turns in the log of each. */
    readonly turns: Histogram;
    /** From the creation of each to its last activity. */
    readonly lifeMs: Histogram;
    /** Their records, as text. */
    readonly bytes: number;
  };
  /** The latest first. */
  readonly days: readonly SessionDay[];
  readonly turns: TurnSums;
  /** Of turns that stand in the log and say how long they took. */
  readonly durationMs: Histogram;
  readonly handoffs: {
    /** How long handoffs that ended were in force. */
    readonly activeMs: Histogram;
    /** How many of them ended because their time was up. */
    readonly expired: number;
  };
  readonly logs: readonly { readonly log: string; readonly entries: number; readonly bytes: number }[];
  /** Days and hours the latest first; the others by tokens, the most first, then by key. */
  readonly groups: { readonly [Kind in StatsKind]?: readonly TurnGroup[] };
  /** Records and entries that cannot be read: they are in no sum but those of bytes and entries. */
  readonly unreadable: UnreadableCounts;
}

/** How many records and entries cannot be read. */
export interface UnreadableCounts {
  readonly sessions: number;
  readonly entries: number;
}

/** What a tally needs to know of a session's record. */
export interface SessionFacts extends Pick<
  SessionRecord,
  "state" | "createdAt" | "lastActivityAt" | "stateSince" | "expiresAt"
> {
  readonly turns: number;
  readonly handoffExpiresAt: number | null;
  readonly bytes: number;
}

/** What a tally needs to know of an entry: `data` may end before the messages of a turn, see {@link headOfData}. */
export interface EntryFacts extends Pick<Entry, "at" | "data"> {
  readonly log: string;
  readonly user: string | null;
  /** True for what is told in `spent` of turns that stand in the session's archive. */
  readonly isArchived: boolean;
  /** Of the whole data; of an archive, which engines keep as bytes, those. */
  readonly bytes: number;
}

/** Where the messages of a turn begin in its data; in a text of JSON these characters stand nowhere else before. */
export const inputMark = ',"input":[';

/** The log under which stand the turns up to a session's `inherited`: another session has spent what they took. */
export const inheritedLog = "inherited";

/** The data of a turn without its messages. */
export function headOfData(data: string): string {
  const end = data.indexOf(inputMark);
  return end < 0 ? data : `${data.slice(0, end)}}`;
}

/** Sums while they are made. */
export type MutableSums = { -readonly [Name in keyof TurnSums]: number };

export const sumNames: readonly (keyof TurnSums)[] = [
  "turns",
  "open",
  "failed",
  "interrupted",
  "cut",
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
    cut: 0,
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
  sums.cut += more.cut;
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

const dayMs = 86_400_000;
const spanMs = { day: dayMs, hour: 3_600_000 } as const;

/** The first three digits, and noughts. */
export function cutToThreeDigits(value: number): number {
  const whole = Math.max(0, Math.floor(value));
  let step = 1;
  while (whole / step >= 1000) step *= 10;
  return whole - (whole % step);
}

/** Sums up facts as they come, in any order. What it keeps grows with the groups asked for, not with the facts. */
export class StatsAccumulator {
  readonly #query: StoreStatsQuery;
  readonly #states: Record<SessionState, number> = { active: 0, inactive: 0, expired: 0, ended: 0, archived: 0 };
  readonly #days = new Map<number, { created: number; ended: number; expired: number }>();
  readonly #turnsOfSessions = new Map<number, number>();
  readonly #lifeMs = new Map<number, number>();
  readonly #durationMs = new Map<number, number>();
  readonly #activeMs = new Map<number, number>();
  readonly #logs = new Map<string, { entries: number; bytes: number }>();
  /** All turns that are in no group by now. */
  readonly #ungrouped = noSums();
  readonly #unreadable = { sessions: 0, entries: 0 };
  #handoffs = 0;
  #handoffsExpired = 0;
  #conflicts = 0;
  #recordBytes = 0;
  readonly #groups = new Map<StatsKind, Map<string | number | null, MutableSums>>();

  constructor(query: StoreStatsQuery) {
    this.#query = query;
    for (const kind of query.by) this.#groups.set(kind, new Map());
  }

  /** A session whose record cannot be read. */
  missSession(): void {
    this.#unreadable.sessions++;
  }

  addSession(session: SessionFacts): void {
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
    const { at, log, bytes } = entry;
    if (at < (this.#query.since ?? 0)) return;
    let sums = this.#logs.get(log);
    if (sums === undefined) this.#logs.set(log, (sums = { entries: 0, bytes: 0 }));
    sums.entries++;
    sums.bytes += bytes;
    if (log !== "turns" && log !== "spent" && log !== "events") return;
    const fact = parsed(entry);
    if (fact === undefined || !(Math.abs(at) <= dateMaxMs)) this.#unreadable.entries++;
    else if (log === "turns") this.#addTurn(entry, fact);
    else if (log === "spent") this.#addSpent(entry, fact);
    else this.#addEvent(entry, fact);
  }

  #addTurn(entry: EntryFacts, fact: object): void {
    // Without a rest: of a million turns, each would be an object more.
    const turn = fact as Partial<TurnData>;
    const { status, agent, model, usage } = turn;
    const requests = numberOf(turn.requests);
    const durationMs = numberOf(turn.durationMs);
    const sums: TurnSums = {
      turns: 1,
      open: status === "open" ? 1 : 0,
      failed: status === "failed" ? 1 : 0,
      interrupted: status === "interrupted" ? 1 : 0,
      cut: 0,
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

  #addSpent(entry: EntryFacts, fact: object): void {
    const { agent, model, usage, ...spent } = fact as Partial<Spent>;
    const turns = numberOf(spent.turns);
    const sums: TurnSums = {
      turns,
      open: 0,
      failed: numberOf(spent.failed),
      interrupted: numberOf(spent.interrupted),
      cut: entry.isArchived ? 0 : turns,
      requests: numberOf(spent.requests),
      inputTokens: numberOf(usage?.inputTokens),
      outputTokens: numberOf(usage?.outputTokens),
      totalTokens: numberOf(usage?.totalTokens),
      estimated: numberOf(spent.estimated),
      durationMs: numberOf(spent.durationMs),
      longestMs: numberOf(spent.longestMs),
      bytes: 0,
      conflicts: 0,
    };
    if (turns > 0) this.#add(entry, { agent, model }, sums);
  }

  #add(
    { at, user }: EntryFacts,
    { agent, model }: { agent?: string | undefined; model?: string | undefined },
    sums: TurnSums,
  ): void {
    // Where there are groups, each turn is in one of each kind: those of the first add up to the whole.
    if (this.#groups.size === 0) addSums(this.#ungrouped, sums);
    for (const [kind, groups] of this.#groups) {
      const place = placeOf(kind, { at, user, agent, model });
      let group = groups.get(place);
      if (group === undefined) groups.set(place, (group = noSums()));
      addSums(group, sums);
    }
  }

  /** What no turn came of is of no model. */
  #addConflict({ at, user }: EntryFacts, agent: string | undefined): void {
    this.#conflicts++;
    for (const [kind, groups] of this.#groups) {
      if (kind === "model") continue;
      const place = placeOf(kind, { at, user, agent, model: undefined });
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

  /** How many groups there are by now. */
  get size(): number {
    return [...this.#groups.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** Take the groups out, for who keeps them elsewhere. */
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

  /** What it all came to. `groups`: where they were kept elsewhere. */
  result(groups: StoreStats["groups"] = this.#sortedGroups()): StoreStats {
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

/** When a session's life ended or its time was up; null while it lives. */
function settledAtOf(session: SessionFacts, now: number): number | null {
  if (session.state !== "active" && session.state !== "inactive") return session.stateSince;
  return session.expiresAt <= now ? session.expiresAt : null;
}

function parsed({ data }: EntryFacts): object | undefined {
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    // The tally counts it; the doctor says which entry it is.
    return undefined;
  }
}

/** Under what a turn is summed up: small numbers for days and hours, which a map finds many times faster than great ones. */
function placeOf(
  kind: StatsKind,
  turn: { at: number; user: string | null; agent: string | undefined; model: string | undefined },
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

/** A number as JSON has it; what is none (a tagged -0) counts for nothing. */
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

/** The latest first, or who spent most first; who spent the same, by key, nobody first. */
export function orderOf(kind: StatsKind): (a: TurnGroup, b: TurnGroup) => number {
  if (kind === "day" || kind === "hour") return (a, b) => Number(b.key) - Number(a.key);
  const bytes = ({ key }: TurnGroup): Buffer => Buffer.from(String(key ?? ""));
  return (a, b) => b.totalTokens - a.totalTokens || Buffer.compare(bytes(a), bytes(b));
}
