/** The stored rows for people and their SQL, with the names and columns of the views of PostgreSQL. */
import { counterNames, type Counters } from "../../../domain/record/record.ts";
import { keptBeginning } from "../../../domain/record/entry.ts";
import { eventKindSql, eventTypeSql, ofApplication } from "../../event-sql.ts";

/** The last moment of the year 9999, epoch ms: a session that does not expire ends behind it. */
const lastInstantMs = 253_402_300_799_999;

/** A time as text of UTC, such as 2026-11-30 05:00:00.123, which the date functions of SQLite read; null for none. */
function instant(ms: string): string {
  return `strftime('%Y-%m-%d %H:%M:%f', min(${ms}, ${lastInstantMs}) / 1000.0, 'unixepoch')`;
}

/** A whole number of a JSON text; null for another value. */
function whole(path: string): string {
  return `iif(json_type(data, '${path}') = 'integer', json_extract(data, '${path}'), null)`;
}

/** A text of a JSON text, without quotation marks; null for another value. */
function text(path: string): string {
  return `iif(json_type(data, '${path}') = 'text', json_extract(data, '${path}'), null)`;
}

/** The JSON text, or null for one that cannot be read, so that it fails no other row. */
const readable = (column: string): string => `iif(json_valid(${column}), ${column}, null)`;

/** The list at a place of the data of a turn, empty for another value. */
const list = (part: string): string => `iif(json_type(turn.${part}) = 'array', turn.${part}, '[]')`;

const nowMs = "(julianday('now') - 2440587.5) * 86400000";

/** False for streams, pointers of devices and other internal records, whose scope has a control character in its name. */
const isConversation = "instr(tenant, char(1)) = 0";

/** The condition that an entry is of the turns of any branch. The range is that of an index. */
const isTurn = `log >= 'turns' and log < 'turns$' and (log = 'turns' or log like '${keptBeginning}%')`;

/** The entries of one log of conversations that are still there. */
function entriesOf(log: string): string {
  return `select tenant, sessions.id as session, seq, key, at, ${readable("entries.data")} as data
    from entries join sessions on sessions.no = entries.session where log = '${log}' and ${isConversation}`;
}

/** The entries of the turns of all branches; a turn that branches share is one of them. */
const turnsOfBranches = `select tenant, sessions.id as session, seq, key, at, ${readable("entries.data")} as data
    from entries join sessions on sessions.no = entries.session where ${isTurn} and ${isConversation}`;

/** The branches of a session in its record; null for none, or for a record that cannot be read. */
const branchesOfSession = `iif(instr(sessions.data, '"branches":{') > 0 and json_valid(sessions.data), sessions.data -> '$.branches', null)`;

/** A number behind those of all turns. */
const behindTurns = Number.MAX_SAFE_INTEGER;

/** The path of the current branch with its own segment, whose turns have no end. Without branches it is one segment. */
const pathToEnd = `iif(json_type(made.value) is 'object',
    json_insert(
      iif(json_type(made.value, '$.path') is 'array', made.value -> '$.path', '[]'),
      '$[#]', json_array(json_extract(made.value, '$.current'), ${behindTurns})
    ), '[[null,${behindTurns}]]')`;

/** A member of a segment of the path: its number, or the last turn that the branch has there. */
const ofSegment = (place: 0 | 1): string =>
  `iif(segment.type = 'array', json_extract(segment.value, '$[${place}]'), null)`;

/** The number of the turns of the current branch before those of a segment. */
const turnsBefore =
  "iif(segment.key = 0, 0, ifnull(json_extract(segment.json, '$[' || (segment.key - 1) || '][1]'), 0))";

/**
 * The entries of the turns of the current branch, with their numbers in it. `domain/branches/segments.ts` has the same rule. The
 * order of the joins is fixed, so that SQLite reads the record of a session once and finds the entries of each segment by the index.
 */
const turnsOfCurrentBranch = `select sessions.tenant as tenant, sessions.id as session, entries.seq + ${turnsBefore} as seq,
      entries.key as key, entries.at as at, ${readable("entries.data")} as data
    from sessions
    cross join json_each(json_array(json(${branchesOfSession}))) made
    cross join json_each(${pathToEnd}) segment
    cross join entries on entries.session = sessions.no
      and entries.log = iif(${ofSegment(0)} is json_extract(made.value, '$.root'), 'turns', '${keptBeginning}' || ${ofSegment(0)})
      and entries.seq <= ${ofSegment(1)} - ${turnsBefore}
    where ${isConversation}`;

/** The view of sessions. `counter` gives the path of a counter in the record. */
function sessionsView(counter: (name: keyof Counters) => string): string {
  return `
  create view readable_sessions as
  select tenant, id, agent, user as user_id, state, ${instant("created_at")} as created_at,
    ${instant("last_activity_at")} as last_activity_at, ${instant("expires_at")} as expires_at,
    data -> '$.metadata' as metadata,
    ${whole(counter("turns"))} as turns, ${whole(counter("messages"))} as messages,
    ${whole(counter("requests"))} as requests, ${whole(counter("inputTokens"))} as input_tokens,
    ${whole(counter("outputTokens"))} as output_tokens, ${whole(counter("totalTokens"))} as total_tokens,
    ${whole(counter("durationMs"))} as duration_ms, ${text("$.lease.instance")} as held_by, version, title,
    ${readable("labels")} as labels,
    iif(in_force, ${text("$.floor.agent")}, null) as active_agent,
    iif(in_force, ${instant(whole("$.floor.lockedAt"))}, null) as active_since,
    iif(in_force, ${instant(whole("$.floor.expiresAt"))}, null) as active_until,
    ${instant(whole("$.lease.acquiredAt"))} as held_since
  from (select *, ${whole("$.floor.expiresAt")} > ${nowMs} as in_force from (
    select tenant, id, agent, user, state, created_at, last_activity_at, expires_at, version, title, labels,
      ${readable("data")} as data
    from sessions where ${isConversation}
  ));`;
}

