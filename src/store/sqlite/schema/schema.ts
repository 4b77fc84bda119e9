import type { Migration } from "../../migrations.ts";
import { searchTables } from "./search-tables.ts";
import { viewOfEvents, viewOfListedCounters, views, viewsOfBranches } from "./views.ts";

/** The mark in the header of the file ("Prdr"), which distinguishes it from databases of other programs. */
export const applicationId = 0x50726472;

/**
 * Entries of all sessions are stored in order of arrival and found by an index. With writes to many sessions at the same time,
 * an append then changes the end of one table and a small index instead of a page of its own. The entries have the short
 * number of their session; tenant and id are only in `sessions`.
 */
export const migrations: readonly Migration[] = [
  {
    version: 1,
    title: "sessions, entries, instances",
    sql: `
      create table sessions (
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
        data text not null,
        unique (tenant, id)
      ) strict;
      create index sessions_recent on sessions (tenant, active_minute desc, id);
      create index sessions_of_user on sessions (tenant, user, active_minute desc, id) where user is not null;
      create index sessions_due on sessions (sweep_at, tenant, id) where state in ('active', 'inactive');
      create index sessions_settled on sessions (state_since, tenant, id) where state not in ('active', 'inactive');

      create table entries (
        session integer not null,
        log text not null,
        seq integer not null,
        key text,
        at integer not null,
        data text not null
      ) strict;
      create unique index entries_by_seq on entries (session, log, seq);
      create unique index entries_by_key on entries (session, log, key) where key is not null;

      create table instances (
        id text primary key,
        host text not null,
        pid integer not null,
        machine text not null,
        started_at text not null,
        seen_at integer not null
      ) strict, without rowid;
    `,
  },
  {
    version: 2,
    title: "events by time",
    sql: `create index entries_of_events on entries (at, session, seq) where log = 'events'`,
  },
  {
    version: 3,
    title: "addresses of hosts",
    sql: "alter table instances add column address text",
  },
  {
    version: 4,
    title: "archives as bytes",
    sql: "alter table entries add column bytes blob",
  },
  {
    version: 5,
    title: "how long an instance may be silent",
    sql: "alter table instances add column stale_after_ms integer",
  },
  {
    version: 6,
    title: "commit ids",
    // The record of each commit already has its id. A record that cannot be read stays unchanged.
    sql: `
      alter table sessions add column commit_id text not null default '';
      update sessions set commit_id = coalesce(json_extract(data, '$.mark'), '') where json_valid(data);
    `,
  },
  {
    version: 7,
    title: "removed sessions whose entries are still there",
    sql: "create table removed (session integer primary key) strict",
  },
  {
    version: 8,
    title: "sums of usage",
    sql: `
      create table usage_sums (
        tenant text not null,
        name text not null,
        tokens integer not null,
        turns integer not null,
        until integer not null,
        primary key (tenant, name)
      ) strict, without rowid;
      create index usage_sums_by_end on usage_sums (until);
    `,
  },
  {
    version: 9,
    title: "documents, titles, labels",
    // Only a change of labels writes the table of labels, so an append writes no page of it.
    sql: `
      create table documents (
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
      create index documents_due on documents (expires_at) where expires_at is not null;
      create index documents_of_user on documents (tenant, user) where user is not null;
      alter table sessions add column title text;
      alter table sessions add column labels text;
      create table labels (
        session integer not null,
        name text not null,
        value text not null,
        tenant text not null,
        created_at integer not null,
        primary key (session, name)
      ) strict, without rowid;
      create index labels_by_value on labels (tenant, name, value, created_at, session);
      create index sessions_created on sessions (tenant, created_at, id);
    `,
  },
  {
    version: 10,
    title: "sessions by agent, news, views",
    // No append changes a column of the index, so an append writes no page of it.
    sql: `
      create index sessions_of_agent on sessions (tenant, agent, created_at, id);
      create table news_subscriptions (
        tenant text primary key,
        id text not null,
        expires_at integer not null,
        deleted integer not null,
        mark integer not null,
        marked_at integer not null
      ) strict, without rowid;
      create table news (
        tenant text not null,
        no integer not null,
        kind text not null,
        scope text not null,
        id text not null,
        primary key (tenant, no)
      ) strict, without rowid;
      ${views}
    `,
  },
  {
    version: 11,
    title: "shorter records",
    // A record that cannot be read stays as it is.
    sql: `
      drop view readable_sessions;
      ${viewOfListedCounters}
      update sessions set data = json_set(data, '$.counters', json_array(
        data -> '$.counters.turns', data -> '$.counters.messages', data -> '$.counters.requests',
        data -> '$.counters.inputTokens', data -> '$.counters.outputTokens', data -> '$.counters.totalTokens',
        data -> '$.counters.durationMs', data -> '$.counters.longestMs'
      ))
      where case when json_valid(data) then json_type(data, '$.counters') = 'object' end;
    `,
  },
  {
    version: 12,
    title: "words of messages",
    sql: searchTables,
  },
  {
    version: 13,
    title: "views of the current branch",
    sql: viewsOfBranches,
  },
  {
    version: 14,
    title: "updates of documents keep the time of expiry",
    // Only PostgreSQL has functions of this step.
    sql: "",
  },
  {
    version: 15,
    title: "an index of search that costs less",
    // Only PostgreSQL has functions of this step.
    sql: "",
  },
  {
    version: 16,
    title: "sessions are found by their key, also where the tables were nearly empty; the view of events",
    // Only PostgreSQL keeps a plan that was made on a nearly empty table.
    sql: viewOfEvents,
  },
  {
    version: 17,
    title: "appends that leave the columns of lists alone",
    // Only PostgreSQL has functions of this step.
    sql: "",
  },
];
