import type { Histogram, SessionDay, StoreStats, StatsKind, StoreStatsQuery, TurnGroup, TurnSums } from "../stats.ts";
import { inheritedLog, inputMark, noSums, summariesName, sumNames } from "../stats.ts";
import type { Row } from "./connection/database.ts";
import { isKept } from "./schema/functions/removed-logs.ts";
import { counterIn } from "./schema/views.ts";
import { dateMaxMs } from "../../domain/values/limits.ts";
import { feedbackLog, keptBeginning, truncatedUsageLog } from "../../domain/record/entry.ts";

const dayMs = 86_400_000;
const hourMs = 3_600_000;

/** The group key of each kind; the key of a day or hour is its first moment. */
const keys: Readonly<Record<StatsKind, string>> = {
  agent: "agent",
  session: "session_id",
  model: "model",
  user: "user_id",
  day: `at - at % ${dayMs}`,
  hour: `at - at % ${hourMs}`,
};

/** The expression of each sum; `longestMs` is a maximum. */
const columns: Readonly<Record<keyof TurnSums, string>> = {
  turns: "turns",
  open: "open",
  failed: "failed",
  interrupted: "interrupted",
  truncated: "truncated",
  requests: "requests",
  inputTokens: "input_tokens",
  outputTokens: "output_tokens",
  totalTokens: "total_tokens",
  estimated: "estimated",
  durationMs: "duration_ms",
  longestMs: "longest_ms",
  bytes: "turn_bytes",
  conflicts: "conflicts",
};

/** Facts of turns, and the usage of summaries, which belongs to no turn. Others have no model. */
const isUsage = `(turns > 0 or (log = '${truncatedUsageLog}' and requests > 0))`;
const isSummed = `(${isUsage} or conflicts > 0)`;

/** A turn in a fork that is a copy of a turn of its parent. */
const isOfKeptBranch = `entry.log like '${keptBeginning}%'`;
const isOfSummaries = "entry.log like '#summary:%'";
const isInherited = "entry.log = 'turns' and entry.seq <= forks.inherited";

/** Usage of turns that are in the archive of the session. */
const isArchived = "coalesce(entry.seq > archives.usage_head, false)";

/**
 * One statement, so all sums are from one moment: it cuts the facts out of sessions and entries once, and returns their
 * sums as rows of kind, key, count and the sums of turns. docs/design/stats.md has the reasons for its form.
 */
export function tallyCall(
  schema: string,
  { tenant, now, since = 0, by, limit }: StoreStatsQuery,
): { readonly text: string; readonly values: readonly unknown[] } {
  const text = `
    with forks as materialized (${forkedSessions(schema)}),
      archives as materialized (${archivedUsage(schema)}),
      own as materialized (${sessionFacts(schema)}),
      facts as materialized (${entryFacts(schema, by)})
    select kind, key, n::text as n, ${sumNames.map((name, index) => `sum_${index}::text as "${name}"`).join(", ")}
    from (${sumsOfKinds(by).join("\nunion all\n")}) as rows (kind, key, n, ${sumNames.map((_, index) => `sum_${index}`).join(", ")})`;
  return { text, values: [tenant, now, since, ...(by.length === 0 ? [] : [limit])] };
}

