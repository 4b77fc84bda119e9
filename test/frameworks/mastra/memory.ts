/** The memory against Mastra's own in memory, and under its agents. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { Agent, type MastraDBMessage } from "@mastra/core/agent";
import { InMemoryStore, MastraCompositeStore, type MemoryStorage } from "@mastra/core/storage";
import { createMockModel } from "@mastra/core/test-utils/llm-mock";
import { Memory } from "@mastra/memory";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { after, test } from "node:test";
import * as fc from "../../support/fast-check.ts";
import { erase } from "../../../src/admin.ts";
import { perdureMemory } from "../../../src/adapters/mastra.ts";
import { sessionIdOf } from "../../../src/adapters/mastra/stored-thread.ts";
import { openSessions, type Sessions } from "../../../src/index.ts";
import { callStore, storeBefore } from "../../../src/store/calls/forwarding-store.ts";
import { openMemory } from "../../../src/store/memory.ts";
import { assertSound, Engines, enginesOfRun, placesOf } from "../../crash/engines.ts";
import { endsWithTest } from "../../support/ends-with-test.ts";
import { inMemory } from "../../support/in-memory.ts";
import { rounds } from "../../support/rounds.ts";
import { workerProgram } from "../worker-program.ts";
import { messageOf, threadOf } from "./messages.ts";

const program = await workerProgram(join(import.meta.dirname, "worker.ts"));
const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

const textsOf = (messages: readonly MastraDBMessage[]): readonly unknown[] =>
  messages.map(({ content }) => content.parts.map((part) => ("text" in part ? part.text : part.type)).join(""));

/** The ids of the messages that the turns of a thread have. */
async function idsInTurns(sessions: Sessions, sessionId: string): Promise<readonly string[]> {
  const turns = await Array.fromAsync((await sessions.get(sessionId)).turns());
  const marks = turns.flatMap(({ input, output }) => [...input, ...output]).flatMap(({ native }) => native ?? []);
  return (marks as unknown as readonly { readonly value: string }[]).map(({ value }) => value);
}

/** Data without the times of changes, which each memory takes by its own clock. */
function plain(value: unknown): unknown {
  const text = JSON.stringify(value, (name, item: unknown) =>
    name === "updatedAt" || name === "clonedAt" ? undefined : item,
  );
  return text === undefined ? undefined : JSON.parse(text);
}

const names = ["t", "__proto__", "🙂 é", "x".repeat(300), `${"x".repeat(299)}y`, "a/b|c%", "..", "\u0000!"];
const ids = ["1", "2", "3", "4", "__proto__", "é".repeat(300)];
const fields = fc.dictionary(fc.constantFrom("a", "b"), fc.constantFrom(1, "x", true, null));
const steps = fc.shuffledSubarray(names, { minLength: 2, maxLength: 2 }).chain((few) => {
  // Each message has a time of its own: those of one time are in another order here.
  const message = fc.record({ id: fc.integer({ min: 0, max: ids.length - 1 }), hour: fc.integer({ min: 0, max: 2 }) });
  return fc.array(
    fc.record({
      act: fc.constantFrom("thread", "save", "save", "save", "update", "title", "delete", "remove", "copy", "owner"),
      thread: fc.constantFrom(...few),
      other: fc.constantFrom(...few),
      resource: fc.constantFrom("ada", "bob"),
      messages: fc.array(message, { minLength: 1, maxLength: 4 }),
      fields,
      text: fc.string(),
      perPage: fc.constantFrom(0, 1, 2, 3, 40, false as const),
      page: fc.integer({ min: 0, max: 2 }),
      direction: fc.constantFrom("ASC" as const, "DESC" as const),
      range: fc.constantFrom(
        {},
        { start: 0 },
        { end: 1 },
        { start: 1, startExclusive: true },
        { end: 1, endExclusive: true },
      ),
      isFiltered: fc.boolean(),
      around: fc.integer({ min: 0, max: 2 }),
    }),
    { maxLength: 20 },
  );
});

