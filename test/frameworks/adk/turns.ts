/** The events of the ADK as turns, and turns of others as its events. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { createEvent, Runner, type Event, type Session } from "@google/adk";
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "../../support/fast-check.ts";
import { adkSessions } from "../../../src/adapters/adk.ts";
import {
  fromFormat,
  openSessions,
  type Message,
  type Model,
  type Session as Stored,
  type Sessions,
  type Turn,
  type Value,
} from "../../../src/index.ts";
import { callStore, storeBefore } from "../../../src/store/calls/forwarding-store.ts";
import { inMemory } from "../../support/in-memory.ts";
import { rounds } from "../../support/rounds.ts";
import { calls, parcelAgent, says, ScriptedLlm } from "./agents.ts";

const ada = { appName: "shop", userId: "ada", sessionId: "s" };
const id = "adk/shop/ada/s";

type Content = NonNullable<Event["content"]>;

const said = (role: string, text: string): Content => ({ role, parts: [{ text }] });
const called = (call: string): Content => ({
  role: "model",
  parts: [{ functionCall: { id: call, name: "count", args: {} } }],
});
const answered = (call: string): Content => ({
  role: "user",
  parts: [{ functionResponse: { id: call, name: "count", response: { output: call } } }],
});

function event(content: Content | undefined, name: string): Event {
  const isUser = content?.role === "user" && content.parts?.[0]?.text !== undefined;
  return createEvent({ id: name, author: isUser ? "user" : "parcels", ...(content === undefined ? {} : { content }) });
}

const turnsOf = async (session: Stored): Promise<Turn[]> => await Array.fromAsync(session.turns());
const messagesIn = (turns: readonly Turn[]): readonly Message[] =>
  turns.flatMap(({ input, output }) => [...input, ...output]);

/** The messages that the contents of events are. */
function contentsOf(session: Session | undefined): readonly Message[] {
  const contents = (session?.events ?? []).flatMap(({ content }) => (content === undefined ? [] : [content]));
  return fromFormat(contents, "gemini").map(({ native: _, ...message }) => message as Message);
}

const open = async (sessions: Sessions): Promise<{ service: ReturnType<typeof adkSessions>; session: Session }> => {
  const service = adkSessions(sessions);
  return { service, session: (await service.getSession(ada)) ?? assert.fail("no session") };
};

const act = fc.constantFrom(
  "ask",
  "answer",
  "call",
  "result",
  "quiet",
  "append",
  "extend",
  "truncate",
  "replace",
  "again",
);

test("after any writes of the ADK and of others, events and turns say the same", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(act, fc.nat({ max: 5 })), { maxLength: 25 }), async (all) => {
      await using place = inMemory();
      await adkSessions(place.sessions).createSession(ada);
      const own = new Map<string, unknown>();
      for (const [step, [what, n]] of all.entries()) {
        await place.clock.advance(1);
        const { service, session } = await open(place.another());
        const append = async (content: Content | undefined, name = `e${step}`): Promise<void> => {
          const given = event(content, name);
          await service.appendEvent({ session, event: given });
          own.set(name, given);
        };
        const stored = await place.another().get(id);
        const turns = await turnsOf(stored);
        if (what === "ask") await append(said("user", `question ${step}`));
        else if (what === "answer") await append(said("model", `answer ${step}`));
        else if (what === "call") await append(called(`c${step}`));
        else if (what === "result") await append(answered(`c${n}`));
        else if (what === "quiet") await append(undefined);
        else if (what === "append") await stored.append({ input: `other ${step}`, output: `reply ${step}` });
        else if (what === "again") {
          const last = session.events.findLast(({ id: name }) => own.has(name));
          if (last?.content?.parts?.[0]?.text !== undefined)
            await append(said(String(last.content.role), `changed ${step}`), last.id);
        } else if (what === "truncate") await stored.truncate(Math.min(n, turns.length));
        else if (turns.length > 0) {
          const { seq, input, output } = turns.at(-1)!;
          const { version } = await stored.look();
          const more = { role: "assistant", content: `more ${step}` } as const;
          const turn = what === "extend" ? { input, output: [...output, more] } : { input, output: [more] };
          await stored.write({ turns: { from: seq, turns: [turn], amends: what === "extend" }, onto: version });
        }
        const found = (await open(place.another())).session;
        const now = await turnsOf(await place.another().get(id));
        const isReplacedBehind = all.slice(0, step + 1).some(([one]) => one === "again");
        if (!isReplacedBehind) assert.deepEqual(contentsOf(found), messagesIn(now), `step ${step}: ${what}`);
        // An event that is shown is as it was, and the last ones of a session are those of all.
        for (const shown of found.events)
          if (own.has(shown.id))
            assert.deepEqual(JSON.parse(JSON.stringify(shown)), JSON.parse(JSON.stringify(own.get(shown.id))));
        const recent = await service.getSession({ ...ada, config: { numRecentEvents: 2 } });
        assert.deepEqual(
          recent?.events.map((one) => one.id),
          found.events.slice(-2).map((one) => one.id),
        );
      }
    }),
    {
      numRuns: rounds(60),
      // The ADK says the same again in the place of what others have truncated.
      examples: [
        [
          [
            ["result", 1],
            ["truncate", 0],
            ["result", 1],
          ],
        ],
        [
          [
            ["ask", 0],
            ["result", 1],
            ["result", 1],
            ["truncate", 0],
            ["quiet", 0],
            ["result", 1],
            ["result", 1],
          ],
        ],
      ],
    },
  );
});

