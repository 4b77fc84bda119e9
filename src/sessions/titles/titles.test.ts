import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { test } from "node:test";
import { doctor, importSessions, stats } from "../../admin.ts";
import { inMemory } from "../../../test/support/in-memory.ts";
import { claimTitle, cleanTitle, giveTitle } from "../../domain/memory/title.ts";
import { Handle } from "../handle/handle.ts";
import { coreOf } from "../sessions.ts";
import type { Model, ModelRequest, Session, TitleRequest, Titling } from "../../index.ts";

const keyOfS = { tenant: "default", id: "s" } as const;

/** The next titles that end, and their errors. */
class Titlings implements Disposable {
  readonly ended: Titling[] = [];
  #wake: () => void = () => undefined;
  readonly #onEnd = (message: unknown): void => {
    this.ended.push(message as Titling);
    this.#wake();
  };

  constructor() {
    subscribe("tracing:perdure:title:asyncEnd", this.#onEnd);
  }

  async count(count: number): Promise<Titling | undefined> {
    while (this.ended.length < count) await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.ended[count - 1];
  }

  [Symbol.dispose](): void {
    unsubscribe("tracing:perdure:title:asyncEnd", this.#onEnd);
  }
}

/** A model that answers, and names conversations. */
function naming(title: string): { readonly model: Model; readonly asked: ModelRequest[] } {
  const asked: ModelRequest[] = [];
  const model: Model = async function* (request) {
    const isTitle = String(request.messages[0]?.content).startsWith("You name conversations");
    if (isTitle) asked.push(request);
    yield { type: "text", text: isTitle ? title : "an answer" };
    yield { type: "usage", usage: { inputTokens: 10, outputTokens: 1 } };
  };
  return { model, asked };
}

const ask = async (session: Session, question: string): Promise<void> =>
  void (await (
    await session.consult(question)
  ).done);
const titleOf = async (session: Session): Promise<string | null> => (await session.refresh()).title;

test("a session without a title gets one of the model after its first exchange, once, and its usage is counted", async () => {
  using titlings = new Titlings();
  const { model, asked } = naming("“The second\n oven”");
  await using place = inMemory({ model, agents: { ceo: { model: "small" } }, titles: {} });
  const session = await place.sessions.create({ id: "s" });
  const active = (await session.refresh()).lastActivityAt;
  await ask(session, 'Shall we buy "an oven"?');
  assert.partialDeepStrictEqual(await titlings.count(1), { session: "s", agent: "ceo", title: "The second oven" });
  const info = await session.refresh();
  assert.deepEqual([info.title, info.lastActivityAt], ["The second oven", active]);
  const { counters } = info;
  assert.deepEqual([counters.totalTokens, counters.requests, counters.turns], [22, 2, 1]);
  assert.equal((await stats(place.sessions, {})).turns.totalTokens, 22);
  assert.deepEqual([asked[0]?.model, asked[0]?.tools], ["small", undefined]);
  const lines = String(asked[0]?.messages[1]?.content).split("\n");
  assert.deepEqual(
    lines.map((line) => (JSON.parse(line) as { text: string }).text),
    ['Shall we buy "an oven"?', "an answer"],
  );
  await ask(session, "And now?");
  const titled = await place.sessions.create({ id: "titled", title: "By hand" });
  await ask(titled, "q");
  await place.sessions.close();
  assert.deepEqual([asked.length, titlings.ended.length], [1, 1]);
});

test("a finished turn of an appending program is an exchange too; an import and a question without an answer are none", async () => {
  using titlings = new Titlings();
  const requests: TitleRequest[] = [];
  const title = (request: TitleRequest): Promise<string> => (requests.push(request), Promise.resolve("Named"));
  await using place = inMemory({ titles: { title } });
  const messages = [
    { role: "user", content: "q" },
    { role: "assistant", content: "a" },
  ] as const;
  const { restored } = await importSessions(place.sessions, [
    { source: "a test", conversation: { id: "i", messages } },
  ]);
  assert.equal(restored, 1);
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "only a question" });
  await session.append({ input: "q", output: "a" });
  await titlings.count(1);
  assert.equal(await titleOf(session), "Named");
  assert.deepEqual(
    requests.map(({ session: id, messages }) => [id, messages.map(({ content }) => content)]),
    [["s", ["only a question", "q", "a"]]],
  );
  assert.equal((await session.refresh()).counters.requests, 0, "a titler that reports no usage counts as no request");
});

