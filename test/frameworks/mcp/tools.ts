/** The tools, resources and prompts, with the official client of both generations over HTTP. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Agent, Model } from "../../../src/index.ts";
import { inMemory } from "../../support/in-memory.ts";
import { call, connected, eras, problem, serving } from "./serving.ts";

const echo: Model = async function* ({ messages }) {
  yield { type: "text", text: `you said: ${String(messages.at(-1)?.content)}` };
};
/** Names are ordinary texts, also those that objects inherit. */
const oddAgents = JSON.parse(
  '{"ceo":{"instructions":"Decide.","description":"Decides","default":true},"constructor":{},"2":{},"__proto__":{}}',
) as Readonly<Record<string, Agent>>;
const hostileIds = [
  "a/b?c#d%",
  "..%2f",
  "👪 emoji",
  "__proto__",
  "constructor",
  "x".repeat(256),
  "perdure://session/a",
];

for (const era of eras) {
  test(`a client of ${era} creates, asks, shows, lists, appends, forks, hands off and ends sessions`, async () => {
    await using place = inMemory({ model: echo, agents: oddAgents });
    await using server = await serving(place.sessions);
    const client = await server.client({ era });
    const { tools } = await client.listTools();
    assert.deepEqual(
      tools.map(({ name, annotations: { readOnlyHint, destructiveHint, idempotentHint } = {} }) => [
        name,
        readOnlyHint,
        destructiveHint,
        idempotentHint,
      ]),
      [
        ["session_list", true, undefined, undefined],
        ["session_show", true, undefined, undefined],
        ["search", true, undefined, undefined],
        ["session_append", false, false, true],
        ["session_consult", false, false, true],
        ["session_hand_off", false, false, true],
        ["session_fork", false, false, false],
        ["session_end", false, true, true],
        ["session_memory", true, undefined, undefined],
        ["session_summarize", false, false, true],
        ["session_mark", false, false, true],
        ["session_rate", false, true, true],
      ],
    );
    for (const { name, inputSchema, outputSchema } of tools) {
      assert.equal(inputSchema.type, "object", name);
      assert.equal(outputSchema?.type, "object", name);
      assert(!JSON.stringify([inputSchema, outputSchema]).includes("$ref"), `${name} has references`);
    }
    const create = { agent: "ceo", title: "Bread", labels: { team: "ops" } };
    const asked = { session: "s", key: "k1", message: "Hi", create };
    const answer = await call(client, "session_consult", asked);
    assert.deepEqual(
      [answer.session, answer.turn, answer.status, answer.agent, answer.text],
      ["s", 1, "done", "ceo", "you said: Hi"],
    );
    assert.deepEqual(await call(client, "session_consult", asked), answer, "the same key is the same answer");
    const appended = await call(client, "session_append", { session: "s", key: "k2", input: "More?", output: "No." });
    assert.deepEqual([appended.turn.seq, appended.session.turns], [2, 2]);
    const shown = await call(client, "session_show", { session: "s" });
    assert.deepEqual(
      shown.turns.map(({ input, output }: { input: object[]; output: object[] }) => [input, output]),
      [
        [[{ role: "user", content: "Hi" }], [{ role: "assistant", content: "you said: Hi" }]],
        [[{ role: "user", content: "More?" }], [{ role: "assistant", content: "No." }]],
      ],
    );
    assert.deepEqual([shown.session.title, shown.session.labels, shown.usage.turns], ["Bread", { team: "ops" }, 2]);
    const forked = await call(client, "session_fork", { session: "s", at: 1, as: "t" });
    assert.deepEqual([forked.session.id, forked.session.turns, forked.session.parent], ["t", 1, { id: "s", turn: 1 }]);
    const active = await call(client, "session_hand_off", { session: "t", agent: "constructor", ttlSeconds: 60 });
    assert.equal(active.agent, "constructor");
    assert.equal(
      (await call(client, "session_consult", { session: "t", key: "k", message: "?" })).agent,
      "constructor",
    );
    const ended = await call(client, "session_end", { session: "t", reason: "done" });
    assert.equal(ended.session.state, "ended");
    assert.equal((await call(client, "session_end", { session: "t" })).session.state, "ended");
    assert.equal(
      (await problem(client, "session_consult", { session: "t", key: "x", message: "?" })).code,
      "session_ended",
    );
    const found = await call(client, "session_list", { labels: { team: "ops" }, state: "active" });
    assert.deepEqual(
      found.sessions.map(({ id }: { id: string }) => id),
      ["s"],
    );
    const said = await call(client, "search", { text: "hi", labels: { team: true }, since: "2020-01-01T00:00:00Z" });
    assert.deepEqual(
      said.found.map(({ session, turn, text }: { session: string; turn: number; text: string }) => [
        session,
        turn,
        text,
      ]),
      [
        ["s", 1, "you said: Hi"],
        ["s", 1, "Hi"],
      ],
    );
    assert.deepEqual(server.errors, []);
  });

  test(`a client of ${era} reads sessions as resources and agents as prompts, with any id and any name`, async () => {
    await using place = inMemory({ model: echo, agents: oddAgents });
    await using server = await serving(place.sessions);
    const client = await server.client({ era });
    for (const id of hostileIds)
      await call(client, "session_append", { session: id, key: "k", input: `of ${id}`, create: {} });
    const { resources } = await client.listResources();
    assert.deepEqual(resources.map(({ name }) => name).toSorted(), hostileIds.toSorted());
    for (const { uri, name } of resources) {
      const { contents } = await client.readResource({ uri });
      const [content] = contents;
      assert(content !== undefined && "text" in content);
      assert.equal(JSON.parse(content.text).turns[0].input[0].content, `of ${name}`);
      assert.equal((await call(client, "session_show", { session: name })).session.id, name);
    }
    for (const uri of ["perdure://session/none", "perdure://session/%", "perdure://session/a/b", "file:///etc/passwd"])
      await assert.rejects(client.readResource({ uri }), /not found/i);
    const { prompts } = await client.listPrompts();
    assert.deepEqual(
      prompts.map(({ name, description }) => [name, description]),
      [...place.sessions.agents!].map(([name, { description = `The instructions of the agent ${name}` }]) => [
        name,
        description,
      ]),
    );
    const { messages } = await client.getPrompt({ name: "ceo", arguments: { message: "Shall we?" } });
    assert.deepEqual(
      messages.map(({ role, content }) => [role, (content as { text: string }).text]),
      [
        ["user", "Decide."],
        ["user", "Shall we?"],
      ],
    );
    assert.equal((await client.getPrompt({ name: "__proto__" })).messages.length, 1);
    await assert.rejects(client.getPrompt({ name: "toString" }), /no agent/);
    await assert.rejects(client.callTool({ name: "toString", arguments: {} }), /no tool/);
  });
}

