/** Lines of transcripts as turns, and turns of other frameworks as lines of transcripts. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import {
  foldSessionSummary,
  forkSession,
  getSessionMessages,
  listSessions,
  type SessionStore,
  type SessionStoreEntry,
} from "@anthropic-ai/claude-agent-sdk";
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { doctor } from "../../../src/admin.ts";
import { claudeStore } from "../../../src/adapters/claude.ts";
import { openSessions, type Message, type Session } from "../../../src/index.ts";
import { callStore, storeBefore } from "../../../src/store/calls/forwarding-store.ts";
import { openMemory } from "../../../src/store/memory.ts";
import { inMemory } from "../../support/in-memory.ts";
import { rounds } from "../../support/rounds.ts";
import { foreignTurn, grow, growLong, replacements } from "../replacements.ts";
import { conversation } from "./lines.ts";

const projectKey = "-srv-shop";
const dir = "/srv/shop";

/** The texts of the turns: questions, then answers. */
async function turnsOf(session: Session): Promise<readonly (readonly string[])[]> {
  const text = ({ role, content, tool_calls: calls = [] }: Message): string =>
    [`${role}: ${String(content)}`, ...calls.map(({ id }) => `calls ${id}`)].join(" ");
  return (await Array.fromAsync(session.turns())).map(({ input, output }) => [...input, ...output].map(text));
}

/** Lines behind each other. */
function chain(sessionId: string, lines: readonly Partial<SessionStoreEntry>[]): SessionStoreEntry[] {
  let parentUuid: string | null = null;
  return lines.map((line) => {
    const uuid = randomUUID();
    const whole = { type: "user", ...line, uuid, parentUuid, sessionId };
    parentUuid = uuid;
    return whole;
  });
}

const said = (content: unknown): Partial<SessionStoreEntry> => ({ type: "user", message: { role: "user", content } });
const answered = (id: string, ...content: readonly object[]): Partial<SessionStoreEntry> => ({
  type: "assistant",
  message: { role: "assistant", id, type: "message", content },
});
const calling = (id: string): object => ({ type: "tool_use", id, name: "look", input: {} });
const result = (id: string): object => ({ type: "tool_result", tool_use_id: id, content: `result ${id}` });

test("the lines of an answer are one message of a turn, in the commit of each line, and hidden lines are in none", async () => {
  await using place = inMemory();
  const store: SessionStore = claudeStore(place.sessions);
  const key = { projectKey, sessionId: "s" };
  const lines = chain("s", [
    said("Look at both."),
    { ...said("Caveat"), isMeta: true },
    answered("msg_1", { type: "thinking", thinking: "Hm.", signature: "s" }),
    answered("msg_1", { type: "text", text: "I look." }),
    answered("msg_1", calling("c1")),
    said([result("c1")]),
    answered("msg_1", calling("c2")),
    said([result("c2")]),
    { ...answered("msg_x", { type: "text", text: "Apart." }), isSidechain: true },
    answered("msg_2", { type: "text", text: "Both are here." }),
    { type: "system", subtype: "compact_boundary" },
    { ...said("A summary."), isCompactSummary: true },
    said("Thanks."),
  ]);
  for (const line of lines) {
    const before = (await place.sessions.get("claude/-srv-shop/s").catch(() => undefined))?.info.version;
    await store.append(key, [line]);
    if (before !== undefined) assert.equal((await place.sessions.get("claude/-srv-shop/s")).info.version, before + 1);
  }
  await store.append({ ...key, subpath: "subagents/agent-a" }, chain("s", [said("Find it.")]));
  const session = await place.sessions.get("claude/-srv-shop/s");
  assert.deepEqual(await turnsOf(session), [
    [
      "user: Look at both.",
      "assistant: I look. calls c1 calls c2",
      "tool: result c1",
      "tool: result c2",
      "assistant: Both are here.",
    ],
    ["user: Thanks."],
  ]);
  assert.deepEqual(await store.load(key), lines);
  await store.append(key, lines);
  assert.equal((await session.refresh()).turn, 2);
  assert.equal((await doctor(place.sessions)).findings, 0);
});

