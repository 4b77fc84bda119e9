import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openSessions } from "../open.ts";
import { coreOf, sessionsOn } from "../sessions/sessions.ts";
import { openMemory } from "../store/memory.ts";
import { scriptedClock } from "../testing/scripted-clock.ts";
import { settled } from "../../test/support/count-timers.ts";
import { inMemory } from "../../test/support/in-memory.ts";
import { Host, startHost } from "./host.ts";
import { resolveHostOptions, type HostOptions } from "./runtime/options.ts";
import type { LiveSession } from "./runtime/live-session.ts";
import type { Runtime } from "./runtime/runtime.ts";
import { until } from "../../test/support/until.ts";

/** Runtime of these tests: counts messages in its state and obeys commands. */
const counter = {
  async onMessage(session: LiveSession, message: string) {
    if (message === "throw") throw new Error("as told");
    if (message === "hang") await new Promise(() => undefined);
    if (message === "slow") await sleep(50);
    if (message === "begin and throw") {
      await session.begin("a question");
      throw new Error("in the middle");
    }
    if (message === "append") await session.append({ input: "hi", output: "there" });
    const count = ((session.state as number | undefined) ?? 0) + 1;
    session.state = count;
    return count;
  },
} satisfies Runtime;

async function place(options: Partial<HostOptions> = {}) {
  const clock = scriptedClock();
  const store = openMemory({ clock });
  const sessions = sessionsOn(store, { clock, sweep: false });
  const other = sessionsOn(store, { clock, sweep: false });
  const host = await startHost(sessions, { runtime: counter, ...options });
  return {
    clock,
    sessions,
    other,
    host,
    async [Symbol.asyncDispose]() {
      await host.close();
      await sessions.close();
    },
  };
}

test("a message activates a session, it answers in order, and passivation saves its state", async () => {
  await using here = await place();
  await here.sessions.create({ id: "s" });
  const replies = await Promise.all(["slow", "x", "x"].map((message) => here.host.send("s", message)));
  assert.deepEqual(replies, [1, 2, 3]);
  assert.equal(here.host.live("s")?.phase, "live");
  assert.equal((await here.other.get("s")).info.state, "active");
  await assert.rejects((await here.other.get("s")).append({ input: "no" }), { code: "busy" });
  await here.host.stop("s");
  assert.equal(here.host.live("s"), undefined);
  assert.equal((await here.other.get("s")).info.state, "inactive");
  assert.equal(await here.host.send("s", "x"), 4, "where it was");
  const events = await Array.fromAsync((await here.other.get("s")).events());
  assert.deepEqual(
    events.map(({ type }) => type).filter((type) => type.includes("ivated")),
    ["activated", "passivated", "activated"],
  );
});

test("a runtime that throws restarts from its stored state, its open turn is sealed, and the sender gets an error", async () => {
  await using here = await place();
  await here.host.ensure("s");
  await here.host.send("s", "append");
  const failing = here.host.send("s", "begin and throw");
  const behind = here.host.send("s", "append");
  await assert.rejects(failing, {
    code: "runtime_failed",
    details: { sessionId: "s", tenant: "default", how: "threw", reported: "in the middle" },
  });
  await until(async () => {
    await here.clock.advance(100);
    return here.host.gauges().counts.message === 2;
  });
  assert.equal(await behind, 1, "what is in memory is gone, what waits is answered");
  const turns = await Array.fromAsync((await here.other.get("s")).turns());
  assert.deepEqual(
    turns.map(({ status }) => status),
    ["done", "interrupted", "done"],
  );
  assert.equal(here.host.live("s")?.restarts, 1);
});

