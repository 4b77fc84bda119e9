/** Leases and busy policies inside one process, by the scripted clock; across processes they are tested in test/contention. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { identityOf } from "../../domain/record/change.ts";
import { inMemory } from "../../../test/support/in-memory.ts";
import type { Model } from "../options/model.ts";
import type { BusyPolicy } from "../options/options.ts";

/** Says "so " and, each time it is let, "far" to the question that waits longest. */
function heldModel(): { model: Model; asked: string[]; release: () => void } {
  const gates = new Set<() => void>();
  const asked: string[] = [];
  let permits = 0;
  const model: Model = async function* held({ messages, signal }) {
    asked.push(String(messages.at(-1)?.content));
    yield { type: "text", text: "so " };
    await new Promise<void>((resolve, reject) => {
      gates.add(resolve);
      signal.addEventListener("abort", () => {
        gates.delete(resolve);
        reject(new Error("stopped"));
      });
      pass();
    });
    yield { type: "text", text: "far" };
  };
  const pass = (): void => {
    const [first] = gates;
    if (permits === 0 || first === undefined) return;
    permits--;
    gates.delete(first);
    first();
  };
  const release = (): void => {
    permits++;
    pass();
  };
  return { model, asked, release };
}

test("a lease keeps other writers out until it is released, and each fence is greater than the one before", async () => {
  await using place = inMemory();
  const mine = await place.sessions.create({ id: "s" });
  const theirs = await place.another().get("s");
  const first = await mine.lease();
  await assert.rejects(theirs.append({ input: "x" }), { code: "busy" });
  await assert.rejects(theirs.lease(), { code: "busy" });
  await assert.rejects(theirs.begin("x"), { code: "busy" });
  await assert.rejects(theirs.end(), { code: "busy" });
  await mine.append({ input: "mine" });
  await first.release();
  await first.release();
  await theirs.refresh();
  await using second = await theirs.lease();
  assert(second.fence > first.fence);
  await assert.rejects(mine.append({ input: "x" }), { code: "busy" });
});

test("a lease with a time to live expires, and its late holder is fenced", async () => {
  await using place = inMemory();
  const mine = await place.sessions.create({ id: "s" });
  const theirs = await place.another().get("s");
  const first = await mine.lease({ ttl: "2s" });
  await first.renew("5s");
  await place.clock.advance(4999);
  await theirs.refresh();
  await assert.rejects(theirs.lease(), { code: "busy" });
  await mine.append({ input: "in time" });
  await place.clock.advance(1);
  await theirs.refresh();
  await theirs.append({ input: "taken over" });
  await assert.rejects(mine.append({ input: "late" }), { code: "fenced" });
  await assert.rejects(first.renew("5s"), { code: "fenced" });
  await first.release();
  await assert.rejects(mine.append({ input: "unseen" }), { code: "conflict" }, "without its lease it is as any other");
});

test("a holder with a stale heartbeat loses its lease, its open turn is sealed and its writes are fenced", async () => {
  await using place = inMemory({ staleAfter: "10s" });
  const dying = await place.another({ staleAfter: "10s" }).create({ id: "s" });
  const turn = await dying.begin("question");
  await turn.write({
    message: { role: "assistant", tool_calls: [{ id: "c", function: { name: "f", arguments: "{}" } }] },
  });
  await new Promise((resolve) => setTimeout(resolve, 300)); // the pieces reach the log
  await place.clock.advance(10_000);
  const session = await place.sessions.get("s");
  await assert.rejects(session.append({ input: "next" }), { code: "busy" }, "fresh for exactly so long");
  await place.clock.advance(1);
  await session.append({ input: "next" });
  const [sealed] = await Array.fromAsync(session.turns());
  assert.equal(sealed?.status, "interrupted");
  assert.deepEqual(
    sealed?.output.map(({ role, synthetic }) => [role, synthetic]),
    [
      ["assistant", undefined],
      ["tool", true],
    ],
  );
  await assert.rejects(turn.seal(), { code: "fenced" });
});

