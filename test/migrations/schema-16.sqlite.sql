pragma user_version = 16;
pragma application_id = 1349674098;
CREATE TABLE sessions (
        no integer primary key autoincrement,
        tenant text not null,
        id text not null,
        version integer not null,
        state text not null,
        agent text not null,
        user text,
        created_at integer not null,
        last_activity_at integer not null,
        active_minute integer not null,
        state_since integer not null,
        expires_at integer not null,
        sweep_at integer not null,
        data text not null, commit_id text not null default '', title text, labels text,
        unique (tenant, id)
      ) strict;
CREATE INDEX sessions_recent on sessions (tenant, active_minute desc, id);
CREATE INDEX sessions_of_user on sessions (tenant, user, active_minute desc, id) where user is not null;
CREATE INDEX sessions_due on sessions (sweep_at, tenant, id) where state in ('active', 'inactive');
CREATE INDEX sessions_settled on sessions (state_since, tenant, id) where state not in ('active', 'inactive');
CREATE TABLE entries (
        session integer not null,
        log text not null,
        seq integer not null,
        key text,
        at integer not null,
        data text not null
      , bytes blob) strict;
CREATE UNIQUE INDEX entries_by_seq on entries (session, log, seq);
CREATE UNIQUE INDEX entries_by_key on entries (session, log, key) where key is not null;
CREATE TABLE instances (
        id text primary key,
        host text not null,
        pid integer not null,
        machine text not null,
        started_at text not null,
        seen_at integer not null
      , address text, stale_after_ms integer) strict, without rowid;
CREATE INDEX entries_of_events on entries (at, session, seq) where log = 'events';
CREATE TABLE removed (session integer primary key) strict;
CREATE TABLE usage_sums (
        tenant text not null,
        name text not null,
        tokens integer not null,
        turns integer not null,
        until integer not null,
        primary key (tenant, name)
      ) strict, without rowid;
CREATE INDEX usage_sums_by_end on usage_sums (until);
CREATE TABLE documents (
        tenant text not null,
        scope text not null,
        key text not null,
        version integer not null,
        user text,
        created_at integer not null,
        updated_at integer not null,
        expires_at integer,
        data text not null,
        primary key (tenant, scope, key)
      ) strict;
CREATE INDEX documents_due on documents (expires_at) where expires_at is not null;
CREATE INDEX documents_of_user on documents (tenant, user) where user is not null;
CREATE TABLE labels (
        session integer not null,
        name text not null,
        value text not null,
        tenant text not null,
        created_at integer not null,
        primary key (session, name)
      ) strict, without rowid;
CREATE INDEX labels_by_value on labels (tenant, name, value, created_at, session);
CREATE INDEX sessions_created on sessions (tenant, created_at, id);
CREATE INDEX sessions_of_agent on sessions (tenant, agent, created_at, id);
CREATE TABLE news_subscriptions (
        tenant text primary key,
        id text not null,
        expires_at integer not null,
        deleted integer not null,
        mark integer not null,
        marked_at integer not null
      ) strict, without rowid;
CREATE TABLE news (
        tenant text not null,
        no integer not null,
        kind text not null,
        scope text not null,
        id text not null,
        primary key (tenant, no)
      ) strict, without rowid;
