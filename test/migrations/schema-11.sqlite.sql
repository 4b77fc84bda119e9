pragma user_version = 11;
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
CREATE VIEW readable_turns as
  select tenant, session, seq, key, strftime('%Y-%m-%d %H:%M:%f', min(at, 253402300799999) / 1000.0, 'unixepoch') as at, iif(json_type(data, '$.status') = 'text', json_extract(data, '$.status'), null) as status, iif(json_type(data, '$.agent') = 'text', json_extract(data, '$.agent'), null) as agent,
    iif(json_type(data, '$.model') = 'text', json_extract(data, '$.model'), null) as model, data -> '$.input' as input, data -> '$.output' as output,
    iif(json_type(data, '$.requests') = 'integer', json_extract(data, '$.requests'), null) as requests, iif(json_type(data, '$.usage.inputTokens') = 'integer', json_extract(data, '$.usage.inputTokens'), null) as input_tokens,
    iif(json_type(data, '$.usage.outputTokens') = 'integer', json_extract(data, '$.usage.outputTokens'), null) as output_tokens, iif(json_type(data, '$.usage.totalTokens') = 'integer', json_extract(data, '$.usage.totalTokens'), null) as total_tokens,
    json_type(data, '$.usage.estimated') is 'true' as estimated, iif(json_type(data, '$.durationMs') = 'integer', json_extract(data, '$.durationMs'), null) as duration_ms,
    iif(json_type(data, '$.error.code') = 'text', json_extract(data, '$.error.code'), null) as error_code, iif(json_type(data, '$.error.message') = 'text', json_extract(data, '$.error.message'), null) as error_message,
    iif(json_type(data, '$.finish') = 'text', json_extract(data, '$.finish'), null) as finish_reason, iif(json_type(data, '$.usage.cachedTokens') = 'integer', json_extract(data, '$.usage.cachedTokens'), null) as cached_tokens,
    iif(json_type(data, '$.usage.reasoningTokens') = 'integer', json_extract(data, '$.usage.reasoningTokens'), null) as reasoning_tokens, iif(json_type(data, '$.waitedMs') = 'integer', json_extract(data, '$.waitedMs'), null) as waited_ms
  from (select tenant, sessions.id as session, seq, key, at, iif(json_valid(entries.data), entries.data, null) as data
    from entries join sessions on sessions.no = entries.session where log = 'turns' and instr(tenant, char(1)) = 0);
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
  from readable_turns
  group by tenant, date(at), agent;
