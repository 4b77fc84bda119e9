/** The columns of a session, under the names that a `RecordRow` has for them. */
export const recordColumns = `tenant, id, version, commit_id as commitId, state, agent, user, created_at as createdAt,
  last_activity_at as lastActivityAt, active_minute as activeMinute, state_since as stateSince,
  expires_at as expiresAt, sweep_at as sweepAt, data`;
