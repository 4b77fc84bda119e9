import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { inMemory, type InMemory } from "../../../../test/support/in-memory.ts";
import { doctor, sweep } from "../../../admin.ts";
import { identityOf } from "../../../domain/record/change.ts";
import { countAll } from "../../../domain/turns/counters.ts";
import type { Turn } from "../../../domain/turns/turn.ts";
import { SessionError, type ErrorCode } from "../../../errors.ts";
import { renderings } from "../../../files/renderings.ts";
import { openSessions } from "../../../open.ts";
import type { Model } from "../../options/model.ts";
import type { ListQuery } from "../../session/session-list.ts";
import type { Session } from "../../session/session.ts";
import type { WaitingTurn } from "./waiting-turn.ts";
import type { SessionNews } from "../watch.ts";

const state = { run: "opaque", at: new Date(0) };

/** A session with one finished turn and a second one that waits. */
async function waitingPlace(
  options: { readonly expires?: string; readonly ttl?: string } = {},
): Promise<{ place: InMemory; session: Session; waiting: WaitingTurn }> {
  const { expires, ttl } = options;
  const place = inMemory();
  const session = await place.sessions.create({ id: "s", ...(ttl === undefined ? {} : { ttl }) });
  await session.append({ input: "hello", output: "hi" });
  const turn = await session.begin("may I?", { key: "k" });
  await turn.write({ text: "Let me " });
  await turn.write({ text: "ask." });
  await place.clock.advance(1000);
  const waiting = await turn.wait({ state, reason: "approval", ...(expires === undefined ? {} : { expires }) });
  return { place, session, waiting };
}

function refused(code: ErrorCode): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof SessionError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  };
}

async function lastTurn(session: Session): Promise<Turn> {
  const [turn] = await Array.fromAsync(session.turns({ last: 1 }));
  assert.ok(turn);
  return turn;
}

test("a turn that waits keeps its output and its question, has no lease, and another process resumes and seals it", async () => {
  const { place, session, waiting } = await waitingPlace({ expires: "2h" });
  await using _ = place;
  const output = [{ role: "assistant", content: "Let me ask." }];
  assert.deepEqual(
    { turn: waiting.turn, state: waiting.state, reason: waiting.reason, output: waiting.output, calls: waiting.calls },
    { turn: 2, state, reason: "approval", output, calls: [] },
  );
  assert.equal(waiting.expiresAt?.getTime(), waiting.since.getTime() + 7_200_000);
  assert.equal(await session.leaseHolder(), null);

  const other = await place.another().get("s");
  assert.deepEqual(await other.waiting(), waiting);
  const stored = await lastTurn(other);
  assert.equal(stored.status, "waiting");
  assert.deepEqual(stored.output, output);
  assert.equal("resume" in stored, false, "readers of turns do not get the state");
  assert.equal(JSON.stringify(stored).includes("opaque"), false);
  assert.deepEqual(other.info.counters, countAll(await Array.fromAsync(other.turns())));

  await place.clock.advance(60_000);
  const resumed = await other.resume(waiting.token);
  assert.equal(resumed.seq, 2);
  assert.deepEqual(resumed.output, output);
  assert.equal((await lastTurn(session)).status, "open");
  assert.equal(await other.waiting(), null);
  await place.clock.advance(500);
  await resumed.write({ text: " Done." });
  const sealed = await resumed.seal();
  assert.deepEqual(sealed.output, [{ role: "assistant", content: "Let me ask. Done." }]);
  assert.equal(sealed.waitedMs, 60_000);
  assert.equal(sealed.durationMs, 1500, "the wait is no part of the duration");
  assert.equal(sealed.key, "k");
  assert.equal(await other.leaseHolder(), null);
  const turns = await Array.fromAsync(other.turns());
  assert.deepEqual(turns.at(-1), sealed);
  assert.deepEqual(other.info.counters, countAll(turns));
  await other.append({ input: "next", output: "yes" });
});