CREATE VIEW readable_events as
  select tenant, session, seq, strftime('%Y-%m-%d %H:%M:%f', min(at, 253402300799999) / 1000.0, 'unixepoch') as at, case type when 'restarted' then 'reset' when 'terminated' then 'ended' when 'released' then 'handoff_ended' when 'held' then 'legal_hold_set' when 'hold_released' then 'legal_hold_cleared' else type end as type, correlation,
    json_remove(data, '$.type', '$.correlation') as data,
    case when type in ('created', 'restarted', 'archived', 'reassigned', 'expired', 'revived', 'terminated', 'activated', 'passivated', 'failed', 'unarchived', 'held', 'hold_released', 'forked', 'conflicted') then 'lifecycle'
    when type in ('recovered', 'taken_over') then 'lease'
    when type in ('handed_off', 'released') then 'handoff'
    when type in ('claimed', 'superseded', 'device_linked') then 'device'
    when type in ('turn_waiting', 'turn_resumed', 'calls_decided', 'wait_ended') then 'waiting'
    when type like 'app.%' then 'app' else case when type like 'app.%' then 'app' end end as category,
    case when type in ('created', 'restarted', 'archived', 'reassigned', 'expired', 'revived', 'terminated', 'activated', 'passivated', 'handed_off', 'released', 'claimed', 'superseded', 'device_linked', 'unarchived', 'held', 'hold_released', 'forked', 'turn_waiting', 'turn_resumed', 'calls_decided') then 'info'
    when type in ('recovered', 'taken_over', 'wait_ended', 'conflicted') then 'warning'
    when type in ('failed') then 'error' else iif(json_type(data, '$.severity') = 'text', json_extract(data, '$.severity'), null) end as severity,
    case when type in ('created', 'restarted', 'archived', 'reassigned', 'expired', 'revived', 'terminated', 'recovered', 'taken_over', 'activated', 'passivated', 'handed_off', 'released', 'claimed', 'superseded', 'device_linked', 'unarchived', 'held', 'hold_released', 'forked', 'turn_waiting', 'turn_resumed', 'calls_decided', 'wait_ended', 'conflicted') then 'ok'
    when type in ('failed') then 'failed'
    when type like 'app.%' then 'ok' else case when type like 'app.%' then 'ok' end end as status,
    case type when 'handed_off' then iif(json_type(data, '$.from') = 'text', json_extract(data, '$.from'), null) when 'released' then iif(json_type(data, '$.agent') = 'text', json_extract(data, '$.agent'), null) end as previous_agent,
    iif(json_type(data, '$.heldMs') = 'integer', json_extract(data, '$.heldMs'), null) as previous_active_ms
  from (select *, iif(json_type(data, '$.type') = 'text', json_extract(data, '$.type'), null) as type, iif(json_type(data, '$.correlation') = 'text', json_extract(data, '$.correlation'), null) as correlation from (select tenant, sessions.id as session, seq, key, at, iif(json_valid(entries.data), entries.data, null) as data
    from entries join sessions on sessions.no = entries.session where log = 'events' and instr(tenant, char(1)) = 0));
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
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (1, 'secret', 'check', 1796052287315578, 'active', 'perdure', null, 1796052287315, 1796052287315, 29934204, 1796052287315, 4949652287315, 4949652287315, '{"metadata":{"check":"ff6075023e07576fb47eea5775424448f0345753ed7b542f816fcbcc3d0279db","first":"ff607502","rotated":false},"ttlMs":3153600000000,"counters":[0,0,0,0,0,0,0,0],"heads":{}}', 'x2erapqcz0y4n6k3.1', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (2, 'default', 'plain', 1796052287388210, 'active', 'assistant', 'ada', 1796052287388, 1796052287435, 29934204, 1796052287388, 3372852287435, 3372852287388, '{"metadata":{"plan":"pro","since":{"$type":"date","value":"1970-01-01T00:00:00.000Z"},"\u0000":"\"maxAgeFrom\":1,\"mark\":\"not this one\""},"ttlMs":1576800000000,"counters":[3,6,3,6,3,9,0,0],"heads":{"instructions":1,"events":3,"turns":3},"turnsVersion":1796052287388208,"floor":{"agent":"assistant","expiresAt":3372852287435,"note":"The customer waits.","noteFrom":"application","lockedAt":1796052287435},"turnsCommitId":"x2erapqcz0y4n6k3.5","hold":{"reason":"case 1","at":1796052287429}}', 'x2erapqcz0y4n6k3.7', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (3, 'default', 'touched', 1796052287441633, 'active', 'assistant', null, 1796052287441, 1796052287493, 29934204, 1796052287441, 3372852287493, 3372852287441, '{"metadata":{},"ttlMs":1576800000000,"counters":[1,2,0,0,0,0,0,0],"heads":{"events":1,"turns":1},"turnsVersion":1796052287441630,"turnsCommitId":"x2erapqcz0y4n6k3.9"}', 'x2erapqcz0y4n6k3.12', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (4, 'default', 'parent', 1796052287501728, 'active', 'assistant', null, 1796052287501, 1796052287513, 29934204, 1796052287501, 3372852287513, 3372852287501, '{"metadata":{},"ttlMs":1576800000000,"counters":[2,4,0,0,0,0,0,0],"heads":{"events":1,"turns":2,"forks":1},"turnsVersion":1796052287501727,"turnsCommitId":"x2erapqcz0y4n6k3.15","forkedAt":1}', 'x2erapqcz0y4n6k3.16', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (5, 'default', 'fork', 1796052287546346, 'active', 'assistant', null, 1796052287546, 1796052287556, 29934204, 1796052287546, 3372852287556, 3372852287546, '{"metadata":{},"ttlMs":1576800000000,"counters":[2,4,0,0,0,0,0,0],"heads":{"turns":2,"events":2},"parent":{"id":"parent","at":1,"born":1796052287501},"inherited":1}', 'x2erapqcz0y4n6k3.17', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (6, 'default', 'archived', 1796052287562255, 'archived', 'assistant', null, 1796052287562, 1796052287588, 29934204, 1796052287684, 3372852287588, 3372852287562, '{"metadata":{},"ttlMs":1576800000000,"counters":[2,4,0,0,0,0,0,0],"heads":{"events":2,"archive":1,"spent":1},"turnsVersion":1796052287562254,"turnsCommitId":"x2erapqcz0y4n6k3.20","archive":{"state":"active","heads":{"turns":2},"bytes":377,"packedBytes":82,"parts":[{"ranges":[{"log":"turns","from":1,"to":2}],"sha256":"2f802b7ba25b4d5aa221d4f417d7595017256cc925553e6e3984f3eebdf6f5d3"}],"spent":1}}', 'x2erapqcz0y4n6k3.21', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (7, 'default', 'cut', 1796052287704346, 'active', 'assistant', null, 1796052287704, 1796052287733, 29934204, 1796052287704, 3372852287733, 3372852287704, '{"metadata":{},"ttlMs":1576800000000,"counters":[1,2,0,0,0,0,0,0],"heads":{"events":1,"turns":1,"spent":1}}', 'x2erapqcz0y4n6k3.25', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (8, 'default', 'device_770b12f5e2411717fb6e461a811923ab4caa9651', 1796052287744347, 'active', 'assistant', null, 1796052287744, 1796052287760, 29934204, 1796052287744, 3372852287760, 3372852287744, '{"metadata":{},"ttlMs":1576800000000,"counters":[1,2,0,0,0,0,0,0],"heads":{"events":2,"turns":1},"turnsVersion":1796052287744346,"turnsCommitId":"x2erapqcz0y4n6k3.27"}', 'x2erapqcz0y4n6k3.29', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (9, 'defaultdevices', 'device_770b12f5e2411717fb6e461a811923ab4caa9651', 1796052287744610, 'active', 'perdure', null, 1796052287744, 1796052287744, 29934204, 1796052287744, 1827588287744, 1827588287744, '{"metadata":{"kind":"own","session":"device_770b12f5e2411717fb6e461a811923ab4caa9651","secret":"ff607502"},"ttlMs":31536000000,"counters":[0,0,0,0,0,0,0,0],"heads":{}}', 'x2erapqcz0y4n6k3.26', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (11, 'defaultdevices', 'device_04cd9a6080618e9a36f7ccf68fbb46c44d5e21c3', 1796052287787519, 'active', 'device_770b12f5e2411717fb6e461a811923ab4caa9651', null, 1796052287787, 1796052287787, 29934204, 1796052287787, 1827588287787, 1827588287787, '{"metadata":{"kind":"linked","session":"device_770b12f5e2411717fb6e461a811923ab4caa9651","born":1796052287744,"from":2,"secret":"ff607502"},"ttlMs":31536000000,"counters":[0,0,0,0,0,0,0,0],"heads":{}}', 'x2erapqcz0y4n6k3.29', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (12, 'default', 'leased', 1796052287803089, 'active', 'assistant', null, 1796052287803, 1796052287812, 29934204, 1796052287803, 3372852287812, 3372852287803, '{"metadata":{},"ttlMs":1576800000000,"counters":[1,2,0,0,0,0,0,0],"heads":{"events":1,"turns":1},"turnsVersion":1796052287803088,"fence":1796052287803089,"lease":{"instance":"i_01m8pgxzteym84px61g8vfmham","fence":1796052287803089,"commitId":"x2erapqcz0y4n6k3.32","acquiredAt":1796052287831,"expiresAt":null},"turnsCommitId":"x2erapqcz0y4n6k3.31"}', 'x2erapqcz0y4n6k3.32', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (13, 'default', 'open', 1796052287839513, 'active', 'assistant', null, 1796052287839, 1796052287917, 29934204, 1796052287839, 3372852287917, 3372852287839, '{"metadata":{},"ttlMs":1576800000000,"counters":[1,1,0,0,0,0,0,0],"heads":{"events":1,"turns":1,"chunks":1},"turnsVersion":1796052287839512,"openTurn":1,"fence":1796052287839512,"lease":{"instance":"i_01m8pgxzteym84px61g8vfmham","fence":1796052287839512,"commitId":"x2erapqcz0y4n6k3.34","acquiredAt":1796052287847,"expiresAt":null},"turnsCommitId":"x2erapqcz0y4n6k3.34"}', 'x2erapqcz0y4n6k3.35', null, null);
insert into entries (session, log, seq, key, at, data, bytes) values (2, 'instructions', 1, null, 1796052287388, '"Be brief."', null);
insert into entries (session, log, seq, key, at, data, bytes) values (2, 'events', 1, null, 1796052287388, '{"type":"created","agent":"assistant","user":"ada"}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (2, 'turns', 1, 'key one', 1796052287404, '{"status":"done","agent":"assistant","model":"m","usage":{"inputTokens":2,"outputTokens":1,"totalTokens":3},"requests":1,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (2, 'turns', 2, 'key two', 1796052287414, '{"status":"done","agent":"assistant","model":"m","usage":{"inputTokens":2,"outputTokens":1,"totalTokens":3},"requests":1,"messagesBefore":2,"input":[{"role":"user","content":"two"}],"output":[{"role":"assistant","content":"two!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (2, 'turns', 3, 'key three', 1796052287423, '{"status":"done","agent":"assistant","model":"m","usage":{"inputTokens":2,"outputTokens":1,"totalTokens":3},"requests":1,"messagesBefore":4,"input":[{"role":"user","content":"three"}],"output":[{"role":"assistant","content":"three!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (2, 'events', 2, null, 1796052287429, '{"type":"held","reason":"case 1"}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (2, 'events', 3, null, 1796052287435, '{"type":"handed_off","agent":"assistant","from":null,"ttlMs":1576800000000,"note":"The customer waits.","noteFrom":"application","heldMs":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (3, 'events', 1, null, 1796052287441, '{"type":"created","agent":"assistant","user":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (3, 'turns', 1, null, 1796052287451, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (4, 'events', 1, null, 1796052287501, '{"type":"created","agent":"assistant","user":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (4, 'turns', 1, null, 1796052287507, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (4, 'turns', 2, null, 1796052287513, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":2,"input":[{"role":"user","content":"two"}],"output":[{"role":"assistant","content":"two!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (4, 'forks', 1, null, 1796052287546, '{"session":"fork","at":1}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (5, 'events', 1, null, 1796052287546, '{"type":"created","agent":"assistant","user":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (5, 'events', 2, null, 1796052287546, '{"type":"forked","from":"parent","turn":1}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (5, 'turns', 2, null, 1796052287556, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":2,"input":[{"role":"user","content":"other two"}],"output":[{"role":"assistant","content":"other two!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (6, 'events', 1, null, 1796052287562, '{"type":"created","agent":"assistant","user":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (6, 'archive', 1, null, 1796052287645, '{}', x'01811700ce9960c7ae9884d8328e3cf0189eaf14967c2ba32bb7bb0c1199d3c9c105438eb390da0ae3c85af3280d9c63512c5117847f801d95d2cc1b5934d795637f52ee9dca1f012852a0479607b0ad7774');
insert into entries (session, log, seq, key, at, data, bytes) values (6, 'spent', 1, null, 1796050800000, '{"agent":"assistant","usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0},"requests":0,"durationMs":0,"longestMs":0,"turns":2,"failed":0,"interrupted":0,"estimated":0}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (6, 'events', 2, null, 1796052287684, '{"type":"archived","of":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (7, 'events', 1, null, 1796052287704, '{"type":"created","agent":"assistant","user":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (7, 'turns', 1, null, 1796052287711, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (7, 'spent', 1, null, 1796050800000, '{"agent":"assistant","usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0},"requests":0,"durationMs":0,"longestMs":0,"turns":1,"failed":0,"interrupted":0,"estimated":0}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (8, 'events', 1, null, 1796052287744, '{"type":"created","agent":"assistant","user":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (8, 'turns', 1, null, 1796052287760, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"hello"}],"output":[{"role":"assistant","content":"hello!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (8, 'events', 2, null, 1796052287787, '{"type":"device_linked"}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (12, 'events', 1, null, 1796052287803, '{"type":"created","agent":"assistant","user":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (12, 'turns', 1, null, 1796052287812, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (13, 'events', 1, null, 1796052287839, '{"type":"created","agent":"assistant","user":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (13, 'turns', 1, null, 1796052287847, '{"status":"open","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"a question"}],"output":[]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (13, 'chunks', 1, null, 1796052287917, '{"text":"half an answer"}', null);
insert into instances (id, host, pid, machine, started_at, seen_at, address, stale_after_ms) values ('i_01m8pgxzteym84px61g8vfmham', 'host', 20907, 'machine', '6908058', 1796052287822, null, 10000);
