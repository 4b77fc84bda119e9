import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openSessions } from "../../src/open.ts";
import { chanceOf } from "../support/chance.ts";
import { offerOdd } from "../odd-snapshots.ts";
import { someDatabase } from "./server.ts";

let database: Awaited<ReturnType<typeof someDatabase>>;
before(async () => {
  database = await someDatabase();
});
after(async () => {
  await database[Symbol.asyncDispose]();
});

test("a snapshot with an odd value is refused, or changes no other data of the tenant (PostgreSQL)", async (context) => {
  const store = `${database.url}?schema=odd_${process.pid}`;
  await using sessions = await openSessions({ store, sweep: false });
  await sessions.create({ id: "mine" });
  const { taken, refused } = await offerOdd(sessions, { chance: chanceOf(context), count: 300 });
  assert(taken > 5 && refused > 100, `${taken} were taken, ${refused} refused`);
});