test("any calls leave the threads and messages of Mastra's memory in memory", async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      await using place = inMemory();
      const memory = await perdureMemory(place.sessions);
      const model = (await new InMemoryStore().getStore("memory")) ?? assert.fail("no memory");
      const both = [memory, model] as const;
      for (const step of all) {
        const { act, thread, other, resource, direction, perPage } = step;
        const threads = await Promise.all(both.map((one) => one.getThreadById({ threadId: thread })));
        assert.deepEqual(plain(threads[0]), plain(threads[1]));
        const owner = threads[1]?.resourceId;
        const timeOf = (id: number, hour: number): number => hour * 3600 + id;
        const messages = step.messages.map(({ id, hour }) => {
          const message = messageOf(ids[id]!, { threadId: thread, resourceId: owner ?? "", at: timeOf(id, hour) });
          return { ...message, content: { ...message.content, metadata: step.fields } };
        });
        const apply = async (one: MemoryStorage): Promise<unknown> => {
          if (act === "thread") {
            if (owner !== undefined && owner !== resource) return undefined;
            const metadata = { ...step.fields };
            return await one.saveThread({ thread: { ...threadOf(thread, resource), metadata } });
          }
          if (owner === undefined) return undefined;
          switch (act) {
            case "save":
              return void (await one.saveMessages({ messages: structuredClone(messages) }));
            case "update": {
              const target = await one.getThreadById({ threadId: other });
              const moves = step.isFiltered && target !== null && target.resourceId === owner;
              const changes = [...new Map(messages.map((message) => [message.id, message])).values()].map(
                ({ id, content }) => ({
                  id,
                  content: { content: step.text, metadata: content.metadata },
                  ...(moves ? { threadId: other } : {}),
                }),
              );
              return await one.updateMessages({ messages: changes as never });
            }
            case "title":
              return await one.updateThread({
                id: thread,
                ...(step.isFiltered ? { title: step.text } : {}),
                metadata: step.fields,
              });
            case "delete":
              return await one.deleteMessages(messages.map(({ id }) => id));
            case "remove":
              return await one.deleteThread({ threadId: thread });
            case "copy": {
              const newThreadId = `${thread.slice(0, 20)} copy`;
              if ((await model.getThreadById({ threadId: newThreadId })) !== null && one === memory) return undefined;
              const copy = await one
                .cloneThread({ sourceThreadId: thread, newThreadId, title: "Copy" })
                .catch(() => undefined);
              return copy?.clonedMessages.map(({ content, createdAt }) => ({ content, createdAt }));
            }
            default:
              return await one.updateThreadResourceId({ threadId: thread, resourceId: resource });
          }
        };
        // A message that is moved by a save leaves its old thread.
        const outcomes = [plain(await apply(memory)), plain(await apply(model))];
        assert.deepEqual(outcomes[0], outcomes[1], act);
        const range = step.range as { start?: number; end?: number };
        const at = (hour: number | undefined): object =>
          hour === undefined ? {} : { value: new Date(1_700_000_000_000 + hour * 3_600_000 + 2000) };
        const bounds = {
          ...step.range,
          ...("value" in at(range.start) ? { start: (at(range.start) as { value: Date }).value } : {}),
          ...("value" in at(range.end) ? { end: (at(range.end) as { value: Date }).value } : {}),
        } as { start?: Date; end?: Date };
        const page = perPage === false ? 0 : step.page;
        const metadata = step.isFiltered ? { metadata: step.fields as Record<string, string> } : {};
        const request = {
          threadId: step.isFiltered ? [thread, other] : thread,
          perPage,
          page,
          orderBy: { field: "createdAt" as const, direction },
          filter: { dateRange: bounds, ...metadata },
        };
        const lists = await Promise.all(both.map((one) => one.listMessages(request)));
        assert.deepEqual(plain(lists[0]), plain(lists[1]));
        const include = step.messages.map(({ id }) => ({
          id: ids[id]!,
          withPreviousMessages: step.around,
          withNextMessages: step.around,
        }));
        const included = await Promise.all(
          both.map((one) => one.listMessages({ threadId: thread, resourceId: resource, perPage: 0, include })),
        );
        assert.deepEqual(plain(included[0]?.messages), plain(included[1]?.messages));
        const byId = await Promise.all(both.map((one) => one.listMessagesById({ messageIds: [...ids] })));
        assert.deepEqual(plain(byId[0]), plain(byId[1]));
        const owned = await Promise.all(
          both.map((one) => one.listMessagesByResourceId({ resourceId: resource, perPage: false })),
        );
        // Copies have ids by chance.
        const timesOf = (list: { readonly messages: readonly MastraDBMessage[] } | undefined): unknown =>
          list?.messages.map(({ createdAt }) => createdAt.getTime());
        assert.deepEqual(timesOf(owned[0]), timesOf(owned[1]));
        const found = await Promise.all(
          both.map((one) =>
            one.listThreads({ perPage: false, filter: { resourceId: resource, metadata: step.fields } }),
          ),
        );
        const idsOf = (
          list: { readonly threads: readonly { readonly id: string }[]; readonly total: number } | undefined,
        ) => [list?.total, list?.threads.map(({ id }) => id).toSorted()] as const;
        assert.deepEqual(idsOf(found[0]), idsOf(found[1]));
      }
      const { threads } = await memory.listThreads({ perPage: false });
      for (const { id } of threads) {
        const { messages } = await memory.listMessages({ threadId: id, perPage: false });
        const inTurns = await idsInTurns(place.sessions, sessionIdOf(id));
        assert.deepEqual([...inTurns].toSorted(), messages.map((message) => message.id).toSorted());
      }
    }),
    { numRuns: rounds(300) },
  );
});

