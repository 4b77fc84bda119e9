/** The messages of Genkit's snapshots as turns, and turns of others as messages of snapshots. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { genkit } from "genkit/beta";
import { mockModel } from "genkit/testing";
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "../../support/fast-check.ts";
import { genkitStore, type GenkitSnapshot, type GenkitStore } from "../../../src/adapters/genkit.ts";
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

const id = "genkit/s";

const said = (role: string, text: string): object => ({ role, content: [{ text }] });
const called = (ref: string): object => ({
  role: "model",
  content: [{ toolRequest: { ref, name: "count", input: {} } }],
});
const answered = (ref: string): object => ({
  role: "tool",
  content: [{ toolResponse: { ref, name: "count", output: ref } }],
});

const turnsOf = async (session: Stored): Promise<Turn[]> => await Array.fromAsync(session.turns());
const messagesIn = (turns: readonly Turn[]): readonly Message[] =>
  turns.flatMap(({ input, output }) => [...input, ...output]);
const shown = (messages: readonly unknown[] = []): readonly Message[] =>
  fromFormat(messages, "genkit").map(({ native: _, ...message }) => message as Message);
const textsOf = (turns: readonly Turn[]): readonly unknown[] =>
  turns.map(({ input, output }) => [...input, ...output].map(({ content }) => content));

/** Saves a snapshot with these messages behind those of another one, and gives its id. */
async function save(
  store: GenkitStore,
  before: GenkitSnapshot | undefined,
  added: readonly object[],
  fields: Partial<GenkitSnapshot> = {},
): Promise<string> {
  const snapshot = {
    sessionId: "s",
    ...(before === undefined ? {} : { parentId: before.snapshotId }),
    createdAt: new Date().toISOString(),
    status: "completed" as const,
    state: { ...before?.state, sessionId: "s", messages: [...(before?.state?.messages ?? []), ...added] },
    ...fields,
  };
  return (await store.saveSnapshot(fields.snapshotId, () => snapshot)) ?? assert.fail("not saved");
}

const act = fc.constantFrom(
  "ask",
  "begin",
  "use",
  "quiet",
  "branch",
  "trim",
  "append",
  "extend",
  "truncate",
  "replace",
);