test("a turn has the tokens of its answers once each, and the model; a fork has them not again", async () => {
  await using place = inMemory();
  const sessionStore: SessionStore = claudeStore(place.sessions);
  const sessionId = randomUUID();
  const key = { projectKey, sessionId };
  const used = (id: string, outputTokens: number, ...content: readonly object[]): Partial<SessionStoreEntry> => {
    const usage = { input_tokens: 11, cache_read_input_tokens: 3, cache_creation_input_tokens: 2 };
    const message = { role: "assistant", id, type: "message", model: "claude-x", content };
    return { type: "assistant", message: { ...message, usage: { ...usage, output_tokens: outputTokens } } };
  };
  const lines = chain(sessionId, [
    said("Look."),
    used("msg_1", 1, { type: "thinking", thinking: "Hm.", signature: "s" }),
    used("msg_1", 1, { type: "text", text: "I look." }),
    used("msg_1", 7, calling("c1")),
    said([result("c1")]),
    used("msg_2", 5, { type: "text", text: "It is here." }),
    said("Thanks."),
    used("msg_3", 2, { type: "text", text: "Welcome." }),
    { ...used("msg_x", 100, { type: "text", text: "Apart." }), isSidechain: true },
  ]).map((line) => ({ ...line, cwd: dir, timestamp: new Date(0).toISOString() }));
  for (const line of lines) await sessionStore.append(key, [line]);
  const session = await place.sessions.get(`claude/${projectKey}/${sessionId}`);
  const turns = await Array.fromAsync(session.turns());
  assert.deepEqual(
    turns.map(({ usage, requests, model }) => [usage, requests, model]),
    [
      [{ inputTokens: 32, outputTokens: 12, totalTokens: 44, cachedTokens: 6 }, 2, "claude-x"],
      [{ inputTokens: 16, outputTokens: 2, totalTokens: 18, cachedTokens: 3 }, 1, "claude-x"],
    ],
  );
  const { inputTokens, totalTokens, requests } = session.info.counters;
  assert.deepEqual([inputTokens, totalTokens, requests], [48, 62, 3]);
  await sessionStore.append(key, lines);
  await session.refresh();
  assert.equal(session.info.counters.totalTokens, 62, "lines that are sent again count once");
  const whole = { projectKey, sessionId: "at-once" };
  await sessionStore.append(whole, lines);
  const { info } = await place.sessions.get(`claude/${projectKey}/at-once`);
  assert.equal(info.counters.totalTokens, 62, "a batch counts as its lines");
  const { sessionId: fork } = await forkSession(sessionId, { dir, sessionStore });
  const forked = await place.sessions.get(`claude/${projectKey}/${fork}`);
  assert.deepEqual([forked.info.turn, forked.info.counters.totalTokens], [2, 0]);
  assert.equal((await doctor(place.sessions)).findings, 0);
});

test("turns of others are lines behind the last one, for the SDK's functions too, before and after the next line", async () => {
  await using place = inMemory();
  const sessionStore: SessionStore = claudeStore(place.sessions, { user: "ada" });
  const sessionId = randomUUID();
  const key = { projectKey, sessionId };
  const own = conversation(sessionId, ["Where?", "Here."]);
  await sessionStore.append(key, own);
  const session = await place.sessions.get(`claude/${projectKey}/${sessionId}`);
  await session.append({
    input: "And the other?",
    output: [
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "c1", type: "function", function: { name: "look", arguments: "{}" } }],
      },
      { role: "tool", tool_call_id: "c1", content: "lost", is_error: true },
      { role: "assistant", content: "Lost." },
    ],
  });
  const { version } = await session.refresh();
  const lines = (await sessionStore.load(key)) ?? [];
  assert.equal((await session.refresh()).version, version, "a load writes nothing");
  assert.deepEqual(lines.slice(0, 2), own);
  assert.deepEqual(
    lines.slice(2).map(({ type, cwd, message }) => [type, cwd, (message as { content: unknown }).content]),
    [
      ["user", "/srv/shop", "And the other?"],
      ["assistant", "/srv/shop", [{ type: "tool_use", id: "c1", name: "look", input: {} }]],
      ["user", "/srv/shop", [{ type: "tool_result", tool_use_id: "c1", content: "lost", is_error: true }]],
      ["assistant", "/srv/shop", [{ type: "text", text: "Lost." }]],
    ],
  );
  const uuids = (all: readonly { readonly uuid?: unknown }[]): unknown[] => all.map(({ uuid }) => uuid);
  assert.deepEqual(uuids(await getSessionMessages(sessionId, { dir, sessionStore })), uuids(lines));
  // A process that resumes the session goes on behind them, and may send all lines again.
  const next = { ...conversation(sessionId, ["Thanks."])[0]!, parentUuid: lines.at(-1)?.uuid };
  await sessionStore.append(key, [...lines, next]);
  const all = (await sessionStore.load(key)) ?? [];
  assert.deepEqual(all, [...lines, next]);
  assert.deepEqual(uuids(await getSessionMessages(sessionId, { dir, sessionStore })), uuids(all));
  assert.deepEqual(await turnsOf(session), [
    ["user: Where?", "assistant: Here."],
    ["user: And the other?", "assistant: null calls c1", "tool: lost", "assistant: Lost."],
    ["user: Thanks."],
  ]);
  const [summary] = (await sessionStore.listSessionSummaries?.(projectKey)) ?? [];
  assert.deepEqual(summary?.data, JSON.parse(JSON.stringify(foldSessionSummary(undefined, key, all).data)));
  const fork = await forkSession(sessionId, { dir, sessionStore });
  assert.equal((await getSessionMessages(fork.sessionId, { dir, sessionStore })).length, all.length);
  assert.equal((await turnsOf(await place.sessions.get(`claude/${projectKey}/${fork.sessionId}`))).length, 3);
  assert.equal((await doctor(place.sessions)).findings, 0);
});