/** An agent with a memory on these sessions. */
async function agentOn(sessions: Sessions, spy?: (request: { prompt: unknown }) => void): Promise<Agent> {
  const storage = new MastraCompositeStore({
    id: "main",
    default: new InMemoryStore(),
    domains: { memory: await perdureMemory(sessions) },
  });
  const model = createMockModel({ mockText: "It arrives today.", version: "v2", ...(spy ? { spyGenerate: spy } : {}) });
  const memory = new Memory({ storage, options: { lastMessages: 10, generateTitle: false } });
  return new Agent({ id: "support", name: "support", instructions: "Help.", model: model as never, memory });
}

for (const name of enginesOfRun("SQLite")) {
  test(`an agent in one process remembers what it heard in another: ${name}`, async () => {
    const url = await (await engines.get(name)).fresh();
    await using one = await openSessions({ store: url, sweep: false });
    await using two = await openSessions({ store: url, sweep: false });
    const memory = { thread: "parcels", resource: "ada" };
    await (await agentOn(one)).generate("Where is my parcel?", { memory });
    const prompts: unknown[] = [];
    const second = await agentOn(two, ({ prompt }) => prompts.push(prompt));
    assert.equal((await second.generate("And now?", { memory })).text, "It arrives today.");
    assert.match(JSON.stringify(prompts), /Where is my parcel.*It arrives today.*And now/);
    const stored = await perdureMemory(one);
    const { messages, total } = await stored.listMessages({ threadId: "parcels" });
    assert.equal(total, 4);
    assert.deepEqual(textsOf(messages), ["Where is my parcel?", "It arrives today.", "And now?", "It arrives today."]);
    assert.equal((await one.get("mastra/parcels")).info.user, "ada");
    await assertSound(one);
  });

  test(`a message that grows takes room once, and writers in two places lose none: ${name}`, async () => {
    const url = await (await engines.get(name)).fresh();
    await using one = await openSessions({ store: url, sweep: false });
    await using two = await openSessions({ store: url, sweep: false });
    const memories = [await perdureMemory(one), await perdureMemory(two)] as const;
    await memories[0].saveThread({ thread: threadOf("t") });
    const updates = rounds(500, 20);
    let text = "";
    for (let index = 0; index < updates; index++) {
      text += `word ${index} `;
      await memories[0].saveMessages({ messages: [messageOf("grows", { at: 1, text })] });
    }
    const { info } = await one.get("mastra/t");
    assert.equal(info.logs["mastra"]?.end, 1);

    await Promise.all(
      memories.map(async (memory, writer) => {
        for (let index = 0; index < 5; index++) {
          await memory.saveMessages({ messages: [messageOf(`w${writer}-${index}`, { at: 2 + index })] });
          await memory.updateThread({ id: "t", metadata: { [`w${writer}-${index}`]: true } });
          await memory.updateThreadMetadata({
            id: "t",
            update: ({ metadata }) => ({ count: Number(metadata?.["count"] ?? 0) + 1 }),
          });
          await memory.updateResource({ resourceId: "ada", metadata: { [`w${writer}-${index}`]: true } });
        }
      }),
    );
    const { messages, total } = await memories[1].listMessages({ threadId: "t", perPage: false });
    assert.deepEqual([messages.length, total], [11, 11]);
    assert.deepEqual(textsOf(messages)[0], text);
    const thread = await memories[1].getThreadById({ threadId: "t" });
    assert.equal(thread?.metadata?.["count"], 10);
    assert.equal(Object.keys(thread?.metadata ?? {}).length, 11);
    const resource = await memories[0].getResourceById({ resourceId: "ada" });
    assert.equal(Object.keys(resource?.metadata ?? {}).length, 10);
    await assertSound(one);
  });

  test(`a process that is killed before any of its commits leaves whole calls: ${name}`, async (context) => {
    const url = await (await engines.get(name)).fresh();
    await using sessions = await openSessions({ store: url, sweep: false });
    const memory = await perdureMemory(sessions);
    // The copy takes three commits, each other call one.
    const { first, step } = placesOf(context, name);
    for (let commits = first; commits < 8; commits += step) {
      const thread = `killed-${commits}`;
      const child = endsWithTest(
        spawn(process.execPath, [program, url, thread, String(commits)], { stdio: ["ignore", "pipe", "inherit"] }),
      );
      let said = "";
      child.stdout.setEncoding("utf8").on("data", (chunk: string) => (said += chunk));
      await once(child, "close");
      const done = said.split("done").length - 1;
      const textsIn = async (threadId: string): Promise<readonly unknown[]> =>
        textsOf((await memory.listMessages({ threadId })).messages);
      const texts = done < 2 ? [] : done < 3 ? ["Hi", "Hi"] : ["Hi", "Hi, and more"];
      assert.deepEqual(await textsIn(thread), done < 5 ? texts : texts.slice(1), `${commits} commits`);
      const ids = done < 2 ? [] : [`${thread}-1`, `${thread}-2`].slice(done < 5 ? 0 : 1);
      if (done >= 1) assert.deepEqual(await idsInTurns(sessions, `mastra/${thread}`), ids);
      assert.equal((await memory.getThreadById({ threadId: thread })) === null, done < 1);
      const copy = `${thread}-copy`;
      assert.equal((await memory.getThreadById({ threadId: copy })) === null, done < 4);
      assert.deepEqual(await textsIn(copy), done < 4 ? [] : texts);
      // A copy that was cut is begun anew.
      if (done >= 1 && done < 4) {
        await memory.copyThread({ sourceThreadId: thread, newThreadId: copy });
        assert.deepEqual(await textsIn(copy), texts);
      }
    }
    await assertSound(sessions);
  });

  test(`an archived, a copied and an erased thread: ${name}`, async () => {
    const url = await (await engines.get(name)).fresh();
    await using sessions = await openSessions({ store: url, sweep: false, secret: "a secret of the tests" });
    const memory = await perdureMemory(sessions);
    await memory.saveThread({ thread: threadOf("t") });
    await memory.saveMessages({ messages: [1, 2, 3].map((at) => messageOf(`m${at}`, { at, text: `${at}` })) });
    await memory.updateResource({ resourceId: "ada", workingMemory: "likes parcels" });
    const session = await sessions.get("mastra/t");
    const others = sessions.for("another tenant");
    await others.restore(await sessions.snapshot(session.id));
    const copied = await perdureMemory(others);
    assert.deepEqual(textsOf((await copied.listMessages({ threadId: "t" })).messages), ["1", "2", "3"]);
    await session.end();
    await assert.rejects(memory.saveMessages({ messages: [messageOf("late")] }), { code: "session_ended" });
    await session.archive();
    assert.deepEqual(textsOf((await memory.listMessages({ threadId: "t" })).messages), ["1", "2", "3"]);
    await erase(sessions, { user: "ada" });
    assert.equal(await memory.getThreadById({ threadId: "t" }), null);
    assert.equal(await memory.getResourceById({ resourceId: "ada" }), null);
    assert.equal(await sessions.documents("mastra").count(), 0);
  });
}

