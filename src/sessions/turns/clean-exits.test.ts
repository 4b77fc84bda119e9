/** An answer leaves no turn, no timer, no lease use and no watch behind in its process, however it ends. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { countTimers, settled } from "../../../test/support/count-timers.ts";
import { inMemory, type InMemory } from "../../../test/support/in-memory.ts";
import type { Answer } from "../../domain/turns/answer.ts";
import { SessionError } from "../../errors.ts";
import type { Model } from "../options/model.ts";
import type { Session } from "../session/session.ts";
import { coreOf } from "../sessions.ts";
import type { ConsultOptions } from "./question.ts";

/** A model that yields one word, then waits for its signal. */
const endless: Model = async function* ({ signal }) {
  yield { type: "text", text: "word" };
  await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
};
const brief: Model = async function* () {
  yield { type: "text", text: "word" };
};
const broken: Model = async function* () {
  yield { type: "text", text: "word" };
  throw new Error("the model broke");
};
/** A tool of the model wrote to another session, and was fenced there. */
const fencedElsewhere: Model = async function* () {
  yield { type: "text", text: "word" };
  throw new SessionError("fenced", { sessionId: "another", fence: 1, storedFence: 2 });
};

/** Begins an answer in each session, and ends all of them. */
type End = (sessions: readonly Session[], place: InMemory) => Promise<unknown>;

/** The answer of each session ends by itself. */
function each(end: (session: Session, place: InMemory) => Promise<unknown>): End {
  return (sessions, place) => Promise.all(sessions.map((session) => end(session, place)));
}

async function consultAll(sessions: readonly Session[], options: ConsultOptions = {}): Promise<readonly Answer[]> {
  return await Promise.all(sessions.map((session) => session.consult("q", options)));
}

/** Every call of the store fails from here on. */
function takeStoreAway(place: InMemory): void {
  place.loadsFail = true;
  place.store.plan(() => ({ fails: "before" }));
}

async function abortWithoutStore(sessions: readonly Session[], place: InMemory): Promise<void> {
  const stop = new AbortController();
  const answers = await consultAll(sessions, { signal: stop.signal });
  takeStoreAway(place);
  stop.abort();
  await Promise.all(answers.map(answered));
}

