import { barCommit } from "./functions/bar-commit.ts";
import { commitBatch, commitWithDocuments } from "./functions/commit-batch.ts";
import { commitAppends, commitKeptAppends } from "./functions/commit-appends.ts";
import { commitChange, commitEntries } from "./functions/commit-change.ts";
import { copiedLogs } from "./functions/copied-logs.ts";
import { documentRefusals } from "./functions/documents.ts";
import { entryText, textBytes } from "./functions/entry-bytes.ts";
import { labelsOfChanged, labelTriggers } from "./functions/label-triggers.ts";
import { readNews } from "./functions/news.ts";
import { loadSession, loadSessions } from "./functions/load-sessions.ts";
import { readEntries } from "./functions/read-entries.ts";
import { messageIndex, stepOfIndex } from "./functions/message-index.ts";
import { refusals } from "./functions/refusals.ts";
import { removedLogs } from "./functions/removed-logs.ts";
import { readable, views } from "./views.ts";

/**
 * One step of the schema. Numbers run from 1 without gaps. A released step is never edited, with one exception: a function or
 * a view is only in the step that made its newest form. That step drops or replaces the earlier forms, so a new database
 * need not make them first, and their text is not kept.
 */
export interface PostgresMigration {
  readonly version: number;
  /** The purpose of the step, in a few words. */
  readonly title: string;
  /**
   * True if programs of the version before cannot work on the schema after it. Such a step also replaces their functions by
   * functions of other names, so a running program of that version stops instead of doing harm.
   */
  readonly breaking: boolean;
  readonly sql: (layout: Layout) => string;
}

/** The differences between installations. */
export interface Layout {
  /** The quoted name of the schema. */
  readonly schema: string;
  /** The number of partitions of the entries, by a hash of their session; 1 for none. */
  readonly partitions: number;
}

/**
 * Every append updates the row of its record in place: its page has room, no index has a column that an append changes, and
 * those columns are at the end, so the write-ahead log does not repeat the beginning. Entries are written once. Texts compare
 * by their bytes, whatever the order of the database is. The index of the key of the sessions is made after every other index
 * that begins with the tenant and has the id: a later step that adds such an index makes it again.
 */
