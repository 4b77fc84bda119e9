/** What the functions of the schema have in common. */

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
/** Whether a change fits the session that stands, or that none does: then both are null. */
export const unfit =
  "(session.version, session.commit_id) is distinct from (change.expected_version, change.expected_commit)";
/** A key that a transaction brings, in the order of the claims. */
export const claim = "n int, place int, tenant text, id text, log text, key text";
/** The other columns of a session. */
export const row = `version bigint, commit_id text, state text, agent text, user_id text, created_at bigint, last_activity_at bigint,
      active_minute bigint, state_since bigint, expires_at bigint, sweep_at bigint, data text`;

/**
 * Take the number of a batch, or find it taken: then the answer is what the first one did. Who comes second waits here
 * for who came first. A lane that begins makes room: some that ended long ago are forgotten, at most as fast as new
 * ones come, so their number stays bounded.
 */
export function takeNumber(schema: string): string {
  return `  insert into ${schema}.lanes as lane (id, number, used_at) values (_lane, _number, now())
  on conflict (id) do update set number = excluded.number, refused = null, used_at = excluded.used_at
  where lane.number < excluded.number;
  if not found then
    return (
      select json_build_object('settled', coalesce(lane.refused, '{}')) from ${schema}.lanes lane where lane.id = _lane
    );
  end if;
  if _number = 1 then
    delete from ${schema}.lanes lane where lane.id in (
      select old.id from ${schema}.lanes old
      where old.born_at < now() - interval '1 day' and old.used_at < now() - interval '1 day'
      order by old.born_at limit 4 for update skip locked
    );
  end if;`;
}
