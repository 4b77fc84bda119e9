/** That a number is no identity: versions, fences and ETags that come back are told from those that a caller has seen. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { inMemory } from "../../../test/support/in-memory.ts";
import { hasCode } from "../../errors.ts";
import { openMemory } from "../../store/memory.ts";
import { openSqlite } from "../../store/sqlite/open.ts";
import type { Store } from "../../store/store.ts";
import { scriptedClock } from "../../testing/scripted-clock.ts";
import type { Session } from "../session/session.ts";
import { sessionsOn, type Sessions } from "../sessions.ts";
import { inputsOf } from "../../../test/support/inputs-of.ts";

const folder = mkdtempSync(join(tmpdir(), "perdure-identity-"));
after(() => rmSync(folder, { recursive: true }));

const hour = 3_600_000;

for (const laterMs of [0, 1, hour, -hour]) {
  test(`the view of a removed session is stale in a new session under its id ${laterMs} ms later`, async () => {
    await using place = inMemory();
    const first = await place.sessions.create({ id: "s" });
    for (let count = 0; count < 12; count++) await first.touch();
    await first.append({ input: "old" });
    const { seen } = first.info;
    await (await place.sessions.get("s")).remove();
    place.clock.set(place.clock.now() + laterMs);
    await (await place.sessions.create({ id: "s" })).append({ input: "new" });
    const given = await place.sessions.get("s", { seen });
    await assert.rejects(given.append({ input: "onto the old one" }), { code: "conflict" });
    const outcome = await first.append({ input: "onto the old one" }).catch((error: { code: string }) => error.code);
    assert.ok(outcome === "conflict" || outcome === "store_restored", String(outcome));
    const again = await place.sessions.get("s");
    assert.deepEqual(
      (await Array.fromAsync(again.turns())).map(({ input }) => input[0]?.content),
      ["new"],
    );
  });
}

interface PutBack extends AsyncDisposable {
  /** Knows turn 4, which its store no longer has. */
  readonly handle: Session;
  /** Another program on the store as it is now. */
  readonly others: Sessions;
}

/** A program whose file is put back from turn 4, or from what `go` does, to turn 1 while it runs. */
async function putBack(
  name: string,
  go = async (handle: Session): Promise<void> => {
    for (const input of ["2", "3", "4"]) await handle.append({ input });
  },
): Promise<PutBack> {
  const file = join(folder, `${name}.db`);
  const backup = join(folder, `${name}.backup.db`);
  const open = async (path: string): Promise<Store> => await openSqlite({ url: `sqlite:${path}` });
  let current = await open(file);
  const first = current;
  const leading: Store = new Proxy({} as Store, {
    get(_, member) {
      const value: unknown = Reflect.get(current, member);
      return typeof value === "function" ? (value.bind(current) as unknown) : value;
    },
  });
  const program = sessionsOn(leading, { sweep: false });
  const handle = await program.create({ id: "s" });
  await handle.append({ input: "1" });
  new DatabaseSync(file).exec(`vacuum into '${backup}'`);
  await go(handle);
  await first.close();
  current = await open(backup);
  const others = sessionsOn(await open(backup), { sweep: false });
  return {
    handle,
    others,
    [Symbol.asyncDispose]: async () => {
      await others.close();
      await program.close();
    },
  };
}

async function inputsIn(sessions: Sessions): Promise<readonly unknown[]> {
  return await inputsOf(await sessions.get("s"));
}

const rewrites: Readonly<Record<string, readonly string[]>> = {
  "nothing was written since": [],
  "fewer turns were written since": ["other 2"],
  "as many turns were written since": ["other 2", "other 3", "other 4"],
};

test("a restored store that has grown beyond the known version refuses a turn, too", async () => {
  await using here = await putBack("beyond");
  const { handle, others } = here;
  const theirs = await others.get("s");
  const inputs = ["other 2", "other 3", "other 4", "other 5", "other 6"];
  for (const input of inputs) await theirs.append({ input });
  await assert.rejects(handle.append({ input: "5" }), { code: "conflict" });
  await assert.rejects(handle.truncate(1), { code: "conflict" });
  assert.deepEqual(await inputsIn(others), ["1", ...inputs]);
});

test("a restored store is detected after many changes of others that wrote no turns", async () => {
  await using here = await putBack("touched");
  const { handle, others } = here;
  const theirs = await others.get("s");
  for (let count = 0; count < 20; count++) await theirs.touch();
  for (const write of [() => handle.append({ input: "5" }), () => handle.touch()])
    await assert.rejects(write(), { code: "store_restored" });
  assert.deepEqual(await inputsIn(others), ["1"]);
});