test("tokens that another framework counts in a turn of Claude are added to those of its answer", async () => {
  await using place = inMemory();
  const store = claudeStore(place.sessions);
  const key = { projectKey, sessionId: randomUUID() };
  const withUsage = (line: Partial<SessionStoreEntry>, output_tokens: number): Partial<SessionStoreEntry> => ({
    ...line,
    message: { ...(line["message"] as object), usage: { input_tokens: 10, output_tokens } },
  });
  const lines = chain(key.sessionId, [
    said("Where?"),
    withUsage(answered("m1", { type: "text", text: "He" }), 1),
    withUsage(answered("m1", { type: "text", text: "re." }), 5),
  ]);
  await store.append(key, lines.slice(0, 2));
  const session = await place.sessions.get(`claude/${projectKey}/${key.sessionId}`);
  const [turn] = await Array.fromAsync(session.turns());
  const { input, output } = turn ?? assert.fail("no turn");
  const grown = { input, output: [...output, { role: "assistant", content: "There." }], requests: 2 };
  const usage = { inputTokens: 110, outputTokens: 11, totalTokens: 121 };
  await session.write({
    turns: { from: 1, amends: true, turns: [{ ...grown, usage } as never] },
    onto: session.info.version,
  });
  await store.append(key, lines.slice(2));
  const [now] = await Array.fromAsync(session.turns());
  assert.deepEqual(
    [now?.usage, now?.requests],
    [{ inputTokens: 110, outputTokens: 15, totalTokens: 125 }, 2],
    "100 and 10 tokens of the other framework, 10 and 5 of Claude",
  );
});

for (const [title, { meanwhile, expected }] of Object.entries(replacements))
  test(`a transcript has what others have written in the place of known turns, each message once: ${title}`, async () => {
    await using place = inMemory();
    const store = claudeStore(place.sessions);
    const key = { projectKey, sessionId: randomUUID() };
    const texts = ["Question 0?", "Answer 0.", "Question 1?", "Answer 1."];
    await store.append(key, conversation(key.sessionId, texts));
    const session = (): Promise<Session> => place.another().get(`claude/${projectKey}/${key.sessionId}`);
    await (await session()).append(foreignTurn("Old"));
    // A line without a turn: the transcript adopts the turn of the other framework, whose end is the last known one.
    const next = async (line: Partial<SessionStoreEntry>): Promise<void> => {
      const parentUuid = (await store.load(key))?.at(-1)?.uuid ?? null;
      await store.append(key, [{ ...chain(key.sessionId, [line])[0]!, parentUuid }]);
    };
    await next({ ...said("A note."), isMeta: true });
    texts.push("A note.");
    const foreign = async (): Promise<readonly unknown[]> => {
      const lines = (await claudeStore(place.another()).load(key)) ?? [];
      return lines.flatMap(({ message }) => {
        const { content } = message as { readonly content: unknown };
        const text = typeof content === "string" ? content : (content as readonly { readonly text: string }[])[0]?.text;
        return texts.includes(String(text)) ? [] : [text];
      });
    };
    assert.deepEqual(await foreign(), ["Old?", "Old."]);
    await place.clock.advance(1000);
    await meanwhile(await session());
    assert.deepEqual(await foreign(), expected);
    for (const line of [said("Question 9?"), answered("m9", { type: "text", text: "Answer 9." })]) {
      await next(line);
      texts.push("Question 9?", "Answer 9.");
      assert.deepEqual(await foreign(), expected);
    }
  });

