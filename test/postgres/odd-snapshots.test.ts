import assert from "node:assert/strict";
import { test } from "node:test";
import { openSessions } from "../../src/open.ts";
import { seededChanceOf } from "../support/chance.ts";
import { offerOdd } from "../odd-snapshots.ts";
import { databaseOfFile } from "./of-file.ts";

const database = await databaseOfFile();

test("a snapshot with an odd value is refused, or changes no other data of the tenant (PostgreSQL)", async (context) => {
  const store = `${database.url}?schema=odd_${process.pid}`;
  await using sessions = await openSessions({ store, sweep: false });
  await sessions.create({ id: "mine" });
  const { taken, refused } = await offerOdd(sessions, { chance: seededChanceOf(context), count: 300 });
  assert(taken > 5 && refused > 100, `${taken} were taken, ${refused} refused`);
});