test("a title that is set by hand while the model works is never replaced, and the usage is counted", async () => {
  using titlings = new Titlings();
  const { promise, resolve } = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const title = async (): Promise<{ text: string; usage: { inputTokens: number; outputTokens: number } }> => {
    begun.resolve();
    await promise;
    return { text: "By the model", usage: { inputTokens: 5, outputTokens: 1 } };
  };
  await using place = inMemory({ titles: { title } });
  const session = await place.sessions.create({ id: "s", user: "ada" });
  await session.append({ input: "q", output: "a" });
  await begun.promise;
  await place.sessions.conversations({ user: "ada" }).rename("s", "By hand");
  resolve();
  await titlings.count(1);
  const { title: kept, counters } = await session.refresh();
  assert.deepEqual([kept, counters.totalTokens], ["By hand", 6]);
});

test("a failure, a refusal and an empty title leave the session without one; there are two attempts in all", async () => {
  using titlings = new Titlings();
  const answers = [(): never => assert.fail("away"), () => '  \n"" ', () => "third"];
  let calls = 0;
  const title = async (): Promise<string> => await Promise.resolve(answers[calls++]!());
  await using place = inMemory({ titles: { title, timeout: "30s" } });
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "1", output: "a" });
  assert.match(String((await titlings.count(1))?.error), /away/);
  const other = place.another({ titles: { title } });
  await (await other.get("s")).append({ input: "2", output: "a" });
  await session.refresh();
  await other.close();
  assert.equal(calls, 1, "the first attempt may still run in another process");
  await place.clock.advance(30_000);
  await session.append({ input: "3", output: "a" });
  assert.equal((await titlings.count(2))?.error, undefined);
  await place.clock.advance(30_000);
  await session.append({ input: "4", output: "a" });
  await place.sessions.close();
  assert.equal(calls, 2);
  const found = await place.another().get("s");
  assert.equal(await titleOf(found), null);
  assert.equal((await doctor(place.another())).findings, 0);
});

test("a model that refuses makes no title", async () => {
  using titlings = new Titlings();
  const model: Model = async function* () {
    yield { type: "text", text: "I cannot name this" };
    yield { type: "finish", reason: "refusal" };
  };
  await using place = inMemory({ model, titles: {} });
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "q", output: "a" });
  assert.match(String((await titlings.count(1))?.error), /refusal/);
  assert.equal(await titleOf(session), null);
});

test("two processes make one title", async () => {
  using titlings = new Titlings();
  const titles = { title: (): Promise<string> => Promise.resolve(`title ${++calls}`) };
  let calls = 0;
  await using place = inMemory({ titles });
  const other = place.another({ titles });
  const session = await place.sessions.create({ id: "s" });
  const theirs = await other.get("s");
  await session.append({ input: "q", output: "a" });
  await theirs.refresh();
  await theirs.append({ input: "q", output: "a" });
  await titlings.count(1);
  await Promise.all([place.sessions.close(), other.close()]);
  assert.equal(calls, 1);
  assert.equal(await titleOf(await place.another().get("s")), "title 1");
});

test("of two processes that found the same attempts, one stores the next", async () => {
  await using place = inMemory();
  await place.sessions.create({ id: "s" });
  const core = coreOf(place.sessions);
  const record = (await core.find({ tenant: "default", id: "s" }))?.record ?? assert.fail();
  const claims = [1, 2].map(async () => {
    const handle = new Handle(core, record);
    return (
      await handle.write((draft, context) => claimTitle(draft, { count: 0, owed: undefined, next: undefined }, context))
    ).status;
  });
  assert.deepEqual((await Promise.all(claims)).toSorted(), ["ok", "unchanged"]);
});

