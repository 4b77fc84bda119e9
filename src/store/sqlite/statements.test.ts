import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { migrations } from "./schema/schema.ts";
import { prepareAll } from "./statements.ts";

const database = new DatabaseSync(":memory:");
for (const { sql } of migrations) database.exec(sql);
const statements = prepareAll(database);

after(() => database.close());

const indexes = {
  cutLog: "entries_by_seq",
  tail: "entries_by_seq",
  rangeUp: "entries_by_seq",
  rangeDown: "entries_by_seq",
  keysUp: "entries_by_key",
  keysDown: "entries_by_key",
  tailOfShort: "entries_by_seq",
  rangeUpOfShort: "entries_by_seq",
  rangeDownOfShort: "entries_by_seq",
  keysUpOfShort: "entries_by_key",
  keysDownOfShort: "entries_by_key",
  entryByKey: "entries_by_key",
  entriesByKeys: "entries_by_key",
} as const;

for (const [name, index] of Object.entries(indexes) as [keyof typeof indexes, string][]) {
  test(`${name} finds its rows by ${index}, at any length of the log`, () => {
    const plan = database.prepare(`explain query plan ${statements[name].sourceSQL}`).all();
    const search = plan.map(({ detail }) => String(detail)).find((detail) => detail.startsWith("SEARCH entries "));
    assert(search?.includes(`INDEX ${index} (session=? AND log=?`), search);
  });
}

test("no statement has the name of a log as a bare parameter", () => {
  // There is an index of one log alone: SQLite chooses by the value of a bare parameter, at every run.
  for (const { sourceSQL } of Object.values(statements)) assert.doesNotMatch(sourceSQL, /log = \?/);
});