test("leaseHolder names the lease holder and whether it is alive, and breakLease ends the lease", async () => {
  await using place = inMemory({ staleAfter: "10s" });
  const mine = await place.sessions.create({ id: "s" });
  const theirs = await place.another().get("s");
  assert.equal(await theirs.leaseHolder(), null);
  assert.equal(await theirs.breakLease(), false);
  const lease = await mine.lease();
  await place.clock.advance(3000);
  const holder = await theirs.leaseHolder();
  assert.equal(holder?.pid, process.pid);
  assert.equal(holder?.fence, lease.fence);
  assert.equal(holder?.heldMs, 3000);
  assert.equal(holder?.alive, true);
  await place.clock.advance(8000);
  assert.equal((await theirs.leaseHolder())?.alive, false);
  assert.equal(await theirs.breakLease(), true);
  assert.equal(await theirs.leaseHolder(), null);
  await assert.rejects(mine.append({ input: "x" }), { code: "fenced" });
});

test("exclusive on a free session loads nothing", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  place.loadsFail = true;
  const turn = await session.exclusive((inside) => inside.append({ input: "mine" }));
  assert.equal(turn.seq, 1);
  await session.append({ input: "next" });
});

test("exclusive runs as the only writer on the newest state, and releases the lease also if the work fails", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await (await place.another().get("s")).append({ input: "theirs" });
  const seq = await session.exclusive(async (inside) => {
    await assert.rejects(session.append({ input: "beside it" }), { code: "busy" });
    await assert.rejects((await place.sessions.get("s")).append({ input: "beside it" }), { code: "busy" });
    return (await inside.append({ input: "inside" })).seq;
  });
  assert.equal(seq, 2);
  assert.equal((await session.append({ input: "after" })).seq, 3, "what was seen inside is seen outside");
  await assert.rejects(
    session.exclusive(() => Promise.reject(new Error("work failed"))),
    /work failed/,
  );
  assert.equal(await session.leaseHolder(), null);
});

test("reject is the default, and a running answer makes the session busy", async () => {
  const { model, release } = heldModel();
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  const answer = await session.consult("one");
  await assert.rejects(session.consult("two"), { code: "busy" });
  release();
  assert.equal(await answer.text(), "so far");
  assert.equal(session.info.turn, 1);
});

test("queue: questions of one process are answered one after the other, in their order", async () => {
  const { model, asked, release } = heldModel();
  await using place = inMemory({ model, busy: "queue" });
  const session = await place.sessions.create({ id: "s" });
  const answers = [await session.consult("q0")];
  const waiting = Promise.all(
    ["q1", "q2", "q3"].map(async (question, index) => {
      for (let times = 0; times < index; times++) await place.clock.advance(1);
      return await (await place.sessions.get("s")).consult(question);
    }),
  );
  for (let times = 0; times < 4; times++) {
    release();
    for (let polls = 0; polls < 4; polls++) await place.clock.advance(150);
  }
  answers.push(...(await waiting));
  for (const answer of answers) assert.equal(await answer.text(), "so far");
  assert.deepEqual(asked, ["q0", "q1", "q2", "q3"]);
  await session.refresh();
  assert.equal(session.info.waiting, 0);
});

test("queue: the number of waiters is limited, and a waiter that times out leaves no place behind", async () => {
  const { model, release } = heldModel();
  await using place = inMemory({ model, busy: "queue", wait: "10s", limits: { waitersMax: 2 } });
  const session = await place.sessions.create({ id: "s" });
  const running = await session.consult("q0");
  const waiting = [session.consult("q1"), session.consult("q2")];
  await place.clock.advance(50);
  await assert.rejects(session.consult("q3"), {
    code: "queue_full",
    details: {
      sessionId: "s",
      tenant: "default",
      agent: "assistant",
      command: "consult",
      waiting: 2,
      waitingMax: 2,
    },
  });
  const gaveUp = Promise.allSettled(waiting);
  await place.clock.advance(11_000);
  for (const one of await gaveUp) {
    assert.equal(one.status === "rejected" && (one.reason as { code: string }).code, "busy");
  }
  await session.refresh();
  assert.equal(session.info.waiting, 0);
  release();
  assert.equal(await running.text(), "so far");
});

