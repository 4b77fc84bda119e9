/** The session service against the ADK's own in memory, and under its Runner. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import {
  createEvent,
  InMemorySessionService,
  Runner,
  StreamingMode,
  ToolConfirmation,
  type BaseSessionService,
  type Event,
  type Session,
} from "@google/adk";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { after, test } from "node:test";
import * as fc from "../../support/fast-check.ts";
import { erase } from "../../../src/admin.ts";
import { adkSessions } from "../../../src/adapters/adk.ts";
import { hasCode, openSessions, type Sessions } from "../../../src/index.ts";
import { assertSound, Engines, enginesOfRun, placesOf } from "../../crash/engines.ts";
import { endsWithTest } from "../../support/ends-with-test.ts";
import { inMemory } from "../../support/in-memory.ts";
import { rounds } from "../../support/rounds.ts";
import { workerProgram } from "../worker-program.ts";
import { calls, parcelAgent, says, ScriptedLlm } from "./agents.ts";

const program = await workerProgram(join(import.meta.dirname, "worker.ts"));
const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

const ada = { appName: "shop", userId: "ada", sessionId: "s" };

/** A session as plain data, without the brands of events and the time that each service takes its own way. */
function plain(session: Session | undefined): unknown {
  if (session === undefined) return undefined;
  const { lastUpdateTime: _, ...rest } = session;
  return JSON.parse(JSON.stringify(rest));
}

const names = [
  "shop",
  "__proto__",
  "🙂 é",
  "x".repeat(300),
  `${"x".repeat(299)}y`,
  "a/b|c%",
  "..",
  "\u0000",
  "toString",
];
const values = fc.oneof(fc.jsonValue({ maxDepth: 3 }), fc.constantFrom("🙂"[0]!, -1, { $type: "date" }));
const stateNames = ["k", "__proto__", "app:k", "app:__proto__", "user:k", "user:", "temp:k", "constructor", "", "é|/"];
const delta = fc
  .array(fc.tuple(fc.constantFrom(...stateNames), values), { maxLength: 4 })
  .map((pairs) => Object.fromEntries(pairs));
const steps = fc.shuffledSubarray(names, { minLength: 2, maxLength: 2 }).chain((few) => {
  const key = fc.record({
    appName: fc.constantFrom(...few),
    userId: fc.constantFrom(...few),
    sessionId: fc.constantFrom(...few),
  });
  return fc.array(
    fc.record({
      act: fc.constantFrom("create", "append", "append", "append", "get", "list", "delete"),
      key,
      delta,
      id: fc.constantFrom("e1", "e2", "e3", "é".repeat(300)),
      timestamp: fc.integer({ min: 1, max: 9 }),
      count: fc.integer({ min: 0, max: 3 }),
      partial: fc.boolean(),
    }),
    { maxLength: 25 },
  );
});

test("any calls leave the sessions, states and events of the ADK's service in memory", async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      await using place = inMemory();
      const service = adkSessions(place.sessions);
      const model = new InMemorySessionService();
      for (const { act, key, delta, id, timestamp, count, partial } of all) {
        const stored = await model.getSession(key);
        assert.deepEqual(plain(await service.getSession(key)), plain(stored));
        const { appName, userId } = key;
        if (act === "create" && stored === undefined) {
          // The service in memory keeps initial values of the app and of the user with the session.
          const state = Object.fromEntries(Object.entries(delta).filter(([name]) => !/^(app|user):/.test(name)));
          const request = { ...key, state };
          assert.deepEqual(plain(await service.createSession(request)), plain(await model.createSession(request)));
        } else if (act === "append" && stored !== undefined) {
          // The service in memory applies some changes of partial events.
          const stateDelta = partial ? {} : delta;
          const event = (): Event =>
            createEvent({
              id,
              timestamp,
              author: "agent",
              partial,
              actions: { stateDelta: structuredClone(stateDelta) },
            });
          const found = (await service.getSession(key)) ?? assert.fail("no session");
          await service.appendEvent({ session: found, event: event() });
          await model.appendEvent({ session: stored, event: event() });
          assert.deepEqual(plain(found), plain(stored));
        } else if (act === "get") {
          const request = { ...key, config: { numRecentEvents: count, afterTimestamp: timestamp } };
          assert.deepEqual(plain(await service.getSession(request)), plain(await model.getSession(request)));
        } else if (act === "list") {
          const idsOf = (list: { sessions: Session[] }): readonly string[] =>
            list.sessions.map((one) => JSON.stringify([one.userId, one.id])).sort();
          for (const request of [{ appName }, { appName, userId }])
            assert.deepEqual(idsOf(await service.listSessions(request)), idsOf(await model.listSessions(request)));
          const { sessions: _, ...page } = await service.listSessions({ appName, limit: count, page: 1 });
          const { sessions: __, ...modelPage } = await model.listSessions({ appName, limit: count, page: 1 });
          assert.deepEqual(page, modelPage);
        } else if (act === "delete") {
          await service.deleteSession(key);
          await model.deleteSession(key);
        }
        assert.deepEqual(plain(await service.getSession(key)), plain(await model.getSession(key)));
      }
    }),
    { numRuns: rounds(300) },
  );
});