CREATE VIEW readable_sessions as
  select tenant, id, agent, user as user_id, state, strftime('%Y-%m-%d %H:%M:%f', min(created_at, 253402300799999) / 1000.0, 'unixepoch') as created_at,
    strftime('%Y-%m-%d %H:%M:%f', min(last_activity_at, 253402300799999) / 1000.0, 'unixepoch') as last_activity_at, strftime('%Y-%m-%d %H:%M:%f', min(expires_at, 253402300799999) / 1000.0, 'unixepoch') as expires_at,
    data -> '$.metadata' as metadata,
    iif(json_type(data, '$.counters[0]') = 'integer', json_extract(data, '$.counters[0]'), null) as turns, iif(json_type(data, '$.counters[1]') = 'integer', json_extract(data, '$.counters[1]'), null) as messages,
    iif(json_type(data, '$.counters[2]') = 'integer', json_extract(data, '$.counters[2]'), null) as requests, iif(json_type(data, '$.counters[3]') = 'integer', json_extract(data, '$.counters[3]'), null) as input_tokens,
    iif(json_type(data, '$.counters[4]') = 'integer', json_extract(data, '$.counters[4]'), null) as output_tokens, iif(json_type(data, '$.counters[5]') = 'integer', json_extract(data, '$.counters[5]'), null) as total_tokens,
    iif(json_type(data, '$.counters[6]') = 'integer', json_extract(data, '$.counters[6]'), null) as duration_ms, iif(json_type(data, '$.lease.instance') = 'text', json_extract(data, '$.lease.instance'), null) as held_by, version, title,
    iif(json_valid(labels), labels, null) as labels,
    iif(in_force, iif(json_type(data, '$.floor.agent') = 'text', json_extract(data, '$.floor.agent'), null), null) as active_agent,
    iif(in_force, strftime('%Y-%m-%d %H:%M:%f', min(iif(json_type(data, '$.floor.lockedAt') = 'integer', json_extract(data, '$.floor.lockedAt'), null), 253402300799999) / 1000.0, 'unixepoch'), null) as active_since,
    iif(in_force, strftime('%Y-%m-%d %H:%M:%f', min(iif(json_type(data, '$.floor.expiresAt') = 'integer', json_extract(data, '$.floor.expiresAt'), null), 253402300799999) / 1000.0, 'unixepoch'), null) as active_until,
    strftime('%Y-%m-%d %H:%M:%f', min(iif(json_type(data, '$.lease.acquiredAt') = 'integer', json_extract(data, '$.lease.acquiredAt'), null), 253402300799999) / 1000.0, 'unixepoch') as held_since
  from (select *, iif(json_type(data, '$.floor.expiresAt') = 'integer', json_extract(data, '$.floor.expiresAt'), null) > (julianday('now') - 2440587.5) * 86400000 as in_force from (
    select tenant, id, agent, user, state, created_at, last_activity_at, expires_at, version, title, labels,
      iif(json_valid(data), data, null) as data
    from sessions where instr(tenant, char(1)) = 0
  ));
CREATE TABLE search_state (id integer primary key check (id = 1), up_to integer not null) strict;
CREATE TABLE search_changes (
        session integer not null,
        log text not null,
        seq integer not null,
        primary key (session, log, seq)
      ) strict, without rowid;
CREATE TABLE search_messages (
        place integer primary key,
        session integer not null,
        log text not null,
        seq integer not null,
        message integer not null,
        at integer not null
      ) strict;
CREATE INDEX search_messages_of_turn on search_messages (session, log, seq);
CREATE VIRTUAL TABLE search_words using fts5(
        words, content='', contentless_delete=1, detail=none, tokenize='ascii'
      );
CREATE TRIGGER search_entry_deleted after delete on entries when exists (select 1 from search_state) begin
        update search_state set up_to = (select coalesce(max(rowid), 0) from entries)
        where up_to > (select coalesce(max(rowid), 0) from entries);
        insert or ignore into search_changes select old.session, old.log, old.seq where (old.log = 'turns' or old.log glob 'turns#*');
      end;
CREATE TRIGGER search_session_created after insert on sessions
      when new.title is not null and exists (select 1 from search_state) begin
        insert or ignore into search_changes values (new.no, 'turns', 0);
      end;
CREATE TRIGGER search_title_changed after update of title on sessions
      when old.title is not new.title and exists (select 1 from search_state) begin
        insert or ignore into search_changes values (new.no, 'turns', 0);
      end;
CREATE TRIGGER search_session_renamed after update of tenant on sessions when exists (select 1 from search_state) begin
        insert or ignore into search_changes values (new.no, 'turns', 0);
        insert or ignore into search_changes
        select session, log, seq from entries where session = new.no and (log = 'turns' or log glob 'turns#*');
      end;
