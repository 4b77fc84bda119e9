/** Instances whose clocks disagree, on one database. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openSessions, systemClock, type Clock } from "../../src/index.ts";
import { serverOfFile } from "./of-file.ts";
import { query } from "./server.ts";

const server = await serverOfFile();

test("instances with clocks two hours apart agree on leases, expiry and live instances", async () => {
  const clockAt = (aheadMs: number): Clock => ({ ...systemClock, now: () => Date.now() + aheadMs });
  const hour = 3_600_000;
  const store = server.url();
  const open = (aheadMs: number): ReturnType<typeof openSessions> =>
    openSessions({ store, tenant: "clocks", sweep: false, staleAfter: "2s", clock: clockAt(aheadMs) });
  await using early = await open(-hour);
  await using late = await open(hour);
  await using exact = await open(0);
  await exact.create({ id: "shared", ttl: "10m" });

  const mine = await early.get("shared");
  const theirs = await late.get("shared");
  assert.equal(theirs.info.state, "active", "an hour ahead, it has not expired");
  assert.ok(Math.abs(Number(mine.info.expiresAt) - Date.now() - 600_000) < 30_000, "deadlines are in the store's time");

  await mine.append({ input: "first" }); // slides the deadline
  assert.ok(Math.abs(Number(mine.info.expiresAt) - Date.now() - 600_000) < 30_000);
  await theirs.refresh();

  const lease = await mine.lease({ ttl: "30m" });
  await assert.rejects(theirs.lease(), { code: "busy" });
  await assert.rejects(theirs.append({ input: "no" }), { code: "busy" });
  await sleep(2500); // the holder's heartbeats keep its lease, although its clock is behind
  await assert.rejects(theirs.lease(), { code: "busy" });
  await mine.append({ input: "mine" });
  await lease.release();
  await theirs.refresh();
  const next = await theirs.lease({ ttl: "3s" });
  assert.ok(next.fence > lease.fence);
  await mine.refresh();
  await assert.rejects(mine.append({ input: "no" }), { code: "busy" });
  await sleep(3100); // the lease ends by the store's clock
  await mine.append({ input: "mine again" });
  const [row] = await query(
    store,
    "select max(abs(seen_at - extract(epoch from now()) * 1000)) < 60000 as near from perdure.instances",
  );
  assert.equal(row?.["near"], true, "heartbeats have the store's time");
});