test("a token resumes once, and the token of another session or turn resumes nothing", async () => {
  const { place, waiting } = await waitingPlace();
  await using _ = place;
  const foreign = await place.sessions.create({ id: "foreign" });
  await assert.rejects(foreign.resume(waiting.token), refused("turn_not_waiting"));
  const others = await Promise.all([1, 2, 3].map(() => place.another().get("s")));
  await assert.rejects(others[0]!.resume("no such token"), refused("turn_not_waiting"));
  const { version } = (await place.shared.load([{ key: { tenant: "default", id: "s" }, tails: [] }])).sessions[0]!
    .record;
  await assert.rejects(others[0]!.resume(""), refused("id_invalid"));
  const tries = await Promise.allSettled(others.map((session) => session.resume(waiting.token)));
  const won = tries.filter(({ status }) => status === "fulfilled");
  assert.equal(won.length, 1, "exactly one");
  for (const one of tries) if (one.status === "rejected") refused("turn_not_waiting")(one.reason);
  const after = (await place.shared.load([{ key: { tenant: "default", id: "s" }, tails: [] }])).sessions[0]!.record;
  assert.equal(after.version, version + 1, "only the winner has written");
  assert.ok(won[0]?.status === "fulfilled");
  const again = await won[0].value.wait({ state: null, reason: "another approval" });
  assert.notEqual(again.token, waiting.token);
  await assert.rejects(others[0]!.resume(waiting.token), refused("turn_not_waiting"));
  await (await others[0]!.resume(again.token)).seal();
});

test("usage before and after a wait adds up, and counts once", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("q");
  const usage = { inputTokens: 10, outputTokens: 2 };
  const first = await turn.wait({ state: 1, reason: "approval", usage, requests: 2 });
  const resumed = await session.resume(first.token);
  const second = await resumed.wait({ state: 2, reason: "approval", usage });
  const sealed = await (await session.resume(second.token)).seal({ usage, requests: 3 });
  assert.deepEqual(sealed.usage, { inputTokens: 30, outputTokens: 6, totalTokens: 36 });
  assert.equal(sealed.requests, 6);
  assert.equal((await session.refresh()).counters.totalTokens, 36);
});

test("a turn that waits is sealed by its token in one commit, once, and the queue of its session goes on", async () => {
  const { place, session, waiting } = await waitingPlace();
  await using _ = place;
  const other = await place.another().get("s");
  await assert.rejects(session.sealWaiting("other"), refused("turn_not_waiting"));
  await assert.rejects(session.sealWaiting(waiting.token, { until: "1h" } as object), refused("argument_invalid"));
  const queued = other.exclusive(() => Promise.resolve("next"), { busy: "queue" });
  await place.clock.advance(500);
  const tries = await Promise.allSettled(
    [session, other].map((one) => one.sealWaiting(waiting.token, { requests: 2 })),
  );
  const won = tries.filter((one) => one.status === "fulfilled").map(({ value }) => value);
  assert.equal(won.length, 1, "exactly one");
  for (const one of tries) if (one.status === "rejected") refused("turn_not_waiting")(one.reason);
  const turn = await lastTurn(session);
  assert.deepEqual(won, [turn]);
  assert.deepEqual([turn.status, turn.requests, turn.waitedMs], ["done", 3, 500]);
  assert.deepEqual(turn.output, [{ role: "assistant", content: "Let me ask." }]);
  assert.equal(await queued, "next");
  const events = await Array.fromAsync(session.events({ last: 1 }));
  assert.deepEqual(
    events.map(({ type }) => type),
    ["turn_resumed"],
  );
  const { counters, waitingTurn } = await session.refresh();
  assert.deepEqual([counters.turns, counters.messages, waitingTurn], [2, 4, null]);
  assert.equal((await doctor(place.sessions)).findings, 0);
});

test("a seal of a turn that waits counts no request unless it names it, and a second one is told that the turn may be sealed", async () => {
  for (const [seal, requests] of [
    [undefined, 1],
    [{ usage: { inputTokens: 1, outputTokens: 1 } }, 1],
    [{ requests: 2 }, 3],
  ] as const) {
    const { place, session, waiting } = await waitingPlace();
    await using _ = place;
    const sealed = await session.sealWaiting(waiting.token, seal);
    assert.equal(sealed.requests, requests);
    await assert.rejects(session.sealWaiting(waiting.token), {
      code: "turn_not_waiting",
      message: /was resumed, sealed/,
    });
  }
});

