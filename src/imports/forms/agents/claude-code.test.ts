import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { importText, messagesOf, storedMessages } from "../../../../test/support/import-text.ts";
import { inMemory } from "../../../../test/support/in-memory.ts";
import { importFiles } from "../../../admin.ts";
import { nativeOf } from "../../../domain/request/native-form.ts";

type Line = Readonly<Record<string, unknown>>;

const said = (uuid: string, parentUuid: string | null, content: unknown, more: object = {}): Line => ({
  type: "user",
  uuid,
  parentUuid,
  sessionId: "s",
  message: { role: "user", content },
  ...more,
});
const answered = (uuid: string, parentUuid: string, block: object, message: object = {}, more: object = {}): Line => ({
  type: "assistant",
  uuid,
  parentUuid,
  sessionId: "s",
  message: { id: `m-${uuid}`, role: "assistant", model: "c", content: [block], ...message },
  ...more,
});
const called = (id: string): object => ({ type: "tool_use", id, name: "Bash", input: { command: id } });
const result = (id: string, content: string): object => ({ type: "tool_result", tool_use_id: id, content });
const text = (words: string): object => ({ type: "text", text: words });
const at = (seconds: number): object => ({ timestamp: new Date(Date.UTC(2025, 3, 1, 9, 0, seconds)).toISOString() });

const lines = (...all: readonly object[]): string => all.map((line) => `${JSON.stringify(line)}\n`).join("");

const oven = [
  said("u1", null, "What is in the oven?", { ...at(0), cwd: "/bakery", version: "2.0.0" }),
  answered(
    "a1",
    "u1",
    { type: "thinking", thinking: "look" },
    { id: "m1", usage: { input_tokens: 10, output_tokens: 1 } },
    at(2),
  ),
  answered("a2", "a1", called("t1"), { id: "m1", usage: { input_tokens: 10, output_tokens: 20 } }, at(3)),
  said("u2", "a2", [result("t1", "loaf")], at(4)),
  answered("a3", "u2", text("A loaf."), { id: "m2", usage: { input_tokens: 40, output_tokens: 6 } }, at(6)),
  said("z", "a2", "(subagent)", { isSidechain: true }),
  { type: "summary", summary: "Looking into the oven", leafUuid: "a3" },
];

const callOf = (...ids: readonly string[]): object => ({
  role: "assistant",
  content: null,
  tool_calls: ids.map((id) => ({
    id,
    type: "function",
    function: { name: "Bash", arguments: JSON.stringify({ command: id }) },
  })),
});

test("a session of Claude Code has its title, one turn, and the tokens of each answer once", async () => {
  await using place = inMemory();
  const forms: string[] = [];
  const report = await importText(place.sessions, lines(...oven), { onForm: ({ format }) => forms.push(format) });
  assert.deepEqual([report.restored, report.skipped, report.aside, forms], [1, 0, 5, ["claude-code"]]);
  assert.deepEqual(report.incomplete, [{ source: "f:1", id: "s", leftOut: { "sub-agent message": 1 } }]);
  assert.deepEqual(await messagesOf(place.sessions, "s"), [
    { role: "user", content: "What is in the oven?" },
    callOf("t1"),
    { role: "tool", tool_call_id: "t1", content: "loaf" },
    { role: "assistant", content: "A loaf." },
  ]);
  const session = await place.sessions.get("s");
  const { title, metadata, createdAt, lastActivityAt } = session.info;
  assert.deepEqual(
    [title, metadata, createdAt.toISOString(), lastActivityAt.toISOString()],
    [
      "Looking into the oven",
      { source: "claude-code", cwd: "/bakery", version: "2.0.0" },
      "2025-04-01T09:00:00.000Z",
      "2025-04-01T09:00:06.000Z",
    ],
  );
  const [turn, ...others] = await Array.fromAsync(session.turns());
  assert.deepEqual(
    [turn?.model, turn?.at.toISOString(), turn?.usage, turn?.requests, others.length],
    ["c", "2025-04-01T09:00:00.000Z", { inputTokens: 50, outputTokens: 26, totalTokens: 76 }, 2, 0],
  );
  const stored = await storedMessages(place.sessions, "s");
  assert.match(JSON.stringify(nativeOf(stored[1]!)?.value), /"thinking":"look"/);
  assert.equal((await importText(place.sessions, lines(...oven))).present, 1);
});

