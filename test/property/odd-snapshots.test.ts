import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openSessions } from "../../src/open.ts";
import { seededChanceOf } from "../support/chance.ts";
import { offerOdd } from "../odd-snapshots.ts";

const folder = mkdtempSync(join(tmpdir(), "perdure-odd-"));
after(() => rmSync(folder, { recursive: true }));

for (const [name, store] of [
  ["memory", "memory:"],
  ["SQLite", `sqlite:${join(folder, "odd.db")}`],
] as const) {
  test(`a snapshot with an odd value is refused, or changes no other data of the tenant (${name})`, async (context) => {
    await using sessions = await openSessions({ store, sweep: false });
    await sessions.create({ id: "mine" });
    const { taken, refused } = await offerOdd(sessions, { chance: seededChanceOf(context), count: 1500 });
    assert(taken > 20 && refused > 500, `${taken} were taken, ${refused} refused`);
  });
}
