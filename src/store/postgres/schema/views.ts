import { quoteBody } from "../connection/names.ts";

/**
 * What Perdure keeps, for people and their SQL. `readable` makes jsonb of a stored text; what jsonb cannot hold (U+0000
 * and halves of surrogate pairs, which only ever stand there as escapes) becomes U+FFFD, in the view alone.
 */
export function views(schema: string): string {
  const readable = `
  select case
    when _data ~ '\\\\u(0000|d[89a-f])'
    then regexp_replace(_data, '(?<!\\\\)((?:\\\\\\\\)*)\\\\u(?:0000|d[89a-f][0-9a-f]{2})', '\\1\\\\ufffd', 'g')
    else _data
  end::jsonb`;
  return `
create function ${schema}.readable(_data text) returns jsonb language sql immutable strict parallel safe
as ${quoteBody(readable)};

create function ${schema}.instant(_ms bigint) returns timestamptz language sql immutable strict parallel safe
as ${quoteBody(`select to_timestamp(least(_ms, 253402300799999) / 1000.0)`)};

create view ${schema}.readable_sessions as
select tenant, id, agent, user_id, state, ${schema}.instant(created_at) as created_at,
  ${schema}.instant(last_activity_at) as last_activity_at, ${schema}.instant(expires_at) as expires_at,
  data -> 'metadata' as metadata,
  (data #>> '{counters,turns}')::bigint as turns, (data #>> '{counters,messages}')::bigint as messages,
  (data #>> '{counters,requests}')::bigint as requests,
  (data #>> '{counters,inputTokens}')::bigint as input_tokens,
  (data #>> '{counters,outputTokens}')::bigint as output_tokens,
  (data #>> '{counters,totalTokens}')::bigint as total_tokens,
  (data #>> '{counters,durationMs}')::bigint as duration_ms,
  data #>> '{lease,instance}' as held_by, version
from (
  select tenant, id, agent, user_id, state, created_at, last_activity_at, expires_at, version,
    ${schema}.readable(data) as data
  from ${schema}.sessions
) session;

create view ${schema}.readable_turns as
select tenant, session, seq, key, ${schema}.instant(at) as at, data ->> 'status' as status, data ->> 'agent' as agent,
  data ->> 'model' as model, data -> 'input' as input, data -> 'output' as output,
  (data ->> 'requests')::bigint as requests, (data #>> '{usage,inputTokens}')::bigint as input_tokens,
  (data #>> '{usage,outputTokens}')::bigint as output_tokens, (data #>> '{usage,totalTokens}')::bigint as total_tokens,
  coalesce((data #>> '{usage,estimated}')::boolean, false) as estimated,
  (data ->> 'durationMs')::bigint as duration_ms, data #>> '{error,code}' as error_code,
  data #>> '{error,message}' as error_message
from (
  select tenant, session, seq, key, at, ${schema}.readable(data) as data from ${schema}.entries where log = 'turns'
) turn;

create view ${schema}.readable_messages as
select turn.tenant, turn.session, turn.seq as turn, message.part, message.place, turn.at, turn.agent,
  message.value ->> 'role' as role, message.value -> 'content' as content,
  case jsonb_typeof(message.value -> 'content') when 'string' then message.value ->> 'content' end as text,
  message.value -> 'tool_calls' as tool_calls, message.value ->> 'tool_call_id' as tool_call_id,
  message.value as message
from ${schema}.readable_turns turn
cross join lateral (
  select 'input' as part, place, value from jsonb_array_elements(turn.input) with ordinality as input(value, place)
  union all
  select 'output', place, value from jsonb_array_elements(turn.output) with ordinality as output(value, place)
) message;

create view ${schema}.usage_by_day as
select tenant, (at at time zone 'UTC')::date as day, agent, count(*) as turns, sum(requests) as requests,
  sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens, sum(total_tokens) as total_tokens,
  count(*) filter (where estimated) as estimated_turns, sum(duration_ms) as duration_ms
from ${schema}.readable_turns
group by tenant, day, agent;`;
}

/** Events for people, by the index that finds them by time. */
export function eventView(schema: string): string {
  return `
create view ${schema}.readable_events as
select tenant, session, seq, ${schema}.instant(at) as at, data ->> 'type' as type, data ->> 'correlation' as correlation,
  data - 'type' - 'correlation' as data
from (
  select tenant, session, seq, at, ${schema}.readable(data) as data from ${schema}.entries where log = 'events'
) event;`;
}