test("a titler that hangs ends after the timeout, blocks no turn, and no more than four run at once", async () => {
  using titlings = new Titlings();
  const hanging: TitleRequest[] = [];
  const four = Promise.withResolvers<void>();
  const title = (request: TitleRequest): Promise<string> => {
    if (hanging.push(request) === 4) four.resolve();
    return new Promise(() => undefined);
  };
  await using place = inMemory({ titles: { title, timeout: "10s" } });
  for (let index = 0; index < 6; index++) {
    const session = await place.sessions.create({ id: `s${index}` });
    await session.append({ input: "q", output: "a" });
  }
  await four.promise;
  assert.equal(hanging.length, 4);
  await place.clock.advance(10_000);
  assert.match(String((await titlings.count(4))?.error), /no title after 10000 ms/);
  assert.ok(hanging.slice(0, 4).every(({ signal }) => signal.aborted));
  await place.clock.advance(10_000);
  await titlings.count(6);
  assert.equal(hanging.length, 6);
});

test("close waits for a title that is made, and for five seconds at most", async () => {
  const begun = Promise.withResolvers<void>();
  const { promise, resolve } = Promise.withResolvers<string>();
  const title = (): Promise<string> => (begun.resolve(), promise);
  await using quick = inMemory({ titles: { title } });
  await (await quick.sessions.create({ id: "s" })).append({ input: "q", output: "a" });
  await begun.promise;
  const closed = quick.sessions.close();
  resolve("In time");
  await closed;
  assert.equal(await titleOf(await quick.another().get("s")), "In time");

  const hangs = Promise.withResolvers<void>();
  const never = (): Promise<string> => (hangs.resolve(), new Promise(() => undefined));
  await using slow = inMemory({ titles: { title: never } });
  await (await slow.sessions.create({ id: "s" })).append({ input: "q", output: "a" });
  await hangs.promise;
  const closing = slow.sessions.close();
  await slow.clock.advance(5000);
  await closing;
});

test("a session whose budget is used up is not titled", async () => {
  let calls = 0;
  const title = (): Promise<string> => Promise.resolve(`title ${++calls}`);
  await using place = inMemory({ titles: { title } });
  const session = await place.sessions.create({ id: "s", budget: { tokens: 5 } });
  await session.append({ input: "q", output: "a", usage: { inputTokens: 4, outputTokens: 2 } });
  await place.sessions.close();
  assert.equal(calls, 0);
  const found = await place.another().get("s");
  assert.equal(await titleOf(found), null);
});

test("a turn that is left out and a failed turn are no part of a title, and messages are as models are shown them", async () => {
  using titlings = new Titlings();
  const { model, asked } = naming("A title");
  const requests: TitleRequest[] = [];
  const title = (request: TitleRequest): Promise<string> => (requests.push(request), Promise.resolve(""));
  await using place = inMemory({ model });
  const before = await place.sessions.create({ id: "s" });
  await ask(before, "SECRET");
  await before.leaveOut(1);
  for (let turn = 2; turn <= 5; turn++) await before.append({ input: `failed ${turn}`, status: "failed" });
  await before.append({
    input: [{ role: "developer", content: "shown" }],
    output: [{ role: "assistant", content: "a" }],
  });
  await place
    .another({ titles: { title } })
    .get("s")
    .then(async (session) => await session.append({ input: "q", output: "b" }));
  await titlings.count(1);
  assert.deepEqual(
    requests[0]?.messages.map(({ role, content }) => [role, content]),
    [
      ["system", "shown"],
      ["assistant", "a"],
      ["user", "q"],
      ["assistant", "b"],
    ],
  );
  await place.clock.advance(30_000);
  const session = await place.another({ model, titles: {} }).get("s");
  await ask(session, "again");
  await titlings.count(2);
  const shown = String(asked[0]?.messages[1]?.content);
  assert.match(shown, /shown/);
  assert.doesNotMatch(shown, /SECRET|failed/);
});

