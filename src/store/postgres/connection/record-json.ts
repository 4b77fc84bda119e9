/** A row of `sessions` as the text of a `RecordRow`, so the driver's form of a bigint does not matter. */
export function recordJson(alias: string): string {
  const fields = Object.entries(recordFields).map(([field, column]) => `'${field}', ${alias}.${column}`);
  return `json_build_object(${fields.join(", ")})`;
}

/** The fields of a `RecordRow` and their columns. `user` is a keyword of SQL. */
const recordFields = {
  tenant: "tenant",
  id: "id",
  version: "version",
  commitId: "commit_id",
  state: "state",
  agent: "agent",
  user: "user_id",
  createdAt: "created_at",
  lastActivityAt: "last_activity_at",
  activeMinute: "active_minute",
  stateSince: "state_since",
  expiresAt: "expires_at",
  sweepAt: "sweep_at",
  title: "title",
  labels: "labels",
  data: "data",
} as const;
