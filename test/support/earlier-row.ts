import { rowOf, type RecordRow } from "../../src/store/row.ts";
import type { SessionRecord } from "../../src/domain/record/record.ts";

/** The row of a record as programs wrote it before records became shorter: each field has its value, counters have names. */
export function earlierRowOf(record: SessionRecord): RecordRow {
  const row = rowOf(record);
  const { maxAgeMs, maxAgeFrom, counters, turnsVersion, openTurn, cancel, fence, lease, waiters } = record;
  const fields = { maxAgeMs, maxAgeFrom, counters, turnsVersion, openTurn, cancel, floor: null, fence, lease, waiters };
  return { ...row, data: JSON.stringify({ ...fields, ...(JSON.parse(row.data) as object), counters }) };
}