test("a session whose turns say nothing to a model is not titled, and keeps its attempts", async () => {
  const { model, asked } = naming("An invention");
  await using place = inMemory({ model });
  await place.sessions.create({ id: "s" });
  const titling = place.another({ model, titles: {} });
  const session = await titling.get("s");
  await session.append({ input: [{ role: "system", content: "" }], output: [{ role: "assistant", content: "" }] });
  await titling.close();
  assert.equal(asked.length, 0);
  assert.equal((await place.sessions.snapshot("s")).logs["#titles"], undefined);
});

test("a title waits while a question replaces turns, and snapshots keep the attempts", async () => {
  using titlings = new Titlings();
  const named = Promise.withResolvers<string>();
  const begun = Promise.withResolvers<void>();
  const title = async (): Promise<{ text: string; usage: { inputTokens: number; outputTokens: number } }> => {
    begun.resolve();
    return { text: await named.promise, usage: { inputTokens: 5, outputTokens: 1 } };
  };
  const answer = Promise.withResolvers<void>();
  const model: Model = async function* () {
    await answer.promise;
    yield { type: "text", text: "another answer" };
  };
  await using place = inMemory({ model, titles: { title } });
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "q", output: "a" });
  await begun.promise;
  const replacing = await session.consult("again", { after: 0 });
  named.resolve("A title");
  while (place.clock.sleeping < 2) await new Promise((resolve) => setImmediate(resolve));
  for (let second = 0; second < 90; second++) await place.clock.advance(1000);
  answer.resolve();
  await replacing.done;
  await titlings.count(1);
  const info = await session.refresh();
  assert.deepEqual([info.title, info.counters.requests], ["A title", 2]);
  assert.equal((await doctor(place.sessions)).findings, 0);
  const snapshot = await place.sessions.snapshot("s");
  assert.equal(snapshot.logs["#titles"]?.length, 1);
  await using elsewhere = inMemory();
  await elsewhere.sessions.restore(snapshot);
  assert.deepEqual((await elsewhere.sessions.snapshot("s")).logs["#titles"], snapshot.logs["#titles"]);
});

test("titles that wait for the end of turns keep no other session from its title", async () => {
  using titlings = new Titlings();
  const hanging = Promise.withResolvers<void>();
  const model: Model = async function* () {
    await hanging.promise;
    yield { type: "text", text: "another answer" };
  };
  const named = Promise.withResolvers<void>();
  const four = Promise.withResolvers<void>();
  let calls = 0;
  const title = async (): Promise<string> => {
    if (++calls === 4) four.resolve();
    await named.promise;
    return "A title";
  };
  await using place = inMemory({ model, titles: { title } });
  const sessions: Session[] = [];
  for (let index = 0; index < 4; index++) {
    const session = await place.sessions.create({ id: `s${index}` });
    await session.append({ input: "q", output: "a" });
    sessions.push(session);
  }
  await four.promise;
  const replacing = await Promise.all(sessions.map((session) => session.consult("again", { after: 0 })));
  named.resolve();
  const other = await place.sessions.create({ id: "other" });
  await other.append({ input: "q", output: "a" });
  assert.equal((await titlings.count(1))?.session, "other");
  hanging.resolve();
  await Promise.all(replacing.map(async ({ done }) => await done));
  await titlings.count(5);
  assert.deepEqual(await Promise.all(sessions.map(titleOf)), Array(4).fill("A title"));
});