async function run(
  service: BaseSessionService,
  model: ScriptedLlm,
  text: string,
  streamingMode?: StreamingMode,
): Promise<Event[]> {
  const runner = new Runner({ appName: "shop", agent: parcelAgent(model), sessionService: service });
  const { userId, sessionId } = ada;
  const newMessage = { role: "user", parts: [{ text }] };
  const runConfig = streamingMode === undefined ? {} : { runConfig: { streamingMode } };
  return await Array.fromAsync(runner.runAsync({ userId, sessionId, newMessage, ...runConfig }));
}

for (const name of enginesOfRun("SQLite")) {
  test(`a run in one process goes on in another, with its events and the three scopes of its state: ${name}`, async () => {
    const url = await (await engines.get(name)).fresh();
    await using one = await openSessions({ store: url, sweep: false });
    await using two = await openSessions({ store: url, sweep: false });
    const first = adkSessions(one);
    await first.createSession({ ...ada, state: { greeted: true, "user:name": "Ada", "app:shop": "Parcels" } });
    const model = new ScriptedLlm([
      calls("count", { scope: "user:" }),
      calls("count", { scope: "app:" }),
      calls("count", { scope: "temp:" }),
      says("Three parcels."),
    ]);
    await run(first, model, "Count my parcels");

    const second = adkSessions(two);
    const partial = says("It is ").map((response) => ({ ...response, partial: true }));
    const asked = new ScriptedLlm([[...partial, ...says("It is here.")]]);
    const streamed = await run(second, asked, "Where is it?", StreamingMode.SSE);
    assert.equal(streamed.filter((event) => event.partial === true).length, 1);
    // The model of the second process sees the conversation of the first one.
    assert.equal(asked.requests[0]?.contents.length, 9);

    const found = (await first.getSession(ada)) ?? assert.fail("no session");
    assert.deepEqual(
      { ...found.state },
      {
        greeted: true,
        answer: "It is here.",
        "user:name": "Ada",
        "user:parcels": 1,
        "app:shop": "Parcels",
        "app:parcels": 1,
      },
    );
    assert.equal(found.events.length, 10);
    assert.equal(
      found.events.some((event) => event.partial === true),
      false,
    );
    assert.deepEqual(
      (await first.getSession({ ...ada, config: { numRecentEvents: 2 } }))?.events.map((event) => event.author),
      ["user", "parcels"],
    );
    const other = await first.createSession({ ...ada, sessionId: "another" });
    assert.deepEqual(
      { ...other.state },
      {
        "user:name": "Ada",
        "user:parcels": 1,
        "app:shop": "Parcels",
        "app:parcels": 1,
      },
    );
    const stranger = await first.createSession({ appName: "shop", userId: "bob" });
    assert.deepEqual({ ...stranger.state }, { "app:shop": "Parcels", "app:parcels": 1 });
    await assertSound(one);
  });

  test(`an append to an outdated object is refused, or reloads the object: ${name}`, async () => {
    const url = await (await engines.get(name)).fresh();
    await using one = await openSessions({ store: url, sweep: false });
    await using two = await openSessions({ store: url, sweep: false });
    const [first, second] = [adkSessions(one), adkSessions(two)];
    const session = await first.createSession(ada);
    const other = (await second.getSession(ada)) ?? assert.fail("no session");
    const append = (service: BaseSessionService, to: Session, id: string): Promise<Event> =>
      service.appendEvent({ session: to, event: createEvent({ id, actions: { stateDelta: { last: id } } }) });
    // Agents that run beside each other append to one object.
    await Promise.all(["a1", "a2", "a3"].map((id) => append(first, session, id)));
    await assert.rejects(append(second, other, "b1"), { code: "conflict" });
    assert.deepEqual(other.events, []);
    // A copy of an object is up to date while it has the last event.
    await append(first, structuredClone({ ...session, events: [{ ...session.events.at(-1)! }] }), "a4");
    await assert.rejects(append(first, structuredClone({ ...session, events: [{ ...session.events[0]! }] }), "a5"), {
      code: "conflict",
    });

    const reloading = adkSessions(two, { onConflict: "reload" });
    const outdated = (await reloading.getSession(ada)) ?? assert.fail("no session");
    await append(first, (await first.getSession(ada)) ?? assert.fail("no session"), "a6");
    await append(reloading, outdated, "b2");
    const ids = ["a1", "a2", "a3", "a4", "a6", "b2"];
    assert.deepEqual(
      outdated.events.map(({ id }) => id),
      ids,
    );
    assert.deepEqual(plain(await first.getSession(ada)), plain(outdated));
    assert.deepEqual({ ...outdated.state }, { last: "b2" });

    // Writers in two places that reload lose no event.
    const writers = [adkSessions(one, { onConflict: "reload" }), reloading];
    await Promise.all(
      writers.map(async (service, writer) => {
        const own = (await service.getSession(ada)) ?? assert.fail("no session");
        for (let index = 0; index < 5; index++) await append(service, own, `w${writer}-${index}`);
      }),
    );
    assert.equal((await first.getSession(ada))?.events.length, ids.length + 10);
  });

  test(`a process that is killed before any of its commits leaves whole events with their state and their turns: ${name}`, async (context) => {
    const url = await (await engines.get(name)).fresh();
    await using sessions = await openSessions({ store: url, sweep: false });
    const service = adkSessions(sessions);
    const eventsMax = rounds(4, 1);
    const { first, step } = placesOf(context, name, 1);
    // A session takes two commits, and an event one.
    for (let commits = 1 + first; commits <= eventsMax + 2; commits += step) {
      const sessionId = `killed-${commits}`;
      const args = [program, url, sessionId, String(eventsMax), String(commits)];
      const child = endsWithTest(spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] }));
      let said = "";
      child.stdout.setEncoding("utf8").on("data", (chunk: string) => (said += chunk));
      await once(child, "close");
      const acknowledged = said.split("appended").length - 1;
      const request = { appName: "shop", userId: "ada", sessionId };
      const found = await service.getSession(request);
      if (commits === 1) {
        assert.equal(found, undefined);
        assert.equal((await service.listSessions({ appName: "shop" })).totalItems, 0);
        const created = await service.createSession({ ...request, state: { step: 0 } });
        assert.equal(created.state["step"], 0);
        continue;
      }
      assert(found !== undefined);
      assert.equal(found.events.length, acknowledged);
      assert.equal(found.state["step"], acknowledged);
      const turns = await Array.fromAsync((await sessions.get(`adk/shop/ada/${sessionId}`)).turns());
      assert.deepEqual(
        turns.flatMap(({ input, output }) => [...input, ...output].map(({ content }) => content)),
        Array.from({ length: acknowledged }, (_, index) => `text ${index + 1}`),
      );
      assert.equal(turns.length, Math.ceil(acknowledged / 2));
      if (acknowledged > 0)
        assert.deepEqual([found.state["user:step"], found.state["app:step"]], [acknowledged, acknowledged]);
      assert.equal("temp:step" in found.state, false);
      await service.appendEvent({ session: found, event: createEvent({ id: "after" }) });
    }
    await assertSound(sessions);
  });

  test(`an archived, a copied, a forked and an erased session: ${name}`, async () => {
    const store = await (await engines.get(name)).fresh();
    await using sessions = await openSessions({ store, sweep: false, secret: "a secret of the tests" });
    const service = adkSessions(sessions);
    const session = await service.createSession({ ...ada, state: { own: 1, "user:name": "Ada" } });
    await service.appendEvent({ session, event: createEvent({ id: "e", actions: { stateDelta: { own: 2 } } }) });
    const stored = await sessions.get("adk/shop/ada/s");

    const others = sessions.for("another tenant");
    await others.restore(await sessions.snapshot(stored.id));
    const copied = await adkSessions(others).getSession(ada);
    assert.deepEqual([copied?.events.length, copied?.state["own"]], [1, 2]);

    const fork = await stored.fork();
    assert.equal((await service.listSessions({ appName: "shop" })).totalItems, 1);
    await fork.remove();
    await stored.end();
    await assert.rejects(service.appendEvent({ session, event: createEvent({ id: "late" }) }), {
      code: "session_ended",
    });
    await stored.archive();
    assert.deepEqual(
      (await service.getSession(ada))?.events.map(({ id }) => id),
      ["e"],
    );

    await erase(sessions, { user: "ada" });
    assert.equal(await service.getSession(ada), undefined);
    assert.deepEqual({ ...(await service.createSession(ada)).state }, {});
  });
}