test("what a writer may not do while a turn waits is refused with turn_waiting, and writes nothing", async () => {
  const { place, session, waiting } = await waitingPlace();
  await using _ = place;
  const model = async function* (): AsyncGenerator<never> {};
  await session.refresh();
  const writes: Readonly<Record<string, () => Promise<unknown>>> = {
    append: () => session.append({ input: "q", output: "a" }),
    begin: () => session.begin("q"),
    consult: () => session.consult("q", { model, busy: "reject" }),
    "consult in the queue": () => session.consult("q", { model, busy: "queue" }),
    "consult in place of turns": () => session.consult("q", { model, after: 1 }),
    "write of turns": () => session.write({ turns: { turns: [{ input: "q", output: "a" }] } }),
    truncate: () => session.truncate(0),
    archive: () => session.archive(),
    "fork at it": () => session.fork({ at: 2 }),
  };
  for (const [name, write] of Object.entries(writes)) {
    await assert.rejects(write(), (error) => {
      assert.ok(error instanceof SessionError, `${name}: ${String(error)}`);
      assert.equal(error.code, "turn_waiting", `${name}: ${error.message}`);
      assert.match(error.message, /resume it with the token.*interrupt/);
      return true;
    });
  }
  const fork = await session.fork();
  assert.deepEqual(
    (await Array.fromAsync(fork.turns())).map(({ seq }) => seq),
    [1],
    "a fork has the finished turns",
  );
  await session.update({ metadata: { free: true } });
  await session.touch();
  await session.write({ logs: { notes: { entries: [{ value: 1 }] } } });
  assert.deepEqual(await session.waiting(), waiting, "other writes leave it waiting");
});

test("the busy policy interrupt seals the turn that waits and asks its question, so does take-over, and a retry of its own question does not", async () => {
  for (const busy of ["interrupt", "take-over"] as const) {
    const { place, session, waiting } = await waitingPlace();
    await using _ = place;
    const model = async function* (): AsyncGenerator<{ type: "text"; text: string }> {
      yield { type: "text", text: "new" };
    };
    const retried = await session.consult("may I?", { model, key: "k", busy });
    assert.equal((await retried.done).status, "waiting", "the retry gets the turn as it is");
    assert.deepEqual(await session.waiting(), waiting);
    const answer = await session.consult("another", { model, busy });
    assert.equal((await answer.done).seq, 3);
    const [, second] = await Array.fromAsync(session.turns());
    assert.equal(second?.status, "interrupted");
    assert.deepEqual(second.output, [{ role: "assistant", content: "Let me ask." }]);
    await assert.rejects(session.resume(waiting.token), refused("turn_not_waiting"));
  }
});

test("cancel seals a turn that waits, in any process, and the end of its session does", async () => {
  const { place, session, waiting } = await waitingPlace();
  await using _ = place;
  const other = await place.another().get("s");
  assert.equal(await other.cancel({ key: "unknown" }), false);
  assert.equal(await other.cancel({ key: "k" }), true);
  const cancelled = await lastTurn(other);
  assert.deepEqual([cancelled.status, cancelled.error?.message], ["interrupted", "it was cancelled"]);
  assert.equal(await other.cancel(), false);
  await assert.rejects(session.resume(waiting.token), refused("turn_not_waiting"));

  const ends = await waitingPlace();
  await using _ends = ends.place;
  await ends.session.end();
  const ended = await lastTurn(ends.session);
  assert.deepEqual([ended.status, ended.error?.message], ["interrupted", "the session ended"]);
  assert.equal(ends.session.info.state, "ended");
});