test("a session that fails too often stays failed, with its cause, until it is started", async () => {
  await using here = await place({ restart: { max: 2, backoff: "1ms" } });
  await here.host.ensure("s");
  for (let failure = 0; failure < 3; failure++) {
    await assert.rejects(here.host.send("s", "throw"), { code: "runtime_failed" });
    await until(async () => {
      await here.clock.advance(100);
      return ["live", "failed"].includes(here.host.live("s")?.phase ?? "");
    });
  }
  assert.equal(here.host.live("s")?.phase, "failed");
  assert.equal(here.host.live("s")?.failure, "as told");
  await assert.rejects(here.host.send("s", "x"), { code: "session_failed" });
  await until(async () => (await Array.fromAsync((await here.other.get("s")).events())).at(-1)?.type === "failed");
  await (await here.other.get("s")).append({ input: "others may write to it" });
  assert.equal(here.host.gauges().live, 0);
  await here.host.start("s");
  assert.equal(await here.host.send("s", "x"), 1);
});

test("an answer that exceeds its timeout is aborted, and later writes of its code are not saved", async () => {
  let wake = (): void => undefined;
  let outcome: unknown;
  const late: Runtime = {
    async onMessage(session, message: string) {
      if (message === "x") return "fine";
      await new Promise<void>((resolve) => (wake = resolve));
      // Writes that no lease guards in the store are refused here.
      const writes = [
        () => session.append({ input: "too late" }),
        () => session.update({ metadata: { late: true } }),
        () => session.handOff("somebody"),
        () => session.touch(),
      ];
      const codes: unknown[] = [];
      for (const write of writes) codes.push(await write().catch((error: { code: string }) => error.code));
      outcome = codes;
      return "too late";
    },
  };
  await using here = await place({ runtime: late, turnTimeout: "1s" });
  await here.host.ensure("s");
  const hanging = assert.rejects(here.host.send("s", "hang"), {
    code: "runtime_failed",
    details: { sessionId: "s", tenant: "default", how: "deadline", step: "call", limitMs: 1000 },
  });
  await here.clock.advance(1200);
  await hanging;
  await until(async () => {
    await here.clock.advance(200);
    return here.host.live("s")?.phase === "live";
  });
  assert.equal(await here.host.send("s", "x"), "fine");
  wake();
  await until(() => outcome !== undefined);
  assert.deepEqual(outcome, ["fenced", "fenced", "fenced", "fenced"]);
  assert.equal((await here.other.get("s")).info.turn, 0);
});

test("idle sessions are passivated after the timeout of the host, their agent or their metadata", async () => {
  const clock = scriptedClock();
  const sessions = sessionsOn(openMemory({ clock }), {
    clock,
    sweep: false,
    agents: { quick: { idleTimeout: "1m" }, plain: {} },
  });
  await using host = await startHost(sessions, { runtime: counter, idleTimeout: "10m" });
  await host.ensure("of the host", { agent: "plain" });
  await host.ensure("of the agent", { agent: "quick" });
  await host.ensure("of its own", { agent: "quick", metadata: { timeoutMinutes: 5 } });
  const live = (): string[] => [...host.each()].map(({ id }) => id).toSorted();
  const at = async (ms: number, expected: string[]): Promise<void> => {
    await clock.advance(ms);
    await until(() => live().length === expected.length);
    await sleep(150);
    assert.deepEqual(live(), expected);
  };
  await at(59_000, ["of its own", "of the agent", "of the host"]);
  await at(2000, ["of its own", "of the host"]);
  await host.send("of its own", "x");
  await at(5 * 60_000 - 1000, ["of its own", "of the host"]);
  await at(2000, ["of the host"]);
  await host.updateActivity("of the host");
  await at(9 * 60_000, ["of the host"]);
  await at(61_000, []);
  assert.equal(await host.send("of its own", "x"), 2, "and come back where they were");
  await host.close();
  await sessions.close();
});