test("a call whose process dies before it stores the title is counted as an estimate with the next exchange, once", async () => {
  using titlings = new Titlings();
  let answers: () => Promise<void> = () => new Promise(() => undefined);
  const model: Model = async function* () {
    await answers();
    yield { type: "text", text: " " };
    yield { type: "usage", usage: { inputTokens: 40, outputTokens: 2 } };
  };
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const used = async (): Promise<readonly number[]> => {
    const { requests, totalTokens } = (await session.refresh()).counters;
    const turns = (await stats(place.sessions, {})).turns.totalTokens;
    assert.equal(turns, totalTokens);
    return [requests, totalTokens];
  };
  for (let attempt = 1; attempt <= 2; attempt++) {
    const dying = place.another({ model, titles: {} });
    await (await dying.get("s")).append({ input: "q", output: "a" });
    while ((await place.sessions.snapshot("s")).logs["#titles"]?.length !== attempt)
      await new Promise((resolve) => setImmediate(resolve));
    const closing = dying.close();
    await place.clock.advance(5000);
    await closing;
    await titlings.count(attempt);
    await place.clock.advance(30_000);
  }
  const [requests, once = 0] = await used();
  assert.ok(requests === 1 && once > 40, `${requests} requests of ${once} tokens, an estimate of the first attempt`);
  const answering = place.another({ model, titles: {} });
  const next = await answering.get("s");
  for (let exchange = 1; exchange <= 2; exchange++) await next.append({ input: "q", output: "a" });
  answers = () => Promise.resolve();
  await answering.close();
  assert.equal((await used())[0], 2, "the second attempt is counted once, and there is no third one");
  const snapshot = await place.sessions.snapshot("s");
  assert.deepEqual(
    snapshot.logs["#titles"]?.map(({ data }) => data),
    [{}, {}, {}],
  );
  assert.equal((await doctor(place.sessions)).findings, 0);
  await using elsewhere = inMemory();
  await elsewhere.sessions.restore(snapshot);
});

test("an attempt is counted once, as its estimate or as it reports, and not while a question replaces turns", async () => {
  const held = Promise.withResolvers<void>();
  const model: Model = async function* () {
    await held.promise;
    yield { type: "text", text: "another answer" };
  };
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "q", output: "a" });
  const handle = new Handle(
    coreOf(place.sessions),
    (await coreOf(place.sessions).find(keyOfS))?.record ?? assert.fail(),
  );
  const usage = { inputTokens: 10, outputTokens: 0, totalTokens: 10 };
  const next = { agent: "assistant", usage };
  const claim = async (count: number, owed?: typeof next): Promise<string> => {
    await handle.peek();
    return (await handle.write((draft, context) => claimTitle(draft, { count, owed, next }, context))).status;
  };
  assert.equal(await claim(0), "ok");
  const { done } = await session.consult("again", { after: 0 });
  assert.equal(await claim(1, next), "unchanged", "the end of the question may take the usage back");
  held.resolve();
  await done;
  const { totalTokens } = (await session.refresh()).counters;
  assert.equal(await claim(1, next), "ok");
  const call = { agent: "assistant", usage: { ...usage, totalTokens: 6 }, durationMs: 1 };
  const given = { title: "Late", call, attempt: 1, isEstimated: true };
  await handle.write((draft, context) => giveTitle(draft, given, context));
  const info = await session.refresh();
  assert.deepEqual([info.title, info.counters.totalTokens - totalTokens], ["Late", 10]);
});