test("a turn that is asked to stop does not begin to wait", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("q");
  const cancelled = (await place.another().get("s")).cancel();
  const isAsked = async (): Promise<boolean> => {
    const { sessions } = await place.store.load([{ key: { tenant: "default", id: "s" }, tails: [] }]);
    return sessions[0]?.record.cancel != null;
  };
  while (!(await isAsked())) await new Promise(setImmediate);
  await assert.rejects(turn.wait({ state: 1, reason: "approval" }), refused("interrupted"));
  await turn.seal({ status: "interrupted" });
  assert.equal(await cancelled, true);
});

test("a wait whose time is up is sealed by the next writer, by a resumption that is too late, or by the sweep", async () => {
  const late = await waitingPlace({ expires: "1h" });
  await using _late = late.place;
  await late.place.clock.advance(3_600_000);
  assert.equal(await late.session.waiting(), null);
  await assert.rejects(late.session.resume(late.waiting.token), refused("interrupted"));
  assert.deepEqual((await lastTurn(late.session)).error, {
    code: "interrupted",
    message: "it was not resumed in time",
  });

  const next = await waitingPlace({ expires: "1h" });
  await using _next = next.place;
  await next.place.clock.advance(3_600_000);
  await next.session.refresh();
  await next.session.append({ input: "q", output: "a" }).catch(refused("conflict"));
  await next.session.refresh();
  await next.session.append({ input: "q", output: "a" });
  const [, sealed] = await Array.fromAsync(next.session.turns());
  assert.deepEqual([sealed?.status, sealed?.durationMs, sealed?.waitedMs], ["interrupted", 1000, 3_600_000]);
  assert.deepEqual(next.session.info.counters, countAll(await Array.fromAsync(next.session.turns())));

  const swept = await waitingPlace({ expires: "1h" });
  await using _swept = swept.place;
  await swept.place.clock.advance(3_599_000);
  await sweep(swept.place.sessions);
  assert.equal((await lastTurn(swept.session)).status, "waiting");
  await swept.place.clock.advance(1000);
  await sweep(swept.place.sessions);
  assert.equal((await lastTurn(swept.session)).status, "interrupted");
  assert.equal((await swept.session.refresh()).state, "active");
});

test("a turn waits as long as its session lives: the sweep of the expired session seals it", async () => {
  const { place, session, waiting } = await waitingPlace({ ttl: "1h" });
  await using _ = place;
  await place.clock.advance(3_600_001);
  assert.equal(await session.waiting(), null);
  await assert.rejects(session.resume(waiting.token), refused("session_expired"));
  await sweep(place.sessions);
  assert.deepEqual([(await lastTurn(session)).status, session.info.state], ["interrupted", "expired"]);
});

test("a watch brings the turn as it waits and as it is resumed, and its chunks go on in order", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const reader = await place.another().get("s");
  const turn = await session.begin("q", { flush: { length: 1 } });
  const news: SessionNews[] = [];
  const stop = new AbortController();
  const watched = reader.watch({ signal: stop.signal })[Symbol.asyncIterator]();
  const next = async (): Promise<SessionNews> => {
    const { value } = await watched.next();
    assert.ok(value);
    news.push(value);
    return value;
  };
  await next();
  await turn.write({ text: "one" });
  await next();
  const waiting = await turn.wait({ state: 1, reason: "approval" });
  assert.equal((await next()).type, "turn");
  const late: SessionNews[] = [];
  for await (const one of reader.watch({ after: 0 })) {
    late.push(one);
    break;
  }
  const resumed = await session.resume(waiting.token);
  await next();
  await resumed.write({ message: { role: "assistant", content: "two" } });
  await next();
  await resumed.seal();
  await next();
  stop.abort();
  const seen = news.map((one) => {
    if (one.type === "turn") return [one.turn.status, one.turn.output.length, one.chunks];
    return one.type === "chunk" ? ["chunk", one.seq] : ["truncated"];
  });
  assert.deepEqual(seen, [
    ["open", 0, undefined],
    ["chunk", 1],
    ["waiting", 1, 1],
    ["open", 0, 1],
    ["chunk", 2],
    ["done", 2, undefined],
  ]);
  assert.deepEqual(
    late.map((one) => one.type === "turn" && [one.turn.status, one.turn.output.length, one.chunks]),
    [["waiting", 1, 1]],
    "a watch that begins then has the output with the turn",
  );
});