CREATE TRIGGER search_session_removed after delete on sessions when exists (select 1 from search_state) begin
        insert or ignore into search_changes values (old.no, 'turns', 0);
        insert or ignore into search_changes select session, log, seq from search_messages where session = old.no;
      end;
CREATE VIEW readable_turns as
  select tenant, session, seq, key, strftime('%Y-%m-%d %H:%M:%f', min(at, 253402300799999) / 1000.0, 'unixepoch') as at, iif(json_type(data, '$.status') = 'text', json_extract(data, '$.status'), null) as status, iif(json_type(data, '$.agent') = 'text', json_extract(data, '$.agent'), null) as agent,
    iif(json_type(data, '$.model') = 'text', json_extract(data, '$.model'), null) as model, data -> '$.input' as input, data -> '$.output' as output,
    iif(json_type(data, '$.requests') = 'integer', json_extract(data, '$.requests'), null) as requests, iif(json_type(data, '$.usage.inputTokens') = 'integer', json_extract(data, '$.usage.inputTokens'), null) as input_tokens,
    iif(json_type(data, '$.usage.outputTokens') = 'integer', json_extract(data, '$.usage.outputTokens'), null) as output_tokens, iif(json_type(data, '$.usage.totalTokens') = 'integer', json_extract(data, '$.usage.totalTokens'), null) as total_tokens,
    json_type(data, '$.usage.estimated') is 'true' as estimated, iif(json_type(data, '$.durationMs') = 'integer', json_extract(data, '$.durationMs'), null) as duration_ms,
    iif(json_type(data, '$.error.code') = 'text', json_extract(data, '$.error.code'), null) as error_code, iif(json_type(data, '$.error.message') = 'text', json_extract(data, '$.error.message'), null) as error_message,
    iif(json_type(data, '$.finish') = 'text', json_extract(data, '$.finish'), null) as finish_reason, iif(json_type(data, '$.usage.cachedTokens') = 'integer', json_extract(data, '$.usage.cachedTokens'), null) as cached_tokens,
    iif(json_type(data, '$.usage.reasoningTokens') = 'integer', json_extract(data, '$.usage.reasoningTokens'), null) as reasoning_tokens, iif(json_type(data, '$.waitedMs') = 'integer', json_extract(data, '$.waitedMs'), null) as waited_ms
  from (select sessions.tenant as tenant, sessions.id as session, entries.seq + iif(segment.key = 0, 0, ifnull(json_extract(segment.json, '$[' || (segment.key - 1) || '][1]'), 0)) as seq,
      entries.key as key, entries.at as at, iif(json_valid(entries.data), entries.data, null) as data
    from sessions
    cross join json_each(json_array(json(iif(instr(sessions.data, '"branches":{') > 0 and json_valid(sessions.data), sessions.data -> '$.branches', null)))) made
    cross join json_each(iif(json_type(made.value) is 'object',
    json_insert(
      iif(json_type(made.value, '$.path') is 'array', made.value -> '$.path', '[]'),
      '$[#]', json_array(json_extract(made.value, '$.current'), 9007199254740991)
    ), '[[null,9007199254740991]]')) segment
    cross join entries on entries.session = sessions.no
      and entries.log = iif(iif(segment.type = 'array', json_extract(segment.value, '$[0]'), null) is json_extract(made.value, '$.root'), 'turns', 'turns#' || iif(segment.type = 'array', json_extract(segment.value, '$[0]'), null))
      and entries.seq <= iif(segment.type = 'array', json_extract(segment.value, '$[1]'), null) - iif(segment.key = 0, 0, ifnull(json_extract(segment.json, '$[' || (segment.key - 1) || '][1]'), 0))
    where instr(tenant, char(1)) = 0);
