/** The session store against genkit's own in memory, and under its agents. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { genkit, InMemorySessionStore, type SessionSnapshot, type SessionStore } from "genkit/beta";
import { mockModel } from "genkit/testing";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { after, test } from "node:test";
import * as fc from "../../support/fast-check.ts";
import { erase } from "../../../src/admin.ts";
import { genkitStore, type GenkitStore } from "../../../src/adapters/genkit.ts";
import { openSessions } from "../../../src/index.ts";
import { callStore, storeBefore } from "../../../src/store/calls/forwarding-store.ts";
import { assertSound, Engines, enginesOfRun, placesOf } from "../../crash/engines.ts";
import { endsWithTest } from "../../support/ends-with-test.ts";
import { inMemory } from "../../support/in-memory.ts";
import { rounds } from "../../support/rounds.ts";
import { workerProgram } from "../worker-program.ts";
import { snapshotAt } from "./snapshots.ts";

const program = await workerProgram(join(import.meta.dirname, "worker.ts"));
const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

const plain = (value: unknown): unknown => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));

const names = ["s", "__proto__", "🙂 é", "x".repeat(300), `${"x".repeat(299)}y`, "a/b|c%", "..", "\u0000"];
const ids = ["1", "2", "3", "__proto__", "é".repeat(300)];
const value = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom("🙂"[0]!, -1, { $type: "date" }));
const list = fc.array(value, { maxLength: 4 });
const steps = fc.shuffledSubarray(names, { minLength: 2, maxLength: 2 }).chain((few) =>
  fc.array(
    fc.record({
      act: fc.constantFrom("save", "save", "save", "skip", "get", "leaf"),
      // A snapshot stays in its session.
      id: fc.constantFrom(...ids),
      isNew: fc.boolean(),
      process: fc.constantFrom(0, 0, 1),
      parentId: fc.option(fc.constantFrom(...ids), { nil: undefined }),
      createdAt: fc.integer({ min: 0, max: 9 }).map((second) => new Date(second * 1000).toISOString()),
      status: fc.constantFrom("pending", "completed", "aborted", "failed"),
      session: fc.constantFrom(...few),
      state: fc.option(
        fc.record({ messages: list, custom: value, artifacts: list, ["__proto__x"]: value }, { requiredKeys: [] }),
        { nil: undefined },
      ),
    }),
    { maxLength: 20 },
  ),
);

test("any calls leave the snapshots and latest snapshots of genkit's store in memory", async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.boolean(), async (all, rejectBranchingSessions) => {
      await using place = inMemory();
      const processes = [place.sessions, place.another()];
      const stores: readonly SessionStore[] = processes.map((one) => genkitStore(one, { rejectBranchingSessions }));
      const model = new InMemorySessionStore({ rejectBranchingSessions });
      const outcome = async (call: Promise<unknown>): Promise<unknown> =>
        await call.then(plain, (error: unknown) => (error as { readonly status?: unknown }).status);
      for (const { act, id, isNew, process, session, state, ...fields } of all) {
        const store = stores[process] ?? assert.fail("no process");
        const snapshotId = `${session}-${id}`;
        const parentId = fields.parentId && `${session}-${fields.parentId}`;
        const input = { ...fields, parentId, sessionId: session, state } as Partial<SessionSnapshot> as SessionSnapshot;
        const seen: unknown[] = [];
        const mutator = (current: SessionSnapshot | undefined): SessionSnapshot | null => {
          seen.push(plain(current));
          return act === "skip" ? null : { ...input, ...(isNew ? { snapshotId } : {}) };
        };
        if (act === "save" || act === "skip") {
          const given = isNew ? undefined : snapshotId;
          const saved = [await store.saveSnapshot(given, mutator), await model.saveSnapshot(given, mutator)];
          assert.equal(saved[0], saved[1]);
          assert.deepEqual(seen[0], seen[1]);
        }
        for (const lookup of act === "leaf" ? [{ sessionId: session }] : [{ snapshotId }])
          assert.deepEqual(await outcome(store.getSnapshot(lookup)), await outcome(model.getSnapshot(lookup)));
      }
    }),
    { numRuns: rounds(400) },
  );
});

test("a save reads none of the items that its process has saved, and stores what the program has changed in place", async () => {
  await using place = inMemory();
  let reads = 0;
  const counted = storeBefore(place.shared, (method, args) => {
    if (method === "read" && JSON.stringify(args).includes(`"log":"genkit-items"`)) reads++;
    return callStore(place.shared, method, args);
  });
  await using sessions = await openSessions({ store: counted, sweep: false });
  const [store, other] = [genkitStore(sessions), genkitStore(place.another())];
  const text = (step: number): string => `message ${step}`;
  const messages = [{ role: "user" as const, content: [{ text: text(0) }] }];
  const save = async (at: GenkitStore, step: number): Promise<void> => {
    messages.push({ role: "user", content: [{ text: text(step) }] });
    const parentId = step === 1 ? {} : { parentId: `s-${step - 1}` };
    const fields = { sessionId: "s", createdAt: snapshotAt("s", step).createdAt, status: "completed" as const };
    await at.saveSnapshot(`s-${step}`, () => ({ ...fields, ...parentId, state: { messages: [...messages] } }));
    const saved = await genkitStore(place.another()).getSnapshot({ snapshotId: `s-${step}` });
    assert.deepEqual(saved?.state?.messages, messages, `step ${step}`);
  };
  for (const step of [1, 2, 3]) await save(store, step);
  messages[1]!.content[0]!.text = "changed";
  await save(store, 4);
  assert.equal(reads, 0);
  // The other process has stored the same message under other numbers, and this one goes on from them.
  messages[2]!.content[0]!.text = "changed by another process";
  await save(other, 5);
  await save(store, 6);
  assert.ok(reads > 0);
  const after = reads;
  await save(store, 7);
  assert.equal(reads, after);
  assert.equal((await sessions.get("genkit/s")).info.logs["genkit-items"]?.end, messages.length + 2);
  // A session of the same id has none of the items.
  await (await sessions.get("genkit/s")).remove();
  await save(store, 8);
});

/** An agent whose answer tells how many questions it has seen. */
function agentOn(store: SessionStore<{ turns: number }>) {
  const ai = genkit({});
  const model = mockModel(ai, {
    respond: ({ messages }) => `question ${messages.filter(({ role }) => role === "user").length}`,
  });
  return ai.defineCustomAgent<{ turns: number }>({ name: "support", store }, async (runner) => {
    await runner.run(async () => {
      const { messages } = await ai.generate({ model, messages: runner.session.getMessages() });
      runner.session.setMessages(messages);
      runner.session.updateCustom((custom) => ({ turns: (custom?.turns ?? 0) + 1 }));
    });
    const message = runner.session.getMessages().at(-1);
    return message === undefined ? {} : { message };
  });
}

