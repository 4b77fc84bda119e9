import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { CountedUsage, UsageAddition } from "../../../domain/record/change.ts";
import type { UsageName } from "../../store.ts";

/** The sums of usage of a file. A writer has the only write lock, so an addition is an update. */
export class UsageSums {
  readonly #add: StatementSync;
  readonly #sum: StatementSync;
  readonly #deleteOld: StatementSync;

  constructor(database: DatabaseSync) {
    this.#add = database.prepare(`
      insert into usage_sums (tenant, name, tokens, turns, until) values (?, ?, ?, ?, ?)
      on conflict (tenant, name) do update set tokens = tokens + excluded.tokens, turns = turns + excluded.turns,
        until = max(until, excluded.until)`);
    this.#sum = database.prepare("select tokens, turns from usage_sums where tenant = ? and name = ?");
    this.#deleteOld = database.prepare("delete from usage_sums where until <= ?");
  }

  add({ tenant, name, tokens, turns, until }: UsageAddition): void {
    this.#add.run(tenant, name, tokens, turns, until);
  }

  sum({ tenant, name }: UsageName): CountedUsage {
    const row = this.#sum.get(tenant, name);
    return { tokens: Number(row?.["tokens"] ?? 0), turns: Number(row?.["turns"] ?? 0) };
  }

  /** Removes sums whose time has passed. */
  deleteOld(now: number): void {
    this.#deleteOld.run(now);
  }
}