test("at the limit of live sessions, a new one is refused, waits, or replaces the least recent one", async () => {
  {
    await using here = await place({ maxSessions: 2 });
    for (const id of ["a", "b"]) await here.host.ensure(id);
    await here.sessions.create({ id: "c" });
    await assert.rejects(here.host.send("c", "x"), { code: "host_full", details: { live: 2, liveMax: 2 } });
    assert.equal(here.host.gauges().rejected, 1);
    await here.host.stop("a");
    await here.host.send("c", "x");
  }
  {
    await using here = await place({ maxSessions: 2, whenFull: "passivate-least-recent" });
    for (const id of ["a", "b"]) await here.host.ensure(id);
    await here.host.send("a", "x");
    await here.host.ensure("c");
    assert.deepEqual(
      [...here.host.each()].map(({ id }) => id),
      ["a", "c"],
    );
    const first = here.host.list({ limit: 1 });
    const rest = here.host.list({ limit: 1, after: first.next ?? "" });
    assert.deepEqual([first.items[0]?.id, first.next, rest.items[0]?.id, rest.next], ["a", "a", "c", undefined]);
    assert.throws(() => here.host.list({ limit: 0 }), { code: "argument_invalid" });
    await Promise.all(Array.from({ length: 20 }, (_, index) => here.host.ensure(`s${index}`)));
    assert.equal(here.host.gauges().live, 2);
  }
  {
    await using here = await place({ maxSessions: 1, whenFull: "wait" });
    await here.host.ensure("a");
    await here.sessions.create({ id: "b" });
    let answered = false;
    const waiting = here.host.send("b", "x").then(() => (answered = true));
    await sleep(50);
    assert.equal(answered, false);
    assert.equal(here.host.gauges().waiting, 1);
    await here.host.stop("a");
    await waiting;
  }
});

test("a message that waits for a slot longer than the turn timeout fails with host_full, not as a failure of the session", async () => {
  await using here = await place({ maxSessions: 1, whenFull: "wait", turnTimeout: "1s" });
  await here.host.ensure("a");
  await here.sessions.create({ id: "b" });
  const refused = assert.rejects(here.host.send("b", "x"), { code: "host_full" });
  await here.clock.advance(1200);
  await refused;
  assert.equal(here.host.live("b"), undefined);
  assert.equal(here.host.gauges().counts.crashed, 0);
  assert.equal(here.host.gauges().waiting, 0);
});

test("a full mailbox refuses a message with mailbox_full", async () => {
  await using here = await place({ mailboxMax: 2 });
  await here.host.ensure("s");
  const [first, second, third] = ["slow", "x", "x"].map((message) => here.host.send("s", message));
  await first?.catch(() => undefined);
  const results = await Promise.allSettled(Array.from({ length: 10 }, () => here.host.send("s", "slow")));
  assert.equal(results.filter(({ status }) => status === "fulfilled").length <= 3, true);
  const refused = results.find((result) => result.status === "rejected");
  assert.equal((refused?.reason as { code?: string } | undefined)?.code, "mailbox_full");
  await Promise.allSettled([second, third]);
});

test("a mailbox is limited by bytes, and accepts a single message of any size", async () => {
  await using here = await place({ mailboxBytesMax: 1_000_000 });
  await here.host.ensure("s");
  const hanging = here.host.send("s", "hang");
  hanging.catch(() => undefined);
  const half = { text: "x".repeat(600_000) };
  await here.host.updateActivity("s"); // the first message is being answered, and waits no longer
  const waiting = here.host.send("s", half);
  waiting.catch(() => undefined);
  await assert.rejects(here.host.send("s", half), (error: { code?: string; details?: unknown }) => {
    const { bytes, ...details } = error.details as { bytes: number };
    assert.equal(error.code, "mailbox_full");
    assert.ok(bytes > 600_000 && bytes < 601_000);
    assert.deepEqual(details, {
      sessionId: "s",
      tenant: "default",
      waiting: 1,
      waitingMax: 100,
      bytesMax: 1_000_000,
    });
    return true;
  });
  await here.host.kill("s");
  await Promise.allSettled([hanging, waiting]);
  await here.host.ensure("s");
  assert.equal(typeof (await here.host.send("s", { text: "x".repeat(2_000_000) })), "number");
});