test("no answer runs while a turn waits, and the followers of its answer get the turn", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("q", { key: "k" });
  const reader = await place.another().get("s");
  const running = await reader.running();
  assert.ok(running);
  await turn.write({ text: "one" });
  await turn.wait({ state: 1, reason: "approval" });
  assert.equal(await running.text(), "one");
  assert.equal((await running.done).status, "waiting");
  assert.equal(await reader.running(), undefined);
});

test("the lease of its own that a writer keeps over a wait may be released, and its death ends no wait", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const lease = await session.lease();
  const turn = await session.begin("q");
  const waiting = await turn.wait({ state: 1, reason: "approval" });
  const other = await place.another().get("s");
  await assert.rejects(other.resume(waiting.token), refused("busy"));
  await lease.release();
  const leased = await place.sessions.get("s");
  await leased.lease({ ttl: "1s" });
  await place.clock.advance(1000);
  assert.equal(await other.recover(), true);
  assert.deepEqual(await other.waiting(), waiting, "the dead lease is cleared, and the turn waits");
  assert.equal(await other.breakLease(), false);
  await (await other.resume(waiting.token)).seal();
});

test("the doctor finds nothing in a session that waits, and a wait that the log has not", async () => {
  const { place, session } = await waitingPlace({ expires: "1h" });
  await using _ = place;
  assert.equal((await doctor(place.sessions, { repair: true })).findings, 0);
  await place.clock.advance(3_600_000);
  assert.equal((await doctor(place.sessions)).findings, 0, "the sweep seals it; it is no damage");
  assert.equal((await lastTurn(session)).status, "waiting");

  const damaged = await place.sessions.create({ id: "damaged" });
  await damaged.append({ input: "q", output: "a" });
  const key = { tenant: "default", id: "damaged" };
  const { record } = (await place.store.load([{ key, tails: [] }])).sessions[0]!;
  const waiting = { token: "t", reason: "approval", since: 1, expiresAt: null };
  const change = { key, expected: identityOf(record), splices: [], claims: [] };
  const lost = { ...record, version: record.version + 1, openTurn: 1, waiting };
  assert.deepEqual(await place.store.commit([[{ ...change, record: lost }]]), [{ status: "ok" }]);
  assert.equal((await doctor(place.sessions, { repair: true })).repaired, 2);
  assert.equal((await doctor(place.sessions)).findings, 0);
  await damaged.refresh();
  await damaged.append({ input: "q", output: "a" });
});

test("a turn that waits goes with a snapshot and a copy, and is resumed there; exports have no state", async () => {
  const { place, session, waiting } = await waitingPlace({ expires: "1h" });
  await using _ = place;
  const snapshot = await place.sessions.snapshot("s");
  for (const [format, render] of Object.entries(renderings)) {
    const { text } = render(JSON.stringify(snapshot));
    assert.equal(text.includes("opaque"), format === "perdure", `${format}: ${text}`);
    assert.ok(text.includes("Let me ask."), format);
  }
  await using there = inMemory();
  await there.sessions.restore(snapshot);
  const copy = await there.sessions.get("s");
  assert.deepEqual(await copy.waiting(), waiting);
  assert.deepEqual(copy.info.counters, session.info.counters);
  const sealed = await (await copy.resume(waiting.token)).seal();
  assert.deepEqual(sealed.output, waiting.output);
});