for (const name of enginesOfRun("SQLite")) {
  test(`a chat in one process goes on in another, by its session and by a snapshot: ${name}`, async () => {
    const url = await (await engines.get(name)).fresh();
    await using one = await openSessions({ store: url, sweep: false });
    await using two = await openSessions({ store: url, sweep: false });
    const sessionId = "8f14e45f-ceea-467f-a8f6-0a1b2c3d4e5f";
    const first = agentOn(genkitStore(one));
    const answer = await first.chat({ sessionId }).send("Where is my parcel?");
    assert.equal(answer.text, "question 1");
    const second = agentOn(genkitStore(two));
    assert.equal((await second.chat({ sessionId }).send("And now?")).text, "question 2");
    // A branch of the first answer.
    const { snapshotId } = answer;
    assert(snapshotId !== undefined);
    assert.equal((await first.chat({ snapshotId }).send("Try again")).text, "question 2");
    const latest = await genkitStore<{ turns: number }>(two).getSnapshot({ sessionId });
    assert.deepEqual([latest?.state?.custom, latest?.state?.messages?.length], [{ turns: 2 }, 4]);
    assert.equal(latest?.parentId, snapshotId);
    const strict = genkitStore(two, { rejectBranchingSessions: true });
    await assert.rejects(strict.getSnapshot({ sessionId }), { status: "FAILED_PRECONDITION" });
    await assertSound(one);
  });

  test(`a status that another process changes is told, and never overwritten: ${name}`, async () => {
    const url = await (await engines.get(name)).fresh();
    await using one = await openSessions({ store: url, sweep: false });
    await using two = await openSessions({ store: url, sweep: false });
    const [worker, other] = [genkitStore(one), genkitStore(two)];
    const told: unknown[] = [];
    const aborted = Promise.withResolvers<void>();
    const end = worker.onSnapshotStateChange("snap", ({ status }) => {
      told.push(status);
      if (status === "aborted") aborted.resolve();
    });
    const snapshot = { ...snapshotAt("s", 1), state: { custom: 0 }, status: "pending" as const };
    await worker.saveSnapshot("snap", () => snapshot);
    // Of many changes at once, each sees the one before it.
    const counts = Array.from({ length: 10 }, (_, index) => (index % 2 === 0 ? worker : other));
    await Promise.all(
      counts.map((store) =>
        store.saveSnapshot("snap", (current) => ({
          ...snapshot,
          state: { custom: Number(current?.state?.custom ?? 0) + 1 },
        })),
      ),
    );
    assert.equal((await other.getSnapshot({ snapshotId: "snap" }))?.state?.custom, 10);
    await other.saveSnapshot("snap", (current) => ({ ...(current ?? snapshot), status: "aborted" }));
    // A watch keeps no process alive.
    const alive = setInterval(() => undefined, 1000);
    await aborted.promise;
    clearInterval(alive);
    end();
    const late = await worker.saveSnapshot("snap", (current) => (current?.status === "aborted" ? null : snapshot));
    assert.equal(late, null);
    assert.equal(told.at(-1), "aborted");
    assert.equal((await other.getSnapshot({ sessionId: "s" }))?.status, "aborted");
  });

  test(`a process that is killed before any of its commits leaves whole snapshots with their turns: ${name}`, async (context) => {
    const url = await (await engines.get(name)).fresh();
    await using sessions = await openSessions({ store: url, sweep: false });
    const store = genkitStore(sessions);
    const snapshotsMax = rounds(4, 2);
    const { first, step } = placesOf(context, name, 1);
    // The session takes a commit, and each snapshot one.
    for (let commits = first; commits <= snapshotsMax + 1; commits += step) {
      const sessionId = `killed-${commits}`;
      const args = [program, url, sessionId, String(snapshotsMax), String(commits)];
      const child = endsWithTest(spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] }));
      let said = "";
      child.stdout.setEncoding("utf8").on("data", (chunk: string) => (said += chunk));
      await once(child, "close");
      const acknowledged = said.split("saved").length - 1;
      const latest = await store.getSnapshot({ sessionId });
      const expected = acknowledged === 0 ? undefined : snapshotAt(sessionId, acknowledged);
      assert.deepEqual(latest, expected && { ...expected, snapshotId: `${sessionId}-${acknowledged}` });
      const turns = await Array.fromAsync((await sessions.ensure(`genkit/${sessionId}`)).turns());
      assert.deepEqual(
        turns.flatMap(({ input, output }) => [...input, ...output].map(({ content }) => content)),
        (expected?.state?.messages ?? []).map(({ content: [part] }) => part.text),
      );
      const next = snapshotAt(sessionId, acknowledged + 1);
      await store.saveSnapshot(`${sessionId}-next`, () => next);
      assert.deepEqual(await store.getSnapshot({ sessionId }), { ...next, snapshotId: `${sessionId}-next` });
    }
    await assertSound(sessions);
  });

  test(`snapshots of a growing conversation store what is new, once: ${name}`, async () => {
    await using sessions = await openSessions({ store: await (await engines.get(name)).fresh(), sweep: false });
    const store = genkitStore(sessions);
    const turns = rounds(60, 12);
    for (let step = 1; step <= turns; step++) await store.saveSnapshot(`s-${step}`, () => snapshotAt("s", step));
    const { info } = await sessions.get("genkit/s");
    // Two messages and a custom state a turn, and one artifact.
    assert.equal(info.logs["genkit-items"]?.end, 3 * turns + 1);
    const latest = await store.getSnapshot({ sessionId: "s" });
    assert.deepEqual(latest, { ...snapshotAt("s", turns), snapshotId: `s-${turns}` });
    const middle = await store.getSnapshot({ snapshotId: "s-7" });
    assert.deepEqual(middle, { ...snapshotAt("s", 7), snapshotId: "s-7" });
  });

  test(`an archived, a copied and an erased session, and one of another user: ${name}`, async () => {
    const url = await (await engines.get(name)).fresh();
    await using sessions = await openSessions({ store: url, sweep: false, secret: "a secret of the tests" });
    const store = genkitStore(sessions, { user: (context) => context?.["auth"] as string | undefined });
    const [ada, bob] = [{ context: { auth: "ada" } }, { context: { auth: "bob" } }];
    await store.saveSnapshot("snap", () => snapshotAt("s", 1), ada);
    const snapshot = { ...snapshotAt("s", 1), snapshotId: "snap" };
    assert.deepEqual(await store.getSnapshot({ snapshotId: "snap", ...ada }), snapshot);
    assert.equal(await store.getSnapshot({ snapshotId: "snap", ...bob }), undefined);
    assert.equal(await store.getSnapshot({ sessionId: "s", ...bob }), undefined);
    for (const [id, session] of [
      ["snap", "s"],
      ["another", "s"],
      ["snap", "t"],
    ] as const)
      await assert.rejects(
        store.saveSnapshot(id, () => snapshotAt(session, 2), bob),
        { code: "session_not_found" },
      );
    await assert.rejects(
      store.saveSnapshot("snap", () => snapshotAt("t", 2), ada),
      { code: "argument_invalid" },
    );

    const session = await sessions.get("genkit/s");
    const others = sessions.for("another tenant");
    await others.restore(await sessions.snapshot(session.id));
    assert.deepEqual(await genkitStore(others).getSnapshot({ sessionId: "s" }), snapshot);
    await session.end();
    await assert.rejects(
      store.saveSnapshot("late", () => snapshotAt("s", 2), ada),
      { code: "session_ended" },
    );
    await session.archive();
    assert.deepEqual(await store.getSnapshot({ snapshotId: "snap", ...ada }), snapshot);
    await erase(sessions, { user: "ada" });
    assert.equal(await store.getSnapshot({ snapshotId: "snap" }), undefined);
    assert.equal(await store.getSnapshot({ sessionId: "s" }), undefined);
    assert.equal(await sessions.documents("genkit").count(), 0);
    // The id is free again.
    await store.saveSnapshot("snap", () => snapshotAt("t", 1), bob);
    assert.equal((await store.getSnapshot({ snapshotId: "snap" }))?.sessionId, "t");
  });
}

