/** The schema after all migrations, in the words of the server; a test compares it with them. */

/** The tables and their columns. */
export const tables: Readonly<Record<string, readonly string[]>> = {
  sessions: [
    'tenant text collate "C" not null',
    'id text collate "C" not null',
    'agent text collate "C" not null',
    'user_id text collate "C"',
    'state text collate "C" not null',
    "created_at bigint not null",
    "state_since bigint not null",
    "sweep_at bigint not null",
    "active_minute bigint not null",
    "version bigint not null",
    "last_activity_at bigint not null",
    "expires_at bigint not null",
    'data text collate "C" not null',
    "commit_id text collate \"C\" not null default ''::text",
    "logs bigint not null default 0",
  ],
  entries: [
    'tenant text collate "C" not null',
    'session text collate "C" not null',
    'log text collate "C" not null',
    "seq bigint not null",
    'key text collate "C"',
    "at bigint not null",
    'data text collate "C" not null',
    "bytes bytea",
    "logs bigint not null default 0",
  ],
  removed: [
    'tenant text collate "C" not null',
    'session text collate "C" not null',
    "logs bigint not null",
    "after_log text collate \"C\" not null default ''::text",
    "after_seq bigint not null default 0",
    "noted_at timestamp with time zone not null default now()",
    "due_at timestamp with time zone not null default now()",
  ],
  instances: [
    'id text collate "C" not null',
    'host text collate "C" not null',
    "pid bigint not null",
    'machine text collate "C" not null',
    'started_at text collate "C" not null',
    "seen_at bigint not null",
    'address text collate "C"',
    "stale_after_ms bigint",
  ],
  lanes: [
    "id uuid not null",
    "number bigint not null",
    "refused integer[]",
    "born_at timestamp with time zone not null default now()",
    "used_at timestamp with time zone not null",
  ],
  migrations: [
    "version integer not null",
    "title text not null",
    "breaking boolean not null",
    "applied_at timestamp with time zone not null default now()",
  ],
};

/** The indexes, with those of primary keys. */
export const indexes: Readonly<Record<string, string>> = {
  sessions_pkey: "unique on sessions (tenant, id)",
  sessions_recent: "on sessions (tenant, active_minute DESC, id)",
  sessions_of_user: "on sessions (tenant, user_id, active_minute DESC, id) WHERE (user_id IS NOT NULL)",
  sessions_due: "on sessions (sweep_at, tenant, id) WHERE (state = ANY (ARRAY['active'::text, 'inactive'::text]))",
  sessions_settled:
    "on sessions (state_since, tenant, id) WHERE (state <> ALL (ARRAY['active'::text, 'inactive'::text]))",
  entries_pkey: "unique on entries (tenant, session, logs, log, seq)",
  entries_by_key: "unique on entries (tenant, session, logs, log, key) WHERE (key IS NOT NULL)",
  entries_of_events: "on entries (tenant, at, session, seq) WHERE (log = 'events'::text)",
  removed_pkey: "unique on removed (tenant, session, logs)",
  instances_pkey: "unique on instances (id)",
  lanes_pkey: "unique on lanes (id)",
  lanes_by_birth: "on lanes (born_at)",
  migrations_pkey: "unique on migrations (version)",
};