/** A query for each kind of row in the result. */
function sumsOfKinds(by: readonly StatsKind[]): readonly string[] {
  const sums = sumNames.map((name) => `${name === "longestMs" ? "max" : "sum"}(${columns[name]})`).join(", ");
  const none = sumNames.map(() => "0").join(", ");
  const groups = by.map((kind) => {
    const order = kind === "day" || kind === "hour" ? "max(at) desc" : `sum(total_tokens) desc, key nulls first`;
    return `(select '${kind}' as kind, (${keys[kind]})::text collate "C" as key, count(*) as n, ${sums}
      from facts where ${kind === "model" ? isUsage : isSummed} group by 2 order by ${order} limit $4)`;
  });
  const counted = (kind: string, key: string, from: string, where: string): string =>
    `select '${kind}', (${key})::text, count(*), ${none} from ${from} where ${where} group by 2`;
  return [
    `select 'all' as kind, null::text as key, count(*) as n, ${sums} from facts where ${isSummed}`,
    ...groups,
    counted("durationMs", threeDigits("duration_ms"), "facts", "log = 'turns' and duration_ms > 0"),
    counted(
      "heldMs",
      threeDigits("held_ms"),
      "facts",
      "log = 'events' and type in ('handed_off', 'released') and held_ms is not null",
    ),
    counted("handoffsExpired", "reason", "facts", "log = 'events' and type = 'released' and reason = 'expired'"),
    `select 'rating', rating, count(*), ${sumNames.map((name) => (name === "bytes" ? "sum(score)" : "0")).join(", ")}
     from facts where rating is not null group by 2`,
    `select 'log', log, count(*), ${sumNames.map((name) => (name === "bytes" ? "sum(bytes)" : "0")).join(", ")}
     from facts group by log`,
    counted("state", "state", "own", "true"),
    counted("turns", threeDigits("turns"), "own", "true"),
    counted("lifeMs", threeDigits("life_ms"), "own", "true"),
    counted("created", `created_at - created_at % ${dayMs}`, "own", "created_at >= $3"),
    ...["ended", "expired"].map((state) =>
      counted(state, `settled_at - settled_at % ${dayMs}`, "own", `state = '${state}' and settled_at >= $3`),
    ),
    `select 'damaged', null, count(*), ${none} from (
       select from own where damaged union all select from facts where ${isBeyondDate("at")}
     ) as row`,
    counted("handoffs", "true", "own", "floor_expires_at > $2"),
    `select 'records', null, count(*), ${sumNames.map((name) => (name === "bytes" ? "sum(bytes)" : "0")).join(", ")} from own`,
  ];
}

/** The forks, each with its number of inherited turns. */
function forkedSessions(schema: string): string {
  return `
    select id as session, (${readable(schema, "data")} ->> 'inherited')::bigint as inherited
    from ${schema}.sessions where tenant = $1 and position('"inherited":' in data) > 0`;
}

/** The archived sessions, each with the number of its entries of usage that are its own. */
function archivedUsage(schema: string): string {
  return `
    select session, (fact #>> '{heads,${truncatedUsageLog}}')::bigint - (fact #>> '{archive,${truncatedUsageLog}}')::bigint as usage_head
    from (
      select id as session, ${readable(schema, "data")} as fact
      from ${schema}.sessions where tenant = $1 and state = 'archived' offset 0
    ) archived`;
}

/** A row for each session of the period, with the state that it has now. */
function sessionFacts(schema: string): string {
  const instants = ["created_at", "last_activity_at", "state_since", "expires_at"];
  return `
    select * from (
      select case when live and expires_at <= $2 then 'expired' else state end as state,
        case when not live then state_since when expires_at <= $2 then expires_at end as settled_at,
        created_at, last_activity_at, last_activity_at - created_at as life_ms, octet_length(data) as bytes,
        coalesce((turns_counted #>> '{}')::bigint, 0) as turns, jsonb_typeof(turns_counted) is distinct from 'number' or ${instants.map(isBeyondDate).join(" or ")} as damaged,
        (fact #>> '{floor,expiresAt}')::bigint as floor_expires_at
      from (
        select *, ${counterIn("fact", "turns")} as turns_counted from (
          select *, state in ('active', 'inactive') as live, ${readable(schema, "data")} as fact
          from ${schema}.sessions where tenant = $1 offset 0
        ) stored
      ) session
    ) session
    where last_activity_at >= $3 or settled_at >= $3`;
}