/** A model that answers with the number of messages that it was shown. */
const counting: Model = async function* ({ messages }) {
  yield { type: "text", text: `shown ${messages.length}` };
};

test("a run with calls is one turn with its usage, a consult goes on from it, and the next run is shown the answer", async () => {
  await using place = inMemory({ model: counting });
  const service = adkSessions(place.sessions);
  await service.createSession(ada);
  const usageMetadata = { promptTokenCount: 10, candidatesTokenCount: 4, thoughtsTokenCount: 1, totalTokenCount: 15 };
  const answers = [calls("count", { scope: "user:" }), says("One parcel.")].map((list) =>
    list.map((response) => ({ ...response, usageMetadata, modelVersion: "gemini-9" })),
  );
  const run = async (model: ScriptedLlm, text: string): Promise<void> => {
    const runner = new Runner({ appName: "shop", agent: parcelAgent(model), sessionService: service });
    const newMessage = { role: "user", parts: [{ text }] };
    await Array.fromAsync(runner.runAsync({ userId: "ada", sessionId: "s", newMessage }));
  };
  await run(new ScriptedLlm(answers), "How many?");
  const stored = await place.sessions.get(id);
  const [turn, ...others] = await turnsOf(stored);
  assert.equal(others.length, 0);
  assert.deepEqual(
    [turn?.status, turn?.input.length, turn?.output.map(({ role }) => role), turn?.requests, turn?.model],
    ["done", 1, ["assistant", "tool", "assistant"], 2, "gemini-9"],
  );
  assert.equal(turn?.output[0]?.tool_calls?.[0]?.id, turn?.output[1]?.tool_call_id);
  assert.deepEqual(turn?.usage, { inputTokens: 20, outputTokens: 10, totalTokens: 30, reasoningTokens: 2 });
  assert.equal(await (await stored.consult("And now?")).text(), "shown 5");

  const model = new ScriptedLlm([says("Still one.")]);
  const outdated = (await service.getSession(ada)) ?? assert.fail("no session");
  await run(model, "Sure?");
  assert.match(JSON.stringify(model.requests[0]?.contents), /And now\?.*shown 5.*Sure\?/);
  // Turns of others count for an object that was read before them, as events do.
  await stored.refresh();
  await stored.append({ input: "Other?", output: "Other." });
  await assert.rejects(service.appendEvent({ session: outdated, event: event(said("user", "late"), "late") }), {
    code: "conflict",
  });
  const reloading = adkSessions(place.sessions, { onConflict: "reload" });
  await reloading.appendEvent({ session: outdated, event: event(said("user", "late"), "late") });
  assert.deepEqual(outdated.events.at(-1)?.id, "late");
  assert.equal(outdated.events.at(-2)?.content?.parts?.[0]?.text, "Other.");
});

test("a session that others have begun is one of the ADK, also under an id of the application, but for its user alone", async () => {
  await using place = inMemory();
  const begun = await place.sessions.create({ id: "support-42", user: "ada" });
  await begun.append({ input: "Hi", output: "Hello" });
  const service = adkSessions(place.sessions, { sessionOf: ({ sessionId }) => sessionId });
  const address = { ...ada, sessionId: "support-42" };
  const session = await service.getOrCreateSession(address);
  assert.deepEqual(contentsOf(session), [
    { role: "user", content: "Hi" },
    { role: "assistant", content: "Hello" },
  ]);
  assert.equal((await service.listSessions({ appName: "shop" })).totalItems, 0);
  await service.appendEvent({ session, event: event(said("user", "Again"), "e") });
  assert.equal((await service.listSessions({ appName: "shop", userId: "ada" })).totalItems, 1);
  assert.equal(await service.getSession({ ...address, userId: "bob" }), undefined);
  await assert.rejects(service.createSession({ ...address, userId: "bob" }), { code: "session_not_found" });
  assert.throws(() => adkSessions(place.sessions, { sessionOf: "s" } as object), { code: "argument_invalid" });
});

test("without an option the id of a session names that of its user, in one app, and never that of another user", async () => {
  await using place = inMemory();
  const begun = await place.sessions.create({ id: "support-42", user: "ada" });
  await begun.append({ input: "Hi", output: "Hello" });
  await (await place.sessions.create({ id: "without-user" })).append({ input: "Hi", output: "Hello" });
  const service = adkSessions(place.sessions);
  const address = { ...ada, sessionId: "support-42" };
  assert.equal(await service.getSession({ ...address, userId: "bob" }), undefined);
  assert.equal(await service.getSession({ ...ada, sessionId: "without-user" }), undefined);
  const session = await service.getOrCreateSession(address);
  assert.equal(session.events.length, 2);
  await service.appendEvent({ session, event: event(said("user", "Again"), "e") });
  assert.equal((await place.sessions.get("support-42")).info.turn, 2);
  assert.equal((await service.listSessions({ appName: "shop", userId: "ada" })).totalItems, 1);
  assert.equal(await service.getSession({ ...address, appName: "another" }), undefined);
  await (await place.sessions.get("support-42")).fork({ at: 1, as: "fork" });
  assert.equal(await service.getSession({ ...ada, sessionId: "fork" }), undefined);
  // The other user gets a session of his own.
  assert.equal((await service.createSession({ ...address, userId: "bob" })).events.length, 0);
  assert.equal((await place.sessions.get("adk/shop/bob/support-42")).info.user, "bob");
});