test("a killed session answers nothing more; a stopped one finishes, up to a time limit", async () => {
  await using here = await place({ stopTimeout: "1s" });
  await here.host.ensure("s");
  const killed = assert.rejects(here.host.send("s", "hang"), { code: "session_stopped" });
  const waiting = assert.rejects(here.host.send("s", "x"), { code: "session_stopped" });
  await sleep(10);
  await here.host.kill("s");
  await Promise.all([killed, waiting]);
  assert.equal(here.host.live("s"), undefined);
  assert.equal((await here.other.get("s")).info.lease, null);

  const isAnswering = (): boolean => {
    const { phase, mailbox } = here.host.live("s") ?? {};
    return phase === "live" && mailbox === 0;
  };
  const finishing = here.host.send("s", "slow");
  await until(isAnswering);
  await here.host.stop("s");
  assert.equal(await finishing, 1);

  const hanging = assert.rejects(here.host.send("s", "hang"), { code: "runtime_failed" });
  await until(isAnswering);
  const stopping = here.host.stop("s");
  await here.clock.advance(1200);
  await Promise.all([stopping, hanging]);
  assert.equal(here.host.live("s"), undefined);
  assert.equal(await here.host.send("s", "x"), 2);
});

test("a reader never takes an aborted streamed answer for complete", async () => {
  const endless: Runtime = {
    async *onMessage() {
      for (;;) yield "a part";
    },
  };
  await using here = await place({ runtime: endless });
  await here.host.ensure("s");
  const parts = (await here.host.send("s", "x")) as AsyncIterableIterator<string>;
  assert.deepEqual(await parts.next(), { done: false, value: "a part" });
  await here.host.kill("s");
  for (let look = 0; look < 2; look++) await assert.rejects(parts.next(), { code: "session_stopped" });
  assert.equal((await parts.return?.())?.done, true, "who leaves then is not told again");
});

test("a message to a session that could not be passivated because the store was away is answered", async () => {
  let tarry = (): void => undefined;
  const slow: Runtime = {
    onMessage: () => "still here",
    onIdle: () => new Promise<void>((resolve) => (tarry = resolve)),
  };
  await using here = inMemory();
  await using host = await startHost(here.sessions, { runtime: slow, idleTimeout: "1m" });
  await host.ensure("s");
  await here.clock.advance(61_000);
  await until(() => host.live("s")?.phase === "stopping");
  const last = here.store.commits + 1;
  here.store.plan((commit) => (commit <= last ? { fails: "before" } : undefined));
  const sent = host.send("s", "x");
  tarry();
  assert.equal(await sent, "still here");
});

test("a session that should make room for another stays live while the store is away, and loses nothing", async () => {
  await using here = inMemory();
  const options = { maxSessions: 1, whenFull: "passivate-least-recent", turnTimeout: "1s" } as const;
  await using host = await startHost(here.sessions, { runtime: counter, ...options });
  await here.sessions.create({ id: "other" });
  await host.ensure("s");
  assert.equal(await host.send("s", "x"), 1);
  here.store.plan(() => ({ fails: "before" }));
  const refused = assert.rejects(host.send("other", "x"), { code: "host_full" });
  await until(async () => {
    await here.clock.advance(100);
    return host.gauges().waiting === 0;
  });
  await refused;
  assert.equal(await host.send("s", "x"), 2, "what it knew is still known");
  here.store.plan(() => undefined);
  await here.clock.advance(60_000);
  assert.equal(await host.send("other", "x"), 1);
  assert.equal(await host.send("s", "x"), 3, "and kept once the store was there again");
});

test("kill during passivation ends the session without waiting for it", async () => {
  let tarry = (): void => undefined;
  let finished = 0;
  const slow: Runtime = {
    onMessage: () => "x",
    onIdle: () => new Promise<void>((resolve) => (tarry = resolve)),
    deactivate: () => void finished++,
  };
  await using here = await place({ runtime: slow, idleTimeout: "1m" });
  await here.host.ensure("s");
  await here.clock.advance(61_000);
  await until(() => here.host.live("s")?.phase === "stopping");
  await here.host.kill("s");
  assert.equal(here.host.live("s"), undefined);
  assert.equal((await here.other.get("s")).info.lease, null);
  tarry();
  await sleep(10);
  assert.equal(finished, 0);
});

