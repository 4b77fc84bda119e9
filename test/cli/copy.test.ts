import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openSessions } from "../../src/index.ts";
import { createNasty } from "../nasty-sessions.ts";
import { finish, Workplace } from "./command-line.ts";

test("a copy that is killed at any point is run again, and is complete and single", async () => {
  await using place = await Workplace.open();
  await using source = await openSessions({ store: `${place.storeUrl}?synchronous=normal`, sweep: false });
  await createNasty(source);
  await Promise.all(
    Array.from({ length: 1500 }, async (_, index) => {
      const session = await source.create({ id: `s${index}` });
      await session.append({ input: "x".repeat(10_000) });
    }),
  );
  const to = `sqlite:${join(place.folder, "other.db")}`;
  const args = ["copy", "--from", place.storeUrl, "--to", to];
  for (let round = 0; round < 6; round++) {
    const child = place.start(args);
    const finished = finish(child);
    await Promise.race([sleep(300 + Math.random() * 300), finished]);
    child.kill("SIGKILL");
    await finished;
  }
  const { code, stderr } = await place.run(args);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^copied and checked: \d+ new, 0 brought up to date, \d+ were there already, 0 skipped\n$/);
  await using target = await openSessions({ store: to, sweep: false });
  const found = source.export();
  for await (const { id, text } of target.export()) {
    const expected = await found.next();
    assert(expected.done !== true && expected.value.text === text, id);
  }
  assert.equal((await found.next()).done, true);
});

test("a tenant is copied alone, and what cannot be is told with exit code 1", async () => {
  await using place = await Workplace.open();
  const to = `sqlite:${join(place.folder, "other.db")}`;
  await using source = await openSessions({ store: place.storeUrl, sweep: false });
  await using target = await openSessions({ store: to, sweep: false });
  await source.create({ id: "a" });
  await (await source.for("shop").create({ id: "b" })).append({ input: "ours" });
  const args = ["copy", "--from", place.storeUrl, "--to", to];
  const { stdout } = await place.run([...args, "--tenant", "shop", "--json"]);
  const { bytes, ...report } = JSON.parse(stdout) as { bytes: number };
  assert(bytes > 0);
  assert.deepEqual(report, { restored: 1, present: 0, replaced: 0, skipped: 0, reasons: [], complete: true });
  await (await target.create({ id: "a" })).append({ input: "theirs" });
  const second = await place.run(args);
  assert.equal(second.code, 1);
  assert.match(second.stderr, /^skipped a: session a already exists.*\[session_exists\]\ncopied and checked: 0 new/);
});