test("a page of a long thread reads the messages of the page alone", async () => {
  const reads: number[] = [];
  const store = openMemory();
  const counted = storeBefore(store, (method, args) => {
    const result = callStore(store, method, args);
    if (method === "read") void result.then((found) => reads.push((found as readonly unknown[]).length));
    return result;
  });
  await using sessions = await openSessions({ store: counted, sweep: false });
  const memory = await perdureMemory(sessions);
  await memory.saveThread({ thread: threadOf("t") });
  const messages = Array.from({ length: 1500 }, (_, at) => messageOf(`m${at}`, { at, text: `${at}` }));
  await memory.saveMessages({ messages });
  const page = await memory.listMessages({
    threadId: "t",
    perPage: 2,
    orderBy: { field: "createdAt", direction: "DESC" },
  });
  assert.deepEqual([textsOf(page.messages), page.total, page.hasMore], [["1499", "1498"], 1500, true]);
  const last = await memory.listMessages({
    threadId: "t",
    resourceId: "ada",
    perPage: 2,
    includeTotal: false,
    filter: { dateRange: { end: new Date(1_700_000_000_000 + 500_000) } },
    orderBy: { field: "createdAt", direction: "DESC" },
  });
  assert.deepEqual([textsOf(last.messages), last.hasMore], [["500", "499"], true]);
  const around = await memory.listMessages({
    threadId: "t",
    perPage: 0,
    include: [{ id: "m700", withPreviousMessages: 1, withNextMessages: 2 }],
  });
  assert.deepEqual(textsOf(around.messages), ["699", "700", "701", "702"]);
  // With one behind each page, which tells whether there are more.
  assert(Math.max(...reads) <= 4, String(reads));
});