/** A row for each entry of the period: its log, and the numbers that the sums add up. */
function entryFacts(schema: string, by: readonly StatsKind[]): string {
  return `
    select log, at, session_id, user_id, bytes, nullif(fact ->> 'agent', '') as agent, nullif(fact ->> 'model', '') as model,
      fact ->> 'type' as type, fact ->> 'reason' as reason,
      case when jsonb_typeof(fact -> 'heldMs') = 'number' then (fact -> 'heldMs')::numeric end as held_ms,
      case log when 'turns' then 1 when '${truncatedUsageLog}' then ${number("turns")} else 0 end as turns,
      case when log = 'turns' and fact ->> 'status' in ('open', 'waiting') then 1 else 0 end as open,
      ${ofStatus("failed")} as failed, ${ofStatus("interrupted")} as interrupted,
      case when log = '${truncatedUsageLog}' and not archived then ${number("turns")} else 0 end as truncated,
      ${number("requests")} as requests, ${number("inputTokens", "usage")} as input_tokens,
      ${number("outputTokens", "usage")} as output_tokens, ${number("totalTokens", "usage")} as total_tokens,
      case log when 'turns' then (case when usage ->> 'estimated' = 'true' then 1 else 0 end)
        else ${number("estimated")} end as estimated,
      ${number("durationMs")} as duration_ms,
      case log when 'turns' then ${number("durationMs")} else ${number("longestMs")} end as longest_ms,
      case log when 'turns' then bytes else 0 end as turn_bytes,
      case when log = 'events' and fact ->> 'type' = 'conflicted' then 1 else 0 end as conflicts,
      case when log <> '${feedbackLog}' then null when jsonb_typeof(fact -> 'rating') = 'number' then 'score'
        when fact ->> 'rating' in ('up', 'down') then fact ->> 'rating' end as rating,
      case when log = '${feedbackLog}' and jsonb_typeof(fact -> 'rating') = 'number' then (fact -> 'rating')::numeric end as score
    from (
      select log, at, session_id, user_id, bytes, archived, fact, fact -> 'usage' as usage from (
        select log, at, session_id, user_id, bytes, archived, ${readable(schema, "head")} as fact from (
          select log, at, session_id, user_id, bytes, archived, case when log = 'turns' and octet_length(head) < bytes then head || '}' else head end as head
          from (${entryHeads(schema, by)}) entry offset 0
        ) entry offset 0
      ) entry offset 0
    ) entry`;
}

/** The entries of the period, each with the part of its text before the messages. */
function entryHeads(schema: string, by: readonly StatsKind[]): string {
  const isByUser = by.includes("user");
  const ofUser = `join ${schema}.sessions session on session.tenant = entry.tenant and session.id = entry.session`;
  return `
    select case when ${isInherited} then '${inheritedLog}' when ${isOfKeptBranch} then 'turns'
        when ${isOfSummaries} then '${summariesName}' else entry.log end as log, entry.at,
      ${by.includes("session") ? "entry.session" : "null::text"} as session_id, ${isByUser ? "session.user_id" : "null::text as user_id"},
      coalesce(octet_length(entry.bytes), octet_length(entry.data)) as bytes,
      ${isArchived} as archived,
      case when ${isInherited} then null when entry.log = 'turns' or ${isOfKeptBranch} then split_part(entry.data, '${inputMark}', 1)
        when entry.log in ('${truncatedUsageLog}', '${feedbackLog}', 'events') then entry.data end as head
    from ${schema}.entries entry
    left join forks on forks.session = entry.session
    left join archives on archives.session = entry.session and entry.log = '${truncatedUsageLog}'
    ${isByUser ? ofUser : ""}
    where entry.tenant = $1 and entry.at >= $3 and ${isKept(schema)} offset 0`;
}

function isBeyondDate(column: string): string {
  return `${column} not between -${dateMaxMs} and ${dateMaxMs}`;
}

/** True if the statement met rows that cannot be read. */
export function hasDamage(rows: readonly Row[]): boolean {
  return rows.some((row) => row["kind"] === "damaged" && Number(row["n"]) > 0);
}

/**
 * A text as jsonb. Few texts need the function, and the search for an escape costs less than its call. The literal has the
 * same meaning for each value of `standard_conforming_strings`.
 */
function readable(schema: string, column: string): string {
  return `case when position(E'\\\\u' in ${column}) > 0 then ${schema}.readable(${column}) else ${column}::jsonb end`;
}

