/**
 * The purpose of opening a store:
 * - `create`: writes; a missing store is created, and an older schema is migrated.
 * - `change`: writes to an existing store of this version's schema.
 * - `read`: reads an existing store of this version's schema; a write fails.
 * - `examine`: as `read`, whatever the schema. The doctor reports an older one.
 * - `repair`: as `change`, whatever the schema. `inspect` with `repair` migrates an older one.
 */
export type Access = "create" | "change" | "read" | "examine" | "repair";

export function canWrite(access: Access): boolean {
  return access !== "read" && access !== "examine";
}

/** True if a store of an older schema is opened without a migration. */
export function takesAnySchema(access: Access): boolean {
  return access === "examine" || access === "repair";
}