test("messages of one millisecond are in the order in which they came, also with deleted ones between them", async () => {
  await using place = inMemory();
  const memory = await perdureMemory(place.sessions);
  await memory.saveThread({ thread: threadOf("t") });
  const [a, b, c, d, e, f] = ["a", "b", "c", "d", "e", "f"].map((id) => messageOf(id, { at: 1, text: id }));
  await memory.saveMessages({ messages: [c!, a!] });
  await memory.saveMessages({ messages: [a!, f!, b!] });
  await memory.deleteMessages(["a", "f"]);
  await memory.saveMessages({ messages: [e!, f!, d!] });
  const pages = [0, 1, 2].map((page) => memory.listMessages({ threadId: "t", perPage: 2, page }));
  const texts = (await Promise.all(pages)).map(({ messages }) => textsOf(messages));
  assert.deepEqual(texts, [["c", "b"], ["e", "f"], ["d"]]);
  const [last] = (await memory.listMessages({ threadId: "t", perPage: 1, orderBy: { direction: "DESC" } })).messages;
  assert.equal(last?.id, "d");
});

test("a thread whose time to live has passed is revived by the next message, and one that is missing is refused", async () => {
  await using place = inMemory();
  const memory = await perdureMemory(place.sessions, { ttl: "1h" });
  await assert.rejects(memory.saveMessages({ messages: [messageOf("m")] }), { code: "session_not_found" });
  await memory.saveThread({ thread: threadOf("t") });
  await place.clock.advance(7_200_000);
  await memory.saveMessages({ messages: [messageOf("m")] });
  assert.equal((await memory.listMessages({ threadId: "t" })).total, 1);
  await assert.rejects(memory.updateThread({ id: "none", title: "x" }), { code: "session_not_found" });
  await memory.dangerouslyClearAll();
  assert.equal(await place.sessions.count(), 0);
  assert.deepEqual(await memory.listMessagesById({ messageIds: ["m"] }), { messages: [] });
});