/** A number of the fact or of its usage; 0 if it is missing. */
function number(name: string, of: "fact" | "usage" = "fact"): string {
  return `case when jsonb_typeof(${of} -> '${name}') = 'number' then (${of} -> '${name}')::numeric else 0 end`;
}

function ofStatus(status: "failed" | "interrupted"): string {
  return `case log when 'turns' then (case when fact ->> 'status' = '${status}' then 1 else 0 end) else ${number(status)} end`;
}

/** The first three digits of a value, followed by zeros. */
function threeDigits(column: string): string {
  const whole = `greatest(0, floor(${column}::numeric))`;
  return `trunc(${whole}, least(0, 3 - length(${whole}::text)))`;
}

/** The result in the rows of {@link tallyCall}. */
export function tallyOf(rows: readonly Row[], { by, limit }: StoreStatsQuery): StoreStats {
  const of = (kind: string): readonly Row[] => rows.filter((row) => row["kind"] === kind);
  const countOf = (kind: string): number => Number(of(kind)[0]?.["n"] ?? 0);
  const counts = Object.fromEntries(of("state").map((row) => [row["key"], Number(row["n"])]));
  const states = { active: 0, inactive: 0, expired: 0, ended: 0, archived: 0, ...counts };
  const groups = by.map((kind) => [
    kind,
    of(kind).map((row): TurnGroup => ({ key: keyOf(kind, row), ...sumsOf(row) })),
  ]);
  const [all] = of("all");
  return {
    sessions: {
      states,
      handoffs: countOf("handoffs"),
      turns: histogramOf(of("turns")),
      lifeMs: histogramOf(of("lifeMs")),
      bytes: Number(of("records")[0]?.["bytes"] ?? 0),
    },
    days: daysOf(of).slice(0, limit),
    turns: all === undefined ? noSums() : sumsOf(all),
    durationMs: histogramOf(of("durationMs")),
    handoffs: { activeMs: histogramOf(of("heldMs")), expired: countOf("handoffsExpired") },
    ratings: ratingsOf(of("rating")),
    logs: of("log")
      .map((row) => ({ log: String(row["key"]), entries: Number(row["n"]), bytes: Number(row["bytes"]) }))
      .toSorted((a, b) => (a.log < b.log ? -1 : 1)),
    groups: Object.fromEntries(groups) as StoreStats["groups"],
    // If the statement meets a row that cannot be read, the sums are computed page by page.
    unreadable: { sessions: 0, entries: 0 },
  };
}

function ratingsOf(rows: readonly Row[]): StoreStats["ratings"] {
  const of = (rating: string): Row | undefined => rows.find(({ key }) => key === rating);
  const countOf = (rating: string): number => Number(of(rating)?.["n"] ?? 0);
  const scoreSum = Number(of("score")?.["bytes"] ?? 0);
  return { up: countOf("up"), down: countOf("down"), scores: countOf("score"), scoreSum };
}

function keyOf(kind: StatsKind, row: Row): TurnGroup["key"] {
  const key = row["key"] as string | null;
  return kind === "day" || kind === "hour" ? Number(key) : key;
}

function sumsOf(row: Row): TurnSums {
  return Object.fromEntries(sumNames.map((name) => [name, Number(row[name] ?? 0)])) as unknown as TurnSums;
}

function histogramOf(rows: readonly Row[]): Histogram {
  return rows.map((row) => [Number(row["key"]), Number(row["n"])] as const).toSorted(([a], [b]) => a - b);
}

function daysOf(of: (kind: string) => readonly Row[]): readonly SessionDay[] {
  const days = new Map<number, { day: number; created: number; ended: number; expired: number }>();
  for (const kind of ["created", "ended", "expired"] as const) {
    for (const row of of(kind)) {
      const day = Number(row["key"]);
      const found = days.get(day) ?? { day, created: 0, ended: 0, expired: 0 };
      days.set(day, { ...found, [kind]: Number(row["n"]) });
    }
  }
  return [...days.values()].toSorted((a, b) => b.day - a.day);
}
