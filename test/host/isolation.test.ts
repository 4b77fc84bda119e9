/** A session that fails, in whichever way, leaves the others as they are. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startHost, type Host, type HostOptions, type Isolation } from "../../src/host/index.ts";
import {
  openSessions,
  systemClock,
  type Clock,
  type SessionError,
  type Sessions,
  type SessionsOptions,
  type TitleRequest,
} from "../../src/index.ts";
import { coreOf } from "../../src/sessions/sessions.ts";
import { forwardClock } from "../support/forward-clock.ts";
import { isThorough, rounds } from "../support/rounds.ts";
import { until } from "../support/until.ts";

const runtime = new URL("./mortal.ts", import.meta.url);
const turnTimeoutMs = 60_000;

interface Place extends AsyncDisposable {
  readonly sessions: Sessions;
  readonly host: Host;
}

async function place(
  options: Partial<HostOptions>,
  clock: Clock = systemClock,
  others: Pick<SessionsOptions, "titles"> = {},
): Promise<Place> {
  const sessions = await openSessions({ store: "memory:", sweep: false, clock, ...others });
  const host = await startHost(sessions, {
    runtime,
    memoryMax: 64,
    workers: 2,
    restart: { backoff: "10ms", max: 3 },
    ...options,
  });
  return {
    sessions,
    host,
    async [Symbol.asyncDispose]() {
      await host.close();
      await sessions.close();
    },
  };
}

const deaths: readonly [isolation: Isolation, message: string, how: string][] = [
  ["pool", "throw", "threw"],
  ["pool", "later", "threw"],
  ["pool", "exit", "exited"],
  ["pool", "orphan", "exited"],
  ["pool", "hoard", "memory"],
  ["pool", "loop", "deadline"],
  ["pool", "hang", "deadline"],
  ["session", "throw", "threw"],
  ["session", "later", "exited"],
  ["session", "exit", "exited"],
  ["session", "hoard", "memory"],
  ["session", "loop", "deadline"],
  ["process", "exit", "exited"],
  ["process", "kill", "exited"],
  ["process", "loop", "deadline"],
  ["process", "hoard", "memory"],
];

for (const [isolation, message, how] of deaths) {
  test(`${isolation}: "${message}" ends its session's activation, is reported as "${how}", and the others answer`, async () => {
    const clock = forwardClock();
    await using here = await place(
      {
        isolation,
        turnTimeout: turnTimeoutMs,
        restart: { backoff: "10ms", max: 20 },
        // A busy machine takes its time until the memory is full.
        stallTimeout: message === "hoard" ? "5m" : "5s",
      },
      clock,
    );
    // In a pool they share threads with the session that ends. Elsewhere each starts a worker of its own.
    const others = isThorough || isolation === "pool" ? ["a", "b", "c"] : ["a"];
    await Promise.all([...others, "mortal"].map((id) => here.host.ensure(id)));
    const dying = assert.rejects(
      here.host.send("mortal", message),
      (error: Error & { code: string; details: { how: string } }) => {
        assert.equal(error.code, "runtime_failed");
        assert.equal(error.details.how, how);
        return true;
      },
    );
    const answers = others.map(async (id) => {
      const replies: unknown[] = [];
      for (let round = 0; round < 20; round++) {
        replies.push(
          await here.host.send(id, "append").catch((error: { code: string; details: { how: string } }) => error),
        );
        await sleep(5);
      }
      return replies;
    });
    // A loop blocks the thread that it shares in a pool, and the host ends that thread before any deadline.
    if (how === "deadline" && !(isolation === "pool" && message === "loop")) {
      await Promise.all(answers);
      await until(async () => (await here.sessions.get("mortal")).info.turn > 0);
      clock.forward(turnTimeoutMs);
    }
    await dying;
    for (const [index, replies] of (await Promise.all(answers)).entries()) {
      // Sessions that share the thread lose the message that they were answering, with an error that says so.
      const failed = replies.filter((reply) => typeof reply !== "number") as { code: string }[];
      assert(isolation === "pool" ? failed.length <= 1 : failed.length === 0, JSON.stringify(failed));
      assert(failed.every(({ code }) => code === "runtime_failed"));
      const turns = await Array.fromAsync((await here.sessions.get(others[index] ?? "")).turns());
      const kept = turns.map(({ input }) => Number(input[0]?.content));
      assert.deepEqual(
        kept,
        Array.from({ length: turns.length }, (_, turn) => turn + 1),
      );
      assert(turns.length >= 20 - failed.length && turns.length <= 20);
    }
    assert.equal(typeof (await here.host.send("mortal", "x")), "number", "it is live again");
  });
}

for (const isolation of ["pool", "session", "process"] as const) {
  test(`${isolation}: answers are values, streams or typed errors, as in the host's own thread`, async () => {
    await using here = await place({ isolation });
    await here.host.ensure("s");
    assert.deepEqual(await Promise.all([1, 2, 3].map(() => here.host.send("s", "x"))), [1, 2, 3]);
    assert.deepEqual(await Array.fromAsync((await here.host.send("s", "parts")) as AsyncIterable<number>), [1, 2, 3]);
    assert.notEqual(isolation === "process", (await here.host.send("s", "pid")) === process.pid);
    await here.host.stop("s");
    assert.equal((await here.sessions.get("s")).info.state, "inactive");
    assert.equal(await here.host.send("s", "x"), 4, "and what it knew is kept while it sleeps");
    await assert.rejects(here.host.send("s", "uncopyable"), { code: "runtime_failed" });
    await assert.rejects(here.host.send("s", "conflict"), { code: "runtime_failed" });
    await assert.rejects(here.host.send("nobody", "x"), { code: "session_not_found" });
    await here.sessions.create({ id: "sick", metadata: { sick: true } });
    await assert.rejects(here.host.send("sick", "x"), { code: "session_failed" });
    assert.equal(here.host.live("sick")?.failure, "it cannot wake up");
  });

  test(`${isolation}: an open turn of a dead activation is sealed, and its session continues`, async () => {
    await using here = await place({ isolation });
    await here.host.ensure("s");
    await assert.rejects(here.host.send("s", "begin"), { code: "runtime_failed" });
    await here.host.send("s", "append");
    const turns = await Array.fromAsync((await here.sessions.get("s")).turns());
    assert.deepEqual(
      turns.map(({ status }) => status),
      ["interrupted", "done"],
    );
  });

  test(`${isolation}: an aborted streamed answer never looks complete`, async () => {
    await using here = await place({ isolation, workers: 1 });
    await Promise.all([here.host.ensure("s"), here.host.ensure("killed")]);
    const [parts, killed] = (await Promise.all(
      ["s", "killed"].map((id) => here.host.send(id, "endless")),
    )) as AsyncIterableIterator<number>[];
    assert(parts !== undefined && killed !== undefined);
    assert.deepEqual([(await parts.next()).value, (await killed.next()).value], [1, 1]);
    await here.host.kill("killed");
    await assert.rejects(killed.next(), { code: "session_stopped" });
    assert.equal((await parts.next()).value, 2, "the others go on");
    await parts.return?.();
    assert.equal(await here.host.send("s", "x"), 1, "who has heard enough may ask the next");
    if (isolation !== "pool") return;
    const doomed = (await here.host.send("s", "endless")) as AsyncIterableIterator<number>;
    await doomed.next();
    await assert.rejects(here.host.send("killed", "orphan"), { code: "runtime_failed" });
    await assert.rejects(doomed.next(), { code: "runtime_failed" });
    await assert.rejects(doomed.next(), { code: "runtime_failed" });
  });

  test(`${isolation}: sessions created and killed rapidly are live once or not at all, and leave no worker behind`, async () => {
    await using here = await place({ isolation });
    await here.sessions.create({ id: "s" });
    for (let round = 0; round < rounds(isolation === "process" ? 10 : 40, 5); round++) {
      const starting = here.host
        .start("s")
        .catch((error: { code: string }) => assert.equal(error.code, "session_stopped"));
      if (round % 3 === 0) await sleep(round);
      await Promise.all([starting, here.host.kill("s")]);
    }
    assert.equal([...here.host.each()].length, 0);
    assert.equal(here.host.gauges().timers, 0);
    await until(() => here.host.gauges().workers.length <= (isolation === "pool" ? 2 : 1));
    assert.equal((await here.sessions.get("s")).info.lease, null);
  });
}

for (const isolation of ["pool", "process"] as const)
  test(`${isolation}: the host makes the title of a session whose code stores an answer elsewhere, once`, async () => {
    const asked: string[] = [];
    const title = (request: TitleRequest): Promise<string> => {
      asked.push(request.session);
      return Promise.resolve("A title");
    };
    await using here = await place({ isolation }, systemClock, { titles: { title } });
    await here.host.ensure("s");
    await here.host.send("s", "exchange");
    await until(async () => (await here.sessions.get("s")).info.title === "A title");
    await here.host.send("s", "exchange");
    await here.host.close();
    await here.sessions.close();
    assert.deepEqual(asked, ["s"]);
  });

test("pool: a session that ends its thread again and again does not fail the sessions beside it", async () => {
  await using here = await place({
    isolation: "pool",
    workers: 1,
    restart: { max: 2, backoff: "10ms", backoffMax: "50ms" },
  });
  await Promise.all(["innocent", "mortal"].map((id) => here.host.ensure(id)));
  for (let death = 0; death < 5; death++) {
    const parts = (await here.host.send("innocent", "endless")) as AsyncIterableIterator<number>;
    await parts.next();
    const broken = assert.rejects(Array.fromAsync(parts), { code: "runtime_failed" });
    await Promise.all([broken, assert.rejects(here.host.send("mortal", "orphan"), { code: "runtime_failed" })]);
  }
  assert.equal(await here.host.send("innocent", "x"), 1);
  for (let death = 0; death < 3; death++) {
    await assert.rejects(here.host.send("mortal", "orphan"), { code: "runtime_failed" });
    assert.equal(typeof (await here.host.send("innocent", "x")), "number");
  }
  await assert.rejects(
    here.host.send("mortal", "x"),
    { code: "session_failed" },
    "alone at work it is known by its deeds",
  );
});

for (const isolation of ["pool", "session", "process"] as const) {
  test(`${isolation}: a host is one instance, however many workers it has`, async () => {
    await using here = await place({ isolation, address: "http://127.0.0.1:1" });
    for (const id of ["a", "b", "c"]) await here.host.ensure(id);
    const { store } = coreOf(here.sessions);
    const { instances } = await store.instances("hosts");
    assert.deepEqual(
      instances.map(({ address, pid }) => [address, pid]),
      [["http://127.0.0.1:1", process.pid]],
    );
    const holder = await (await here.sessions.get("a")).leaseHolder();
    assert.deepEqual([holder?.address, holder?.alive], ["http://127.0.0.1:1", true]);
  });
}

test("pool: a session that throws outside of a message or exits ends alone, also on a shared thread", async () => {
  await using here = await place({ isolation: "pool", workers: 1 });
  await Promise.all(["innocent", "mortal"].map((id) => here.host.ensure(id)));
  const thread = await here.host.send("innocent", "thread");
  const parts = (await here.host.send("innocent", "endless")) as AsyncIterableIterator<number>;
  for (const [message, how] of [
    ["later", "threw"],
    ["exit", "exited"],
    ["exit by name", "exited"],
  ] as const) {
    await assert.rejects(here.host.send("mortal", message), (error: { code?: string; details?: { how: string } }) => {
      return error.code === "runtime_failed" && error.details?.how === how;
    });
    assert.equal((await parts.next()).done, false, `the others do not notice that it did "${message}"`);
  }
  await parts.return?.();
  assert.equal(here.host.live("innocent")?.restarts, 0);
  assert.equal(await here.host.send("innocent", "thread"), thread);
  await assert.rejects(here.host.send("mortal", "exit"), { code: "runtime_failed" });
  await assert.rejects(here.host.send("mortal", "x"), { code: "session_failed" }, "and is given up in the end");
});

test("pool: a message that had not started when another session ended the thread is answered by the next activation", async () => {
  await using here = await place({ isolation: "pool", workers: 1, stallTimeout: "2s" });
  await Promise.all(["innocent", "mortal"].map((id) => here.host.ensure(id)));
  const looping = assert.rejects(here.host.send("mortal", "stuck"), { code: "runtime_failed" });
  const answer = here.host.send("innocent", "append");
  await looping;
  assert.equal(await answer, 1);
  assert.equal(here.host.live("innocent")?.restarts, 1);
});

test("pool: an idle thread is not taken for a blocked one", async () => {
  await using here = await place({ isolation: "pool", workers: 1, stallTimeout: "1s" });
  await here.host.ensure("s");
  const uncopyable = here.host.send("s", () => undefined);
  await assert.rejects(uncopyable, { code: "argument_invalid" });
  const thread = await here.host.send("s", "thread");
  await sleep(1500);
  assert.equal(await here.host.send("s", "thread"), thread);
});

test("pool: an endless loop is found while all others are handling a message", async () => {
  await using here = await place({ isolation: "pool", workers: 1, stallTimeout: "2s" });
  await Promise.all(["innocent", "mortal"].map((id) => here.host.ensure(id)));
  const waiting = assert.rejects(here.host.send("innocent", "await"), (error: SessionError<"runtime_failed">) => {
    assert.equal(error.details.causedBy, "mortal");
    assert.match(error.message, /the message to session innocent was interrupted .*session mortal ended the thread/);
    return true;
  });
  await assert.rejects(here.host.send("mortal", "stuck"), (error: SessionError<"runtime_failed">) => {
    assert.equal(error.details.causedBy, undefined);
    assert.match(error.message, /^the runtime of session mortal failed/);
    return true;
  });
  await waiting; // the host cannot know how far a started message came
  assert.equal(await here.host.send("innocent", "await"), "awaited");
});

test("pool: a started message is not delivered again, whatever else the session was asked meanwhile", async () => {
  await using here = await place({ isolation: "pool", workers: 1, idleTimeout: "1s" });
  await Promise.all(["innocent", "mortal"].map((id) => here.host.ensure(id)));
  await assert.rejects(
    here.host.send("mortal", () => undefined),
    { code: "argument_invalid" },
  );
  const blocking = here.host.send("mortal", "block");
  await sleep(1300); // the idle alarm of the other has rung
  const begun = assert.rejects(here.host.send("innocent", "once"), { code: "runtime_failed" });
  await blocking;
  await until(async () => (await here.sessions.get("innocent")).info.turn === 1);
  await assert.rejects(here.host.send("mortal", "orphan"), { code: "runtime_failed" });
  await begun;
  await here.host.send("innocent", "x");
  assert.equal((await here.sessions.get("innocent")).info.turn, 1);
});

test("a session that is busy longer than the heartbeat timeout still belongs to its host", async () => {
  await using sessions = await openSessions({ store: "memory:", sweep: false, staleAfter: "1s" });
  await using host = await startHost(sessions, { runtime, isolation: "session" });
  await host.ensure("s");
  const core = (await sessions.get("s")).info.lease;
  const answer = host.send("s", "block");
  await sleep(1300);
  await assert.rejects((await sessions.get("s")).lease(), { code: "busy" });
  assert.equal(await answer, "blocked");
  assert.deepEqual((await sessions.get("s")).info.lease, core);
});

for (const isolation of ["pool", "process"] as const) {
  test(`${isolation}: a message that cannot be cloned is its sender's error, however often`, async () => {
    await using here = await place({ isolation, restart: { max: 2 } });
    await here.host.ensure("s");
    for (let time = 0; time < 5; time++) {
      await assert.rejects(
        here.host.send("s", () => undefined),
        { code: "argument_invalid" },
      );
    }
    assert.equal(await here.host.send("s", "x"), 1);
  });
}

test("pool: a displaced session that is stopped before its restart is passivated at once", async () => {
  await using here = await place({ isolation: "pool", workers: 1 });
  const ids = Array.from({ length: 40 }, (_, index) => `s${index}`);
  await Promise.all(ids.map((id) => here.host.ensure(id)));
  const dying = assert.rejects(here.host.send("s0", "orphan"), { code: "runtime_failed" });
  await until(() => ids.some((id) => here.host.live(id)?.phase === "restarting"));
  await Promise.all(ids.map((id, index) => (index % 2 === 0 ? here.host.kill(id) : here.host.stop(id))));
  await dying;
  assert.equal([...here.host.each()].length, 0);
  for (const id of ids) {
    const { state, lease } = (await here.sessions.get(id)).info;
    assert.deepEqual({ state, lease }, { state: "inactive", lease: null }, id);
  }
});

test("pool: displaced sessions restart without a message", async () => {
  await using here = await place({ isolation: "pool", workers: 2 });
  const ids = Array.from({ length: 40 }, (_, index) => `s${index}`);
  await Promise.all(ids.map((id) => here.host.ensure(id)));
  await assert.rejects(here.host.send("s0", "orphan"), { code: "runtime_failed" });
  await until(() => here.host.gauges().byPhase.live === 40);
  assert.equal(ids.filter((id) => here.host.live(id)?.restarts === 1).length, 20);
});

test("pool: sessions activated at the same time are spread over the threads", async () => {
  await using here = await place({ isolation: "pool" });
  const ids = Array.from({ length: 20 }, (_, index) => `s${index}`);
  for (const id of ids) await here.sessions.create({ id });
  const threads = await Promise.all(ids.map((id) => here.host.send(id, "thread")));
  const [first] = threads;
  assert.equal(threads.filter((thread) => thread === first).length, 10);
});

test("an invalid runtime module, or one that ends its worker, is refused at the start", async () => {
  const sessions = await openSessions({ store: "memory:", sweep: false });
  for (const isolation of ["inline", "pool", "session", "process"] as const) {
    for (const module of [
      "data:text/javascript,export default 7",
      "data:text/javascript,throw new Error('x')",
      "./nowhere.ts",
    ]) {
      await assert.rejects(startHost(sessions, { runtime: module, isolation }), { code: "runtime_invalid" });
    }
  }
  await assert.rejects(startHost(sessions, { runtime: "data:text/javascript,process.exit(3)", isolation: "pool" }), {
    code: "runtime_invalid",
  });
  await sessions.close();
});