test("a session that was removed leaves its snapshots free, and one whose time to live has passed is revived", async () => {
  await using place = inMemory();
  const store = genkitStore(place.sessions, { ttl: "1h" });
  await store.saveSnapshot("a", () => snapshotAt("s", 1));
  await place.clock.advance(7_200_000);
  assert.equal((await store.getSnapshot({ sessionId: "s" }))?.snapshotId, "a");
  await store.saveSnapshot("b", () => ({ ...snapshotAt("s", 2), parentId: "a" }));
  assert.equal((await store.getSnapshot({ sessionId: "s" }))?.snapshotId, "b");
  await (await place.sessions.get("genkit/s")).remove();
  assert.equal(await store.getSnapshot({ snapshotId: "a" }), undefined);
  await store.saveSnapshot("a", () => snapshotAt("s", 1));
  assert.equal((await store.getSnapshot({ sessionId: "s" }))?.snapshotId, "a");
  // A snapshot without a session has one of its own.
  const { sessionId: _, state: __, ...alone } = snapshotAt("s", 1);
  const id = await store.saveSnapshot(undefined, () => alone);
  assert.deepEqual(await store.getSnapshot({ snapshotId: String(id) }), { ...alone, snapshotId: id });
});

test("a value that a snapshot cannot keep is refused by its path, and nothing of it is stored", async () => {
  await using place = inMemory();
  const store = genkitStore(place.sessions);
  class Parcel {
    readonly number = 7;
  }
  const refused = async (custom: unknown, message: RegExp): Promise<void> => {
    await assert.rejects(
      store.saveSnapshot("snap", () => ({ ...snapshotAt("s", 1), state: { custom } })),
      (error: Error) => {
        assert.match(error.message, message);
        return true;
      },
    );
  };
  await refused({ run: () => 1 }, /run/);
  await refused(new Parcel(), /Parcel/);
  await refused("x".repeat(8 * 1024 * 1024 + 1), /genkit-items/);
  assert.equal(await store.getSnapshot({ snapshotId: "snap" }), undefined);
  await assert.rejects(store.getSnapshot({}), { code: "argument_invalid" });
  await assert.rejects(store.getSnapshot({ snapshotId: "a", sessionId: "b" }), { code: "argument_invalid" });
  assert.throws(() => genkitStore(place.sessions, { users: "ada" } as object), { code: "argument_invalid" });
  assert.throws(() => genkitStore(place.sessions, { user: "ada" } as object), { code: "argument_invalid" });
  assert.throws(() => genkitStore(place.sessions, { ttl: "soon" as "1h" }), { code: "duration_invalid" });
});