/** The texts of lines, and the calls of results. */
const wordsOf = (lines: readonly SessionStoreEntry[]): readonly unknown[] =>
  lines.flatMap(({ message }) => {
    const { content } = message as { readonly content: string | readonly Record<string, unknown>[] };
    return typeof content === "string" ? [content] : content.map(({ text, tool_use_id: of, id }) => text ?? of ?? id);
  });

test("a turn of others that grows in steps is in the transcript once, also where others replace a later turn", async () => {
  await using place = inMemory();
  const store = claudeStore(place.sessions);
  const key = { projectKey, sessionId: randomUUID() };
  await store.append(key, conversation(key.sessionId, ["Question 0?", "Answer 0."]));
  const touch = async (): Promise<void> => {
    const parentUuid = (await store.load(key))?.at(-1)?.uuid ?? null;
    await store.append(key, [{ ...chain(key.sessionId, [{ ...said("Note"), isMeta: true }])[0]!, parentUuid }]);
  };
  const words = async (): Promise<readonly unknown[]> =>
    wordsOf((await store.load(key)) ?? [])
      .slice(2)
      .filter((word) => word !== "Note");
  const session = await place.another().get(`claude/${projectKey}/${key.sessionId}`);
  await grow(session, async () => {
    const before = await words();
    await touch();
    assert.deepEqual(await words(), before);
  });
  // The result of c2 is in the line that stood for it, before that of c1.
  const expected = ["Where?", "c1", "c2", "c2", "c1", "Again.", "Again.", "Old?", "Old."];
  assert.deepEqual(await words(), expected);
  const results = (await store.load(key))!.flatMap(({ message }) => {
    const { content } = message as { readonly content: readonly Record<string, unknown>[] };
    return Array.isArray(content) ? content.filter(({ type }) => type === "tool_result") : [];
  });
  assert.deepEqual(
    results.map(({ tool_use_id: of, content, is_error: failed }) => [of, content, failed]),
    [
      ["c2", "two", undefined],
      ["c1", "one", undefined],
    ],
  );
  await place.clock.advance(1000);
  await session.refresh();
  await session.truncate(2);
  await session.append(foreignTurn("New"));
  for (const _ of ["read", "stored"]) {
    assert.deepEqual(await words(), [...expected, "New?", "New."]);
    await touch();
  }
});

test("a turn of others with more than 32 messages that grows is in the transcript whole, each message once", async () => {
  await using place = inMemory();
  const store = claudeStore(place.sessions);
  const key = { projectKey, sessionId: randomUUID() };
  await store.append(key, conversation(key.sessionId, ["Question 0?", "Answer 0."]));
  const touch = async (): Promise<void> => {
    const parentUuid = (await store.load(key))?.at(-1)?.uuid ?? null;
    await store.append(key, [{ ...chain(key.sessionId, [{ ...said("Note"), isMeta: true }])[0]!, parentUuid }]);
  };
  await growLong(await place.another().get(`claude/${projectKey}/${key.sessionId}`), touch);
  const steps = Array.from({ length: 40 }, (_, at) => `Step ${at}.`);
  for (const _ of ["read", "stored"]) {
    const words = wordsOf((await store.load(key)) ?? []).slice(2);
    assert.deepEqual(
      words
        .filter((word) => word !== "Note")
        .map(String)
        .toSorted(),
      ["Go.", ...steps, "Old.", "Old?"].toSorted(),
    );
    await touch();
  }
});

test("a transcript in which an earlier build has named messages of others has each of them once", async () => {
  await using place = inMemory();
  const path = new URL("./earlier-transcript.json", import.meta.url);
  const session = await place.sessions.restore(JSON.parse(readFileSync(path, "utf8")) as never);
  const store = claudeStore(place.sessions);
  const key = { projectKey, sessionId: "earlier" };
  const stored = wordsOf((await store.load(key)) ?? []);
  await place.clock.advance(1000);
  await session.truncate(2);
  await session.append(foreignTurn("New"));
  assert.deepEqual(wordsOf((await store.load(key)) ?? []), [...stored, "New?", "New."]);
});