/** The store answers again; resolves once every turn in progress is sealed. */
async function bringStoreBack(place: InMemory): Promise<void> {
  place.loadsFail = false;
  place.store.plan({});
  while (coreOf(place.sessions).turns.size > 0) {
    await place.clock.advance(1000); // until the breaker lets a call through
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The process closes its sessions while the commits of `calls` are under way. */
async function closeDuringCommit(place: InMemory, calls: readonly Promise<unknown>[]): Promise<void> {
  const gate = Promise.withResolvers<void>();
  place.store.plan(() => ({ hold: gate.promise }));
  const commits = place.store.commits;
  while (place.store.commits === commits) await settled();
  const closing = place.sessions.close();
  place.store.plan({});
  gate.resolve();
  await Promise.all([closing, ...calls]);
}

async function answered(answer: Answer): Promise<void> {
  await answer.done.catch(() => undefined);
}

const ends: Readonly<Record<string, { readonly model: Model; readonly end: End }>> = {
  done: { model: brief, end: each(async (session) => answered(await session.consult("q"))) },
  failed: { model: broken, end: each(async (session) => answered(await session.consult("q"))) },
  "failed by a tool that was fenced in another session": {
    model: fencedElsewhere,
    end: each(async (session) => answered(await session.consult("q"))),
  },
  cancelled: {
    model: endless,
    end: each(async (session) => {
      const answer = await session.consult("q");
      await session.cancel();
      await answered(answer);
    }),
  },
  "taken over in this process": {
    model: endless,
    end: each(async (session, place) => {
      const answer = await session.consult("q");
      const next = await (await place.sessions.get(session.id)).consult("mine", { busy: "take-over", model: brief });
      await Promise.all([answered(answer), answered(next)]);
    }),
  },
  "unlocked by another process": {
    model: endless,
    end: each(async (session, place) => {
      const answer = await session.consult("q");
      await (await place.another().get(session.id)).breakLease();
      await answered(answer);
    }),
  },
  removed: {
    model: endless,
    end: each(async (session, place) => {
      const answer = await session.consult("q");
      await (await place.another().get(session.id)).remove();
      await answered(answer);
    }),
  },
  expired: {
    model: endless,
    end: each(async (session, place) => {
      const answer = await session.consult("q");
      await place.clock.advance(20_000);
      await session.cancel();
      await answered(answer);
    }),
  },
  aborted: {
    model: endless,
    end: each(async (session) => {
      const stop = new AbortController();
      const answer = await session.consult("q", { signal: stop.signal });
      stop.abort();
      await answered(answer);
    }),
  },
  "not read to its end": {
    model: brief,
    end: each(async (session) => {
      const answer = await session.consult("q");
      for await (const _ of answer) break;
      await answered(answer);
    }),
  },
  "watched by a reader that stops": {
    model: brief,
    end: each(async (session) => {
      const answer = await session.consult("q");
      for await (const _ of session.watch({ after: 0 })) break;
      await answered(answer);
    }),
  },
  "begun, written to, superseded, and left alone": {
    model: brief,
    end: each(async (session, place) => {
      const turn = await session.begin("q");
      await (await place.another().get(session.id)).breakLease();
      await turn.write({ text: "x".repeat(9000) }).catch(() => undefined);
    }),
  },
  "begun under a lease that was superseded": {
    model: brief,
    end: each(async (session, place) => {
      await session.lease();
      const turn = await session.begin("q");
      await (await place.another().get(session.id)).breakLease();
      await turn.write({ text: "x".repeat(9000) }).catch(() => undefined);
    }),
  },
  "leased, superseded, and refused": {
    model: brief,
    end: each(async (session, place) => {
      await session.lease();
      await (await place.another().get(session.id)).breakLease();
      await session.append({ input: "late" }).catch(() => undefined);
    }),
  },
  "sealed by the close of its process": {
    model: endless,
    end: async (sessions, place) => {
      const answers = await consultAll(sessions);
      await place.sessions.close();
      await Promise.all(answers.map(answered));
    },
  },
  "sealed by the close of its process, with a reader and a waiter": {
    model: endless,
    end: async (sessions, place) => {
      const answers = await consultAll(sessions);
      const readers = sessions.map((session) => Array.fromAsync(session.watch({ after: 0 })));
      const waiters = consultAll(sessions, { busy: "queue" });
      const others = Promise.allSettled([...readers, waiters]);
      while (coreOf(place.sessions).queues.size < sessions.length) await settled();
      await place.sessions.close();
      await Promise.all([...answers.map(answered), others]);
    },
  },
  "begun while its process closes": {
    model: endless,
    end: async (sessions, place) => {
      const asked = sessions.map((session) => session.consult("q"));
      await closeDuringCommit(place, asked);
      await Promise.all(asked.map(async (answer) => answered(await answer)));
      // The close has sealed the turns: nothing is left for another process to recover.
      const { records } = await place.shared.find({ order: "due", before: Number.MAX_SAFE_INTEGER, limit: 100 });
      assert.deepEqual(new Set(records.map(({ openTurn, lease }) => openTurn ?? lease)), new Set([null]));
    },
  },
  "leased while its process closes": {
    model: brief,
    end: async (sessions, place) => {
      const leases = sessions.map((session) => session.lease());
      await closeDuringCommit(place, leases);
      await Promise.all(leases);
    },
  },
  "aborted while its store is away": {
    model: endless,
    end: async (sessions, place) => {
      await abortWithoutStore(sessions, place);
      await bringStoreBack(place);
    },
  },
  "broken by a store that went away": {
    model: brief,
    end: async (sessions, place) => {
      const turns = await Promise.all(sessions.map((session) => session.begin("q")));
      takeStoreAway(place);
      await Promise.all(turns.map((turn) => turn.write({ text: "x".repeat(9000) }).catch(() => undefined)));
      await bringStoreBack(place);
    },
  },
  "aborted while its store is away, in a process that closes": {
    model: endless,
    end: async (sessions, place) => {
      await abortWithoutStore(sessions, place);
      await assert.rejects(place.sessions.close(), { code: "store_unavailable" });
    },
  },
  "closed by its process while its store is away": {
    model: endless,
    end: async (sessions, place) => {
      const answers = await consultAll(sessions);
      takeStoreAway(place);
      await assert.rejects(place.sessions.close(), { code: "store_unavailable" });
      await Promise.all(answers.map(answered));
    },
  },
  truncated: {
    model: brief,
    end: each(async (session) => {
      await answered(await session.consult("q"));
      await session.truncate(0);
    }),
  },
};

test("an answer leaves nothing behind in its process, however it ends", { timeout: 300_000 }, async (t) => {
  // An answer holds no process open by itself.
  const open = setInterval(() => undefined, 60_000);
  t.after(() => clearInterval(open));
  for (const [name, { model, end }] of Object.entries(ends)) {
    await using place = inMemory({ model, ttl: "10s" });
    const core = coreOf(place.sessions);
    // The heartbeat of the instance is there from the first lease on.
    await answered(await (await place.sessions.create({ id: "first" })).consult("q", { model: brief }));
    const timers = countTimers();
    const sessions = Array.from({ length: 70 }, (_, index) => place.sessions.create({ id: `s${index}` }));
    await end(await Promise.all(sessions), place);
    await settled();
    timers.stop();
    const left = {
      turns: core.turns.size,
      uses: core.instance.usesCount,
      leases: core.leases.size,
      polled: core.poller.size,
      queues: core.queues.size,
      watches: place.watches,
      sleeping: place.clock.sleeping,
    };
    const none = { turns: 0, uses: 0, leases: 0, polled: 0, queues: 0, watches: 0, sleeping: 0 };
    assert.deepEqual(left, none, name);
    assert.deepEqual(timers.running(), [], name);
  }
});

test("a turn whose write failed and that its writer never seals is sealed once the store is back", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  await using place = inMemory();
  const core = coreOf(place.sessions);
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("q");
  place.store.plan(() => ({ fails: "before" }));
  await assert.rejects(turn.write({ text: "x".repeat(9000) }), { code: "store_unavailable" });
  for (let tries = 0; tries < 3; tries++) {
    t.mock.timers.tick(2000);
    await settled();
    assert.equal(core.turns.size, 1, "the store is away");
  }
  place.store.plan({});
  await place.clock.advance(20_000); // until the breaker lets a call through
  t.mock.timers.tick(2000);
  await settled();
  assert.deepEqual([core.turns.size, core.instance.usesCount], [0, 0]);
  const [kept] = await Array.fromAsync(session.turns());
  assert.equal(kept?.status, "interrupted");
  assert.equal((await session.append({ input: "next" })).seq, 2);
});

test("a signal that aborts in the queue, or before it, is a typed error and writes nothing", async () => {
  await using place = inMemory({ model: brief });
  const session = await place.sessions.create({ id: "s" });
  const holder = await place.another().get("s");
  const lease = await holder.lease();
  const stop = new AbortController();
  const asked = session.consult("q", { busy: "queue", signal: stop.signal });
  const refused = assert.rejects(asked, { code: "aborted", details: { waitedMs: 400, ...ids } });
  for (let step = 0; step < 4; step++) await place.clock.advance(100);
  stop.abort();
  await refused;
  await assert.rejects(session.consult("q", { signal: stop.signal }), { code: "aborted" });
  await lease.release();
  await holder.refresh();
  assert.deepEqual([holder.info.turn, place.clock.sleeping], [0, 0]);
});

const ids = { sessionId: "s", tenant: "default", agent: "assistant", command: "consult" };
