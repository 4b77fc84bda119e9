/** The parts that the functions of the schema share. */

/**
 * Settings of the functions that hot statements call. Each part of them is planned once per connection, without a named
 * statement, so it works behind any pooler; the plan must then fit a session of any length and a batch of any size, also
 * where it was made while the tables were small: an index lookup for each row of the batch. A plain join leaves the
 * planner free to turn it around, so rows are looked up one by one, by a loop or by a lateral part with a limit.
 */
export const planOnce = `
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off`;

/** A change in a batch: the number of its transaction, its place in that, where it applies. */
export const change = "n int, place int, tenant text, id text, expected_version bigint, expected_commit text";
/** Whether a change fits the stored session, or that there is none: then both are null. */
export const unfit =
  "(session.version, session.commit_id) is distinct from (change.expected_version, change.expected_commit)";
/** A key that a transaction brings, in the order of the claims. */
export const claim = "n int, place int, tenant text, id text, log text, key text";
/** The other columns of a session. */
export const row = `version bigint, commit_id text, state text, agent text, user_id text, created_at bigint, last_activity_at bigint,
      active_minute bigint, state_since bigint, expires_at bigint, sweep_at bigint, data text, title text, labels text`;

/** The row of a lane, or nulls: declared by each function that calls {@link readLane}. */
export const laneRow = "_last record;";
/**
 * Declared by each function that calls {@link takeNumber}: whether removed logs have entries left, whether the commit has to
 * note news.
 */
export const taken = `_left boolean := false;
  _isFollowed boolean := false;`;
/** True if a change has other values of the columns that {@link putLabelled} writes: declared by each function that calls it. */
export const relabelled = "_isRelabelled boolean;";
/** The columns that the trigger of labels watches. */
export const labelled: readonly string[] = ["created_at", "labels"];

/**
 * An update of a session leaves the columns that the trigger of labels watches, because the server reads the condition of a
 * trigger again for each statement. It returns whether they change, and {@link putLabelled} then writes them.
 */
export function isRelabelled(of: (column: string) => string): string {
  const row = (prefix: (column: string) => string): string => labelled.map(prefix).join(", ");
  return `(${row((column) => `session.${column}`)}) is distinct from (${row(of)})`;
}

/** Write the columns that {@link isRelabelled} compares. */
export function putLabelled(schema: string, of: (column: string) => string): string {
  return `update ${schema}.sessions session set ${labelled.map((column) => `${column} = ${of(column)}`).join(", ")}
      where session.tenant = ${of("tenant")} and session.id = ${of("id")};`;
}

/** The rows of one sum of usage, a power of two. */
export const usageParts = 8;
/** The number of the logs of the session in a row `alias` with the columns `tenant` and `id`. */
export function withLogs(schema: string, alias: string): string {
  return `cross join lateral (
      select found.logs from ${schema}.sessions found where found.tenant = ${alias}.tenant and found.id = ${alias}.id limit 1
    ) session`;
}

/**
 * Lock the lane until the end of the transaction. A batch that arrives twice waits for its first try. It does not read the
 * row of the lane: what the first try wrote does not fit again, so only a batch that is refused looks for its earlier outcome.
 */
export const lockLane = "  perform pg_advisory_xact_lock(uuid_hash_extended(_lane, 0));";

/** Read the row of the lane, by a statement after {@link lockLane}: it sees what an earlier holder of the lock committed. */
export function readLane(schema: string): string {
  return `  select lane.number, lane.refused into _last from ${schema}.lanes lane where lane.id = _lane;`;
}

/** Return the outcome of an earlier try of the batch, where this try wrote nothing. */
export function returnSettled(schema: string): string {
  return `${readLane(schema)}
  if _last.number >= _number then return json_build_object('settled', coalesce(_last.refused, '{}')); end if;`;
}

/** The error of a batch whose number is taken. The caller learns its outcome by `bar_commit`. */
export const numberTaken = "PDNUM";

/**
 * Record the number of a batch that wrote something, and the transactions in it that did not; a batch that was refused as
 * a whole records nothing. If the number is taken, all that this try wrote is undone: the caller has barred the batch, or an
 * earlier try refused a transaction that fits by now. The row of a lane is missing at its first commit alone: an update costs
 * less than an insert that finds a row. A new lane deletes some that ended long ago, more than are added, so
 * their number stays bounded; it also looks for removed logs whose deletion another process did not finish. The same
 * statement asks whether the commit has to note news (`_isFollowed`), after all rows of sessions and documents are written.
 */
export function takeNumber(
  schema: string,
  { refused, isFollowed }: { readonly refused: string; readonly isFollowed: string },
): string {
  return `update ${schema}.lanes lane set number = _number, refused = ${refused}, used_at = now()
  where lane.id = _lane and lane.number < _number
  returning ${isFollowed} into _isFollowed;
  if not found then
    insert into ${schema}.lanes (id, number, refused, used_at) values (_lane, _number, ${refused}, now())
    on conflict do nothing
    returning ${isFollowed} into _isFollowed;
    if not found then
      raise exception using errcode = '${numberTaken}', message = 'another try settled the batch';
    end if;
    delete from ${schema}.lanes lane where lane.id in (
      select old.id from ${schema}.lanes old
      where old.born_at < now() - interval '1 day' and old.used_at < now() - interval '1 day'
      order by old.born_at limit 4 for update skip locked
    );
    _left := _left or exists (select from ${schema}.removed removed where removed.due_at <= now());
  end if;`;
}

/** The most entries and bytes that one step copies or deletes in a fraction of a second. */
const stepMax = { entries: 2000, bytes: 16 * 1024 * 1024 } as const;
/** True if a step reaches the end of the logs: declared by each function that begins with {@link findStep}. */
export const lastOfStep = "_isLast boolean;";
/** Limits `entry` to the entries that {@link findStep} found. */
export const inStep =
  "(entry.log, entry.seq) > (_after_log, _after_seq) and (entry.log, entry.seq) <= (last_log, last_seq)";

/**
 * Find the last entry of the next step through the logs that the condition `ofLogs` selects, after the place `_after_log`,
 * `_after_seq`; a function without entries left returns. The place of that entry is in `last_log`, `last_seq`.
 */
export function findStep(schema: string, ofLogs: string): string {
  return `  select counted.log, counted.seq, counted.count = counted.place into last_log, last_seq, _isLast
  from (
    select next.log, next.seq, row_number() over up_to as place, count(*) over () as count,
      sum(octet_length(next.data) + coalesce(octet_length(next.bytes), 0)) over up_to as size
    from (
      select entry.* from ${schema}.entries entry
      where ${ofLogs}
        and (entry.log, entry.seq) > (_after_log, _after_seq)
      order by entry.log, entry.seq limit ${stepMax.entries + 1}
    ) next
    window up_to as (order by next.log, next.seq rows between unbounded preceding and current row)
  ) counted
  where counted.place = 1 or (counted.place <= ${stepMax.entries} and counted.size <= ${stepMax.bytes})
  order by counted.place desc limit 1;
  if not found then return; end if;`;
}

/** Return nulls after the last step: ends each function that begins with {@link findStep}. */
export const nullAfterEnd = `  if _isLast then
    last_log := null;
    last_seq := null;
  end if;`;
