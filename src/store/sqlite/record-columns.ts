/**
 * An integer as JavaScript can hold it. node:sqlite fails the whole statement at one that is beyond; cut to the greatest
 * exact number, such a value fails only the record or the entry that it stands in.
 */
export function exact(column: string): string {
  return `min(max(${column}, -9007199254740991), 9007199254740991)`;
}

/** The columns of a session, under the names that a `RecordRow` has for them. */
export const recordColumns: string = `tenant, id, ${exact("version")} as version, commit_id as commitId, state, agent, user,
  ${exact("created_at")} as createdAt, ${exact("last_activity_at")} as lastActivityAt,
  ${exact("active_minute")} as activeMinute, ${exact("state_since")} as stateSince,
  ${exact("expires_at")} as expiresAt, ${exact("sweep_at")} as sweepAt, data`;