test("a session killed while it stops does not run deactivate beside the aborted code", async () => {
  let finished = 0;
  let wake = (): void => undefined;
  const slow: Runtime = {
    async onMessage(session, message: string) {
      if (message === "wait") await new Promise<void>((resolve) => (wake = resolve));
      session.state = message;
      return message;
    },
    deactivate: () => void finished++,
  };
  await using here = await place({ runtime: slow });
  await here.host.ensure("s");
  const broken = assert.rejects(here.host.send("s", "wait"), { code: "session_stopped" });
  const stopping = here.host.stop("s");
  await sleep(10);
  const killing = here.host.kill("s");
  wake();
  await Promise.all([broken, stopping, killing]);
  assert.equal(finished, 0);
  assert.equal((await here.other.get("s")).info.lease, null);
});

test("messages that wait for a session to end are answered before later ones", async () => {
  for (let pause = 1; pause < 12; pause++) {
    const received: number[] = [];
    await using here = await place({ runtime: { onMessage: (_, message: number) => void received.push(message) } });
    await here.sessions.create({ id: "s" });
    const killed = assert.rejects(here.host.send("s", -1), { code: "session_stopped" });
    const killing = here.host.kill("s");
    const sent: Promise<unknown>[] = [];
    for (let message = 0; message < 20; message++) {
      sent.push(here.host.send("s", message));
      for (let turn = 0; turn < pause; turn++) await Promise.resolve();
    }
    await Promise.all([killed, killing, ...sent]);
    assert.deepEqual(received, [...sent.keys()]);
  }
});

test("a killed session is passivated in the store once the store is back", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  await using here = inMemory();
  const host = await startHost(here.sessions, { runtime: counter });
  await host.ensure("s");
  const last = here.store.commits + 2;
  here.store.plan((commit) => (commit <= last ? { fails: "before" } : undefined));
  await host.kill("s");
  const others = here.another();
  for (const isThere of [false, false, true]) {
    const { lease, state } = (await others.get("s")).info;
    assert.deepEqual([lease === null, state === "inactive"], [isThere, isThere]);
    t.mock.timers.tick(2000);
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  await host.close();
});

test("a message is not delivered to a session that was killed while its host checked the lease after a pause", async () => {
  const received: string[] = [];
  await using here = await place({ runtime: { onMessage: async (_, message: string) => void received.push(message) } });
  await here.host.ensure("s");
  here.clock.set(here.clock.now() + 60_000);
  const sent = assert.rejects(here.host.send("s", "x"), { code: "session_stopped" });
  await here.host.kill("s");
  await sent;
  await sleep(10);
  assert.deepEqual(received, []);
});

test("a session that is created and killed a thousand times leaves nothing behind", async () => {
  await using here = await place();
  await here.sessions.create({ id: "s" });
  const calls: Promise<unknown>[] = [];
  for (let round = 0; round < 1000; round++) {
    calls.push(
      here.host.start("s").catch((error: unknown) => assert.equal((error as { code: string }).code, "session_stopped")),
    );
    if (round % 3 === 0) await Promise.resolve();
    calls.push(here.host.kill("s"));
    if (round % 7 === 0) calls.push(here.host.stop("s"));
  }
  await Promise.all(calls);
  await here.host.kill("s");
  assert.equal([...here.host.each()].length, 0);
  assert.equal(here.host.gauges().live, 0);
  assert.equal(timers(here.host), 0);
  assert.equal(coreOf(here.sessions).leases.size, 0);
  assert.equal((await here.other.get("s")).info.lease, null);
  await here.host.start("s");
  assert.equal([...here.host.each()].length, 1);
});

function timers(host: Host): number {
  return host.gauges().timers;
}