CREATE VIEW readable_messages as
  select tenant, session, turn, part, place, at, agent, iif(json_type(data, '$.role') = 'text', json_extract(data, '$.role'), null) as role,
    data -> '$.content' as content, iif(json_type(data, '$.content') = 'text', json_extract(data, '$.content'), null) as text,
    data -> '$.tool_calls' as tool_calls, iif(json_type(data, '$.tool_call_id') = 'text', json_extract(data, '$.tool_call_id'), null) as tool_call_id, data as message
  from (
    select tenant, session, turn.seq as turn, part, place + 1 as place, turn.at as at, agent,
      iif(kind in ('object', 'array'), value, null) as data
    from (
      select turn.tenant, turn.session, turn.seq, turn.at, turn.agent, 'input' as part, message.key as place,
        message.value, message.type as kind
      from readable_turns turn, json_each(iif(json_type(turn.input) = 'array', turn.input, '[]')) message
      union all
      select turn.tenant, turn.session, turn.seq, turn.at, turn.agent, 'output', message.key, message.value, message.type
      from readable_turns turn, json_each(iif(json_type(turn.output) = 'array', turn.output, '[]')) message
    ) turn
  );
CREATE VIEW usage_by_day as
  select tenant, date(at) as day, agent, count(*) as turns, sum(requests) as requests, sum(input_tokens) as input_tokens,
    sum(output_tokens) as output_tokens, sum(total_tokens) as total_tokens, sum(estimated) as estimated_turns,
    sum(duration_ms) as duration_ms, sum(cached_tokens) as cached_tokens
  from (select tenant, session, seq, key, strftime('%Y-%m-%d %H:%M:%f', min(at, 253402300799999) / 1000.0, 'unixepoch') as at, iif(json_type(data, '$.status') = 'text', json_extract(data, '$.status'), null) as status, iif(json_type(data, '$.agent') = 'text', json_extract(data, '$.agent'), null) as agent,
    iif(json_type(data, '$.model') = 'text', json_extract(data, '$.model'), null) as model, data -> '$.input' as input, data -> '$.output' as output,
    iif(json_type(data, '$.requests') = 'integer', json_extract(data, '$.requests'), null) as requests, iif(json_type(data, '$.usage.inputTokens') = 'integer', json_extract(data, '$.usage.inputTokens'), null) as input_tokens,
    iif(json_type(data, '$.usage.outputTokens') = 'integer', json_extract(data, '$.usage.outputTokens'), null) as output_tokens, iif(json_type(data, '$.usage.totalTokens') = 'integer', json_extract(data, '$.usage.totalTokens'), null) as total_tokens,
    json_type(data, '$.usage.estimated') is 'true' as estimated, iif(json_type(data, '$.durationMs') = 'integer', json_extract(data, '$.durationMs'), null) as duration_ms,
    iif(json_type(data, '$.error.code') = 'text', json_extract(data, '$.error.code'), null) as error_code, iif(json_type(data, '$.error.message') = 'text', json_extract(data, '$.error.message'), null) as error_message,
    iif(json_type(data, '$.finish') = 'text', json_extract(data, '$.finish'), null) as finish_reason, iif(json_type(data, '$.usage.cachedTokens') = 'integer', json_extract(data, '$.usage.cachedTokens'), null) as cached_tokens,
    iif(json_type(data, '$.usage.reasoningTokens') = 'integer', json_extract(data, '$.usage.reasoningTokens'), null) as reasoning_tokens, iif(json_type(data, '$.waitedMs') = 'integer', json_extract(data, '$.waitedMs'), null) as waited_ms from (select tenant, sessions.id as session, seq, key, at, iif(json_valid(entries.data), entries.data, null) as data
    from entries join sessions on sessions.no = entries.session where log >= 'turns' and log < 'turns$' and (log = 'turns' or log like 'turns#%') and instr(tenant, char(1)) = 0))
  group by tenant, date(at), agent;