test("a value that a message cannot keep is refused by its path, and nothing of its batch is stored", async () => {
  await using place = inMemory();
  const memory = await perdureMemory(place.sessions);
  await memory.saveThread({ thread: threadOf("t") });
  class Parcel {
    readonly number = 7;
  }
  const refused = async (metadata: Record<string, unknown>, message: RegExp): Promise<void> => {
    const bad = messageOf("bad");
    const messages = [messageOf("good"), { ...bad, content: { ...bad.content, metadata } }];
    await assert.rejects(memory.saveMessages({ messages }), (error: Error) => {
      assert.match(error.message, message);
      return true;
    });
  };
  await refused({ run: () => 1 }, /run/);
  await refused({ parcel: new Parcel() }, /Parcel/);
  await refused({ large: "x".repeat(8 * 1024 * 1024 + 1) }, /mastra/);
  assert.equal((await memory.listMessages({ threadId: "t" })).total, 0);
  await assert.rejects(memory.listMessages({ threadId: "t", perPage: -1 }), { code: "argument_invalid" });
  await assert.rejects(memory.listMessages({ threadId: " " }), { code: "argument_invalid" });
  await assert.rejects(perdureMemory(place.sessions, { user: "ada" } as object), { code: "argument_invalid" });
  await assert.rejects(perdureMemory(place.sessions, { ttl: "soon" as "1h" }), { code: "duration_invalid" });
});

test("values of a wrong type are refused by a typed error, and nothing of the call is stored", async () => {
  await using place = inMemory();
  const memory = await perdureMemory(place.sessions);
  await memory.saveThread({ thread: threadOf("t") });
  const message = messageOf("m");
  const calls: readonly (() => Promise<unknown>)[] = [
    () => memory.saveThread({ thread: {} as never }),
    () => memory.saveMessages({ messages: null as never }),
    () => memory.saveMessages({ messages: [message, null] as never }),
    () => memory.saveMessages({ messages: [message, { ...message, id: 5 }] as never }),
    () => memory.saveMessages({ messages: [message, { ...message, id: undefined }] as never }),
    () => memory.updateMessages({ messages: [null] as never }),
    () => memory.listMessages({ threadId: undefined as never }),
    () => memory.listMessages({ threadId: [5] as never }),
    () => memory.listMessages({ threadId: "t", include: [{}] as never }),
    () => memory.listMessagesById({ messageIds: [null] as never }),
    () => memory.listMessagesById({ messageIds: null as never }),
    () => memory.deleteMessages([undefined] as never),
    () => memory.deleteMessages("m" as never),
    () => memory.deleteThread({ threadId: 5 as never }),
    () => memory.listMessages({ threadId: "t", filter: { dateRange: { start: new Date(Number.NaN) } } }),
    () => memory.listMessages({ threadId: "t", filter: { dateRange: { end: "2026-01-01" as never } } }),
    () => memory.listMessagesByResourceId({ resourceId: "none", filter: { dateRange: { end: null as never } } }),
    () => memory.cloneThread({ sourceThreadId: "t", options: { messageFilter: { endDate: new Date(Number.NaN) } } }),
  ];
  for (const call of calls) await assert.rejects(call(), { code: "argument_invalid" }, String(call));
  const { messages } = await memory.listMessages({ threadId: "t", perPage: false });
  assert.deepEqual(messages, []);
});