/** The columns of a turn, from its place and its data. */
const turnColumns = `tenant, session, seq, key, ${instant("at")} as at, ${text("$.status")} as status, ${text("$.agent")} as agent,
    ${text("$.model")} as model, data -> '$.input' as input, data -> '$.output' as output,
    ${whole("$.requests")} as requests, ${whole("$.usage.inputTokens")} as input_tokens,
    ${whole("$.usage.outputTokens")} as output_tokens, ${whole("$.usage.totalTokens")} as total_tokens,
    json_type(data, '$.usage.estimated') is 'true' as estimated, ${whole("$.durationMs")} as duration_ms,
    ${text("$.error.code")} as error_code, ${text("$.error.message")} as error_message,
    ${text("$.finish")} as finish_reason, ${whole("$.usage.cachedTokens")} as cached_tokens,
    ${whole("$.usage.reasoningTokens")} as reasoning_tokens, ${whole("$.waitedMs")} as waited_ms`;

/** The view of the turns of `source`. */
function turnsView(source: string): string {
  return `
  create view readable_turns as
  select ${turnColumns}
  from (${source});`;
}

const messagesView = `
  create view readable_messages as
  select tenant, session, turn, part, place, at, agent, ${text("$.role")} as role,
    data -> '$.content' as content, ${text("$.content")} as text,
    data -> '$.tool_calls' as tool_calls, ${text("$.tool_call_id")} as tool_call_id, data as message
  from (
    select tenant, session, turn.seq as turn, part, place + 1 as place, turn.at as at, agent,
      iif(kind in ('object', 'array'), value, null) as data
    from (
      select turn.tenant, turn.session, turn.seq, turn.at, turn.agent, 'input' as part, message.key as place,
        message.value, message.type as kind
      from readable_turns turn, json_each(${list("input")}) message
      union all
      select turn.tenant, turn.session, turn.seq, turn.at, turn.agent, 'output', message.key, message.value, message.type
      from readable_turns turn, json_each(${list("output")}) message
    ) turn
  );`;

/** The view of the usage of the turns of `source`. */
function usageView(source: string): string {
  return `
  create view usage_by_day as
  select tenant, date(at) as day, agent, count(*) as turns, sum(requests) as requests, sum(input_tokens) as input_tokens,
    sum(output_tokens) as output_tokens, sum(total_tokens) as total_tokens, sum(estimated) as estimated_turns,
    sum(duration_ms) as duration_ms, sum(cached_tokens) as cached_tokens
  from ${source}
  group by tenant, date(at), agent;`;
}

/**
 * No stored value fails a view: a damaged value is null, and its row is shown with its other values. The SQL works with
 * SQLite 3.38 and later.
 */
export const views: string = `${sessionsView((name) => `$.counters.${name}`)}
${turnsView(entriesOf("turns"))}
${messagesView}
${usageView("readable_turns")}
${eventsView()}`;

/** The view of events, in place of the one before, which a user of the store may have dropped. */
export const viewOfEvents: string = `
  drop view if exists readable_events;
  ${eventsView()}`;

function eventsView(): string {
  return `
  create view readable_events as
  select tenant, session, seq, ${instant("at")} as at, ${eventTypeSql("type")} as type, correlation,
    json_remove(data, '$.type', '$.correlation') as data,
    ${eventKindSql("category", "type", ofApplication("app"))} as category,
    ${eventKindSql("severity", "type", text("$.severity"))} as severity,
    ${eventKindSql("status", "type", ofApplication("ok"))} as status,
    case type when 'handed_off' then ${text("$.from")} when 'released' then ${text("$.agent")} end as previous_agent,
    ${whole("$.heldMs")} as previous_active_ms
  from (select *, ${text("$.type")} as type, ${text("$.correlation")} as correlation from (${entriesOf("events")}));
`;
}

/** The view of sessions whose record has the counters as a list. */
export const viewOfListedCounters: string = sessionsView(listedCounter);

/** The path of a counter in a record that has them as a list. */
export function listedCounter(name: keyof Counters): string {
  return `$.counters[${counterNames.indexOf(name)}]`;
}

/**
 * The views of the turns of sessions with branches, in place of those before, which a user of the store may have dropped. Their
 * usage is that of all branches.
 */
export const viewsOfBranches: string = `
  drop view if exists readable_messages;
  drop view if exists usage_by_day;
  drop view if exists readable_turns;
  ${turnsView(turnsOfCurrentBranch)}
  ${messagesView}
  ${usageView(`(select ${turnColumns} from (${turnsOfBranches}))`)}`;