export const migrations: readonly PostgresMigration[] = [
  {
    version: 1,
    title: "sessions, entries, instances, lanes",
    breaking: true,
    sql: ({ schema, partitions }) => `
create table ${schema}.sessions (
  tenant text collate "C" not null,
  id text collate "C" not null,
  agent text collate "C" not null,
  user_id text collate "C",
  state text collate "C" not null,
  created_at bigint not null,
  state_since bigint not null,
  sweep_at bigint not null,
  active_minute bigint not null,
  version bigint not null,
  last_activity_at bigint not null,
  expires_at bigint not null,
  data text collate "C" not null,
  primary key (tenant, id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
create index sessions_recent on ${schema}.sessions (tenant, active_minute desc, id);
create index sessions_of_user on ${schema}.sessions (tenant, user_id, active_minute desc, id) where user_id is not null;
create index sessions_due on ${schema}.sessions (sweep_at, tenant, id) where state in ('active', 'inactive');
create index sessions_settled on ${schema}.sessions (state_since, tenant, id) where state not in ('active', 'inactive');

create table ${schema}.entries (
  tenant text collate "C" not null,
  session text collate "C" not null,
  log text collate "C" not null,
  seq bigint not null,
  key text collate "C",
  at bigint not null,
  data text collate "C" not null,
  primary key (tenant, session, log, seq)
)${partitions === 1 ? "" : " partition by hash (tenant, session)"};
create unique index entries_by_key on ${schema}.entries (tenant, session, log, key) where key is not null;
${Array.from(
  { length: partitions === 1 ? 0 : partitions },
  (_, part) =>
    `create table ${schema}.entries_${part} partition of ${schema}.entries for values with (modulus ${partitions}, remainder ${part});`,
).join("\n")}

create table ${schema}.instances (
  id text collate "C" primary key,
  host text collate "C" not null,
  pid bigint not null,
  machine text collate "C" not null,
  started_at text collate "C" not null,
  seen_at bigint not null
) with (fillfactor = 50);

create table ${schema}.lanes (
  id uuid primary key,
  number bigint not null,
  refused integer[],
  born_at timestamptz not null default now(),
  used_at timestamptz not null
) with (fillfactor = 50);
create index lanes_by_birth on ${schema}.lanes (born_at);`,
  },
  {
    version: 2,
    title: "events by time",
    breaking: false,
    sql: ({ schema }) => `
create index entries_of_events on ${schema}.entries (tenant, at, session, seq) where log = 'events';`,
  },
  {
    version: 3,
    title: "addresses of hosts",
    breaking: false,
    sql: ({ schema }) => `alter table ${schema}.instances add column address text collate "C";`,
  },
  {
    version: 4,
    title: "archives as bytes",
    breaking: false,
    sql: ({ schema }) => `
alter table ${schema}.entries add column bytes bytea;
${entryText(schema)}`,
  },
  {
    version: 5,
    title: "tails within bytes",
    breaking: false,
    sql: () => "",
  },
  {
    version: 6,
    title: "how long an instance may be silent",
    breaking: false,
    sql: ({ schema }) => `alter table ${schema}.instances add column stale_after_ms bigint;`,
  },
  {
    version: 7,
    title: "commit ids, removed logs, views",
    breaking: true,
    // The record of each commit already has its id. The update only searches the text, so a damaged record stays unchanged.
    // The logs of all earlier sessions have the number 0, so no entry is written again.
    sql: ({ schema }) => `
drop function if exists ${schema}.commit_batch, ${schema}.commit_change, ${schema}.refusals, ${schema}.load_sessions;
alter table ${schema}.sessions add column commit_id text collate "C" not null default '';
update ${schema}.sessions set commit_id = coalesce(substring(data from '"maxAgeFrom":[0-9]+,"mark":"([^"]*)"'), '');
alter table ${schema}.sessions add column logs bigint not null default 0;
alter table ${schema}.entries add column logs bigint not null default 0;
alter table ${schema}.entries drop constraint entries_pkey;
alter table ${schema}.entries add constraint entries_pkey primary key (tenant, session, logs, log, seq);
drop index ${schema}.entries_by_key;
create unique index entries_by_key on ${schema}.entries (tenant, session, logs, log, key) where key is not null;
create table ${schema}.removed (
  tenant text collate "C" not null,
  session text collate "C" not null,
  logs bigint not null,
  after_log text collate "C" not null default '',
  after_seq bigint not null default 0,
  noted_at timestamptz not null default now(),
  due_at timestamptz not null default now(),
  primary key (tenant, session, logs)
);
create table ${schema}.usage_sums (
  tenant text collate "C" not null,
  name text collate "C" not null,
  part integer not null,
  tokens bigint not null,
  turns bigint not null,
  until bigint not null,
  primary key (tenant, name, part)
) with (fillfactor = 50);
create index usage_sums_by_end on ${schema}.usage_sums (until);
${copiedLogs(schema)}
${barCommit(schema)}`,
  },
  {
    version: 8,
    title: "texts that are read alike under each setting of the server, documents, titles, labels",
    breaking: false,
    // Programs of the version before leave titles and labels as they are: their functions do not name the columns.
    sql: ({ schema }) => `
${readable(schema)}
create table ${schema}.documents (
  tenant text collate "C" not null,
  scope text collate "C" not null,
  key text collate "C" not null,
  version bigint not null,
  user_id text collate "C",
  created_at bigint not null,
  updated_at bigint not null,
  expires_at bigint,
  data text collate "C" not null,
  primary key (tenant, scope, key)
) with (autovacuum_vacuum_scale_factor = 0.05);
create index documents_due on ${schema}.documents (expires_at) where expires_at is not null;
create index documents_of_user on ${schema}.documents (tenant, user_id) where user_id is not null;
alter table ${schema}.sessions add column title text collate "C";
alter table ${schema}.sessions add column labels text collate "C";
create index sessions_created on ${schema}.sessions (tenant, created_at, id);
create table ${schema}.labels (
  tenant text collate "C" not null,
  session text collate "C" not null,
  name text collate "C" not null,
  value text collate "C" not null,
  created_at bigint not null,
  primary key (tenant, session, name)
);
create index labels_by_value on ${schema}.labels (tenant, name, value, created_at, session);
${labelTriggers(schema)}
${refusals(schema)}
${documentRefusals(schema)}`,
  },
  {
    version: 9,
    title: "functions that read logs and append to many sessions, sessions by agent, news, views",
    breaking: false,
    // No append changes a column of the index, so appends stay HOT.
    sql: ({ schema }) => `
${readEntries(schema)}
create index sessions_of_agent on ${schema}.sessions (tenant, agent, created_at, id);
create table ${schema}.news_subscriptions (
  tenant text collate "C" primary key,
  id text collate "C" not null,
  expires_at bigint not null,
  awaits text[],
  deleted xid8 not null,
  mark xid8 not null,
  marked_at bigint not null
) with (fillfactor = 50);
create table ${schema}.news (
  tenant text collate "C" not null,
  xid xid8 not null default pg_current_xact_id(),
  no bigint generated always as identity,
  noted_at timestamptz not null default now(),
  kind text collate "C" not null,
  scope text collate "C" not null,
  id text collate "C" not null,
  primary key (tenant, xid, no)
) with (autovacuum_vacuum_scale_factor = 0.05);
${readNews(schema)}`,
  },
  {
    version: 10,
    title: "appends and loads that cost less",
    breaking: false,
    sql: ({ schema }) => `
drop trigger if exists keep_bytes on ${schema}.entries;
drop function if exists ${schema}.keep_bytes;
drop trigger if exists labels_of_changed on ${schema}.sessions;
${textBytes(schema)}
${labelsOfChanged(schema)}`,
  },
  {
    version: 11,
    title: "writes of several logs that cost less, shorter records",
    breaking: true,
    // Earlier programs cannot read the shorter records, so they stop: their functions are gone.
    sql: ({ schema }) => `
drop function if exists ${schema}.commit_transactions, ${schema}.commit_update, ${schema}.commit_session, ${schema}.commit_append,
  ${schema}.commit_appends, ${schema}.commit_sessions, ${schema}.commit_with_documents, ${schema}.load_session, ${schema}.load_records;
${loadSession(schema)}
${loadSessions(schema)}
${views(schema)}`,
  },
  {
    version: 12,
    title: "words of messages",
    breaking: false,
    // Programs of the version before call the same functions, so their commits say that a session has changed, too.
    sql: ({ schema }) => `
alter table ${schema}.sessions add column is_indexed boolean not null default false;
create index sessions_unindexed on ${schema}.sessions (tenant, id) where not is_indexed;
create table ${schema}.search_state (
  id integer primary key,
  holder text collate "C" not null,
  until bigint not null
) with (fillfactor = 50);
create table ${schema}.search_messages (
  tenant text collate "C" not null,
  session text collate "C" not null,
  logs bigint not null,
  log text collate "C" not null,
  seq bigint not null,
  message integer not null,
  at bigint not null,
  xid bigint not null,
  words tsvector not null,
  primary key (tenant, session, logs, log, seq, message)
) with (autovacuum_vacuum_scale_factor = 0.05);
create index search_messages_words on ${schema}.search_messages using gin (words);
create index search_messages_by_time on ${schema}.search_messages (tenant, at desc, session desc, log desc, seq desc, message desc);
drop function if exists ${schema}.commit_batch, ${schema}.commit_batch_with_documents, ${schema}.commit_session,
  ${schema}.commit_entry, ${schema}.commit_two_entries, ${schema}.commit_append_batch, ${schema}.delete_entries, ${schema}.remove_logs,
  ${schema}.delete_removed;
${removedLogs(schema)}
${commitBatch(schema)}
${commitChange(schema)}
${commitEntries(schema)}
${commitAppends(schema)}
${messageIndex(schema)}`,
  },
  {
    version: 13,
    title: "views of the current branch, words that cost less",
    breaking: false,
    sql: () => "",
  },
  {
    version: 14,
    title: "updates of documents keep the time of expiry",
    breaking: false,
    // Programs of the version before call the function with the same values.
    sql: ({ schema }) => `
drop function if exists ${schema}.commit_batch_with_documents;
${commitWithDocuments(schema)}`,
  },
  {
    version: 15,
    title: "an index of search that costs less",
    breaking: false,
    // Programs of the version before call the functions with the same values. No statement reads the statistics of words, which are
    // more than half of the cost of an analysis.
    sql: ({ schema }) => `
drop function if exists ${schema}.due_messages, ${schema}.put_messages;
${stepOfIndex(schema)}
alter table ${schema}.search_messages alter column words set statistics 0;
${["tenant", "session", "logs", "log", "seq", "message", "at", "xid"].map((column) => `alter table ${schema}.search_messages alter column ${column} set statistics 10;`).join("\n")}`,
  },
  {
    version: 16,
    title: "sessions are found by their key, also where the tables were nearly empty; the view of events",
    breaking: false,
    // The index of agents has the tenant and the id too. By it, a look for one session reads the index of the whole tenant.
    // On a small table both indexes cost the same, the server then takes the one that was made last, and keeps the plan.
    // A table or a view of the user may need the key as it is: it stays then, and only plans may be worse.
    sql: ({ schema }) => `
begin
  create unique index sessions_by_key on ${schema}.sessions (tenant, id);
  alter table ${schema}.sessions drop constraint sessions_pkey,
    add constraint sessions_pkey primary key using index sessions_by_key;
exception when dependent_objects_still_exist then
  null;
end;
${views(schema)}`,
  },
  {
    version: 17,
    title: "appends that leave the columns of lists alone",
    breaking: false,
    // Programs of the version before do not call the function.
    sql: ({ schema }) => `
${commitKeptAppends(schema)}`,
  },
];