CREATE VIEW readable_events as
  select tenant, session, seq, strftime('%Y-%m-%d %H:%M:%f', min(at, 253402300799999) / 1000.0, 'unixepoch') as at, case type when 'restarted' then 'reset' when 'terminated' then 'ended' when 'released' then 'handoff_ended' when 'held' then 'legal_hold_set' when 'hold_released' then 'legal_hold_cleared' else type end as type, correlation,
    json_remove(data, '$.type', '$.correlation') as data,
    case when type in ('created', 'restarted', 'archived', 'reassigned', 'expired', 'revived', 'terminated', 'activated', 'passivated', 'failed', 'unarchived', 'held', 'hold_released', 'forked', 'conflicted', 'attachment_lost') then 'lifecycle'
    when type in ('recovered', 'taken_over') then 'lease'
    when type in ('handed_off', 'released') then 'handoff'
    when type in ('claimed', 'superseded', 'device_linked') then 'device'
    when type in ('turn_waiting', 'turn_resumed', 'calls_decided', 'wait_ended') then 'waiting'
    when type like 'app.%' then 'app' else case when type like 'app.%' then 'app' end end as category,
    case when type in ('created', 'restarted', 'archived', 'reassigned', 'expired', 'revived', 'terminated', 'activated', 'passivated', 'handed_off', 'released', 'claimed', 'superseded', 'device_linked', 'unarchived', 'held', 'hold_released', 'forked', 'turn_waiting', 'turn_resumed', 'calls_decided') then 'info'
    when type in ('recovered', 'taken_over', 'wait_ended', 'conflicted', 'attachment_lost') then 'warning'
    when type in ('failed') then 'error' else iif(json_type(data, '$.severity') = 'text', json_extract(data, '$.severity'), null) end as severity,
    case when type in ('created', 'restarted', 'archived', 'reassigned', 'expired', 'revived', 'terminated', 'recovered', 'taken_over', 'activated', 'passivated', 'handed_off', 'released', 'claimed', 'superseded', 'device_linked', 'unarchived', 'held', 'hold_released', 'forked', 'turn_waiting', 'turn_resumed', 'calls_decided', 'wait_ended', 'conflicted', 'attachment_lost') then 'ok'
    when type in ('failed') then 'failed'
    when type like 'app.%' then 'ok' else case when type like 'app.%' then 'ok' end end as status,
    case type when 'handed_off' then iif(json_type(data, '$.from') = 'text', json_extract(data, '$.from'), null) when 'released' then iif(json_type(data, '$.agent') = 'text', json_extract(data, '$.agent'), null) end as previous_agent,
    iif(json_type(data, '$.heldMs') = 'integer', json_extract(data, '$.heldMs'), null) as previous_active_ms
  from (select *, iif(json_type(data, '$.type') = 'text', json_extract(data, '$.type'), null) as type, iif(json_type(data, '$.correlation') = 'text', json_extract(data, '$.correlation'), null) as correlation from (select tenant, sessions.id as session, seq, key, at, iif(json_valid(entries.data), entries.data, null) as data
    from entries join sessions on sessions.no = entries.session where log = 'events' and instr(tenant, char(1)) = 0));
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (1, 'secret', 'check', 1796102064824955, 'active', 'perdure', null, 1796102064824, 1796102064824, 29935034, 1796102064824, 4949702064824, 4949702064824, '{"metadata":{"check":"ff6075023e07576fb47eea5775424448f0345753ed7b542f816fcbcc3d0279db","first":"ff607502","rotated":false},"ttlMs":3153600000000,"counters":[0,0,0,0,0,0,0,0],"heads":{}}', 'nb7cwj1d10t0rf84.1', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (2, 'default', 'plain', 1796102064852599, 'active', 'assistant', 'ada', 1796102064852, 1796102064907, 29935034, 1796102064852, 3372902064907, 3372902064852, '{"metadata":{"plan":"pro","since":{"$type":"date","value":"1970-01-01T00:00:00.000Z"},"\u0000":"\"maxAgeFrom\":1,\"mark\":\"not this one\""},"ttlMs":1576800000000,"counters":[3,6,3,6,3,9,0,0],"heads":{"instructions":1,"events":3,"turns":3},"turnsVersion":1796102064852597,"floor":{"agent":"assistant","expiresAt":3372902064907,"note":"The customer waits.","noteFrom":"application","lockedAt":1796102064907},"turnsCommitId":"nb7cwj1d10t0rf84.5","hold":{"reason":"case 1","at":1796102064897}}', 'nb7cwj1d10t0rf84.7', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (3, 'default', 'touched', 1796102064919210, 'active', 'assistant', null, 1796102064919, 1796102064950, 29935034, 1796102064919, 3372902064950, 3372902064919, '{"metadata":{},"ttlMs":1576800000000,"counters":[1,2,0,0,0,0,0,0],"heads":{"events":1,"turns":1},"turnsVersion":1796102064919207,"turnsCommitId":"nb7cwj1d10t0rf84.9"}', 'nb7cwj1d10t0rf84.12', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (4, 'default', 'parent', 1796102064960424, 'active', 'assistant', null, 1796102064960, 1796102064973, 29935034, 1796102064960, 3372902064973, 3372902064960, '{"metadata":{},"ttlMs":1576800000000,"counters":[2,4,0,0,0,0,0,0],"heads":{"events":1,"turns":2,"forks":1},"turnsVersion":1796102064960423,"turnsCommitId":"nb7cwj1d10t0rf84.15","forkedAt":1}', 'nb7cwj1d10t0rf84.16', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (5, 'default', 'fork', 1796102065006466, 'active', 'assistant', null, 1796102065006, 1796102065043, 29935034, 1796102065006, 3372902065043, 3372902065006, '{"metadata":{},"ttlMs":1576800000000,"counters":[2,4,0,0,0,0,0,0],"heads":{"turns":2,"events":2},"parent":{"id":"parent","at":1,"born":1796102064960},"inherited":1}', 'nb7cwj1d10t0rf84.17', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (6, 'default', 'archived', 1796102065054521, 'archived', 'assistant', null, 1796102065054, 1796102065070, 29935034, 1796102065175, 3372902065070, 3372902065054, '{"metadata":{},"ttlMs":1576800000000,"counters":[2,4,0,0,0,0,0,0],"heads":{"events":2,"archive":1,"spent":1},"turnsVersion":1796102065054520,"turnsCommitId":"nb7cwj1d10t0rf84.20","archive":{"state":"active","heads":{"turns":2},"bytes":377,"packedBytes":82,"parts":[{"ranges":[{"log":"turns","from":1,"to":2}],"sha256":"72d30e83ce735e68d1530d64d6a1ab825ceaad3b2b54682d317351865a20c425"}],"spent":1}}', 'nb7cwj1d10t0rf84.21', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (7, 'default', 'cut', 1796102065183758, 'active', 'assistant', null, 1796102065183, 1796102065250, 29935034, 1796102065183, 3372902065250, 3372902065183, '{"metadata":{},"ttlMs":1576800000000,"counters":[1,2,0,0,0,0,0,0],"heads":{"events":1,"turns":1,"spent":1}}', 'nb7cwj1d10t0rf84.25', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (8, 'default', 'branched', 1796102065265204, 'active', 'assistant', null, 1796102065265, 1796102065350, 29935034, 1796102065265, 3372902065350, 3372902065265, '{"metadata":{},"ttlMs":1576800000000,"counters":[2,3,0,0,0,0,0,0],"heads":{"events":1,"turns":2,"turns#1":2,"#branches":1},"branches":{"root":1,"current":2,"path":[[1,1]],"made":2,"shared":1}}', 'nb7cwj1d10t0rf84.30', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (9, 'default', 'device_770b12f5e2411717fb6e461a811923ab4caa9651', 1796102065377929, 'active', 'assistant', null, 1796102065377, 1796102065408, 29935034, 1796102065377, 3372902065408, 3372902065377, '{"metadata":{},"ttlMs":1576800000000,"counters":[1,2,0,0,0,0,0,0],"heads":{"events":2,"turns":1},"turnsVersion":1796102065377928,"turnsCommitId":"nb7cwj1d10t0rf84.32"}', 'nb7cwj1d10t0rf84.34', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (10, 'defaultdevices', 'device_770b12f5e2411717fb6e461a811923ab4caa9651', 1796102065377796, 'active', 'perdure', null, 1796102065377, 1796102065377, 29935034, 1796102065377, 1827638065377, 1827638065377, '{"metadata":{"kind":"own","session":"device_770b12f5e2411717fb6e461a811923ab4caa9651","secret":"ff607502"},"ttlMs":31536000000,"counters":[0,0,0,0,0,0,0,0],"heads":{}}', 'nb7cwj1d10t0rf84.31', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (12, 'defaultdevices', 'device_04cd9a6080618e9a36f7ccf68fbb46c44d5e21c3', 1796102065442196, 'active', 'device_770b12f5e2411717fb6e461a811923ab4caa9651', null, 1796102065442, 1796102065442, 29935034, 1796102065442, 1827638065442, 1827638065442, '{"metadata":{"kind":"linked","session":"device_770b12f5e2411717fb6e461a811923ab4caa9651","born":1796102065377,"from":2,"secret":"ff607502"},"ttlMs":31536000000,"counters":[0,0,0,0,0,0,0,0],"heads":{}}', 'nb7cwj1d10t0rf84.34', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (13, 'default', 'leased', 1796102065458057, 'active', 'assistant', null, 1796102065458, 1796102065472, 29935034, 1796102065458, 3372902065472, 3372902065458, '{"metadata":{},"ttlMs":1576800000000,"counters":[1,2,0,0,0,0,0,0],"heads":{"events":1,"turns":1},"turnsVersion":1796102065458056,"fence":1796102065458057,"lease":{"instance":"i_01m8r0d2nerpj7zh9ka2tvxh3q","fence":1796102065458057,"commitId":"nb7cwj1d10t0rf84.37","acquiredAt":1796102065491,"expiresAt":null},"turnsCommitId":"nb7cwj1d10t0rf84.36"}', 'nb7cwj1d10t0rf84.37', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (14, 'default', 'open', 1796102065500498, 'active', 'assistant', null, 1796102065500, 1796102065583, 29935034, 1796102065500, 3372902065583, 3372902065500, '{"metadata":{},"ttlMs":1576800000000,"counters":[1,1,0,0,0,0,0,0],"heads":{"events":1,"turns":1,"chunks":1},"turnsVersion":1796102065500497,"openTurn":1,"fence":1796102065500497,"lease":{"instance":"i_01m8r0d2nerpj7zh9ka2tvxh3q","fence":1796102065500497,"commitId":"nb7cwj1d10t0rf84.39","acquiredAt":1796102065511,"expiresAt":null},"turnsCommitId":"nb7cwj1d10t0rf84.39"}', 'nb7cwj1d10t0rf84.40', null, null);
insert into entries (session, log, seq, key, at, data, bytes) values (2, 'instructions', 1, null, 1796102064852, '"Be brief."', null);
insert into entries (session, log, seq, key, at, data, bytes) values (2, 'events', 1, null, 1796102064852, '{"type":"created","agent":"assistant","user":"ada"}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (2, 'turns', 1, 'key one', 1796102064868, '{"status":"done","agent":"assistant","model":"m","usage":{"inputTokens":2,"outputTokens":1,"totalTokens":3},"requests":1,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (2, 'turns', 2, 'key two', 1796102064879, '{"status":"done","agent":"assistant","model":"m","usage":{"inputTokens":2,"outputTokens":1,"totalTokens":3},"requests":1,"messagesBefore":2,"input":[{"role":"user","content":"two"}],"output":[{"role":"assistant","content":"two!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (2, 'turns', 3, 'key three', 1796102064890, '{"status":"done","agent":"assistant","model":"m","usage":{"inputTokens":2,"outputTokens":1,"totalTokens":3},"requests":1,"messagesBefore":4,"input":[{"role":"user","content":"three"}],"output":[{"role":"assistant","content":"three!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (2, 'events', 2, null, 1796102064897, '{"type":"held","reason":"case 1"}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (2, 'events', 3, null, 1796102064907, '{"type":"handed_off","agent":"assistant","from":null,"ttlMs":1576800000000,"note":"The customer waits.","noteFrom":"application","heldMs":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (3, 'events', 1, null, 1796102064919, '{"type":"created","agent":"assistant","user":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (3, 'turns', 1, null, 1796102064931, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (4, 'events', 1, null, 1796102064960, '{"type":"created","agent":"assistant","user":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (4, 'turns', 1, null, 1796102064970, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (4, 'turns', 2, null, 1796102064973, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":2,"input":[{"role":"user","content":"two"}],"output":[{"role":"assistant","content":"two!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (4, 'forks', 1, null, 1796102065006, '{"session":"fork","at":1}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (5, 'events', 1, null, 1796102065006, '{"type":"created","agent":"assistant","user":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (5, 'events', 2, null, 1796102065006, '{"type":"forked","from":"parent","turn":1}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (5, 'turns', 2, null, 1796102065043, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":2,"input":[{"role":"user","content":"other two"}],"output":[{"role":"assistant","content":"other two!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (6, 'events', 1, null, 1796102065054, '{"type":"created","agent":"assistant","user":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (6, 'archive', 1, null, 1796102065109, '{}', x'01811700c49960c7ae9884d8328e3cf0189eef28947c2ba32bb7bb0c1199d3c9c1058f1c6721b5051e50a0ad7994061eb2d0651e6c0cc46b85696463b5164c1dff4eb977347f4421498aee5b7f406cbbe301');
insert into entries (session, log, seq, key, at, data, bytes) values (6, 'spent', 1, null, 1796101200000, '{"agent":"assistant","usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0},"requests":0,"durationMs":0,"longestMs":0,"turns":2,"failed":0,"interrupted":0,"estimated":0}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (6, 'events', 2, null, 1796102065175, '{"type":"archived","of":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (7, 'events', 1, null, 1796102065183, '{"type":"created","agent":"assistant","user":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (7, 'turns', 1, null, 1796102065195, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (7, 'spent', 1, null, 1796101200000, '{"agent":"assistant","usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0},"requests":0,"durationMs":0,"longestMs":0,"turns":1,"failed":0,"interrupted":0,"estimated":0}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (8, 'events', 1, null, 1796102065265, '{"type":"created","agent":"assistant","user":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (8, 'turns', 1, null, 1796102065281, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (8, 'turns', 2, null, 1796102065292, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":2,"input":[{"role":"user","content":"two"}],"output":[{"role":"assistant","content":"two!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (8, 'turns', 3, null, 1796102065300, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":4,"input":[{"role":"user","content":"three"}],"output":[{"role":"assistant","content":"three!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (8, '#branches', 1, null, 1796102065350, '{"current":2,"kept":[[1,2,2,1796102065350,6]]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (8, 'turns#2', 1, null, 1796102065350, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":2,"input":[{"role":"user","content":"other two"}],"output":[]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (9, 'events', 1, null, 1796102065377, '{"type":"created","agent":"assistant","user":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (9, 'turns', 1, null, 1796102065408, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"hello"}],"output":[{"role":"assistant","content":"hello!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (9, 'events', 2, null, 1796102065442, '{"type":"device_linked"}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (13, 'events', 1, null, 1796102065458, '{"type":"created","agent":"assistant","user":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (13, 'turns', 1, null, 1796102065472, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (14, 'events', 1, null, 1796102065500, '{"type":"created","agent":"assistant","user":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (14, 'turns', 1, null, 1796102065511, '{"status":"open","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"a question"}],"output":[]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (14, 'chunks', 1, null, 1796102065583, '{"text":"half an answer"}', null);
insert into instances (id, host, pid, machine, started_at, seen_at, address, stale_after_ms) values ('i_01m8r0d2nerpj7zh9ka2tvxh3q', 'host', 30922, 'machine', '3989995', 1796102065480, null, 10000);
