import { percentilesOf, type Percentiles } from "../domain/values/percentiles.ts";
import type { SessionState } from "../domain/record/record.ts";
import type { StoreStats, StatsKind, TurnGroup, TurnSums } from "../store/stats.ts";
import { attachmentSums, type AttachmentSums } from "./attachments/list.ts";
import type { Core } from "./core/core.ts";
import { parseLimit } from "./options/arguments.ts";
import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import { parseInstant, invalidArgument } from "../domain/values/invalid-argument.ts";

/** A query for the stats of a tenant. */
export interface StatsQuery {
  /** Sums of turns by agent, session, user, model, day or hour of UTC. @default none */
  readonly by?: StatsKind | readonly StatsKind[];
  /** Only turns begun since, and sessions that were active, ended or expired since. @default all */
  readonly since?: Date;
  /** The most groups of each kind, and the most days. @default 100 */
  readonly limit?: number;
}

const queryNames: OptionNames<StatsQuery> = { by: true, since: true, limit: true };

/** Sums of the turns of one agent, session, user, model, day or hour. */
export interface StatsGroup extends TurnSums {
  /** A name; a day as `2026-11-20`, an hour as `2026-11-20T18:00Z`; null: turns without a user, or without a named model. */
  readonly key: string | null;
}

/** Sessions that came and went on one day of UTC. */
export interface StatsDay {
  readonly day: string;
  readonly created: number;
  readonly ended: number;
  readonly expired: number;
}

/** A tenant's sessions in numbers. Percentiles have three digits; they are null without a value. */
export interface Stats {
  readonly tenant: string;
  /** The time of the store; all sums but those of attachments are of this moment. */
  readonly at: Date;
  readonly since: Date | null;
  readonly sessions: {
    readonly total: number;
    /** The states at `at`. */
    readonly states: Readonly<Record<SessionState, number>>;
    /** Turns in the log of each. */
    readonly turns: Percentiles | null;
    /** From creation to last activity. */
    readonly lifeMs: Percentiles | null;
  };
  readonly turns: TurnSums & {
    /** The duration of the turns in a log, where it is known. */
    readonly durationPercentilesMs: Percentiles | null;
  };
  readonly handoffs: {
    /** Sessions with a handoff in force at `at`. */
    readonly active: number;
    /** Handoffs that expired. */
    readonly expired: number;
    /** How long handoffs that ended were in force. */
    readonly activeMs: Percentiles | null;
  };
  /** Ratings of turns, those of archived sessions excluded. */
  readonly ratings: {
    readonly up: number;
    readonly down: number;
    /** Ratings that are a number. */
    readonly scores: number;
    /** The mean of those; null without one. */
    readonly meanScore: number | null;
  };
  readonly storage: {
    readonly entries: number;
    /** Text of records and entries, before what the database adds for itself. */
    readonly bytes: number;
    readonly bytesPerSession: number;
    readonly logs: StoreStats["logs"];
    /** Files and pictures beside the messages; not of `since`. */
    readonly attachments: AttachmentSums;
  };
  /** Records and entries that cannot be read, and are in no sum; `doctor` names them. */
  readonly unreadable: StoreStats["unreadable"];
  /** The latest first. */
  readonly days: readonly StatsDay[];
  /** Days and hours the latest first; the others by tokens, the most first. */
  readonly groups: { readonly [Kind in StatsKind]?: readonly StatsGroup[] };
}

/** The kinds of groups. */
export const statsKinds: readonly StatsKind[] = ["agent", "session", "user", "model", "day", "hour"];

/** @throws SessionError `argument_invalid`, or the store's */
export async function stats(core: Core, tenant: string, query: StatsQuery): Promise<Stats> {
  guardNames(query, "query", queryNames);
  const by = parseKinds(query.by ?? []);
  const since = query.since === undefined ? null : parseInstant(query.since, "since");
  const limit = parseLimit(query.limit ?? 100, core.options.limits.pageMax);
  const { now } = await core.store.instances([]);
  const sums = await core.store.stats({ tenant, now, by, limit, ...(since === null ? {} : { since }) });
  const about = { tenant, at: new Date(now), since: since === null ? null : new Date(since) };
  return statsOf(sums, await attachmentSums(core, tenant), about);
}

function statsOf(sums: StoreStats, attachments: AttachmentSums, about: Pick<Stats, "tenant" | "at" | "since">): Stats {
  const { states, handoffs, turns, lifeMs, bytes: recordBytes } = sums.sessions;
  const total = Object.values(states).reduce((sum, count) => sum + count, 0);
  const bytes = sums.logs.reduce((sum, log) => sum + log.bytes, recordBytes);
  return {
    ...about,
    sessions: { total, states, turns: percentilesOf(turns), lifeMs: percentilesOf(lifeMs) },
    turns: { ...sums.turns, durationPercentilesMs: percentilesOf(sums.durationMs) },
    handoffs: { active: handoffs, expired: sums.handoffs.expired, activeMs: percentilesOf(sums.handoffs.activeMs) },
    ratings: ratingsOf(sums.ratings),
    storage: {
      entries: sums.logs.reduce((sum, log) => sum + log.entries, 0),
      bytes,
      bytesPerSession: total === 0 ? 0 : Math.round(bytes / total),
      logs: sums.logs,
      attachments,
    },
    unreadable: sums.unreadable,
    days: sums.days.map(({ day, ...counts }) => ({ day: dayText(day), ...counts })),
    groups: Object.fromEntries(
      Object.entries(sums.groups).map(([kind, groups]) => [kind, groups.map((group) => groupOf(kind, group))]),
    ),
  };
}

function ratingsOf({ up, down, scores, scoreSum }: StoreStats["ratings"]): Stats["ratings"] {
  return { up, down, scores, meanScore: scores === 0 ? null : scoreSum / scores };
}

function groupOf(kind: string, { key, ...sums }: TurnGroup): StatsGroup {
  if (typeof key !== "number") return { key, ...sums };
  return { key: kind === "day" ? dayText(key) : `${new Date(key).toISOString().slice(0, 16)}Z`, ...sums };
}

function dayText(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

function parseKinds(by: StatsKind | readonly StatsKind[]): readonly StatsKind[] {
  const kinds = typeof by === "string" ? [by] : by;
  const unknown = Array.isArray(kinds) ? kinds.find((kind) => !statsKinds.includes(kind)) : by;
  if (unknown === undefined) return [...new Set(kinds)];
  throw invalidArgument("by", unknown, { expected: "one_of", known: statsKinds });
}