/** A service in memory, with a session. */
async function withSession(sessions: Sessions): Promise<{ service: BaseSessionService; session: Session }> {
  const service = adkSessions(sessions);
  return { service, session: await service.createSession(ada) };
}

test("a list is ordered by the last activity, and paged", async () => {
  await using place = inMemory();
  const service = adkSessions(place.sessions);
  for (const sessionId of ["a", "b", "c"]) {
    await place.clock.advance(1000);
    await service.createSession({ ...ada, sessionId });
  }
  await place.clock.advance(1000);
  const session = (await service.getSession({ ...ada, sessionId: "a" })) ?? assert.fail("no session");
  await service.appendEvent({ session, event: createEvent({ id: "e" }) });
  const listed = async (request: object): Promise<readonly unknown[]> => {
    const { sessions, page, totalPages } = await service.listSessions({ appName: "shop", ...request });
    return [sessions.map(({ id }) => id).join(""), page, totalPages];
  };
  assert.deepEqual(await listed({ order: "desc" }), ["acb", 1, 1]);
  assert.deepEqual(await listed({ order: "asc", limit: 2 }), ["bc", 1, 2]);
  assert.deepEqual(await listed({ order: "asc", limit: 2, page: 2 }), ["a", 2, 2]);
  assert.deepEqual(await listed({ order: "asc", limit: 2, offset: 2 }), ["a", 2, 2]);
  assert.deepEqual(await listed({ userId: "bob" }), ["", 1, 0]);
});