test("chunks of an answer are passed on as they arrive, and the next message waits for the last one", async () => {
  const order: string[] = [];
  const streaming: Runtime = {
    async onMessage(_, message: string) {
      order.push(message);
      return (async function* () {
        for (const part of ["a", "b", "c"]) {
          await sleep(5);
          yield `${message} ${part}`;
        }
        if (message === "1") throw new Error("after the parts");
      })();
    },
  };
  await using here = await place({ runtime: streaming });
  await here.host.ensure("s");
  const stream = (await here.host.send("s", "0")) as AsyncIterable<string>;
  const next = here.host.send("s", "1");
  await sleep(30);
  assert.deepEqual(order, ["0"]);
  assert.deepEqual(await Array.fromAsync(stream), ["0 a", "0 b", "0 c"]);
  await assert.rejects(Array.fromAsync((await next) as AsyncIterable<string>), { code: "runtime_failed" });
  const given = (
    await Promise.all([
      here.host.send("s", "2"),
      until(async () => (await here.clock.advance(100), order.includes("2"))),
    ])
  )[0] as AsyncIterable<string>;
  for await (const part of given) {
    assert.equal(part, "2 a");
    break;
  }
  assert.equal(((await here.host.send("s", "3")) as AsyncIterable<string>)[Symbol.asyncIterator] !== undefined, true);
  await here.host.kill("s");
});

test("when a reader stops early, the answer cleans up before the next message is handled", async () => {
  const order: string[] = [];
  const tidy = async (message: string): Promise<void> => {
    if (message === "untidy") throw new Error("not quite");
  };
  const tidying: Runtime = {
    async onMessage(_, message: string) {
      order.push(message);
      return (async function* () {
        try {
          for (;;) yield message;
        } finally {
          await sleep(30);
          order.push(`${message} is tidy`);
          await tidy(message);
        }
      })();
    },
  };
  await using here = await place({ runtime: tidying, turnTimeout: "1s" });
  await here.host.ensure("s");
  const parts = (await here.host.send("s", "one")) as AsyncIterableIterator<string>;
  assert.equal((await parts.next()).value, "one");
  const next = here.host.send("s", "two") as Promise<AsyncIterableIterator<string>>;
  await parts.return?.();
  for await (const part of await next) {
    assert.equal(part, "two");
    break;
  }
  assert.deepEqual(order, ["one", "one is tidy", "two", "two is tidy"]);
  const untidy = (await here.host.send("s", "untidy")) as AsyncIterableIterator<string>;
  await untidy.next();
  await assert.rejects(async () => await untidy.return?.(), { code: "runtime_failed" });
  assert.equal(here.host.gauges().counts.crashed, 1, "what goes wrong there is a failure like any other");
});

test("a session that failed too often has one timer, and a start keeps its next activation", async () => {
  await using here = await place({ restart: { max: 0 } });
  await here.host.ensure("s");
  assert.equal(here.host.gauges().timers, 1, "its idle timer");
  await assert.rejects(here.host.send("s", "throw"), { code: "runtime_failed" });
  await settled();
  assert.equal(here.host.live("s")?.phase, "failed");
  assert.equal(here.host.gauges().timers, 1, "the timer that forgets it");
  await here.host.start("s");
  assert.equal(here.host.gauges().timers, 1, "its idle timer");
});

test("the chunks of an answer that comes after the end of its activation are closed", async () => {
  const asked = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  const late: Runtime = {
    async onMessage() {
      asked.resolve();
      await gate.promise;
      return new ReadableStream({ cancel: () => closed.resolve() });
    },
  };
  await using here = await place({ runtime: late });
  await here.host.ensure("s");
  const refused = assert.rejects(here.host.send("s", "x"), { code: "session_stopped" });
  await asked.promise;
  await here.host.kill("s");
  await refused;
  gate.resolve();
  await closed.promise;
});

test("a closed host recovers nothing and has no timer", async () => {
  await using here = await place();
  await here.host.close();
  await assert.rejects(here.host.recover({ mode: "eager" }), { code: "closed" });
  assert.equal(here.host.gauges().timers, 0);
});