test("after any saves of Genkit and writes of others, the newest snapshot and the turns say the same", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(act, fc.nat({ max: 5 })), { maxLength: 20 }), async (all) => {
      await using place = inMemory();
      await place.sessions.create({ id });
      const ids: string[] = [];
      let dropped = 0;
      let isBranched = false;
      let hasOthers = false;
      for (const [step, [what, n]] of all.entries()) {
        await place.clock.advance(1);
        const store = genkitStore(place.another());
        hasOthers ||= what === "append" || what === "extend" || what === "replace" || what === "truncate";
        const createdAt = new Date(step * 1000).toISOString();
        const stored = await place.another().get(id);
        const turns = await turnsOf(stored);
        const newest = await store.getSnapshot({ sessionId: "s" });
        const fields = { createdAt, snapshotId: `snap-${step}` };
        const exchange = [said("user", `question ${step}`), said("model", `answer ${step}`)];
        const own = async (before: GenkitSnapshot | undefined, added: readonly object[]): Promise<void> =>
          void ids.push(await save(store, before, added, fields));
        if (what === "ask") await own(newest, exchange);
        else if (what === "begin") await own(newest, exchange.slice(0, 1));
        else if (what === "use")
          await own(newest, [exchange[0]!, called(`c${step}`), answered(`c${step}`), exchange[1]!]);
        else if (what === "quiet") await own(newest, []);
        else if (what === "branch" && ids.length > 0) {
          const before = await store.getSnapshot({ snapshotId: ids[n % ids.length]! });
          isBranched ||= before?.snapshotId !== newest?.snapshotId;
          await own(before, exchange);
        } else if (what === "trim" && newest !== undefined) {
          const messages = newest.state?.messages ?? [];
          const from = messages.findIndex(({ role }, index) => index >= n && role === "user");
          if (from < 0 || messages.at(-1)?.role !== "model") continue;
          dropped += from;
          await own({ ...newest, state: { ...newest.state, messages: messages.slice(from) } }, exchange);
        } else if (what === "append") await stored.append({ input: `other ${step}`, output: `reply ${step}` });
        else if (what === "truncate") {
          await stored.truncate(Math.min(n, turns.length));
          if (n < turns.length) isBranched ||= dropped > 0;
        } else if ((what === "extend" || what === "replace") && turns.length > 0) {
          const { seq, input, output } = turns.at(-1)!;
          const { version } = await stored.look();
          const more = { role: "assistant", content: `more ${step}` } as const;
          const turn = what === "extend" ? { input, output: [...output, more] } : { input, output: [more] };
          await stored.write({ turns: { from: seq, turns: [turn], amends: what === "extend" }, onto: version });
          isBranched ||= dropped > 0;
        }
        const now = messagesIn(await turnsOf(await place.another().get(id)));
        const messages = shown((await store.getSnapshot({ sessionId: "s" }))?.state?.messages);
        // A branch stays beside turns of others, and its snapshot has none of them.
        if (isBranched && (hasOthers || dropped > 0))
          assert.deepEqual(now.slice(-2), messages.slice(-2), `step ${step}: ${what}`);
        else assert.deepEqual(messages, now.slice(dropped), `step ${step}: ${what}`);
      }
    }),
    {
      numRuns: rounds(60),
      // The beginning of a list was dropped after others had changed its last turn.
      examples: [
        [
          [
            ["ask", 0],
            ["ask", 0],
            ["replace", 0],
            ["trim", 1],
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

/** An agent whose answer has the number of messages that it was given. */
function agentOn(sessions: Sessions, fails = false) {
  const ai = genkit({});
  const model = mockModel(ai, {
    respond: ({ messages }) => {
      if (fails) throw new Error("no answer");
      return `given ${messages.length}`;
    },
  });
  return ai.defineCustomAgent({ name: "support", store: genkitStore(sessions) }, async (runner) => {
    await runner.run(async () => {
      const { messages } = await ai.generate({ model, messages: runner.session.getMessages() });
      runner.session.setMessages(messages);
    });
    const message = runner.session.getMessages().at(-1);
    return message === undefined ? {} : { message };
  });
}

test("a chat, a consult and the chat again, by its session and by its snapshot, see each other's turns", async () => {
  await using place = inMemory({ model: counting });
  const chat = agentOn(place.sessions).chat({ sessionId: "s" });
  assert.equal((await chat.send("One?")).text, "given 1");
  const stored = await place.sessions.get(id);
  assert.equal(await (await stored.consult("Two?")).text(), "shown 3");
  // The chat goes on from its snapshot, which has the turn of the consult by now.
  assert.equal((await chat.send("Three?")).text, "given 5");
  assert.equal((await agentOn(place.another()).chat({ sessionId: "s" }).send("Four?")).text, "given 7");
  assert.deepEqual(textsOf(await turnsOf(stored)), [
    ["One?", "given 1"],
    ["Two?", "shown 3"],
    ["Three?", "given 5"],
    ["Four?", "given 7"],
  ]);
});

test("a session that others have begun is one of Genkit, also after a failure and by an id of the application", async () => {
  await using place = inMemory();
  const begun = await place.sessions.create({ id });
  await begun.append({ input: "Hi", output: "Hello" });
  const first = await genkitStore(place.sessions).getSnapshot({ sessionId: "s" });
  assert.equal(first?.snapshotId, "turns-1-of-s");
  const failing = agentOn(place.sessions, true).chat({ sessionId: "s" });
  await assert.rejects(failing.send("Fails?"), /no answer/);
  // Genkit goes back to the snapshot before the failed one, which is no saved one.
  assert.equal((await agentOn(place.another()).chat({ sessionId: "s" }).send("Works?")).text, "given 3");
  await begun.refresh();
  await begun.append({ input: "Other", output: "Reply" });
  const store = genkitStore(place.sessions);
  const seen = await store.getSnapshot({ sessionId: "s" });
  assert.match(JSON.stringify(seen?.state?.messages), /Hi.*Hello.*Works.*given 3.*Other.*Reply/);
  assert.equal(await store.getSnapshot({ snapshotId: "turns-1-of-t" }), undefined);

  await (await place.sessions.create({ id: "support-42", user: "ada" })).append({ input: "Hi", output: "Hello" });
  const named = genkitStore(place.sessions, {
    sessionOf: (name) => name,
    user: (context) => context?.["auth"] as string | undefined,
  });
  const lookup = { sessionId: "support-42", context: { auth: "ada" } };
  assert.equal((await named.getSnapshot(lookup))?.state?.messages?.length, 2);
  assert.equal(await named.getSnapshot({ ...lookup, context: { auth: "bob" } }), undefined);
  assert.throws(() => genkitStore(place.sessions, { sessionOf: "s" } as object), { code: "argument_invalid" });
});

test("without an option the id of a session names that of the user of the call, and none where no user is compared", async () => {
  await using place = inMemory();
  const begun = await place.sessions.create({ id: "support-42", user: "ada" });
  await begun.append({ input: "Hi", output: "Hello" });
  const [ada, bob] = [{ context: { auth: "ada" } }, { context: { auth: "bob" } }];
  const store = genkitStore(place.sessions, { user: (context) => context?.["auth"] as string | undefined });
  const lookup = { sessionId: "support-42" };
  assert.equal(await store.getSnapshot({ ...lookup, ...bob }), undefined);
  assert.equal(await store.getSnapshot(lookup), undefined);
  assert.equal(await genkitStore(place.sessions).getSnapshot(lookup), undefined);
  const first = await store.getSnapshot({ ...lookup, ...ada });
  assert.equal(first?.snapshotId, "turns-1-of-support-42");
  const save = async (id: string, context: typeof ada): Promise<unknown> =>
    await store.saveSnapshot(
      id,
      (now) => ({
        ...lookup,
        createdAt: new Date().toISOString(),
        status: "completed",
        state: { messages: [...((now ?? first)?.state?.messages ?? []), said("user", id)] },
      }),
      context,
    );
  await save("a", ada);
  await save("a", ada);
  assert.equal((await place.sessions.get("support-42")).info.turn, 2);
  assert.equal((await store.getSnapshot({ snapshotId: "a", ...ada }))?.state?.messages?.length, 4);
  await save("b", bob);
  assert.equal((await place.sessions.get("genkit/support-42")).info.user, "bob");
  assert.equal((await place.sessions.get("support-42")).info.turn, 2);
});

test("a turn that others add while Genkit answers stays, and a turn in the background is completed in its place", async () => {
  await using place = inMemory();
  const store = genkitStore(place.sessions);
  await save(store, undefined, [said("user", "One?"), said("model", "One.")], { snapshotId: "a" });
  const before = await store.getSnapshot({ snapshotId: "a" });
  const stored = await place.sessions.get(id);
  await stored.append({ input: "Other?", output: "Other." });
  await save(store, before, [said("user", "Two?")], { snapshotId: "b", status: "pending" });
  const heartbeatAt = new Date().toISOString();
  await store.saveSnapshot("b", (now) => ({ ...(now ?? assert.fail("not saved")), heartbeatAt }));
  await save(store, before, [said("user", "Two?"), said("model", "Two.")], { snapshotId: "b" });
  assert.deepEqual(textsOf(await turnsOf(stored)), [
    ["One?", "One."],
    ["Other?", "Other."],
    ["Two?", "Two."],
  ]);
  // A later version of an earlier snapshot changes no turn.
  await store.saveSnapshot("a", (now) => ({ ...(now ?? assert.fail("not saved")), status: "aborted" }));
  assert.equal((await turnsOf(stored)).length, 3);
});

test("Genkit sees the turns that others have written in the place of its own, also where the last one says the same", async () => {
  await using place = inMemory();
  const store = genkitStore(place.sessions);
  let before: GenkitSnapshot | undefined;
  for (const text of ["One", "Two", "Three"]) {
    const snapshotId = await save(store, before, [said("user", `${text}?`), said("model", `${text}.`)]);
    before = await store.getSnapshot({ snapshotId });
  }
  const stored = await place.sessions.get(id);
  await stored.truncate(0);
  for (const text of ["Uno", "Due", "Three"]) await stored.append({ input: `${text}?`, output: `${text}.` });
  const now = await store.getSnapshot({ sessionId: "s" });
  const all = [
    ["Uno?", "Uno."],
    ["Due?", "Due."],
    ["Three?", "Three."],
  ];
  assert.deepEqual(
    shown(now?.state?.messages).map(({ content }) => content),
    all.flat(),
  );
  await save(store, now, [said("user", "Four?"), said("model", "Four.")]);
  assert.deepEqual(textsOf(await turnsOf(stored)), [...all, ["Four?", "Four."]]);
});

test("a branch replaces the turns of the other one, and follows them under a legal hold", async () => {
  await using place = inMemory();
  const store = genkitStore(place.sessions);
  await save(store, undefined, [said("user", "One?"), said("model", "One.")], { snapshotId: "a" });
  const before = await store.getSnapshot({ snapshotId: "a" });
  const stored = await place.sessions.get(id);
  for (const text of ["b", "c"])
    await save(store, before, [said("user", text), said("model", text)], { snapshotId: text });
  assert.deepEqual(textsOf(await turnsOf(stored)), [
    ["One?", "One."],
    ["c", "c"],
  ]);
  await stored.setLegalHold("case 7");
  await save(store, before, [said("user", "d"), said("model", "d")], { snapshotId: "d" });
  await stored.clearLegalHold();
  assert.deepEqual(textsOf(await turnsOf(stored)), [
    ["One?", "One."],
    ["c", "c"],
    ["d", "d"],
  ]);
  assert.equal((await store.getSnapshot({ snapshotId: "d" }))?.state?.messages?.length, 4);
});

test("snapshots of stores that had no turns for them are read, and their messages become turns with the next save", async () => {
  await using place = inMemory();
  const store = genkitStore(place.sessions);
  await save(store, undefined, [said("user", "One?"), said("model", "One.")], { snapshotId: "a" });
  const stored = await place.sessions.get(id);
  const [entry] = await Array.fromAsync(stored.log("genkit").entries());
  assert(entry !== undefined);
  const { turns: _, ...value } = entry.value as unknown as { readonly turns: Value } & Record<string, Value>;
  const { version } = await stored.look();
  const log = { entries: [{ key: "a", value, ifPresent: "replace" as const }] };
  await stored.write({ turns: { from: 1, turns: [] }, logs: { genkit: log }, onto: version });
  const before = await store.getSnapshot({ snapshotId: "a" });
  assert.equal(before?.state?.messages?.length, 2);
  await save(store, before, [said("user", "Two?"), said("model", "Two.")], { snapshotId: "b" });
  assert.deepEqual(textsOf(await turnsOf(stored)), [
    ["One?", "One."],
    ["Two?", "Two."],
  ]);
});

test("a save of a long conversation writes what is new, and so do the turns of a list whose beginning is dropped", async () => {
  for (const kept of [Infinity, 20]) {
    let bytes = 0;
    await using place = inMemory();
    const counted = storeBefore(place.shared, (method, args) => {
      if (method === "commit") bytes += JSON.stringify(args).length;
      return callStore(place.shared, method, args);
    });
    await using sessions = await openSessions({ store: counted, sweep: false });
    const store = genkitStore(sessions);
    let before: GenkitSnapshot | undefined;
    const sizes: number[] = [];
    const steps = 150;
    for (let step = 1; step <= steps; step++) {
      const from = bytes;
      const exchange = [said("user", `${step} ${"x".repeat(500)}`), said("model", `${step}`)];
      const snapshotId = await save(store, before, exchange, { snapshotId: `snap-${String(step).padStart(5, "0")}` });
      sizes.push(bytes - from);
      const saved: GenkitSnapshot = (await store.getSnapshot({ snapshotId })) ?? assert.fail("not saved");
      before = { ...saved, state: { ...saved.state, messages: (saved.state?.messages ?? []).slice(-kept) } };
    }
    const mean = (list: readonly number[]): number => list.reduce((sum, one) => sum + one, 0) / list.length;
    const [early, late] = [mean(sizes.slice(30, 60)), mean(sizes.slice(-30))];
    assert.ok(late < early * 1.1, `${kept}: ${early}, then ${late} bytes`);
    assert.equal((await turnsOf(await sessions.get(id))).length, steps);
  }
});