test("a wait that is refused writes nothing, and the turn goes on", async () => {
  await using place = inMemory({ limits: { turnBytesMax: 20_000 } });
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("q");
  await turn.write({ text: "one" });
  await assert.rejects(turn.wait({ state: "x".repeat(20_001), reason: "approval" }), refused("state_too_large"));
  await assert.rejects(turn.wait({ state: (() => 1) as never, reason: "approval" }), refused("value_unstorable"));
  await assert.rejects(turn.wait({ state: 1, reason: " " }), refused("argument_invalid"));
  await assert.rejects(turn.wait({ state: 1, reason: "approval", expires: "soon" }), refused("duration_invalid"));
  await assert.rejects(turn.wait({ reason: "approval" } as never), refused("argument_invalid"));
  await assert.rejects(turn.wait({ state: 1, reason: "approval", expiry: "1h" } as never), refused("argument_invalid"));
  assert.equal(await session.waiting(), null);
  await turn.write({ text: " two" });
  const waiting = await turn.wait({ state: "x".repeat(19_000), reason: "approval" });
  await assert.rejects(turn.write({ text: "late" }), refused("turn_not_open"));
  await assert.rejects(turn.wait({ state: 1, reason: "approval" }), refused("turn_not_open"));
  await turn[Symbol.asyncDispose]();
  assert.deepEqual(await session.waiting(), waiting, "the end of its first writer does not end the wait");
});

