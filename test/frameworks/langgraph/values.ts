/** Values of graphs: what the saver keeps, what it refuses, and what it stores of a list that grows. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { Document } from "@langchain/core/documents";
import { AIMessage, HumanMessage, ToolMessage } from "@langchain/core/messages";
import { uuid6, type Checkpoint } from "@langchain/langgraph-checkpoint";
import * as fc from "../../support/fast-check.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { perdureCache, perdureSaver, perdureStore, type PerdureSaver } from "../../../src/adapters/langgraph.ts";
import { hasCode, SessionError } from "../../../src/index.ts";
import { inMemory } from "../../support/in-memory.ts";

/** A thread at the level of the saver: each step puts values behind the ones before. */
class Steps {
  readonly #saver: PerdureSaver;
  readonly thread: string;
  #config: { configurable?: Record<string, unknown> };
  #versions: Record<string, number> = {};

  constructor(saver: PerdureSaver, thread: string, ns = "") {
    this.#saver = saver;
    this.thread = thread;
    this.#config = { configurable: { thread_id: thread, checkpoint_ns: ns } };
  }

  async write(channel: string, value: unknown): Promise<void> {
    await this.#saver.putWrites(this.#config, [[channel, value]], "task");
  }

  async put(values: Record<string, unknown>, changed: readonly string[] = Object.keys(values)): Promise<void> {
    const fresh = Object.fromEntries(
      changed.map((channel) => [
        channel,
        this.#saver.getNextVersion(
          Object.getOwnPropertyDescriptor(this.#versions, channel)?.value as number | undefined,
        ),
      ]),
    );
    this.#versions = { ...this.#versions, ...fresh };
    const checkpoint: Checkpoint = {
      v: 4,
      id: uuid6(0),
      ts: new Date().toISOString(),
      channel_values: values,
      channel_versions: { ...this.#versions },
      versions_seen: { node: { ...this.#versions } },
    };
    this.#config = await this.#saver.put(this.#config, checkpoint, { source: "loop", step: 0, parents: {} }, fresh);
  }

  /** The values that another saver reads. */
  async read(saver: PerdureSaver): Promise<Record<string, unknown>> {
    return (await saver.getTuple(this.#config))?.checkpoint.channel_values ?? assert.fail("no checkpoint");
  }
}

test("values come back as they were, in channels, in elements of lists and in pending writes", async () => {
  await using memory = inMemory();
  const plain = fc.oneof(
    fc.jsonValue() as fc.Arbitrary<unknown>,
    fc.bigInt(),
    fc.date({ noInvalidDate: true }),
    fc.uint8Array(),
    fc.double(),
    fc.constant(undefined),
    fc.constant({ $lg: "map", value: [] }),
    fc.constant({ lc: 1, type: "constructor", id: ["langchain_core", "messages", "HumanMessage"], kwargs: {} }),
    fc.constant(JSON.parse('{"__proto__": {"a": 1}}') as unknown),
    fc.constantFrom(/a+/giu, new RangeError("far"), new Error("near")),
  );
  const value = fc.oneof(
    plain,
    fc.array(plain),
    fc.dictionary(fc.string({ unit: "grapheme" }), plain, { noNullPrototype: true }),
    fc.array(fc.tuple(plain, plain)).map((entries) => new Map(entries)),
    fc.array(plain).map((items) => new Set(items)),
  );
  let threads = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(value, { maxLength: 4 }),
      fc.array(fc.array(value), { maxLength: 4 }),
      async (lists, versions) => {
        const steps = new Steps(perdureSaver(memory.sessions), `t${++threads}`);
        const list: unknown[] = [...lists, "x".repeat(600)];
        await steps.put({ list: [...list], one: lists });
        for (const more of versions) {
          await steps.write("list", more);
          list.push(...more);
          await steps.put({ list: [...list], one: more });
          const read = await steps.read(perdureSaver(memory.sessions));
          assert.deepEqual(read, { list, one: more });
        }
      },
    ),
    { numRuns: 60 },
  );
});

test("messages and documents come back as instances, with all their fields", async () => {
  await using memory = inMemory();
  const steps = new Steps(perdureSaver(memory.sessions), "t");
  const usage = { input_tokens: 1, output_tokens: 2, total_tokens: 3, input_token_details: { cache_read: 1 } };
  const call = { name: "look", args: { deep: { at: [1] } }, id: "c1", type: "tool_call" as const };
  const messages = [
    new HumanMessage({ content: [{ type: "text", text: "hi" }], name: "ada" }),
    new AIMessage({ id: "a", content: "", tool_calls: [call], ...({ usage_metadata: usage } as object) }),
    new ToolMessage({
      content: "r",
      tool_call_id: "c1",
      artifact: [new Document({ pageContent: "p", metadata: { n: 1n } })],
    }),
    new AIMessage({ content: "Well.", response_metadata: { model_name: "m", at: new Date(0) } }),
  ];
  await steps.put({ messages, docs: [new Document({ id: "d", pageContent: "x", metadata: { big: 1n } })] });
  const { messages: read, docs } = (await steps.read(perdureSaver(memory.sessions))) as {
    messages: typeof messages;
    docs: Document[];
  };
  assert.deepEqual(read, messages);
  assert(read[1] instanceof AIMessage);
  assert.deepEqual(read[1].usage_metadata, usage);
  assert(docs[0] instanceof Document);
  assert.deepEqual(docs[0].metadata, { big: 1n });
  assert((read[2] as ToolMessage).artifact[0] instanceof Document);
});

test("what cannot be kept is refused by the name of its channel, and nothing is stored", async () => {
  await using memory = inMemory();
  class Account {
    balance = 1;
  }
  const cyclic: Record<string, unknown> = {};
  cyclic["self"] = cyclic;
  const refused: readonly [unknown, RegExp][] = [
    [new Account(), /^amount is an instance of Account;/],
    [{ run: () => 1 }, /^amount\.run is a function;/],
    [[1, { deep: Symbol("s") }], /^amount\[1\]\.deep is a symbol;/],
    [new Map([["k", new Account()]]), /^amount\.k is an instance of Account;/],
    [cyclic, /^amount\.self contains itself;/],
    [new Date(Number.NaN), /^amount.* is an invalid Date;/],
    ["x".repeat(8 * 1024 * 1024 + 1), /^amount has 83886\d\d bytes; expected at most 8388608 bytes;/],
  ];
  const saver = perdureSaver(memory.sessions);
  for (const [index, [amount, message]] of refused.entries()) {
    const steps = new Steps(saver, `t${index}`);
    for (const work of [() => steps.put({ other: 1, amount }), () => steps.put({ amount: ["x".repeat(600), amount] })])
      await assert.rejects(work, (error) => {
        assert(error instanceof SessionError && error.code === "value_unstorable", String(error));
        assert.match(
          error.message.replace(/^amount\[1\]/, "amount"),
          message.source.startsWith("^amount\\[1\\]") ? /./ : message,
        );
        return true;
      });
    assert.equal(await saver.getTuple({ configurable: { thread_id: `t${index}` } }), undefined);
  }
});

test("large values and long lists are stored, up to the limit of one write", async () => {
  await using memory = inMemory();
  const steps = new Steps(perdureSaver(memory.sessions), "t");
  const text = 'é"'.repeat(1_000_000);
  const list = Array.from({ length: 3000 }, (_, n) => ({ n, text: "y".repeat(300) }));
  const element = "z".repeat(3_000_000);
  await steps.put({ text, list, elements: [element, "short"] });
  await steps.write("text", `${text}!`);
  await steps.put({ text: `${text}!`, list: [...list, { n: -1, text: "" }], elements: [element, "short", element] });
  const read = await steps.read(perdureSaver(memory.sessions));
  assert.equal(read["text"], `${text}!`);
  assert.equal((read["list"] as unknown[]).length, 3001);
  assert.deepEqual(read["list"], [...list, { n: -1, text: "" }]);
  assert.deepEqual(read["elements"], [element, "short", element]);
});

test("ids of threads, namespaces and channels may be any text", async () => {
  await using memory = inMemory();
  const saver = perdureSaver(memory.sessions);
  const names = [
    "💚",
    "__proto__",
    "x".repeat(300),
    "a|b%7c.",
    "constructor",
    "\u0000\u202e",
    "a:b|c:d".repeat(60),
    ".",
  ];
  for (const [index, name] of names.entries()) {
    const steps = new Steps(saver, name, name);
    const values = Object.fromEntries([[name, { index }]]) as Record<string, unknown>;
    await steps.put(values);
    await steps.write(name, index);
    assert.deepEqual(await steps.read(perdureSaver(memory.sessions)), values, JSON.stringify(name));
  }
  const listed = await Array.fromAsync(perdureSaver(memory.sessions).list({}));
  assert.deepEqual(new Set(listed.map(({ config }) => config.configurable?.["thread_id"])), new Set(names));
  for (const name of names) {
    await saver.deleteThread(name);
    assert.equal(await saver.getTuple({ configurable: { thread_id: name, checkpoint_ns: name } }), undefined);
  }
  await assert.rejects(
    () => saver.getTuple({ configurable: { thread_id: {} } }),
    (error) => hasCode(error, "argument_invalid"),
  );
});

test("values of a wrong type are refused with a typed error, and nothing is written", async () => {
  await using memory = inMemory();
  const { sessions } = memory;
  const [saver, store, cache] = [perdureSaver(sessions), perdureStore(sessions), perdureCache(sessions)];
  const named = { configurable: { thread_id: "t", checkpoint_ns: "", checkpoint_id: "c" } };
  const none = null as never;
  const checkpoint = { v: 4, id: "c", ts: "2026-12-01", channel_values: {}, channel_versions: {}, versions_seen: {} };
  const put = saver.put.bind(saver) as (...given: unknown[]) => Promise<unknown>;
  const putWrites = saver.putWrites.bind(saver) as (...given: unknown[]) => Promise<unknown>;
  const calls: readonly (() => Promise<unknown>)[] = [
    () => saver.getTuple(none),
    () => saver.get(none),
    () => saver.getTuple({ configurable: none }),
    () => Array.fromAsync(saver.list(none)),
    () => Array.fromAsync(saver.list(named, none)),
    ...[-1, 0.5, "2", null].map((limit) => () => Array.fromAsync(saver.list(named, { limit: limit as never }))),
    () => put(none, checkpoint, {}, {}),
    ...[null, "c", [], {}, { ...checkpoint, id: 5 }, { ...checkpoint, channel_values: null }].map(
      (given) => () => put(named, given, {}, {}),
    ),
    () => put(named, checkpoint, null, {}),
    () => put(named, checkpoint, {}, null),
    ...[null, {}, ["a"], [[5, 1]], [null]].map((writes) => () => putWrites(named, writes, "task")),
    () => putWrites(named, [["a", 1]], null),
    ...[null, {}, [null], ["get"]].map((operations) => () => store.batch(operations as never)),
    () => store.get(none, "k"),
    () => store.get(["n"], none),
    () => store.get([5 as never], "k"),
    () => store.put(none, "k", {}),
    () => store.search(none),
    ...[null, {}, [null], [["n", "k"]], [[["n"], 5]]].map((keys) => () => cache.get(keys as never)),
    ...[null, [null], [{ key: null, value: 1 }]].map((pairs) => () => cache.set(pairs as never)),
  ];
  for (const [index, call] of calls.entries())
    await assert.rejects(call, (error) => hasCode(error, "argument_invalid"), `call ${index}`);
  assert.deepEqual((await sessions.list()).items, []);
});

test("an element whose field is assigned is stored anew, and an edited list comes back as it is", async () => {
  await using memory = inMemory();
  const steps = new Steps(perdureSaver(memory.sessions), "t");
  let list: { n: number; text: string }[] = Array.from({ length: 200 }, (_, n) => ({ n, text: `text ${n}` }));
  const seeds = [3, 141, 59, 26, 5, 35, 89, 79, 32, 38, 46, 26];
  for (const [round, seed] of seeds.entries()) {
    const at = seed % list.length;
    switch (round % 4) {
      case 0:
        list = [...list.slice(0, at), { n: -round, text: "new" }, ...list.slice(at)];
        break;
      case 1:
        list = list.filter((_, index) => index !== at);
        break;
      case 2:
        list = list.slice(3).concat({ n: -round, text: "end" });
        break;
      default:
        list[at]!.text = `changed in round ${round}`;
        list = [...list];
    }
    await steps.put({ list: [...list] });
    assert.deepEqual((await steps.read(perdureSaver(memory.sessions)))["list"], list, `round ${round}`);
  }
});

test("a step of a list that grows writes what is new: as many bytes at step 1 000 as at step 10", async () => {
  await using memory = inMemory();
  for (const [kind, count] of [
    ["messages", 1000],
    ["texts", 300],
  ] as const) {
    const saver = perdureSaver(memory.sessions);
    const steps = new Steps(saver, kind);
    const list: unknown[] = [];
    const sizes: number[] = [];
    const session = async () => await memory.sessions.get(kind);
    const sizeOf = async (from: Record<string, number>): Promise<number> => {
      let bytes = 0;
      for (const [log, end] of Object.entries({ "lg-checkpoints": 0, "lg-values": 0, "lg-writes": 0, ...from }))
        for await (const entry of (await session()).log(log).entries({ from: end + 1 }))
          bytes += JSON.stringify(entry).length;
      return bytes;
    };
    for (let step = 1; step <= count; step++) {
      const text = `${step} ${"news ".repeat(240)}`;
      const added = kind === "texts" ? text : new AIMessage({ id: `m${step}`, content: text });
      const measured = step === 10 || step === count;
      const before = measured
        ? Object.fromEntries(Object.entries((await session()).info.logs).map(([log, { end }]) => [log, end]))
        : {};
      if (step > 1) await steps.write(kind, [added]);
      list.push(added);
      await steps.put({ [kind]: [...list] });
      if (measured) sizes.push(await sizeOf(before));
    }
    const [early = 0, late = 0] = sizes;
    assert(late <= early * 1.1 && late < 4000, `${kind}: ${sizes.join(", ")} bytes`);
    assert.deepEqual((await steps.read(perdureSaver(memory.sessions)))[kind], list);
  }
});