for (const [what, inputs] of Object.entries(rewrites)) {
  test(`a restored store is detected at the next write, and nothing is written: ${what}`, async () => {
    await using here = await putBack(what.replaceAll(" ", "-"));
    const { handle, others } = here;
    const theirs = await others.get("s");
    for (const input of inputs) await theirs.append({ input });
    const known = { seenTurn: 4, storedTurn: 1 + inputs.length };
    for (const write of [() => handle.append({ input: "5" }), () => handle.touch(), () => handle.truncate(1)]) {
      await assert.rejects(write(), (error) => {
        assert.ok(hasCode(error, "store_restored"), String(error));
        assert.deepEqual({ seenTurn: error.details.seenTurn, storedTurn: error.details.storedTurn }, known);
        return true;
      });
    }
    assert.deepEqual(await inputsIn(others), ["1", ...inputs]);
    // Once its owner has looked, it goes on with what there is.
    await handle.refresh();
    await handle.append({ input: "last" });
    assert.deepEqual(await inputsIn(others), ["1", ...inputs, "last"]);
  });
}

test("a lease of a restored store is lost, also where another holder has the same fencing token", async () => {
  for (const look of [true, false]) {
    await using here = await putBack(`lease-${look}`, async (handle) => void (await handle.lease()));
    const { handle, others } = here;
    const theirs = await others.get("s");
    const lease = await theirs.lease();
    assert.equal(lease.fence, handle.info.lease?.fence, "the same number");
    if (look) await handle.refresh();
    const lost = { code: look ? "fenced" : "store_restored" };
    await assert.rejects(handle.append({ input: "2" }), lost);
    await assert.rejects(handle.begin("2"), lost);
    await assert.rejects(handle.end(), lost);
    await theirs.append({ input: "other 2" });
    assert.deepEqual(await inputsIn(others), ["1", "other 2"]);
  }
});

for (const aheadMs of [-48 * hour, 48 * hour]) {
  test(`a machine ${aheadMs / hour} hours ahead creates sessions with the store's time`, async () => {
    const clock = scriptedClock();
    const store = openMemory({ clock });
    const wrong = sessionsOn(store, {
      clock: {
        now: () => clock.now() + aheadMs,
        sleep: (ms, signal) => clock.sleep(ms, signal),
        random: (bytes) => clock.random(bytes),
      },
      sweep: false,
      secret: "a secret for tests only",
    });
    const { info } = await wrong.create({ id: "s" });
    assert.equal(info.createdAt.getTime(), clock.now());
    assert.equal(info.state, "active");
    const { key } = await (await wrong.get("s")).append({ input: "q" });
    assert.equal(key, null);
    assert.equal(Math.floor(info.version / 1000), clock.now(), "its version is of the store's time");
    await wrong.close();
  });
}

test("turns that are read over several pages are of one history, else the reader gets a conflict", async () => {
  await using place = inMemory({ limits: { readMax: 2 } });
  const session = await place.sessions.create({ id: "s" });
  for (const input of ["old 1", "old 2", "old 3", "old 4"]) await session.append({ input });
  const reading = (await place.sessions.get("s")).turns();
  const read: unknown[] = [];
  await assert.rejects(
    async () => {
      for await (const { seq, input } of reading) {
        read.push(input[0]?.content);
        if (seq !== 2) continue;
        await session.truncate(0);
        for (const text of ["new 1", "new 2", "new 3", "new 4"]) await session.append({ input: text });
      }
    },
    { code: "conflict" },
  );
  assert.deepEqual(read, ["old 1", "old 2"]);
});

test("turns that are appended meanwhile do not disturb a reader of several pages", async () => {
  await using place = inMemory({ limits: { readMax: 2 } });
  const session = await place.sessions.create({ id: "s" });
  for (let turn = 1; turn <= 5; turn++) await session.append({ input: String(turn) });
  const read: number[] = [];
  for await (const { seq } of (await place.sessions.get("s")).turns()) {
    read.push(seq);
    if (seq % 2 === 0) await session.append({ input: "more" });
  }
  assert.deepEqual(read, [1, 2, 3, 4, 5]);
});

test("a program asks the store for its time once before its first write, and not where it looked first", async () => {
  await using place = inMemory();
  await place.sessions.create({ id: "s" });
  const calls: string[] = [];
  const store: Store = new Proxy(place.store, {
    get(target, member) {
      const value: unknown = Reflect.get(target, member);
      if (typeof value !== "function") return value;
      return (...given: unknown[]): unknown => {
        if (member === "load" || member === "commit") calls.push(member);
        return (value as (...args: unknown[]) => unknown).apply(target, given);
      };
    },
  });
  const cold = sessionsOn(store, { clock: place.clock, sweep: false });
  for (const id of ["a", "b"]) await cold.create({ id });
  assert.deepEqual(calls.splice(0), ["load", "commit", "commit"]);
  const warm = sessionsOn(store, { clock: place.clock, sweep: false });
  await (await warm.get("s")).append({ input: "q" });
  assert.deepEqual(calls, ["load", "commit"]);
});