test("queue: a wait that is aborted ends at once and leaves no place behind", async () => {
  const { model, release } = heldModel();
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  const running = await session.consult("q0");
  const stop = new AbortController();
  const waiting = session.consult("q1", { busy: "queue", signal: stop.signal });
  await place.clock.advance(50);
  stop.abort(new Error("not any more"));
  await assert.rejects(waiting, { code: "aborted", cause: new Error("not any more") });
  await session.refresh();
  assert.equal(session.info.waiting, 0);
  release();
  await running.done;
});

test("queue: the place of a dead waiter expires, and delays the others only until then", async () => {
  const { model, release } = heldModel();
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  const running = await session.consult("q0");
  // As a process leaves it that was killed while it waited.
  const { record } = (await place.store.load([{ key: { tenant: "default", id: "s" }, tails: [] }])).sessions[0] ?? {};
  assert(record !== undefined);
  const waiters = [{ ticket: "dead", instance: "gone", until: place.clock.now() + 5000 }];
  await place.store.commit([
    [
      {
        key: record,
        expected: identityOf(record),
        record: { ...record, version: record.version + 1, waiters },
        splices: [],
        claims: [],
      },
    ],
  ]);
  release();
  await running.done;
  await assert.rejects(session.consult("q1"), { code: "busy" });
  await place.clock.advance(5001);
  const next = await session.consult("q1");
  release();
  assert.equal(await next.text(), "so far");
});

test("a keyed retry that waited and found its turn answered leaves no place behind", async () => {
  const { model, release } = heldModel();
  await using place = inMemory({ model, busy: "queue" });
  const session = await place.sessions.create({ id: "s" });
  const first = await session.consult("q", { key: "k" });
  const retry = (await place.sessions.get("s")).consult("q", { key: "k" });
  await place.clock.advance(50);
  release();
  await first.done;
  await place.clock.advance(300);
  assert.equal(await (await retry).text(), "so far");
  await session.refresh();
  assert.equal(session.info.waiting, 0);
  assert.equal(session.info.turn, 1);
  const next = await session.consult("next");
  release();
  await next.done;
});

test("interrupt: the running answer is sealed with the received output, then the new one runs", async () => {
  const { model, release } = heldModel();
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  const running = await session.consult("one");
  const ended = assert.rejects(running.done, { code: "interrupted" });
  const next = place
    .another({ model, busy: "interrupt" })
    .get("s")
    .then((other) => other.consult("two"));
  // The running answer looks every second of the machine's own time.
  while (session.info.turn < 2) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    await place.clock.advance(200);
    await session.refresh();
  }
  await ended;
  release();
  assert.equal(await (await next).text(), "so far");
  const turns = await Array.fromAsync(session.turns());
  assert.deepEqual(
    turns.map(({ status, output }) => [status, output[0]?.content]),
    [
      ["interrupted", "so "],
      ["done", "so far"],
    ],
  );
});

test("take-over supersedes the holder and goes ahead of the waiters", async () => {
  const { model, release } = heldModel();
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  const running = await session.consult("one");
  const waiting = (await place.sessions.get("s")).consult("two", { busy: "queue" });
  await place.clock.advance(50);
  const taken = await (await place.another({ model }).get("s")).consult("three", { busy: "take-over" });
  assert.equal(taken.seq, 2);
  release(); // the superseded one, which does not know it yet
  release();
  assert.equal(await taken.text(), "so far");
  await assert.rejects(running.done, { code: "fenced" });
  await place.clock.advance(500);
  const waited = await waiting;
  release();
  assert.equal(await waited.text(), "so far");
  assert.equal(waited.seq, 3);
});

test("an unknown busy policy is refused", async () => {
  const { model } = heldModel();
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  const busy = "wait" as BusyPolicy;
  await assert.rejects(session.consult("one", { busy }), { code: "argument_invalid" });
  await assert.rejects(
    session.exclusive(async () => undefined, { busy }),
    { code: "argument_invalid" },
  );
  assert.equal(session.info.turn, 0);
});

test("cancel returns true once for a running answer, and false without one", async () => {
  const { model } = heldModel();
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  assert.equal(await session.cancel(), false);
  const running = await session.consult("one");
  const ended = assert.rejects(running.done, { code: "interrupted" });
  assert.equal(await (await place.another().get("s")).cancel(), true);
  await ended;
  assert.equal(await session.cancel(), false);
});
