pragma user_version = 10;
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
    iif(json_type(data, '$.counters.turns') = 'integer', json_extract(data, '$.counters.turns'), null) as turns, iif(json_type(data, '$.counters.messages') = 'integer', json_extract(data, '$.counters.messages'), null) as messages,
    iif(json_type(data, '$.counters.requests') = 'integer', json_extract(data, '$.counters.requests'), null) as requests, iif(json_type(data, '$.counters.inputTokens') = 'integer', json_extract(data, '$.counters.inputTokens'), null) as input_tokens,
    iif(json_type(data, '$.counters.outputTokens') = 'integer', json_extract(data, '$.counters.outputTokens'), null) as output_tokens, iif(json_type(data, '$.counters.totalTokens') = 'integer', json_extract(data, '$.counters.totalTokens'), null) as total_tokens,
    iif(json_type(data, '$.counters.durationMs') = 'integer', json_extract(data, '$.counters.durationMs'), null) as duration_ms, iif(json_type(data, '$.lease.instance') = 'text', json_extract(data, '$.lease.instance'), null) as held_by, version, title,
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
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (1, 'secret', 'check', 1796029943322013, 'active', 'perdure', null, 1796029943322, 1796029943322, 29933832, 1796029943322, 4949629943322, 4949629943322, '{"metadata":{"check":"ff6075023e07576fb47eea5775424448f0345753ed7b542f816fcbcc3d0279db","first":"ff607502","rotated":false},"ttlMs":3153600000000,"maxAgeMs":null,"maxAgeFrom":1796029943322,"counters":{"turns":0,"messages":0,"requests":0,"inputTokens":0,"outputTokens":0,"totalTokens":0,"durationMs":0,"longestMs":0},"heads":{},"turnsVersion":1796029943322013,"openTurn":null,"cancel":null,"floor":null,"fence":0,"lease":null,"waiters":[]}', 'xtxx7pmdw4e33hk2.1', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (2, 'default', 'plain', 1796029943345248, 'active', 'assistant', 'ada', 1796029943345, 1796029943397, 29933832, 1796029943345, 3372829943397, 3372829943345, '{"metadata":{"plan":"pro","since":{"$type":"date","value":"1970-01-01T00:00:00.000Z"},"\u0000":"\"maxAgeFrom\":1,\"mark\":\"not this one\""},"ttlMs":1576800000000,"maxAgeMs":null,"maxAgeFrom":1796029943345,"counters":{"turns":3,"messages":6,"requests":3,"inputTokens":6,"outputTokens":3,"totalTokens":9,"durationMs":0,"longestMs":0},"heads":{"instructions":1,"events":3,"turns":3},"turnsVersion":1796029943345246,"openTurn":null,"cancel":null,"floor":{"agent":"assistant","expiresAt":3372829943397,"note":"The customer waits.","noteFrom":"application","lockedAt":1796029943397},"fence":0,"lease":null,"waiters":[],"turnsCommitId":"xtxx7pmdw4e33hk2.5","hold":{"reason":"case 1","at":1796029943390}}', 'xtxx7pmdw4e33hk2.7', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (3, 'default', 'touched', 1796029943407193, 'active', 'assistant', null, 1796029943407, 1796029943434, 29933832, 1796029943407, 3372829943434, 3372829943407, '{"metadata":{},"ttlMs":1576800000000,"maxAgeMs":null,"maxAgeFrom":1796029943407,"counters":{"turns":1,"messages":2,"requests":0,"inputTokens":0,"outputTokens":0,"totalTokens":0,"durationMs":0,"longestMs":0},"heads":{"events":1,"turns":1},"turnsVersion":1796029943407190,"openTurn":null,"cancel":null,"floor":null,"fence":0,"lease":null,"waiters":[],"turnsCommitId":"xtxx7pmdw4e33hk2.9"}', 'xtxx7pmdw4e33hk2.12', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (4, 'default', 'parent', 1796029943437881, 'active', 'assistant', null, 1796029943437, 1796029943463, 29933832, 1796029943437, 3372829943463, 3372829943437, '{"metadata":{},"ttlMs":1576800000000,"maxAgeMs":null,"maxAgeFrom":1796029943437,"counters":{"turns":2,"messages":4,"requests":0,"inputTokens":0,"outputTokens":0,"totalTokens":0,"durationMs":0,"longestMs":0},"heads":{"events":1,"turns":2,"forks":1},"turnsVersion":1796029943437880,"openTurn":null,"cancel":null,"floor":null,"fence":0,"lease":null,"waiters":[],"turnsCommitId":"xtxx7pmdw4e33hk2.15","forkedAt":1}', 'xtxx7pmdw4e33hk2.16', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (5, 'default', 'fork', 1796029943488949, 'active', 'assistant', null, 1796029943488, 1796029943514, 29933832, 1796029943488, 3372829943514, 3372829943488, '{"metadata":{},"ttlMs":1576800000000,"maxAgeMs":null,"maxAgeFrom":1796029943488,"counters":{"turns":2,"messages":4,"requests":0,"inputTokens":0,"outputTokens":0,"totalTokens":0,"durationMs":0,"longestMs":0},"heads":{"turns":2,"events":2},"turnsVersion":1796029943488949,"openTurn":null,"cancel":null,"floor":null,"fence":0,"lease":null,"waiters":[],"parent":{"id":"parent","at":1,"born":1796029943437},"inherited":1}', 'xtxx7pmdw4e33hk2.17', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (6, 'default', 'archived', 1796029943520470, 'archived', 'assistant', null, 1796029943520, 1796029943535, 29933832, 1796029943581, 3372829943535, 3372829943520, '{"metadata":{},"ttlMs":1576800000000,"maxAgeMs":null,"maxAgeFrom":1796029943520,"counters":{"turns":2,"messages":4,"requests":0,"inputTokens":0,"outputTokens":0,"totalTokens":0,"durationMs":0,"longestMs":0},"heads":{"events":2,"archive":1,"spent":1},"turnsVersion":1796029943520469,"openTurn":null,"cancel":null,"floor":null,"fence":0,"lease":null,"waiters":[],"turnsCommitId":"xtxx7pmdw4e33hk2.20","archive":{"state":"active","heads":{"turns":2},"bytes":377,"packedBytes":82,"parts":[{"ranges":[{"log":"turns","from":1,"to":2}],"sha256":"fee71a7d17cd4ad74ab15272a5bb85389c0a6cc9c61f65faae9ddaef12b1067b"}],"spent":1}}', 'xtxx7pmdw4e33hk2.21', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (7, 'default', 'cut', 1796029943584204, 'active', 'assistant', null, 1796029943584, 1796029943603, 29933832, 1796029943584, 3372829943603, 3372829943584, '{"metadata":{},"ttlMs":1576800000000,"maxAgeMs":null,"maxAgeFrom":1796029943584,"counters":{"turns":1,"messages":2,"requests":0,"inputTokens":0,"outputTokens":0,"totalTokens":0,"durationMs":0,"longestMs":0},"heads":{"events":1,"turns":1,"spent":1},"turnsVersion":1796029943584204,"openTurn":null,"cancel":null,"floor":null,"fence":0,"lease":null,"waiters":[]}', 'xtxx7pmdw4e33hk2.25', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (8, 'default', 'device_770b12f5e2411717fb6e461a811923ab4caa9651', 1796029943609969, 'active', 'assistant', null, 1796029943609, 1796029943619, 29933832, 1796029943609, 3372829943619, 3372829943609, '{"metadata":{},"ttlMs":1576800000000,"maxAgeMs":null,"maxAgeFrom":1796029943609,"counters":{"turns":1,"messages":2,"requests":0,"inputTokens":0,"outputTokens":0,"totalTokens":0,"durationMs":0,"longestMs":0},"heads":{"events":2,"turns":1},"turnsVersion":1796029943609968,"openTurn":null,"cancel":null,"floor":null,"fence":0,"lease":null,"waiters":[],"turnsCommitId":"xtxx7pmdw4e33hk2.27"}', 'xtxx7pmdw4e33hk2.29', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (9, 'defaultdevices', 'device_770b12f5e2411717fb6e461a811923ab4caa9651', 1796029943609209, 'active', 'perdure', null, 1796029943609, 1796029943609, 29933832, 1796029943609, 1827565943609, 1827565943609, '{"metadata":{"kind":"own","session":"device_770b12f5e2411717fb6e461a811923ab4caa9651","secret":"ff607502"},"ttlMs":31536000000,"maxAgeMs":null,"maxAgeFrom":1796029943609,"counters":{"turns":0,"messages":0,"requests":0,"inputTokens":0,"outputTokens":0,"totalTokens":0,"durationMs":0,"longestMs":0},"heads":{},"turnsVersion":1796029943609209,"openTurn":null,"cancel":null,"floor":null,"fence":0,"lease":null,"waiters":[]}', 'xtxx7pmdw4e33hk2.26', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (11, 'defaultdevices', 'device_04cd9a6080618e9a36f7ccf68fbb46c44d5e21c3', 1796029943668126, 'active', 'device_770b12f5e2411717fb6e461a811923ab4caa9651', null, 1796029943668, 1796029943668, 29933832, 1796029943668, 1827565943668, 1827565943668, '{"metadata":{"kind":"linked","session":"device_770b12f5e2411717fb6e461a811923ab4caa9651","born":1796029943609,"from":2,"secret":"ff607502"},"ttlMs":31536000000,"maxAgeMs":null,"maxAgeFrom":1796029943668,"counters":{"turns":0,"messages":0,"requests":0,"inputTokens":0,"outputTokens":0,"totalTokens":0,"durationMs":0,"longestMs":0},"heads":{},"turnsVersion":1796029943668126,"openTurn":null,"cancel":null,"floor":null,"fence":0,"lease":null,"waiters":[]}', 'xtxx7pmdw4e33hk2.29', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (12, 'default', 'leased', 1796029943679144, 'active', 'assistant', null, 1796029943679, 1796029943684, 29933832, 1796029943679, 3372829943684, 3372829943679, '{"metadata":{},"ttlMs":1576800000000,"maxAgeMs":null,"maxAgeFrom":1796029943679,"counters":{"turns":1,"messages":2,"requests":0,"inputTokens":0,"outputTokens":0,"totalTokens":0,"durationMs":0,"longestMs":0},"heads":{"events":1,"turns":1},"turnsVersion":1796029943679143,"openTurn":null,"cancel":null,"floor":null,"fence":1796029943679144,"lease":{"instance":"i_01m8nvm3grzcxzfz7fq7fg3bbb","fence":1796029943679144,"commitId":"xtxx7pmdw4e33hk2.32","acquiredAt":1796029943713,"expiresAt":null},"waiters":[],"turnsCommitId":"xtxx7pmdw4e33hk2.31"}', 'xtxx7pmdw4e33hk2.32', null, null);
insert into sessions (no, tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute, state_since, expires_at, sweep_at, data, commit_id, title, labels) values (13, 'default', 'open', 1796029943723505, 'active', 'assistant', null, 1796029943723, 1796029943799, 29933832, 1796029943723, 3372829943799, 3372829943723, '{"metadata":{},"ttlMs":1576800000000,"maxAgeMs":null,"maxAgeFrom":1796029943723,"counters":{"turns":1,"messages":1,"requests":0,"inputTokens":0,"outputTokens":0,"totalTokens":0,"durationMs":0,"longestMs":0},"heads":{"events":1,"turns":1,"chunks":1},"turnsVersion":1796029943723504,"openTurn":1,"cancel":null,"floor":null,"fence":1796029943723504,"lease":{"instance":"i_01m8nvm3grzcxzfz7fq7fg3bbb","fence":1796029943723504,"commitId":"xtxx7pmdw4e33hk2.34","acquiredAt":1796029943727,"expiresAt":null},"waiters":[],"turnsCommitId":"xtxx7pmdw4e33hk2.34"}', 'xtxx7pmdw4e33hk2.35', null, null);
insert into entries (session, log, seq, key, at, data, bytes) values (2, 'instructions', 1, null, 1796029943345, '"Be brief."', null);
insert into entries (session, log, seq, key, at, data, bytes) values (2, 'events', 1, null, 1796029943345, '{"type":"created","agent":"assistant","user":"ada"}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (2, 'turns', 1, 'key one', 1796029943364, '{"status":"done","agent":"assistant","model":"m","usage":{"inputTokens":2,"outputTokens":1,"totalTokens":3},"requests":1,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (2, 'turns', 2, 'key two', 1796029943379, '{"status":"done","agent":"assistant","model":"m","usage":{"inputTokens":2,"outputTokens":1,"totalTokens":3},"requests":1,"messagesBefore":2,"input":[{"role":"user","content":"two"}],"output":[{"role":"assistant","content":"two!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (2, 'turns', 3, 'key three', 1796029943387, '{"status":"done","agent":"assistant","model":"m","usage":{"inputTokens":2,"outputTokens":1,"totalTokens":3},"requests":1,"messagesBefore":4,"input":[{"role":"user","content":"three"}],"output":[{"role":"assistant","content":"three!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (2, 'events', 2, null, 1796029943390, '{"type":"held","reason":"case 1"}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (2, 'events', 3, null, 1796029943397, '{"type":"handed_off","agent":"assistant","from":null,"ttlMs":1576800000000,"note":"The customer waits.","noteFrom":"application","heldMs":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (3, 'events', 1, null, 1796029943407, '{"type":"created","agent":"assistant","user":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (3, 'turns', 1, null, 1796029943416, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (4, 'events', 1, null, 1796029943437, '{"type":"created","agent":"assistant","user":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (4, 'turns', 1, null, 1796029943451, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (4, 'turns', 2, null, 1796029943463, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":2,"input":[{"role":"user","content":"two"}],"output":[{"role":"assistant","content":"two!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (4, 'forks', 1, null, 1796029943488, '{"session":"fork","at":1}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (5, 'events', 1, null, 1796029943488, '{"type":"created","agent":"assistant","user":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (5, 'events', 2, null, 1796029943488, '{"type":"forked","from":"parent","turn":1}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (5, 'turns', 2, null, 1796029943514, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":2,"input":[{"role":"user","content":"other two"}],"output":[{"role":"assistant","content":"other two!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (6, 'events', 1, null, 1796029943520, '{"type":"created","agent":"assistant","user":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (6, 'archive', 1, null, 1796029943556, '{}', x'01811700ce9960c7ae988c2de3c8cbb7323a701b9eaf380dacdcee3244644e2707173c729c85d416784081b6e6511a780c739dec500cb0ebc95bd0068d165a39fe9372efa9fc11802401ba657d0ab1ed8e07');
insert into entries (session, log, seq, key, at, data, bytes) values (6, 'spent', 1, null, 1796029200000, '{"agent":"assistant","usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0},"requests":0,"durationMs":0,"longestMs":0,"turns":2,"failed":0,"interrupted":0,"estimated":0}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (6, 'events', 2, null, 1796029943581, '{"type":"archived","of":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (7, 'events', 1, null, 1796029943584, '{"type":"created","agent":"assistant","user":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (7, 'turns', 1, null, 1796029943590, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (7, 'spent', 1, null, 1796029200000, '{"agent":"assistant","usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0},"requests":0,"durationMs":0,"longestMs":0,"turns":1,"failed":0,"interrupted":0,"estimated":0}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (8, 'events', 1, null, 1796029943609, '{"type":"created","agent":"assistant","user":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (8, 'turns', 1, null, 1796029943619, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"hello"}],"output":[{"role":"assistant","content":"hello!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (8, 'events', 2, null, 1796029943668, '{"type":"device_linked"}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (12, 'events', 1, null, 1796029943679, '{"type":"created","agent":"assistant","user":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (12, 'turns', 1, null, 1796029943684, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (13, 'events', 1, null, 1796029943723, '{"type":"created","agent":"assistant","user":null}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (13, 'turns', 1, null, 1796029943727, '{"status":"open","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"a question"}],"output":[]}', null);
insert into entries (session, log, seq, key, at, data, bytes) values (13, 'chunks', 1, null, 1796029943799, '{"text":"half an answer"}', null);
insert into instances (id, host, pid, machine, started_at, seen_at, address, stale_after_ms) values ('i_01m8nvm3grzcxzfz7fq7fg3bbb', 'host', 13405, 'machine', '4673782', 1796029943703, null, 10000);
