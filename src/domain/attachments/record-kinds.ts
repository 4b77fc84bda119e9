/** The records of a store by their kind, for reports to people. */
import { isInternalScope } from "../values/internal-scope.ts";
import { isContentScope } from "./attachment.ts";

/** Numbers of records by their kind. */
export interface RecordKinds {
  readonly sessions: number;
  readonly attachments: number;
  /** Devices, keys, shares, references to attachments, and other internal records. */
  readonly others: number;
}

/** The kind of the records of a scope. */
export function kindOfRecord(tenant: string): keyof RecordKinds {
  if (isContentScope(tenant)) return "attachments";
  return isInternalScope(tenant) ? "others" : "sessions";
}