test("a fork of a session keeps its turns, which the ADK is shown, while the session goes on", async () => {
  await using place = inMemory();
  const service = adkSessions(place.sessions);
  const session = await service.createSession(ada);
  await service.appendEvent({ session, event: event(said("user", "Count"), "e1") });
  await service.appendEvent({ session, event: event(called("c1"), "e2") });
  const stored = await place.sessions.get(id);
  const fork = await stored.fork({ at: 1, as: "fork" });
  await service.appendEvent({ session, event: event(answered("c1"), "e3") });
  await service.appendEvent({ session, event: event(said("model", "One."), "e4") });
  assert.deepEqual(plainIds(await service.getSession(ada)), ["e1", "e2", "e3", "e4"]);
  const turns = await turnsOf(stored);
  assert.deepEqual(
    turns.map(({ input, output }) => [input.length, output.map(({ role }) => role)]),
    [[1, ["assistant", "tool", "assistant"]]],
  );
  assert.deepEqual(messagesIn(await turnsOf(fork)), messagesIn(turns).slice(0, 2));
  const forks = adkSessions(place.sessions, { sessionOf: () => "fork" });
  assert.equal((await forks.getSession(ada))?.events.length, 2);
});

const plainIds = (session: Session | undefined): readonly string[] => (session?.events ?? []).map((one) => one.id);

test("events of stores that had no turns for them are read and replaced, and turns follow them by their times", async () => {
  await using place = inMemory();
  const service = adkSessions(place.sessions);
  await service.createSession(ada);
  const stored = await place.sessions.get(id);
  const write = async (name: string, content: Content): Promise<void> => {
    await place.clock.advance(1000);
    const value = JSON.parse(JSON.stringify(event(content, name))) as Value;
    await stored.write({ logs: { adk: { entries: [{ key: name, value, ifPresent: "replace" }] } } });
  };
  await write("e1", said("user", "Where?"));
  await write("e2", said("model", "Here."));
  await place.clock.advance(1000);
  await stored.append({ input: "Hi", output: "Hello" });
  await write("e3", said("user", "Bye"));
  await place.clock.advance(1000);
  const session = (await service.getSession(ada)) ?? assert.fail("no session");
  assert.deepEqual(plainIds(session), ["e1", "e2", "turn-1-1", "turn-1-2", "e3"]);
  await service.appendEvent({ session, event: event(said("model", "Bye."), "e4") });
  await service.appendEvent({ session, event: event(said("user", "Bye!"), "e3") });
  const again = await service.getSession(ada);
  assert.deepEqual([...plainIds(again)].sort(), ["e1", "e2", "e3", "e4", "turn-1-1", "turn-1-2"]);
  assert.match(JSON.stringify(again?.events), /Bye!/);
});

test("300 steps of one run cost what they say: short turns, each with all results of its calls", async () => {
  let bytes = 0;
  await using place = inMemory();
  const counted = storeBefore(place.shared, (method, args) => {
    if (method === "commit") bytes += JSON.stringify(args).length;
    return callStore(place.shared, method, args);
  });
  await using sessions = await openSessions({ store: counted, sweep: false });
  const service = adkSessions(sessions);
  const session = await service.createSession(ada);
  await service.appendEvent({ session, event: event(said("user", "Count"), "e") });
  const sizes: number[] = [];
  for (let step = 1; step <= 300; step++) {
    const before = bytes;
    await service.appendEvent({ session, event: event(called(`c${step}`), `call-${step}`) });
    await service.appendEvent({ session, event: event(answered(`c${step}`), `result-${step}`) });
    sizes.push(bytes - before);
  }
  const mean = (list: readonly number[]): number => list.reduce((sum, one) => sum + one, 0) / list.length;
  const [early, late] = [mean(sizes.slice(100, 200)), mean(sizes.slice(-100))];
  assert.ok(late < early * 1.1, `${early}, then ${late} bytes`);
  const turns = await turnsOf(await sessions.get(id));
  for (const { input, output } of turns) {
    const messages = [...input, ...output];
    assert.ok(messages.length <= 65);
    assert.deepEqual(
      messages.flatMap(({ tool_calls: made = [] }) => made.map((call) => call.id)),
      messages.flatMap(({ tool_call_id: answer }) => answer ?? []),
    );
  }
  assert.equal(turns.length, 1 + Math.ceil((601 - 65) / 64));
  assert.equal((await service.getSession(ada))?.events.length, 601);
});