test("a broken line is told with its place, and the lines around it are read in the order of the file", async () => {
  await using place = inMemory();
  const [first, thought, , ...rest] = oven;
  const broken = `${lines(first!, thought!)}{"type":"assistant","uuid":"a2"\n${lines(...rest)}`;
  const report = await importText(place.sessions, broken);
  assert.deepEqual([report.restored, report.reasons.map(({ source }) => source)], [1, ["f:3"]]);
  assert.deepEqual(report.leftOut, { "stray result": 1, "sub-agent message": 1 });
  assert.deepEqual(
    (await messagesOf(place.sessions, "s")).map(({ content }) => content),
    ["What is in the oven?", "", "A loaf."],
  );
});

test("calls that ran at the same time have their results, though each result is a branch of its own", async () => {
  await using place = inMemory();
  const both = [
    said("u", null, "Both?"),
    answered("a", "u", called("t1"), { id: "m" }),
    answered("b", "a", called("t2"), { id: "m" }),
    said("r1", "a", [result("t1", "one")]),
    said("r2", "b", [result("t2", "two")]),
    answered("c", "r2", text("Both.")),
  ];
  const report = await importText(place.sessions, lines(...both));
  assert.deepEqual([report.restored, report.leftOut], [1, {}]);
  assert.deepEqual((await messagesOf(place.sessions, "s")).slice(1), [
    callOf("t1", "t2"),
    { role: "tool", tool_call_id: "t1", content: "one" },
    { role: "tool", tool_call_id: "t2", content: "two" },
    { role: "assistant", content: "Both." },
  ]);
});

test("the branch that was left is counted, or is a session of its own with the sub-agents if that is asked for", async () => {
  const rewound = [
    ...oven,
    said("u3", "u2", "Take it out.", at(20)),
    answered("a4", "u3", text("Out."), {}, at(21)),
    { type: "ai-title", aiTitle: "Bread", sessionId: "s" },
    { type: "custom-title", customTitle: "Loaf", sessionId: "s" },
  ];
  for (const [branches, ids] of [
    ["shown", ["s"]],
    ["fork", ["s", "s-agent-z", "s-branch-2"]],
  ] as const) {
    await using place = inMemory();
    const report = await importText(place.sessions, lines(...rewound), { branches });
    const { items } = await place.sessions.list();
    assert.deepEqual(items.map(({ id }) => id).toSorted(), ids);
    const counts = branches === "shown" ? { branch: 1, "sub-agent message": 1 } : {};
    assert.deepEqual(report.leftOut, { "other title": branches === "shown" ? 2 : 4, ...counts });
    assert.deepEqual((await messagesOf(place.sessions, "s")).at(-1), { role: "assistant", content: "Out." });
    assert.equal((await place.sessions.get("s")).info.title, "Loaf");
  }
});