test("a client summarizes, marks and rates turns, and reads the memory that the session has", async () => {
  let calls = 0;
  const model: Model = async function* () {
    calls++;
    yield { type: "text", text: "the summary" };
    yield { type: "usage", usage: { inputTokens: 10, outputTokens: 2 } };
  };
  await using place = inMemory({ model });
  await using server = await serving(place.sessions);
  const client = await server.client();
  const session = await place.sessions.create({ id: "s" });
  const none = { summary: null, pinned: [], leftOut: [], ratings: [] };
  assert.deepEqual(await call(client, "session_memory", { session: "s" }), none);
  assert.deepEqual(await call(client, "session_summarize", { session: "s" }), { summary: null }, "too short");
  for (let turn = 1; turn <= 6; turn++) await session.append({ input: `word${turn}`, output: "reply" });
  const { summary } = await call(client, "session_summarize", { session: "s", to: 3 });
  assert.deepEqual([summary.from, summary.to, summary.text, summary.usage.totalTokens], [1, 3, "the summary", 12]);
  assert.deepEqual(await call(client, "session_summarize", { session: "s", to: 3 }), { summary });
  assert.equal(calls, 1);
  assert.deepEqual(await call(client, "session_mark", { session: "s", turn: 2, mark: "pinned" }), {
    pinned: [2],
    leftOut: [],
  });
  await call(client, "session_mark", { session: "s", turn: 5, mark: "left_out" });
  await call(client, "session_rate", { session: "s", turn: 1, rating: "up", by: "ana", comment: "good" });
  await call(client, "session_rate", { session: "s", turn: 6, rating: 0.5 });
  const shown = await call(client, "session_memory", { session: "s" });
  assert.deepEqual([shown.summary, shown.pinned, shown.leftOut], [summary, [2], [5]]);
  assert.deepEqual(
    shown.ratings.map(({ turn, rating, by, comment }: Record<string, unknown>) => [turn, rating, by, comment]),
    [
      [1, "up", "ana", "good"],
      [6, 0.5, null, undefined],
    ],
  );
  for (const turn of [2, 5]) await call(client, "session_mark", { session: "s", turn, mark: "none" });
  await call(client, "session_rate", { session: "s", turn: 1, rating: null, by: "ana" });
  await call(client, "session_rate", { session: "s", turn: 6, rating: null });
  assert.deepEqual(await call(client, "session_memory", { session: "s" }), { ...none, summary });
  for (const [name, args, code] of [
    ["session_mark", { turn: 7, mark: "pinned" }, "range_invalid"],
    ["session_mark", { turn: 1, mark: "hidden" }, "request_invalid"],
    ["session_rate", { turn: 1, rating: "great" }, "request_invalid"],
    ["session_rate", { turn: 1, rating: "up", note: "x" }, "request_invalid"],
    ["session_summarize", { to: 7 }, "range_invalid"],
  ] as const)
    assert.equal((await problem(client, name, { session: "s", ...args })).code, code, name);
  assert.deepEqual(server.errors, []);
});

