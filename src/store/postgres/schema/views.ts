import { counterNames, type Counters } from "../../../domain/record/record.ts";
import { quoteBody } from "../connection/names.ts";
import { keptBeginning } from "../../../domain/record/entry.ts";
import { eventKindSql, eventTypeSql, ofApplication } from "../../event-sql.ts";
import { isTurn } from "./functions/message-index.ts";
import { isKept } from "./functions/removed-logs.ts";

/**
 * `readable` turns a stored text into jsonb. Text that jsonb cannot hold (U+0000 and halves of surrogate pairs, which are
 * always escaped in the stored text) becomes U+FFFD. It fails at a text that is no JSON, which the sums of `stats` rely on.
 * The server reads the body at each call. In a literal `E'…'` a backslash has one meaning; in `'…'` its meaning depends on
 * the setting `standard_conforming_strings`.
 */
export function readable(schema: string): string {
  const body = String.raw`
  select case
    when _data ~ E'\\\\u(0000|d[89a-f])'
    then regexp_replace(_data, E'(?<!\\\\)((?:\\\\\\\\)*)\\\\u(?:0000|d[89a-f][0-9a-f]{2})', E'\\1\\\\ufffd', 'g')
    else _data
  end::jsonb`;
  return `
create or replace function ${schema}.readable(_data text) returns jsonb language sql immutable strict parallel safe
as ${quoteBody(body)};`;
}

/** A counter in the jsonb of a record. Records of steps before 11 have the counters by name, others as a list. */
export function counterIn(data: string, name: keyof Counters): string {
  return `coalesce(${data} #> '{counters,${name}}', ${data} #> '{counters,${counterNames.indexOf(name)}}')`;
}

/** False for streams, pointers of devices and other internal records, whose scope has a control character in its name. */
const isConversation: string = ofConversation("tenant");

function ofConversation(tenant: string): string {
  return `position(chr(1) in ${tenant}) = 0`;
}

/** The columns of a turn, from its place and its data. */
function turnColumns(schema: string): string {
  return `tenant, session, seq, key, ${schema}.instant(at) as at, data ->> 'status' as status, data ->> 'agent' as agent,
  data ->> 'model' as model, data -> 'input' as input, data -> 'output' as output,
  ${schema}.whole_number(data -> 'requests') as requests,
  ${schema}.whole_number(data #> '{usage,inputTokens}') as input_tokens,
  ${schema}.whole_number(data #> '{usage,outputTokens}') as output_tokens,
  ${schema}.whole_number(data #> '{usage,totalTokens}') as total_tokens,
  coalesce(data #> '{usage,estimated}' = 'true', false) as estimated,
  ${schema}.whole_number(data -> 'durationMs') as duration_ms, data #>> '{error,code}' as error_code,
  data #>> '{error,message}' as error_message, data ->> 'finish' as finish_reason,
  ${schema}.whole_number(data #> '{usage,cachedTokens}') as cached_tokens,
  ${schema}.whole_number(data #> '{usage,reasoningTokens}') as reasoning_tokens,
  ${schema}.whole_number(data -> 'waitedMs') as waited_ms`;
}

/** A number behind those of all turns. */
const behindTurns = Number.MAX_SAFE_INTEGER;

/**
 * The segments of the current branch of a session, each with its log, the last entry that the branch has there, and the number of
 * turns before it. `offset 0` keeps the server from reading the record again for each segment or entry. `domain/branches/segments.ts`
 * has the same rule.
 */
function segmentsOf(schema: string, data: string): string {
  return `
    select case when own.number is not distinct from own.root then 'turns' else '${keptBeginning}' || own.number end as log,
      own.until - own.before as last, own.before
    from (
      select segment.value ->> 0 as number, made.branches ->> 'root' as root, ${schema}.whole_number(segment.value -> 1) as until,
        coalesce(lag(${schema}.whole_number(segment.value -> 1)) over (order by segment.place), 0) as before
      from (
        select case when position('"branches":{' in ${data}) > 0 then ${schema}.readable_or_null(${data}) -> 'branches' end as branches
        offset 0
      ) made
      cross join lateral jsonb_array_elements(
        case jsonb_typeof(made.branches) when 'object' then
          case jsonb_typeof(made.branches -> 'path') when 'array' then made.branches -> 'path' else '[]' end
            || jsonb_build_array(jsonb_build_array(made.branches -> 'current', ${behindTurns}))
        else '[[null, ${behindTurns}]]' end
      ) with ordinality as segment(value, place)
    ) own
    offset 0`;
}

/**
 * The stored rows for people and their SQL. No stored value fails a view: `readable_or_null`, `whole_number` and `instant`
 * give null for a value that they cannot convert, and the row is shown with its other values. The views are replaced
 * rather than dropped, so that grants on them and views that use them stay.
 */