test("a session goes on across a compaction; lines without words of the conversation are counted", async () => {
  await using place = inMemory();
  const compacted = [
    { type: "file-history-snapshot", messageId: "u1", snapshot: {} },
    ...oven.slice(0, 5),
    { type: "system", subtype: "turn_duration", uuid: "d", parentUuid: "a3", sessionId: "s" },
    {
      type: "system",
      subtype: "compact_boundary",
      content: "Conversation compacted",
      uuid: "b",
      parentUuid: null,
      logicalParentUuid: "d",
      sessionId: "s",
    },
    said("c", "b", "This session is being continued …", { isCompactSummary: true }),
    said("h", "c", "Caveat", { isMeta: true }),
    said("u3", "h", "And now?", at(30)),
    {
      type: "attachment",
      uuid: "q",
      parentUuid: "u3",
      sessionId: "s",
      attachment: { type: "queued_command", prompt: "Only the rye.", commandMode: "prompt" },
    },
    { type: "attachment", uuid: "f", parentUuid: "q", sessionId: "s", attachment: { type: "file", filename: "n" } },
    answered("a4", "f", text("Rye."), { model: "<synthetic>" }, at(31)),
    answered("e", "a4", text("API Error"), {}, { isApiErrorMessage: true }),
  ];
  const report = await importText(place.sessions, lines(...compacted));
  assert.deepEqual([report.restored, report.skipped], [1, 0]);
  assert.deepEqual(report.leftOut, {
    "line of type file-history-snapshot": 1,
    "line of type system": 2,
    "compaction summary": 1,
    "hidden message": 1,
    attachment: 1,
    error: 1,
  });
  assert.deepEqual(
    (await messagesOf(place.sessions, "s")).slice(3).map(({ content }) => content),
    ["A loaf.", "And now?", "Only the rye.", "Rye."],
  );
  const [, turn] = await Array.fromAsync((await place.sessions.get("s")).turns());
  assert.equal(turn?.model, undefined);
});

test("words that the model took from the queue while it answered follow its results", async () => {
  await using place = inMemory();
  const queue = (operation: string, content: string): object => ({
    type: "queue-operation",
    operation,
    content,
    sessionId: "s",
  });
  const report = await importText(
    place.sessions,
    lines(
      said("u", null, "Bake."),
      answered("a", "u", called("t1")),
      queue("enqueue", "Only rye."),
      queue("remove", "Only rye."),
      queue("remove", "<task-notification>done</task-notification>"),
      said("r", "a", [result("t1", "ok")]),
      answered("b", "r", text("Rye it is.")),
    ),
  );
  assert.deepEqual([report.restored, report.leftOut], [1, { "line of type queue-operation": 2 }]);
  assert.deepEqual(
    (await messagesOf(place.sessions, "s")).map(({ content }) => content),
    ["Bake.", null, "ok", "Only rye.", "Rye it is."],
  );
});

test("messages that a compaction kept stand behind it, and are read at their place", async () => {
  await using place = inMemory();
  const report = await importText(
    place.sessions,
    lines(
      said("u", null, "Start"),
      answered("a", "u", text("Ready")),
      said("left", "a", "First attempt"),
      said("v", "a", "Second attempt"),
      {
        type: "system",
        subtype: "compact_boundary",
        uuid: "b",
        parentUuid: null,
        logicalParentUuid: "w",
        sessionId: "s",
      },
      said("c", "b", "This session is being continued …", { isCompactSummary: true }),
      answered("w", "c", text("Second answer")),
      said("x", "w", "And now?"),
      { type: "user", uuid: "odd", parentUuid: "x", sessionId: "s", message: "not an object" },
    ),
  );
  assert.deepEqual(
    [report.restored, report.skipped, report.leftOut],
    [1, 0, { "line of type system": 1, "line of type user": 1, "compaction summary": 1, branch: 1 }],
  );
  assert.deepEqual(
    (await messagesOf(place.sessions, "s")).map(({ content }) => content),
    ["Start", "Ready", "Second attempt", "Second answer", "And now?"],
  );
});

test("a compaction whose earlier lines are in another file begins with its summary", async () => {
  await using place = inMemory();
  const begun = [
    { type: "system", subtype: "compact_boundary", uuid: "b", logicalParentUuid: "gone", sessionId: "s" },
    said("c", "b", "This session is being continued …", { isCompactSummary: true }),
    said("u", "c", "And now?"),
    answered("a", "u", text("Rye.")),
  ];
  await importText(place.sessions, lines(...begun));
  assert.deepEqual(
    (await messagesOf(place.sessions, "s")).map(({ content }) => content),
    ["This session is being continued …", "And now?", "Rye."],
  );
});