test("a session is created once, and one whose time to live has passed is revived by the next event", async () => {
  await using place = inMemory();
  const service = adkSessions(place.sessions, { ttl: "1h" });
  const session = await service.createSession(ada);
  await assert.rejects(service.createSession({ ...ada, state: { "app:k": "lost" } }), { code: "session_exists" });
  assert.deepEqual(plain(await service.getOrCreateSession(ada)), plain(session));
  await place.clock.advance(7_200_000);
  await service.appendEvent({ session, event: createEvent({ id: "late" }) });
  assert.equal((await service.getSession(ada))?.events.length, 1);
  await service.deleteSession(ada);
  await assert.rejects(service.appendEvent({ session, event: createEvent({ id: "later" }) }), {
    code: "session_not_found",
  });
});

test("values of the ADK's classes are kept, and those of the program's are refused by their path", async () => {
  await using place = inMemory();
  const { service, session } = await withSession(place.sessions);
  const confirmation = new ToolConfirmation({ hint: "Send it?", confirmed: false, payload: { at: new Date(0) } });
  await service.appendEvent({
    session,
    event: createEvent({ id: "asks", actions: { requestedToolConfirmations: { call: confirmation } } }),
  });
  const [asks] = (await service.getSession(ada))?.events ?? [];
  assert.deepEqual(asks?.actions.requestedToolConfirmations, { call: { ...confirmation } });

  const before = plain(await service.getSession(ada));
  class Parcel {
    readonly number = 7;
  }
  const refused = async (stateDelta: Record<string, unknown>, message: RegExp): Promise<void> => {
    const event = createEvent({ id: "refused", actions: { stateDelta } });
    await assert.rejects(service.appendEvent({ session, event }), (error: Error) => {
      assert.match(error.message, message);
      return true;
    });
  };
  await refused({ run: () => 1 }, /run/);
  await refused({ "user:parcel": new Parcel() }, /Parcel/);
  await refused({ large: "x".repeat(8 * 1024 * 1024 + 1) }, /adk/);
  assert.deepEqual(plain(await service.getSession(ada)), before);
  await assert.rejects(service.appendEvent({ session, event: null as never }), { code: "argument_invalid" });
  for (const part of [null, undefined]) {
    const event = createEvent({ id: "refused", content: { role: "user", parts: [{ text: "a" }, part as never] } });
    await assert.rejects(
      service.appendEvent({ session, event }),
      (error) => hasCode(error, "argument_invalid") && error.details.name === "event.content.parts[1]",
    );
    const without = { session: part as never, event: createEvent({ author: "user" }) };
    await assert.rejects(service.appendEvent(without), { code: "argument_invalid" });
  }
  assert.deepEqual(plain(await service.getSession(ada)), before);
  await assert.rejects(service.getSession({ ...ada, userId: undefined as never }), { code: "argument_invalid" });
  assert.throws(() => adkSessions(place.sessions, { users: "ada" } as object), { code: "argument_invalid" });
  assert.throws(() => adkSessions(place.sessions, { onConflict: "merge" } as object), { code: "argument_invalid" });
  assert.throws(() => adkSessions(place.sessions, { ttl: "soon" as "1h" }), { code: "duration_invalid" });
});
