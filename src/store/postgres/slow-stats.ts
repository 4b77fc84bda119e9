import { headOf } from "../../domain/record/change.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { hasTurns } from "../../domain/branches/segments.ts";
import { feedbackLog, keptBeginning, truncatedUsageLog } from "../../domain/record/entry.ts";
import { sqlState } from "./connection/postgres-error.ts";
import { recordsOf, type RecordRow } from "../row.ts";
import { inheritedLog, inputMark, StatsAccumulator, type StoreStats, type StoreStatsQuery } from "../stats.ts";
import type { Database, Row } from "./connection/database.ts";
import { recordJson } from "./connection/record-json.ts";
import { logsIn } from "./connection/sql.ts";

/** The rows of one statement. */
const rowsAtOnce = 1000;

/**
 * True if a damaged row failed the sums: a text that is no JSON, or a number that is too large. The server fails the whole
 * statement and does not name the row.
 */
export function isDamagedRow(error: unknown): boolean {
  return sqlState((error as { readonly cause?: unknown }).cause)?.startsWith("22") === true;
}

/**
 * The sums of a tenant with damaged rows, computed in this process page by page. It takes longer, and each page is from another
 * moment. It counts the rows that cannot be read.
 */
export async function slowTally(ask: Database["ask"], schema: string, query: StoreStatsQuery): Promise<StoreStats> {
  const tallying = new StatsAccumulator(query);
  for (let after = ""; ;) {
    const rows = await ask(
      `select ${recordJson("session")}::text as record from ${schema}.sessions session
       where tenant = $1 and id > $2 order by id limit $3`,
      [query.tenant, after, rowsAtOnce],
    );
    for (const { record: text } of rows) {
      const row = JSON.parse(String(text)) as RecordRow;
      const [record] = recordsOf([row]).records;
      if (record === undefined) tallying.missSession();
      else {
        const { counters, handoff } = record;
        const bytes = Buffer.byteLength(row.data);
        tallying.addSession({ ...record, turns: counters.turns, handoffExpiresAt: handoff?.expiresAt ?? null, bytes });
      }
      await addEntries(ask, schema, { tallying, row, record });
      after = row.id;
    }
    if (rows.length < rowsAtOnce) return tallying.result();
  }
}

interface Counted {
  readonly tallying: StatsAccumulator;
  readonly row: RecordRow;
  /** Undefined if it cannot be read. */
  readonly record: SessionRecord | undefined;
}

async function addEntries(ask: Database["ask"], schema: string, { tallying, row, record }: Counted): Promise<void> {
  for (let after: readonly [log: string, seq: string] = ["", "0"]; ;) {
    const rows = await ask(
      `select log, seq::text as seq, at, coalesce(octet_length(bytes), octet_length(data)) as bytes,
         case when log = 'turns' or log like '${keptBeginning}%' then split_part(data, '${inputMark}', 1)
           when log in ('${truncatedUsageLog}', '${feedbackLog}', 'events') then data else '' end as head,
         position('${inputMark}' in data) > 0 and (log = 'turns' or log like '${keptBeginning}%') as is_cut
       from ${schema}.entries
       where tenant = $1 and session = $2 and logs = ${logsIn(schema)} and (log, seq) > ($3, $4::bigint)
       order by log, seq limit $5`,
      [row.tenant, row.id, ...after, rowsAtOnce],
    );
    for (const entry of rows) tallying.addEntry(factsOf(entry, row, record));
    const last = rows.at(-1);
    if (last === undefined || rows.length < rowsAtOnce) return;
    after = [String(last["log"]), String(last["seq"])];
  }
}

function factsOf(
  { log: name, seq, at, bytes, head, is_cut: isCut }: Row,
  { id, user }: Pick<RecordRow, "id" | "user">,
  record: SessionRecord | undefined,
): Parameters<StatsAccumulator["addEntry"]>[0] {
  const log = String(name);
  const isInherited = log === "turns" && Number(seq) <= (record?.inherited ?? 0);
  return {
    log: isInherited ? inheritedLog : hasTurns(log) ? "turns" : log,
    at: Number(at),
    session: id,
    user,
    isArchived: log === truncatedUsageLog && record !== undefined && Number(seq) > headOf(record, log),
    data: isCut === true ? `${String(head)}}` : String(head),
    bytes: Number(bytes),
  };
}