export function views(schema: string): string {
  const orNull = `
begin
  return ${schema}.readable(_data);
exception when data_exception or program_limit_exceeded then
  return null;
end`;
  const wholeNumber = `
  select case jsonb_typeof(_value) when 'number' then
    case when _value::numeric between -9223372036854775808 and 9223372036854775807 then _value::numeric::bigint end
  end`;
  const instant = "select case when _ms >= -62135596800000 then to_timestamp(least(_ms, 253402300799999) / 1000.0) end";
  const counter = (name: keyof Counters): string => `${schema}.whole_number(${counterIn("data", name)})`;
  const list = (value: string): string => `case jsonb_typeof(${value}) when 'array' then ${value} end`;
  return `
create or replace function ${schema}.readable_or_null(_data text) returns jsonb language plpgsql immutable strict
as ${quoteBody(orNull)};

create or replace function ${schema}.whole_number(_value jsonb) returns bigint language sql immutable strict parallel safe
as ${quoteBody(wholeNumber)};

create or replace function ${schema}.instant(_ms bigint) returns timestamptz language sql immutable strict parallel safe
as ${quoteBody(instant)};

create or replace view ${schema}.readable_sessions as
select tenant, id, agent, user_id, state, ${schema}.instant(created_at) as created_at,
  ${schema}.instant(last_activity_at) as last_activity_at, ${schema}.instant(expires_at) as expires_at,
  data -> 'metadata' as metadata,
  ${counter("turns")} as turns,
  ${counter("messages")} as messages,
  ${counter("requests")} as requests,
  ${counter("inputTokens")} as input_tokens,
  ${counter("outputTokens")} as output_tokens,
  ${counter("totalTokens")} as total_tokens,
  ${counter("durationMs")} as duration_ms,
  data #>> '{lease,instance}' as held_by, version, title, ${schema}.readable_or_null(labels) as labels,
  case when active_until > now() then data #>> '{floor,agent}' end as active_agent,
  case when active_until > now() then ${schema}.instant(${schema}.whole_number(data #> '{floor,lockedAt}')) end as active_since,
  case when active_until > now() then active_until end as active_until,
  ${schema}.instant(${schema}.whole_number(data #> '{lease,acquiredAt}')) as held_since
from (select *, ${schema}.instant(${schema}.whole_number(data #> '{floor,expiresAt}')) as active_until from (
  select tenant, id, agent, user_id, state, created_at, last_activity_at, expires_at, version, title,
    labels, ${schema}.readable_or_null(data) as data
  from ${schema}.sessions where ${isConversation}
) stored) session;

create or replace view ${schema}.readable_turns as
select ${turnColumns(schema)}
from (
  select record.tenant, record.id as session, entry.seq + segment.before as seq, entry.key, entry.at,
    ${schema}.readable_or_null(entry.data) as data
  from ${schema}.sessions record
  cross join lateral (${segmentsOf(schema, "record.data")}) segment
  join ${schema}.entries entry on entry.tenant = record.tenant and entry.session = record.id and entry.logs = record.logs
    and entry.log = segment.log and entry.seq <= segment.last
  where ${ofConversation("record.tenant")}
) turn;

create or replace view ${schema}.readable_messages as
select turn.tenant, turn.session, turn.seq as turn, message.part, message.place, turn.at, turn.agent,
  message.value ->> 'role' as role, message.value -> 'content' as content,
  case jsonb_typeof(message.value -> 'content') when 'string' then message.value ->> 'content' end as text,
  message.value -> 'tool_calls' as tool_calls, message.value ->> 'tool_call_id' as tool_call_id,
  message.value as message
from ${schema}.readable_turns turn
cross join lateral (
  select 'input' as part, place, value from jsonb_array_elements(${list("turn.input")}) with ordinality as input(value, place)
  union all
  select 'output', place, value from jsonb_array_elements(${list("turn.output")}) with ordinality as output(value, place)
) message;

create or replace view ${schema}.usage_by_day as
select tenant, (at at time zone 'UTC')::date as day, agent, count(*) as turns, sum(requests) as requests,
  sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens, sum(total_tokens) as total_tokens,
  count(*) filter (where estimated) as estimated_turns, sum(duration_ms) as duration_ms,
  sum(cached_tokens) as cached_tokens
from (
  select ${turnColumns(schema)}
  from (
    select tenant, session, seq, key, at, ${schema}.readable_or_null(data) as data from ${schema}.entries entry
    where ${isTurn} and ${isConversation} and ${isKept(schema)}
  ) turn
) turn
group by tenant, day, agent;

create or replace view ${schema}.readable_events as
select tenant, session, seq, ${schema}.instant(at) as at, ${eventTypeSql("type")} as type,
  data ->> 'correlation' as correlation,
  case jsonb_typeof(data) when 'object' then data - 'type' - 'correlation' else data end as data,
  ${eventKindSql("category", "type", ofApplication("app"))} as category,
  ${eventKindSql("severity", "type", "data ->> 'severity'")} as severity,
  ${eventKindSql("status", "type", ofApplication("ok"))} as status,
  case type when 'handed_off' then data ->> 'from' when 'released' then data ->> 'agent' end as previous_agent,
  ${schema}.whole_number(data -> 'heldMs') as previous_active_ms
from (select *, data ->> 'type' as type from (
  select tenant, session, seq, at, ${schema}.readable_or_null(data) as data from ${schema}.entries entry
  where log = 'events' and ${isConversation} and ${isKept(schema)}
) stored) event;`;
}