test("arguments that a tool does not take, ids and bodies of other forms are refused by name, and write nothing", async () => {
  await using place = inMemory({ model: echo });
  await using server = await serving(place.sessions);
  const client = await server.client();
  const refused: [string, object, string][] = [
    ["session_list", { limits: 3 }, "request_invalid"],
    ["session_list", { limit: 1000 }, "request_invalid"],
    ["session_list", { after: "x" }, "argument_invalid"],
    ["search", { text: "a", session: "s", user: "u" }, "argument_invalid"],
    ["session_show", {}, "request_invalid"],
    ["session_show", { session: "none" }, "session_not_found"],
    ["session_show", { session: "" }, "id_invalid"],
    ["session_show", { session: "x".repeat(257) }, "id_invalid"],
    ["session_append", { session: "s", input: "no key", create: {} }, "request_invalid"],
    [
      "session_append",
      { session: "s", key: "k", input: { role: "queen", content: "" }, create: {} },
      "message_invalid",
    ],
    ["session_append", { session: "s", key: "k", input: [], create: { agents: "x" } }, "request_invalid"],
    ["session_append", { session: "s", key: "k\u0000", input: "x", create: {} }, "id_invalid"],
    ["session_consult", { session: "s", key: "k", message: "", create: {} }, "message_invalid"],
    ["session_fork", { session: "s", at: -1 }, "request_invalid"],
  ];
  for (const [name, args, code] of refused)
    assert.equal((await problem(client, name, args)).code, code, `${name} ${JSON.stringify(args)}`);
  await call(client, "session_append", { session: "t", key: "k", input: "x", create: {} });
  assert.equal((await problem(client, "session_append", { session: "t", key: "k", input: "y" })).code, "key_reused");
  const deep = `${"[".repeat(20_000)}${"]".repeat(20_000)}`;
  const bodies = [
    "",
    "{",
    "[]",
    "null",
    '{"jsonrpc":"2.0"}',
    `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${deep}}`,
  ];
  for (const body of bodies) {
    const response = await fetch(server.url, {
      method: "POST",
      body,
      headers: { "content-type": "application/json", accept: "application/json, text/event-stream" },
    });
    await response.text();
    assert(response.status < 500, `${response.status} for ${body.slice(0, 40)}`);
  }
  const large = JSON.stringify({
    jsonrpc: "2.0",
    id: 1,
    method: "tools/list",
    params: { x: "x".repeat(8 * 1024 * 1024) },
  });
  const response = await fetch(server.url, {
    method: "POST",
    body: large,
    headers: { "content-type": "application/json" },
  });
  assert.equal(response.status, 413);
  assert.equal(await place.sessions.count(), 2, "the sessions of refused appends that were created");
});

test("an append decided on turns that another writer has followed is a conflict", async () => {
  await using place = inMemory({ model: echo });
  await using server = await serving(place.sessions);
  const client = await server.client();
  const first = await call(client, "session_append", { session: "s", key: "1", input: "one", create: {} });
  const seen = { session: "s", ifSeen: first.session.seen };
  await call(client, "session_append", { session: "s", key: "2", input: "two" });
  assert.equal((await problem(client, "session_append", { ...seen, key: "3", input: "three" })).code, "conflict");
  assert.equal((await call(client, "session_show", { session: "s" })).turns.length, 2);
});

