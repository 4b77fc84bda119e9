import assert from "node:assert/strict";
import { test } from "node:test";
import { sessionChanges } from "../../domain/record/change.ts";
import { inMemory, type InMemory } from "../../../test/support/in-memory.ts";
import { stagedScope } from "../../domain/copies/staged.ts";
import { hasCode } from "../../errors.ts";
import type { SessionSnapshot } from "../../index.ts";
import type { Finding } from "../doctor.ts";
import type { Sessions } from "../sessions.ts";
import { sweep, erase, importSessions, doctor } from "../../admin.ts";

/** A step is 4 pages: so small that a few turns are many of them. */
const limits = { readMax: 2, readBytesMax: 512 };
const stepBytes = 4 * limits.readBytesMax;

/** A session that a commit of one step does not hold. */
async function fill(sessions: Sessions, id: string, turns = 30): Promise<void> {
  const session = await sessions.create({ id, instructions: "Be brief.", metadata: { a: 1 } });
  for (let turn = 1; turn <= turns; turn++)
    await session.append({ input: `${turn} ${"x".repeat(100)}`, output: `${turn}` }, { key: `k${turn}` });
}

async function large(id: string, user?: string): Promise<SessionSnapshot> {
  await using place = inMemory();
  await fill(place.sessions, id);
  if (user !== undefined) await (await place.sessions.get(id)).update({ user });
  return await place.sessions.snapshot(id);
}

/** The state, and the beginnings of the turns; undefined where there is no such session. */
async function turnsOf(sessions: Sessions, id: string): Promise<string | undefined> {
  try {
    const session = await sessions.get(id);
    const turns = await Array.fromAsync(session.turns());
    const texts = turns.map(({ input }) => String(input[0]?.content).slice(0, 3));
    return `${session.info.state}: ${texts.join(",")}; ${(await Array.fromAsync(session.events())).length} events`;
  } catch (error) {
    if (hasCode(error, "session_not_found")) return undefined;
    throw error;
  }
}

async function stagedIn({ store, clock }: InMemory): Promise<number> {
  return await store.count({ tenant: stagedScope("default"), now: clock.now() });
}

async function assertSound(sessions: Sessions): Promise<void> {
  const found: Finding[] = [];
  await doctor(sessions, { onFinding: (finding) => found.push(finding) });
  assert.deepEqual(found, []);
}

interface Operation {
  /** The fewest commits that its steps are. @default 5 */
  readonly commitsMin?: number;
  readonly prepare: (place: InMemory) => Promise<void>;
  readonly run: (sessions: Sessions) => Promise<unknown>;
}

/** Operations on the session `s` that write logs of any size. */
const operations: Readonly<Record<string, Operation>> = {
  restore: {
    prepare: async () => undefined,
    run: async (sessions) => await sessions.restore(await large("s")),
  },
  "restore in the place of another": {
    prepare: (place) => fill(place.sessions, "s", 3),
    run: async (sessions) => await sessions.restore(await large("s"), { onExists: "replace" }),
  },
  import: {
    prepare: async () => undefined,
    run: async (sessions) => {
      const { skipped } = await importSessions(sessions, [JSON.stringify(await large("s"))]);
      assert.equal(skipped, 0);
    },
  },
  archive: {
    // The turns are compressed into one entry.
    commitsMin: 3,
    prepare: (place) => fill(place.sessions, "s"),
    run: async (sessions) => await (await sessions.get("s")).archive(),
  },
  unarchive: {
    prepare: async (place) => {
      await fill(place.sessions, "s");
      await (await place.another().get("s")).archive();
    },
    run: async (sessions) => await (await sessions.get("s")).unarchive(),
  },
};

for (const [name, { prepare, run, commitsMin = 5 }] of Object.entries(operations)) {
  test(`${name}: readers see the old session or the new one between any two commits, and no commit is larger than a step`, async () => {
    await using place = inMemory({ limits });
    const reader = place.another();
    await prepare(place);
    const old = await turnsOf(reader, "s");
    const seen = new Set([old]);
    let commits = 0;
    let isLooking = false;
    place.store.plan((_, batch) => {
      if (isLooking) return undefined;
      commits++;
      const size = batch.flatMap(sessionChanges).flatMap(({ splices }) => splices.flatMap(({ entries }) => entries));
      const bytes = size.reduce((sum, { data }) => sum + data.length, 0);
      assert.ok(bytes <= stepBytes, `${bytes} bytes in a commit`);
      isLooking = true;
      const looked = (async () => {
        seen.add(await turnsOf(reader, "s"));
        const { items: sessions } = await reader.list();
        assert.equal(sessions.length, old === undefined ? 0 : 1);
        await assertSound(reader);
        isLooking = false;
      })();
      return { hold: looked };
    });
    await run(place.sessions);
    place.store.plan({});
    assert.ok(commits >= commitsMin, `${commits} commits`);
    const now = await turnsOf(reader, "s");
    assert.notEqual(now, old);
    for (const one of seen) assert.ok(one === old || one === now, one);
    assert.equal(await stagedIn(place), 0);
    await assertSound(reader);
  });

  for (const fails of ["before", "after"] as const) {
    test(`${name}: a store that fails ${fails} any one commit leaves the old session or the new one, and running it again is enough`, async () => {
      const result = await resultOf(prepare, run);
      for (let fault = 1, isOver = false; !isOver; fault++) {
        await using place = inMemory({ limits });
        await prepare(place);
        const old = await turnsOf(place.sessions, "s");
        const first = place.store.commits + 1;
        const failing = first - 1 + fault;
        place.store.plan({ [failing]: { fails } });
        const failed = await run(place.sessions).then(
          () => undefined,
          (error: unknown) => error,
        );
        isOver = place.store.commits < failing;
        place.store.plan({});
        if (failed !== undefined) {
          assert.ok(hasCode(failed, "store_unavailable"), String(failed));
          const left = await turnsOf(place.sessions, "s");
          assert.ok(left === old || left === result, left);
          // What a commit of unknown fate left belongs to a process that is gone.
          await using next = { sessions: place.another({ limits }), [Symbol.asyncDispose]: async () => undefined };
          await place.sessions.close();
          await run(next.sessions);
          assert.equal(await stagedIn(place), 0);
        }
        const reader = place.another();
        assert.deepEqual(await turnsOf(reader, "s"), result);
        await assertSound(reader);
      }
    });
  }
}

/** What an operation leaves where nothing fails. */
async function resultOf(prepare: Operation["prepare"], run: Operation["run"]): Promise<string | undefined> {
  await using place = inMemory({ limits });
  await prepare(place);
  await run(place.sessions);
  return await turnsOf(place.another(), "s");
}

test("staged logs of an ended process are removed by an erasure of their user, or by the sweep after a day", async () => {
  for (const way of ["erasure", "sweep"] as const) {
    await using place = inMemory({ limits, secret: "a secret of the test" });
    const dying = place.another({ limits });
    place.store.plan((n) => (n > 3 ? { fails: "before" } : undefined));
    await assert.rejects(dying.restore(await large("s", "ada")), { code: "store_unavailable" });
    place.store.plan({});
    assert.equal(await stagedIn(place), 1);
    if (way === "erasure") {
      await erase(place.sessions, { user: "ada" });
    } else {
      await sweep(place.sessions);
      assert.equal(await stagedIn(place), 1);
      await place.clock.advance(25 * 3_600_000);
      await sweep(place.sessions);
    }
    assert.equal(await stagedIn(place), 0);
  }
});
