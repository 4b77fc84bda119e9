import { sessionChanges, type Change, type Transaction } from "../../../domain/record/change.ts";
import { SessionError } from "../../../errors.ts";
import type { Database } from "../connection/database.ts";
import { sqlState } from "../connection/postgres-error.ts";
import { newLogs } from "./logs-number.ts";
import { commitMax, cutTooLong } from "../schema/functions/copied-logs.ts";

/** The numbers of the logs that were copied for changes. */
export type Copies = ReadonlyMap<Change, string>;

/** Copies the logs for commits that would move or cut more entries than one statement may. */
export class CopiedLogs {
  readonly #call: Database["call"];
  readonly #schema: string;

  constructor(call: Database["call"], schema: string) {
    this.#call = call;
    this.#schema = schema;
  }

  /** Copies the logs for the changes that move many entries, in bounded statements. */
  async ofMoves(batch: readonly Transaction[]): Promise<Copies> {
    return await this.#copied(batch.flatMap(sessionChanges).filter(movesMany));
  }

  /** Copies the logs for the changes that cut many entries. */
  async ofCuts(batch: readonly Transaction[]): Promise<Copies> {
    const changes = batch.flatMap(sessionChanges);
    const splices = changes.flatMap(({ key: { tenant, id }, expected, record, splices }, place) =>
      expected === null || record === null ? [] : splices.map(({ log, from }) => ({ place, tenant, id, log, from })),
    );
    const rows = await this.#call(`select ${this.#schema}.long_cuts($1) as place`, [JSON.stringify(splices)]);
    const places = new Set(rows.map(({ place }) => Number(place)));
    return await this.#copied(changes.filter((_, place) => places.has(place)));
  }

  async #copied(changes: readonly Change[]): Promise<Copies> {
    const copies = new Map<Change, string>();
    for (const change of changes) copies.set(change, await this.#copy(change));
    return copies;
  }

  async #copy({ key, logsOf, splices }: Change): Promise<string> {
    const logs = newLogs();
    const from = logsOf ?? key;
    const cuts = JSON.stringify(logsOf === undefined ? splices.map(({ log, from: seq }) => ({ log, from: seq })) : []);
    const text = `select last_log, last_seq from ${this.#schema}.copy_logs($1, $2, $3, $4, $5, $6, $7, $8)`;
    for (let after: readonly unknown[] = ["", 0]; after[0] !== null;) {
      const [row] = await this.#call(text, [key.tenant, key.id, logs, from.tenant, from.id, cuts, ...after]);
      after = [row?.["last_log"] ?? null, row?.["last_seq"]];
    }
    return logs;
  }

  /** Leaves the copies that no commit took to be deleted at once. */
  async discard(copies: Copies): Promise<void> {
    const unused = [...copies].map(([{ key }, logs]) => ({ tenant: key.tenant, session: key.id, logs }));
    await this.#call(
      `update ${this.#schema}.removed removed set due_at = now()
       from json_to_recordset($1) as unused(tenant text, session text, logs bigint)
       where removed.tenant = unused.tenant and removed.session = unused.session and removed.logs = unused.logs`,
      [JSON.stringify(unused)],
    );
  }
}

function movesMany({ logsOf, record }: Change): boolean {
  if (logsOf === undefined || record === null) return false;
  const heads = [...Object.values(record.heads), ...Object.values(record.archive?.heads ?? {})];
  return heads.reduce((sum, head) => sum + head, 0) > commitMax.entries;
}

/** True for the error of a commit that cuts more entries than one statement may. It wrote nothing. */
export function isLongCut(error: unknown): boolean {
  return sqlState(error instanceof SessionError ? error.cause : error) === cutTooLong;
}