test("a host whose workers cannot be ended leaves no timer and no listener behind when it is closed", async () => {
  await using here = await place();
  const core = coreOf(here.sessions);
  const listeners = core.instance.onHeartbeatGap.size;
  const host = new Host(core, here.sessions, resolveHostOptions({ runtime: counter }), {
    free: () => assert.fail("no session is activated"),
    prepareStandby: () => undefined,
    all: () => [],
    close: () => Promise.reject(new Error("a worker does not end")),
  });
  await host.recover({ mode: "eager" }); // from then on it polls for dead hosts
  assert.equal(host.gauges().timers, 1);
  await assert.rejects(host.close(), /a worker does not end/);
  assert.deepEqual([host.gauges().timers, core.instance.onHeartbeatGap.size], [0, listeners]);
});

test("an unknown or ended session and an invalid runtime fail with typed errors and leave nothing behind", async () => {
  await using here = await place();
  await assert.rejects(here.host.send("nobody", "x"), { code: "session_not_found" });
  const ended = await here.sessions.create({ id: "ended" });
  await ended.end();
  await assert.rejects(here.host.send("ended", "x"), { code: "session_ended" });
  assert.equal([...here.host.each()].length, 0);
  assert.equal(here.host.gauges().live, 0);
  await assert.rejects(here.host.send("", "x"), { code: "id_invalid" });
  await assert.rejects(startHost(here.sessions, { runtime: {} as never }), { code: "runtime_invalid" });
  await assert.rejects(startHost(here.sessions, { runtime: "./nowhere.ts" }), { code: "runtime_invalid" });
  await assert.rejects(startHost(here.sessions, { runtime: counter, isolation: "pool" }), { code: "argument_invalid" });
  await assert.rejects(startHost(here.sessions, { runtime: counter, maxSessions: 0 }), { code: "argument_invalid" });
  await here.host.close();
  await assert.rejects(here.host.send("s", "x"), { code: "closed" });
});

test("a session whose lease another process took is dropped, and the sender gets fenced", async () => {
  await using here = await place();
  await here.host.ensure("s");
  await (await here.other.get("s")).breakLease();
  await assert.rejects(here.host.send("s", "append"), { code: "fenced" });
  await until(() => here.host.live("s") === undefined);
  assert.equal(here.host.gauges().counts.fenced, 1);
  assert.equal(await here.host.send("s", "append"), 1);
});