test("the file of a sub-agent is a session of its own, which names the session that started it", async () => {
  await using place = inMemory();
  const side = { isSidechain: true, agentId: "x1" };
  const report = await importText(
    place.sessions,
    lines(said("u", null, "Find the rye.", side), answered("a", "u", text("Found."), {}, side)),
  );
  assert.deepEqual([report.restored, report.leftOut], [1, {}]);
  const session = await place.sessions.get("s-agent-x1");
  assert.deepEqual(session.info.metadata, { source: "claude-code", subAgentOf: "s" });
});

test("lines of several sessions in one file are a session each; one that another continues is a part of it", async () => {
  await using place = inMemory();
  const other = { sessionId: "o" };
  const resumed = { sessionId: "r" };
  const report = await importText(
    place.sessions,
    lines(
      said("u", null, "One?"),
      answered("a", "u", text("One.")),
      said("v", null, "Two?", other),
      answered("w", "v", text("Two."), {}, other),
      said("u", null, "One?", resumed),
      answered("a", "u", text("One."), {}, resumed),
      said("x", "a", "Three?", resumed),
      answered("y", "x", text("Three."), {}, resumed),
    ),
  );
  assert.deepEqual([report.restored, report.leftOut], [2, {}]);
  const contents = async (id: string): Promise<readonly unknown[]> =>
    (await messagesOf(place.sessions, id)).map(({ content }) => content);
  assert.deepEqual(
    [await contents("o"), await contents("r")],
    [
      ["Two?", "Two."],
      ["One?", "One.", "Three?", "Three."],
    ],
  );
});

test("the output of a run as JSON lines is read in its order; files beside logs hold no conversation", async () => {
  await using place = inMemory();
  const report = await importText(
    place.sessions,
    lines(
      { type: "system", subtype: "init", session_id: "j", model: "c" },
      { type: "user", session_id: "j", message: { role: "user", content: "Hi" } },
      { type: "assistant", session_id: "j", message: { id: "m", role: "assistant", content: [text("Ho")] } },
      { type: "result", subtype: "success", session_id: "j", result: "Ho" },
    ),
  );
  assert.deepEqual([report.restored, report.leftOut], [1, { "line of type system": 1, "line of type result": 1 }]);
  assert.equal((await messagesOf(place.sessions, "j")).length, 2);
  for (const beside of [
    { version: 1, entries: [{ sessionId: "s" }] },
    { agentType: "Explore", description: "x" },
  ]) {
    const none = await importText(place.sessions, JSON.stringify(beside));
    assert.deepEqual([none.restored, none.skipped, none.leftOut], [0, 0, { "document without a conversation": 1 }]);
  }
});

test("a system line of Claude Code alone is no conversation of LangChain", async () => {
  await using place = inMemory();
  const line = {
    type: "system",
    subtype: "compact_boundary",
    content: "Conversation compacted",
    uuid: "b",
    sessionId: "s",
  };
  const report = await importText(place.sessions, lines(line));
  assert.deepEqual([report.restored, report.skipped], [0, 1]);
  assert.match(report.reasons[0]?.message ?? "", /has no messages/);
});

test("rows of LangChain's messages that name their session are no lines of Claude Code", async () => {
  await using place = inMemory();
  const rows = [
    { session_id: "a", type: "system", content: "Be brief." },
    { session_id: "a", type: "human", content: "Hi" },
    { session_id: "a", type: "ai", content: "Ho" },
  ];
  const forms: string[] = [];
  await importText(place.sessions, lines(...rows), { onForm: ({ format }) => forms.push(format) });
  assert.deepEqual(forms, ["langchain"]);
  assert.equal((await messagesOf(place.sessions, "a")).length, 2);
});