test("a session that another framework has begun is resumed by its id, by its own user in one project", async () => {
  await using place = inMemory();
  const sessionStore: SessionStore = claudeStore(place.sessions, { user: "ada" });
  const [sessionId, foreign] = [randomUUID(), randomUUID()];
  const chat = await place.sessions.create({ id: sessionId, user: "ada", title: "Parcels" });
  await place.sessions.create({ id: foreign, user: "bob" });
  assert.equal(await sessionStore.load({ projectKey, sessionId }), null);
  await chat.append({ input: "Where?", output: "Here." });
  const lines = (await sessionStore.load({ projectKey, sessionId })) ?? [];
  assert.deepEqual(
    lines.map(({ type, parentUuid }) => [type, parentUuid]),
    [
      ["user", null],
      ["assistant", lines[0]?.uuid],
    ],
  );
  assert.deepEqual(await listSessions({ dir, sessionStore }), []);
  const next = { ...conversation(sessionId, ["Thanks."])[0]!, parentUuid: lines[1]?.uuid };
  await sessionStore.append({ projectKey, sessionId }, [next]);
  assert.deepEqual(await sessionStore.load({ projectKey, sessionId }), [...lines, next]);
  assert.deepEqual(await turnsOf(chat), [["user: Where?", "assistant: Here."], ["user: Thanks."]]);
  assert.equal((await listSessions({ dir, sessionStore })).length, 1);
  assert.equal((await chat.refresh()).title, "Parcels");
  assert.equal(await sessionStore.load({ projectKey: "-srv-other", sessionId }), null);
  await sessionStore.append({ projectKey, sessionId: foreign }, [next]);
  assert.equal((await place.sessions.get(foreign)).info.turn, 0);
});

test("a transcript that was stored without turns is loaded as it was, and has turns with its next line", async () => {
  await using place = inMemory();
  const store: SessionStore = claudeStore(place.sessions);
  const key = { projectKey, sessionId: "s" };
  const lines = conversation("s", ["Where?", "Here.", "Thanks."]);
  const stored = lines.slice(0, 2);
  // As the adapter wrote them before lines were turns.
  const { mtime: _, ...summary } = foldSessionSummary(undefined, key, stored);
  const session = await place.sessions.create({
    id: "claude/-srv-shop/s",
    labels: { "claude-project": projectKey },
    metadata: { claude: { ...summary, mtime: 1 } as never },
  });
  const entries = stored.map((entry) => ({ key: `u${entry.uuid}`, value: { entry } as never }));
  await session.write({ logs: { claude: { entries } } });
  assert.deepEqual(await store.load(key), stored);
  assert.equal((await session.refresh()).turn, 0);
  await store.append(key, lines.slice(2));
  assert.deepEqual(await store.load(key), lines);
  assert.deepEqual(await turnsOf(session), [["user: Where?", "assistant: Here."], ["user: Thanks."]]);
});

test("a line costs as much in a long transcript as in a short one, also in an answer without an end", async () => {
  const steps = rounds(1000, 120);
  let [bytes, calls] = [0, 0];
  const memoryStore = openMemory();
  const counted = storeBefore(memoryStore, (method, args) => {
    calls++;
    if (method === "commit") bytes += JSON.stringify(args).length;
    return callStore(memoryStore, method, args);
  });
  await using sessions = await openSessions({ store: counted, sweep: false });
  const store: SessionStore = claudeStore(sessions);
  const key = { projectKey, sessionId: "s" };
  await store.append(key, chain("s", [said("Count.")]));
  const costs: { readonly bytes: number; readonly calls: number }[] = [];
  for (let step = 0; step < steps; step++) {
    [bytes, calls] = [0, 0];
    for (const line of chain("s", [answered(`msg_${step}`, calling(`c${step}`)), said([result(`c${step}`)])]))
      await store.append(key, [line]);
    costs.push({ bytes, calls });
  }
  const most = (of: readonly { readonly bytes: number; readonly calls: number }[]): readonly number[] => [
    Math.max(...of.map((cost) => cost.bytes)),
    Math.max(...of.map((cost) => cost.calls)),
  ];
  const [[earlyBytes = 0, earlyCalls = 0], [lateBytes = 0, lateCalls = 0]] = [
    most(costs.slice(0, 40)),
    most(costs.slice(-40)),
  ];
  assert.ok(lateBytes < 1.2 * earlyBytes, `${lateBytes} bytes, ${earlyBytes} at the beginning`);
  assert.ok(lateCalls <= earlyCalls, `${lateCalls} calls, ${earlyCalls} at the beginning`);
  const messages = await (await sessions.get("claude/-srv-shop/s")).messages();
  assert.equal(messages.length, 2 * steps + 1);
});