test("sessions in a file continue in the next process", async () => {
  const { mkdtemp, rm } = await import("node:fs/promises");
  const folder = await mkdtemp("/tmp/perdure-host-");
  try {
    for (const expected of [1, 2, 3]) {
      await using sessions = await openSessions(`sqlite:${folder}/s.db`);
      await using host = await startHost(sessions, { runtime: counter });
      await host.ensure("s");
      assert.equal(await host.send("s", "append"), expected);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("ensure gives the state of the session, and get knows a session that is asleep, live elsewhere, or unknown", async () => {
  await using here = await place();
  const ensured = await here.host.ensure("s");
  assert.deepEqual([ensured.id, ensured.phase, ensured.agent], ["s", "live", "assistant"]);
  await here.host.stop("s");
  assert.equal(here.host.live("s"), undefined);
  const asleep = await here.host.get("s");
  assert.deepEqual([asleep?.phase, asleep?.agent, asleep?.mailbox], ["sleeping", "assistant", 0]);
  await using second = await startHost(here.other, { runtime: counter });
  await second.ensure("s");
  assert.equal((await here.host.get("s"))?.phase, "elsewhere");
  assert.equal((await second.get("s"))?.phase, "live");
  await (await here.sessions.create({ id: "over" })).end();
  assert.equal(await here.host.get("over"), undefined);
  assert.equal(await here.host.get("unknown"), undefined);
  await second.close();
});

test("metrics count all, active, sleeping and recovered sessions, and say whether the store is durable", async () => {
  await using here = await place();
  for (const id of ["a", "b", "c"]) await here.host.ensure(id);
  await here.host.stop("a");
  const { total, active, sleeping, recovered, durable } = await here.host.metrics();
  assert.deepEqual([total, active, sleeping, recovered, durable], [3, 2, 1, 0, false]);
});

test("updateActivity with a duration counts a request without a turn", async () => {
  await using here = await place();
  await here.host.ensure("s");
  await here.host.updateActivity("s", { durationMs: 120 });
  await here.host.updateActivity("s", { durationMs: 30 });
  await here.host.updateActivity("s");
  const { counts, requestsMs } = here.host.gauges();
  assert.deepEqual([counts.request, counts.message, requestsMs], [2, 0, 150]);
  const live = here.host.live("s");
  assert.deepEqual([live?.requests, live?.requestsMs], [2, 150]);
  assert.equal((await here.other.get("s")).info.counters.requests, 0, "counters of the store count turns");
  await here.host.stop("s");
  await here.host.updateActivity("s", { durationMs: 1 });
  assert.equal(here.host.gauges().counts.request, 3, "also for a session that is asleep");
  await assert.rejects(here.host.updateActivity("s", { durationMs: -1 }), { code: "argument_invalid" });
  await assert.rejects(here.host.updateActivity("s", { ms: 1 } as object), { code: "argument_invalid" });
  await assert.rejects(here.host.updateActivity("unknown", { durationMs: 1 }), { code: "session_not_found" });
});

test("terminateIdle passivates the sessions that are idle for that long, keeps busy ones, and counts", async () => {
  await using here = await place();
  for (const id of ["old", "older", "fresh"]) await here.host.ensure(id);
  await here.clock.advance(60_000);
  await here.host.send("fresh", "x");
  assert.equal(await here.host.terminateIdle(), 0, "none has reached its idle timeout");
  assert.equal(await here.host.terminateIdle({ idleFor: "30s" }), 2);
  assert.deepEqual(
    [...here.host.each()].map(({ id }) => id),
    ["fresh"],
  );
  assert.equal((await here.other.get("old")).info.state, "inactive");
  assert.equal(await here.host.terminateIdle({ idleFor: "30s" }), 0);
  await assert.rejects(here.host.terminateIdle({ idleFor: "soon" }), { code: "duration_invalid" });
});

test("after an orderly stop, recovery activates the stopped sessions on request", async () => {
  await using here = await place();
  for (const id of ["a", "b", "c"]) await here.host.ensure(id);
  await here.clock.advance(60_000);
  await here.host.send("a", "append");
  await here.host.close();
  await using next = await startHost(here.other, { runtime: counter, maxSessions: 2 });
  assert.equal((await next.recover({ mode: "eager" })).recovered, 0);
  const { found, recovered, left } = await next.recover({ mode: "eager", include: "stopped" });
  assert.deepEqual([found, recovered, left], [3, 2, 1]);
  assert.equal((await next.metrics()).recovered, 2);
  const live = new Set([...next.each()].map(({ id }) => id));
  assert(live.has("a"), "the most recently active first");
  assert.equal(await next.send("a", "x"), 2, "with its state");
  await assert.rejects(next.recover({ include: "all" as "stopped" }), { code: "argument_invalid" });
  await assert.rejects(next.recover({ modus: "eager" } as object), { code: "argument_invalid" });
  await next.close();
});

test("a message to a session that cannot be activated fails with its own error, however full the host is", async () => {
  for (const whenFull of ["reject", "wait", "passivate-least-recent"] as const) {
    await using here = await place({ maxSessions: 1, whenFull });
    await (await here.sessions.create({ id: "over" })).end();
    await here.host.ensure("a");
    await assert.rejects(here.host.send("unknown", "x"), { code: "session_not_found" });
    await assert.rejects(here.host.send("over", "x"), { code: "session_ended" });
    assert.equal(here.host.live("a")?.phase, "live", "and no session gave way");
  }
});