test("each tool needs its right, a key opens its own tenant alone, and a revoked key opens nothing", async () => {
  await using place = inMemory({ model: echo });
  await using server = await serving(place.sessions, { keys: [] });
  const keys = place.sessions.keys;
  const [reader, writer, other] = await Promise.all([
    keys.create({ name: "r", right: "read" }),
    keys.create({ name: "w" }),
    keys.create({ name: "o", tenant: "other", right: "admin" }),
  ]);
  await assert.rejects(connected(server.url), /401|Unauthorized/i);
  await assert.rejects(connected(server.url, { key: "pdk_no" }), /401|Unauthorized/i);
  const write = await server.client({ key: writer.token });
  const read = await server.client({ key: reader.token });
  const foreign = await server.client({ key: other.token });
  await call(write, "session_consult", { session: "s", key: "k", message: "Hi", create: {} });
  const writes = {
    session_append: { input: "x", key: "y" },
    session_consult: { message: "x", key: "y" },
    session_hand_off: { agent: "a" },
    session_fork: {},
    session_end: {},
  };
  for (const [name, args] of Object.entries(writes))
    assert.equal((await problem(read, name, { session: "s", ...args })).code, "key_forbidden", name);
  assert.equal((await call(read, "session_show", { session: "s" })).turns.length, 1);
  assert.equal((await call(foreign, "session_list")).sessions.length, 0);
  assert.equal((await problem(foreign, "session_show", { session: "s" })).code, "session_not_found");
  assert.deepEqual((await foreign.listResources()).resources, []);
  await keys.revoke(reader.id);
  await assert.rejects(call(read, "session_list"), /401|Unauthorized/i);
});

test("a page of another site, and a name that leads to this machine, are refused before the key is looked at", async () => {
  await using place = inMemory();
  await using server = await serving(place.sessions, { keys: [] });
  const status = async (headers: Record<string, string>): Promise<number> => {
    const response = await server.mcp.fetch(
      new Request("http://127.0.0.1/mcp", { method: "POST", body: "{}", headers }),
    );
    return response.status;
  };
  assert.equal(await status({ host: "127.0.0.1:1" }), 401);
  assert.equal(await status({ host: "[::1]:8787", origin: "http://localhost:3000" }), 401);
  for (const host of ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80"])
    assert.equal(await status({ host }), 400, host);
  for (const origin of ["https://evil.example", "null", "http://localhost.evil.example"])
    assert.equal(await status({ host: "localhost", origin }), 400, origin);
});

test("ten thousand sessions are listed page by page, each once, as results of a tool and as resources", async () => {
  await using place = inMemory();
  const ids = Array.from({ length: 10_000 }, (_, index) => `s${String(index).padStart(5, "0")}`);
  for (let at = 0; at < ids.length; at += 500)
    await Promise.all(ids.slice(at, at + 500).map((id) => place.sessions.create({ id })));
  await using server = await serving(place.sessions);
  const client = await server.client();
  const listed: string[] = [];
  let after: string | undefined;
  do {
    const page = await call(client, "session_list", {
      limit: 100,
      order: "id",
      ...(after === undefined ? {} : { after }),
    });
    listed.push(...page.sessions.map(({ id }: { id: string }) => id));
    after = page.next;
  } while (after !== undefined);
  assert.deepEqual(listed, ids);
  const { resources } = await client.listResources();
  assert.deepEqual(
    resources.map(({ name }) => name),
    ids,
  );
});

test("a session is shown page by page, each turn once", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  for (let n = 1; n <= 30; n++) await session.append({ input: `turn ${n} ${"x".repeat(n === 20 ? 200_000 : 10_000)}` });
  await using server = await serving(place.sessions);
  const client = await server.client();
  const seqs = (page: { turns: { seq: number }[] }): number[] => page.turns.map(({ seq }) => seq);
  const forward: number[] = [];
  for (let from: number | undefined = 1; from !== undefined;) {
    const page = await call(client, "session_show", { session: "s", from });
    forward.push(...seqs(page));
    from = page.next;
  }
  assert.deepEqual(
    forward,
    Array.from({ length: 30 }, (_, index) => index + 1),
  );
  const last = await call(client, "session_show", { session: "s", last: 5 });
  assert.deepEqual([seqs(last), last.before], [[26, 27, 28, 29, 30], 26]);
  const earlier = await call(client, "session_show", { session: "s", last: 5, before: 26 });
  assert.deepEqual(seqs(earlier), [21, 22, 23, 24, 25]);
});