test("a project folder has a session for each log, and for each sub-agent", async (context) => {
  const folder = await mkdtemp(join(tmpdir(), "claude-"));
  context.after(async () => await rm(folder, { recursive: true }));
  await mkdir(join(folder, "s", "subagents"), { recursive: true });
  const side = { isSidechain: true, agentId: "x1" };
  await writeFile(join(folder, "s.jsonl"), lines(said("u", null, "Bread?"), answered("a", "u", text("Yes."))));
  await writeFile(join(folder, "s", "subagents", "agent-x1.jsonl"), lines(said("v", null, "Find it.", side)));
  await writeFile(join(folder, "s", "subagents", "agent-x1.meta.json"), '{"agentType":"Explore"}');
  await writeFile(join(folder, "sessions-index.json"), '{"version":1,"entries":[{"sessionId":"s"}]}');
  await using place = inMemory();
  const report = await importFiles(place.sessions, [folder]);
  assert.deepEqual([report.restored, report.skipped], [2, 0]);
  assert.deepEqual(report.leftOut, { "document without a conversation": 2 });
});

test("lines of progress between two messages are no messages", async () => {
  await using place = inMemory();
  const line = (uuid: string, parentUuid: string | null, more: object): string =>
    JSON.stringify({ uuid, parentUuid, sessionId: "s", ...more });
  const lines = [
    line("u", null, { type: "user", message: { role: "user", content: "Done?" } }),
    line("p", "u", { type: "progress", data: { type: "hook_progress" } }),
    line("a", "p", {
      type: "assistant",
      message: { id: "m", role: "assistant", content: [{ type: "text", text: "Yes." }] },
    }),
  ];
  assert.equal((await importText(place.sessions, lines.join("\n"))).restored, 1);
  assert.deepEqual(
    (await messagesOf(place.sessions, "s")).map(({ content }) => content),
    ["Done?", "Yes."],
  );
});

test("lines of other programs in a log are counted by their types, and a damaged line is an error of its own", async () => {
  const foreign = ['{"type":"heartbeat","n":1}', '{"level":"info"}', "null"];
  const codex = (n: number, payload: object): object => ({ timestamp: `2025-01-02T03:04:0${n}Z`, ...payload });
  const logs: readonly [format: string, lines: readonly object[]][] = [
    ["claude-code", [said("u", null, "Hi"), answered("a", "u", text("Ho"))]],
    [
      "codex",
      [
        codex(1, { type: "session_meta", payload: { id: "s" } }),
        codex(2, { type: "response_item", payload: { type: "message", role: "user", content: "Hi" } }),
        codex(3, { type: "response_item", payload: { type: "message", role: "assistant", content: "Ho" } }),
      ],
    ],
    [
      "gemini-cli",
      [
        { sessionId: "s", startTime: "2025-01-02T03:04:05Z", projectHash: "p" },
        { id: "1", type: "user", content: "Hi" },
        { id: "2", type: "gemini", content: "Ho" },
      ],
    ],
  ];
  for (const [format, own] of logs)
    for (const first of [true, false]) {
      await using place = inMemory();
      const all = own.map((line) => JSON.stringify(line));
      const others = [...foreign, foreign[0]];
      const file = first ? [...others, ...all] : [...all.slice(0, 2), ...others, ...all.slice(2), '{"type":'];
      const forms: string[] = [];
      const report = await importText(place.sessions, file.join("\n"), { onForm: (read) => forms.push(read.format) });
      assert.deepEqual([forms, report.restored, report.turns], [[format], 1, 1]);
      assert.deepEqual(report.leftOut, { "line of type heartbeat": 2, "line without a type": 2 });
      const places = report.reasons.map(({ source }) => source);
      assert.deepEqual(places, first ? [] : [`f:${file.length}`]);
    }
});

test("a conversation of another form in a log is an error of its own", async () => {
  await using place = inMemory();
  const foreign = { id: "x", messages: [{ role: "user", content: "Hi" }] };
  const report = await importText(
    place.sessions,
    lines(said("u", null, "Hi"), foreign, answered("a", "u", text("Ho"))),
  );
  assert.deepEqual([report.restored, report.turns, report.leftOut], [1, 1, {}]);
  assert.match(
    report.reasons[0]?.message ?? "",
    /^f:2 is \{ id, messages \}: no conversation in one of the forms a session/,
  );
});