test("a session with an attempt that is not counted is a snapshot, and a call that ends well is counted as it reports", async () => {
  using titlings = new Titlings();
  const asked = Promise.withResolvers<void>();
  const named = Promise.withResolvers<void>();
  const model: Model = async function* () {
    asked.resolve();
    await named.promise;
    yield { type: "text", text: "" };
    yield { type: "usage", usage: { inputTokens: 5, outputTokens: 1 } };
  };
  await using place = inMemory({ model, agents: { ceo: { model: "small" } }, titles: {} });
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "q", output: "a" });
  await asked.promise;
  const snapshot = await place.sessions.snapshot("s");
  assert.partialDeepStrictEqual(snapshot.logs["#titles"]?.[0]?.data, { agent: "ceo", model: "small" });
  await using elsewhere = inMemory();
  await elsewhere.sessions.restore(snapshot);
  const broken = JSON.parse(JSON.stringify(snapshot)) as typeof snapshot;
  Object.assign(broken.logs["#titles"]![0]!, { data: { agent: 5 } });
  await assert.rejects(elsewhere.sessions.restore(broken, { onExists: "replace" }), { code: "snapshot_invalid" });
  named.resolve();
  await titlings.count(1);
  const { counters } = await session.refresh();
  assert.deepEqual([counters.requests, counters.totalTokens], [1, 6]);
  assert.deepEqual((await place.sessions.snapshot("s")).logs["#titles"]?.[0]?.data, {});
  await place.clock.advance(30_000);
  await session.append({ input: "q", output: "a" });
  await titlings.count(2);
  assert.equal((await session.refresh()).counters.totalTokens, 12);
});

test("a title that is removed by hand stays removed", async () => {
  const { model, asked } = naming("Again");
  await using place = inMemory({ model, titles: {} });
  const mine = place.sessions.conversations({ user: "ada" });
  const renamed = await mine.create({ title: "By hand" });
  await mine.rename(renamed.id, null);
  const updated = await mine.create({ title: "By hand" });
  await updated.update({ title: null });
  for (const { id } of [renamed, updated]) {
    const session = await place.sessions.get(id);
    await ask(session, "q");
    assert.equal((await place.sessions.snapshot(id)).logs["#titles"]?.length, 3, "closed: no exchange reads it again");
  }
  await place.sessions.close();
  assert.equal(asked.length, 0);
  assert.equal((await doctor(place.another())).findings, 0);
});

test("titles need a model or a titler, and wrong options are refused", () => {
  const refused = { code: "argument_invalid" } as const;
  assert.throws(() => inMemory({ titles: {} }), refused);
  const tools: Model = Object.assign(async function* () {}, { runsTools: true });
  assert.throws(() => inMemory({ model: tools, titles: {} }), refused);
  const { model } = naming("x");
  for (const titles of [{ titel: "x" }, { title: "x" }, { model: "" }, true, null])
    assert.throws(() => inMemory({ model, titles: titles as never }), refused, JSON.stringify(titles));
  assert.throws(() => inMemory({ model, titles: { timeout: "soon" } }), { code: "duration_invalid" });
});

test("a title is one line without the marks around it, of 256 characters at most", () => {
  for (const [text, title] of [
    ["Ordering flour", "Ordering flour"],
    ['  "Ordering\r\n flour" ', "Ordering flour"],
    ["# **`Ordering flour`**", "Ordering flour"],
    ["„Mehl bestellen“", "Mehl bestellen"],
    ["«Commander»", "Commander"],
    ['"Oslo" and "Rome"', '"Oslo" and "Rome"'],
    ["The dogs' home", "The dogs' home"],
    ["\u001b[31mred\u0007\u202e\ud800", "[31mred"],
    ["👩‍🚀 flies", "👩‍🚀 flies"],
    ["🎉", "🎉"],
    ["<think>\nThe user wants flour.\n</think>\n\nOrdering flour", "Ordering flour"],
    [`<thinking>${"long ".repeat(2000)}</thinking>Ordering flour`, "Ordering flour"],
    ["<think>no end", undefined],
    ["Title: Ordering flour", "Ordering flour"],
    ["**Title:** “Ordering flour”", "Ordering flour"],
    ["Title:\nOrdering flour", "Ordering flour"],
    ["---\nOrdering flour\n\nI chose it because flour is ordered.", "Ordering flour"],
    ['""', undefined],
    [" \n\t", undefined],
    ["", undefined],
  ] as const)
    assert.equal(cleanTitle(text), title, JSON.stringify(text));
  const cut = cleanTitle(`${"a".repeat(254)}😀${"b".repeat(5000)}`);
  assert.deepEqual([cut?.length, cut?.endsWith("a…")], [255, true]);
});