test("lists and counts find sessions with a turn that waits, by its reason, on every embedded store", async () => {
  const folder = await mkdtemp(join(tmpdir(), "perdure-waiting-"));
  try {
    for (const store of ["memory:", `sqlite:${join(folder, "s.db")}`]) {
      await using sessions = await openSessions({ store });
      for (const id of ["a", "b", "c", "d"])
        await sessions.create({ id, labels: { team: id === "a" ? "ops" : "dev" } });
      const found = async (query: ListQuery): Promise<readonly string[]> =>
        (await sessions.list({ order: "id", ...query })).items.map(({ id }) => id);
      const waitIn = async (id: string, reason: string): Promise<WaitingTurn> =>
        await (await (await sessions.get(id)).begin("q")).wait({ state: 1, reason });
      assert.deepEqual(await found({ waiting: true }), []);
      const a = await waitIn("a", "approval");
      await waitIn("b", "approval");
      await waitIn("c", "payment");
      assert.deepEqual(await found({ waiting: true }), ["a", "b", "c"]);
      assert.deepEqual(await found({ waiting: "approval" }), ["a", "b"]);
      assert.deepEqual(await found({ waiting: "approval", labels: { team: "dev" } }), ["b"]);
      assert.equal(await sessions.count({ waiting: true }), 3);
      const [info] = (await sessions.list({ waiting: "payment" })).items;
      assert.deepEqual(
        [info?.waitingTurn?.turn, info?.waitingTurn?.reason, info?.waitingTurn?.expiresAt, info?.labels],
        [1, "payment", null, { team: "dev" }],
      );
      const resumed = await (await sessions.get("a")).resume(a.token);
      assert.deepEqual(await found({ waiting: "approval" }), ["b"]);
      await resumed.seal();
      await (await sessions.get("b")).cancel();
      assert.deepEqual(await found({ waiting: true }), ["c"]);
      assert.deepEqual((await sessions.get("a")).info.labels, { team: "ops" });
      await (await sessions.get("c")).update({ labels: { team: null } });
      assert.deepEqual(await found({ waiting: true }), ["c"]);
      await (await sessions.get("c")).remove();
      assert.equal(await sessions.count({ waiting: true }), 0);
      for (const waiting of [false as never, "a\u0000b", "\ud800", " ", "x".repeat(257)])
        for (const find of [sessions.list({ waiting }), sessions.count({ waiting })])
          await assert.rejects(find, refused("argument_invalid"));
      await assert.rejects(sessions.list({ labels: { "=waiting": true } }), refused("argument_invalid"));
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test("a wait or a resumption whose commit is written but not answered is found out, and one that is not written leaves the turn as it was", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const next = (fails: "before" | "after"): void => place.store.plan({ [place.store.commits + 1]: { fails } });
  const settled = async <T>(work: () => Promise<T>): Promise<T | SessionError> => {
    try {
      return await work();
    } catch (error) {
      assert.ok(error instanceof SessionError && error.retryable, String(error));
      return error;
    }
  };
  const turn = await session.begin("q");
  next("before");
  await settled(() => turn.wait({ state: 1, reason: "approval" }));
  place.store.plan({});
  const first = await session.waiting();
  assert.equal(first, null, "nothing was written");
  next("after");
  await settled(() => turn.wait({ state: 2, reason: "approval" }));
  place.store.plan({});
  const waiting = await session.waiting();
  assert.equal(waiting?.state, 2);

  next("before");
  assert.ok((await settled(() => session.resume(waiting.token))) instanceof SessionError);
  place.store.plan({});
  assert.deepEqual(await session.waiting(), waiting, "the token is not used up");
  next("after");
  const resumed = await settled(() => session.resume(waiting.token));
  place.store.plan({});
  assert.equal(await session.waiting(), null);
  if (resumed instanceof SessionError) {
    await place.clock.advance(10_000);
    await session.recover();
    assert.equal((await lastTurn(session)).status, "interrupted", "nothing blocks the session");
  } else await resumed.seal();
  await session.refresh();
  await session.append({ input: "q", output: "a" });
});

test("events say that a turn waits, is resumed, and that its wait ended", async () => {
  const { place, session, waiting } = await waitingPlace({ expires: "2h" });
  await using _ = place;
  const eventsOf = async (): Promise<unknown[]> =>
    (await Array.fromAsync(session.events({ last: 1 }))).map(
      ({ seq: _, at: __, correlation: ___, status: ____, ...event }) => event,
    );
  const { expiresAt } = waiting;
  assert.deepEqual(await eventsOf(), [
    { type: "turn_waiting", turn: 2, reason: "approval", expiresAt, calls: [], category: "waiting", severity: "info" },
  ]);
  await place.clock.advance(5000);
  const resumed = await session.resume(waiting.token);
  const waited = { turn: 2, waitedMs: 5000, category: "waiting" };
  assert.deepEqual(await eventsOf(), [{ type: "turn_resumed", ...waited, severity: "info" }]);
  await resumed.wait({ state, reason: "approval", expires: "2h" });
  await place.clock.advance(3 * 3_600_000);
  await sweep(place.sessions);
  const ended = { ...waited, waitedMs: 3 * 3_600_000, severity: "warning" };
  assert.deepEqual(await eventsOf(), [{ type: "wait_ended", ...ended, reason: "it was not resumed in time" }]);
  await session.refresh();
  const again = await session.begin("once more?");
  await again.wait({ state, reason: "approval" });
  await session.cancel();
  const cancelled = { ...ended, turn: 3, waitedMs: 0, reason: "it was cancelled" };
  assert.deepEqual(await eventsOf(), [{ type: "wait_ended", ...cancelled }]);
  const page = await place.sessions.listEvents({ category: "waiting" });
  assert.equal(page.items.length, 6);
});

test("a turn that waits goes through a snapshot with a state of any allowed size, and calls with ids of any form", async () => {
  await using place = inMemory({ limits: { turnBytesMax: 2000 } });
  const { sessions } = place;
  const copied = async (session: Session): Promise<WaitingTurn | null> => {
    const snapshot = JSON.stringify(await sessions.snapshot(session.id));
    const restored = await sessions.restore(snapshot, { onExists: "replace" });
    assert.equal(JSON.stringify(await sessions.snapshot(session.id)), snapshot);
    return await restored.waiting();
  };
  const large = await sessions.create({ id: "large" });
  const turn = await large.begin("q");
  await turn.write({ text: "x".repeat(1500) });
  const waiting = await turn.wait({ state: "y".repeat(1900), reason: "approval" });
  assert.deepEqual(await copied(large), waiting);
  for (const [index, id] of ["", "x".repeat(300), "a\u0000b", "__proto__"].entries()) {
    const session = await sessions.create({ id: `${index}` });
    const call = { id, function: { name: "pay", arguments: "{}" } };
    const model: Model = async function* () {
      yield { type: "message", message: { role: "assistant", content: null, tool_calls: [call] } };
      yield { type: "approval", asks: [id], notRun: [call] };
    };
    await (
      await session.consult("go", { model })
    ).done;
    assert.deepEqual((await copied(session))?.calls, [call], JSON.stringify(id));
  }
});
