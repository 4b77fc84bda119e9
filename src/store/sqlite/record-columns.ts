/**
 * An integer within the exact numbers of JavaScript. node:sqlite fails the whole statement at a larger one; cut to the
 * greatest exact number, it fails only its own record or entry.
 */
export function exact(column: string): string {
  return `min(max(${column}, -9007199254740991), 9007199254740991)`;
}

/** The columns of a session, named as in `RecordRow`. */
export const recordColumns: string = `tenant, id, ${exact("version")} as version, commit_id as commitId, state, agent, user,
  ${exact("created_at")} as createdAt, ${exact("last_activity_at")} as lastActivityAt,
  ${exact("active_minute")} as activeMinute, ${exact("state_since")} as stateSince,
  ${exact("expires_at")} as expiresAt, ${exact("sweep_at")} as sweepAt, title, labels, data`;
