/** Conversations of other programs with several branches, which become branches of one session. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { branchWords, importText, messagesOf } from "../../test/support/import-text.ts";
import { inMemory } from "../../test/support/in-memory.ts";
import { exportSessions, importSessions, type Conversation, type ImportOptions, type ImportReport } from "../admin.ts";
import type { Sessions } from "../index.ts";

type Row = readonly [id: string, parent: string, role: "user" | "assistant" | "call" | "tool", words?: string];

/** An export of ChatGPT, with the message that it shows. */
function chatgpt(shown: string, rows: readonly Row[], about: object = {}): string {
  const nodes = rows.map(([id, parent, role, words = id], index) => {
    const author = { role: role === "call" ? "assistant" : role, name: "python" };
    const message = {
      id,
      author,
      create_time: 1_700_000_000 + index,
      recipient: role === "call" ? "python" : "all",
      content: { content_type: "text", parts: [words] },
    };
    const children = rows.filter(([, other]) => other === id).map(([child]) => child);
    return [id, { id, parent, message, children }] as const;
  });
  const mapping = Object.fromEntries(nodes);
  return JSON.stringify({ conversation_id: "c", title: "Oven", current_node: shown, mapping, ...about });
}

const oven: readonly Row[] = [
  ["q", "", "user"],
  ["a", "q", "assistant"],
  ["call", "q", "call", "peek()"],
  ["done", "call", "tool"],
  ["b", "done", "assistant"],
  ["q2", "b", "user"],
  ["c", "q2", "assistant"],
  ["d", "q2", "assistant"],
  ["q3", "b", "user"],
  ["Q", "", "user"],
];

const keep = { branches: "keep" } as const;
const counts = ({ restored, present, grown, turns, skipped, leftOut }: ImportReport): unknown => [
  { restored, present, grown, skipped },
  turns,
  leftOut,
];
const fate = (name: string): object => ({ restored: 0, present: 0, grown: 0, skipped: 0, [name]: 1 });

test("an answer that was asked again, an edited question and another beginning are branches of one session", async () => {
  await using place = inMemory();
  const dry = await importText(place.sessions, chatgpt("d", oven), { ...keep, dryRun: true });
  const report = await importText(place.sessions, chatgpt("d", oven), keep);
  assert.deepEqual(counts(report), [fate("restored"), 6, {}]);
  assert.deepEqual(counts(dry), counts(report));
  const session = await place.sessions.get("c");
  assert.deepEqual(await branchWords(session), [
    ["1", 1, "q a"],
    ["2", 2, "q  done b q2 c"],
    ["3", 2, "q  done b q2 d (current)"],
    ["4", 2, "q  done b q3"],
    ["5", 1, "Q"],
  ]);
  const versions = async (at: number): Promise<unknown> =>
    (await session.branches({ at })).map(({ id, index, count, isCurrent }) => [id, `${index}/${count}`, isCurrent]);
  assert.deepEqual(await versions(1), [
    ["1", "1/3", false],
    ["3", "2/3", true],
    ["5", "3/3", false],
  ]);
  assert.deepEqual(await versions(2), [
    ["2", "1/3", false],
    ["3", "2/3", true],
    ["4", "3/3", false],
  ]);
  const { messages, turns } = session.info.counters;
  assert.deepEqual([messages, turns], [6, 2]);
  await session.switchTo("1");
  await session.append({ input: "more", output: "words" });
  assert.deepEqual((await branchWords(session))[0], ["1", 1, "q a more words (current)"]);
});

test("a later export with a longer branch, a new one, or another one that is shown continues the session", async () => {
  await using place = inMemory();
  const first = oven.slice(0, 7);
  await importText(place.sessions, chatgpt("c", first), keep);
  const session = await place.sessions.get("c");
  assert.deepEqual(await branchWords(session), [
    ["1", 1, "q a"],
    ["2", 1, "q  done b q2 c (current)"],
  ]);
  const states: readonly [text: string, counts: unknown, words: readonly string[]][] = [
    // Only another branch is shown: nothing of it is new.
    [chatgpt("a", first), [fate("present"), 0, {}], ["q a", "q  done b q2 c (current)"]],
    // The branch that is not shown is longer.
    [chatgpt("c", [...first, ["x", "a", "user"]]), [fate("grown"), 1, {}], ["q a x", "q  done b q2 c (current)"]],
    // The turn of the branch that is not shown is longer, and an answer is asked again and shown.
    [
      chatgpt("d", [...first, ["x", "a", "user"], ["y", "x", "assistant"], ["d", "q2", "assistant"]]),
      [fate("grown"), 1, {}],
      ["q a x y", "q  done b q2 c", "q  done b q2 d (current)"],
    ],
    [chatgpt("d", first), [fate("present"), 0, {}], ["q a x y", "q  done b q2 c", "q  done b q2 d (current)"]],
  ];
  for (const [text, expected, words] of states) {
    assert.deepEqual(counts(await importText(place.sessions, text, { ...keep, dryRun: true })), expected);
    assert.deepEqual(counts(await importText(place.sessions, text, keep)), expected);
    assert.deepEqual(counts(await importText(place.sessions, text, keep)), [fate("present"), 0, {}]);
    const branches = await branchWords(await place.sessions.get("c"));
    assert.deepEqual(
      branches.map(([, , said]) => said),
      words,
    );
  }
  // All states in one file are one session, too.
  await using other = inMemory();
  const file = [chatgpt("c", first), ...states.map(([text]) => text)].join("\n");
  const dry = await importText(other.sessions, file, { ...keep, dryRun: true });
  const real = await importText(other.sessions, file, keep);
  assert.deepEqual([dry.turns, dry.grown, dry.present], [real.turns, real.grown, real.present]);
  assert.deepEqual(await branchWords(await other.sessions.get("c")), await branchWords(await place.sessions.get("c")));
});

test("a branch that was continued here stays the current one, and a turn in its place refuses the import", async () => {
  await using place = inMemory();
  const first = oven.slice(0, 7);
  await importText(place.sessions, chatgpt("c", first), keep);
  const session = await place.sessions.get("c");
  await session.append({ input: "here", output: "yes" });
  const another = [...first, ["d", "q2", "assistant"]] as const;
  assert.deepEqual(counts(await importText(place.sessions, chatgpt("d", another), keep)), [fate("grown"), 1, {}]);
  const branches = [
    ["1", 1, "q a"],
    ["2", 2, "q  done b q2 c here yes (current)"],
    ["3", 2, "q  done b q2 d"],
  ];
  assert.deepEqual(await branchWords(session), branches);
  // The export continues the turn that was continued here: both are no versions of one question.
  const text = chatgpt("t", [...first, ["t", "c", "user"]]);
  const refused = await importText(place.sessions, text, keep);
  assert.deepEqual([refused.skipped, refused.reasons[0]?.code], [1, "session_exists"]);
  assert.deepEqual(await branchWords(session), branches);
});

test("an import of the shown branch finds a session that has all branches, and continues the one that it is of", async () => {
  await using place = inMemory();
  await importText(place.sessions, chatgpt("d", oven), keep);
  assert.equal((await importText(place.sessions, chatgpt("a", oven))).present, 1);
  const longer = await importText(place.sessions, chatgpt("x", [...oven, ["x", "a", "user"]]));
  assert.deepEqual([longer.grown, longer.turns], [1, 1]);
  const words = (await branchWords(await place.sessions.get("c"))).map(([, , said]) => said);
  assert.deepEqual(words.slice(0, 3), ["q a x", "q  done b q2 c", "q  done b q2 d (current)"]);
});

test("a branch that is shown up to an earlier message stays beside one that begins after it", async () => {
  await using place = inMemory();
  const first: readonly Row[] = [
    ["q", "", "user"],
    ["a", "q", "assistant"],
  ];
  await importText(place.sessions, chatgpt("a", first), keep);
  const later = chatgpt("a", [...first, ["r", "a", "user"]]);
  assert.deepEqual(counts(await importText(place.sessions, later, keep)), [fate("grown"), 1, {}]);
  assert.deepEqual(await branchWords(await place.sessions.get("c")), [
    ["1", 1, "q a (current)"],
    ["2", 2, "q a r"],
  ]);
});

test("of more branches than a session may have the first ones and the shown one are kept, and the others are counted", async () => {
  await using place = inMemory({ limits: { branchesMax: 3 } });
  const answers = ["1", "2", "3", "4", "5"].map((id): Row => [id, "q", "assistant"]);
  const text = chatgpt("4", [["q", "", "user"], ...answers]);
  assert.deepEqual(counts(await importText(place.sessions, text, keep)), [fate("restored"), 3, { branch: 2 }]);
  const branches = [
    ["1", 1, "q 1"],
    ["2", 1, "q 2"],
    ["3", 1, "q 4 (current)"],
  ];
  assert.deepEqual(await branchWords(await place.sessions.get("c")), branches);
  assert.deepEqual(counts(await importText(place.sessions, text, keep)), [fate("present"), 0, {}]);
  const more = chatgpt("next", [["q", "", "user"], ...answers, ["next", "4", "user"]]);
  for (const dryRun of [true, false])
    assert.deepEqual(counts(await importText(place.sessions, more, { ...keep, dryRun })), [
      fate("grown"),
      1,
      { branch: 2 },
    ]);
});

test("what is beside the messages, and what is left out, is counted once for each message", async () => {
  const picture = { content_type: "multimodal_text", parts: [{ content_type: "image_asset_pointer" }, "Look"] };
  const said = (role: string, content: object | string): object => ({
    author: { role },
    content: typeof content === "string" ? { content_type: "text", parts: [content] } : content,
  });
  const mapping = {
    a: { parent: null, message: said("user", picture), children: ["b", "c"] },
    b: { parent: "a", message: said("assistant", "1"), children: [] },
    c: { parent: "a", message: said("assistant", "2"), children: ["d"] },
    d: { parent: "c", message: said("user", picture), children: [] },
  };
  await using place = inMemory();
  const text = JSON.stringify({ conversation_id: "c", current_node: "b", mapping });
  const { leftOut, aside } = await importText(place.sessions, text, keep);
  assert.deepEqual(leftOut, { picture: 2 });
  await using shown = inMemory();
  const { aside: ofShown } = await importText(shown.sessions, text);
  await using all = inMemory();
  const { aside: ofAll } = await importText(all.sessions, text.replace('"b",', '"d",'));
  // The branches share the first message.
  assert.equal(aside - ofShown, ofAll - ofShown / 2);
});

test("branches of the other applications are in their order", async () => {
  const webui = (id: string, parentId: string | null, role: string, childrenIds: readonly string[]): object => ({
    id,
    parentId,
    role,
    content: id,
    childrenIds,
  });
  const list = [
    webui("q", null, "user", ["a", "b"]),
    webui("b", "q", "assistant", []),
    webui("a", "q", "assistant", []),
  ];
  const tree = Object.fromEntries(list.map((one) => [(one as { id: string }).id, one]));
  const documents: readonly [name: string, document: object, current: string][] = [
    ["Open WebUI", { id: "c", chat: { id: "c", models: ["m"], history: { messages: tree, currentId: "a" } } }, "a"],
    [
      "LibreChat",
      {
        conversationId: "c",
        messages: [
          { messageId: "q", text: "q", isCreatedByUser: true, createdAt: "2025-01-01T00:00:00Z" },
          {
            messageId: "a",
            parentMessageId: "q",
            text: "a",
            isCreatedByUser: false,
            createdAt: "2025-01-01T00:00:01Z",
          },
          {
            messageId: "b",
            parentMessageId: "q",
            text: "b",
            isCreatedByUser: false,
            createdAt: "2025-01-01T00:00:02Z",
          },
        ],
      },
      "b",
    ],
    [
      "Claude",
      {
        uuid: "c",
        current_leaf_message_uuid: "a",
        chat_messages: [
          { uuid: "q", sender: "human", text: "q" },
          { uuid: "a", sender: "assistant", text: "a", parent_message_uuid: "q" },
          { uuid: "b", sender: "assistant", text: "b", parent_message_uuid: "q" },
        ],
      },
      "a",
    ],
    [
      "Grok",
      {
        conversation: { id: "c", leaf_response_id: "b" },
        responses: [
          { response: { _id: "q", sender: "human", message: "q" } },
          { response: { _id: "a", sender: "ASSISTANT", message: "a", parent_response_id: "q" } },
          { response: { _id: "b", sender: "ASSISTANT", message: "b", parent_response_id: "q" } },
        ],
      },
      "b",
    ],
  ];
  for (const [name, document, current] of documents) {
    await using place = inMemory();
    const report = await importText(place.sessions, JSON.stringify(document), keep);
    assert.deepEqual([report.restored, report.turns, report.reasons], [1, 2, []], name);
    const mark = (id: string): string => (id === current ? " (current)" : "");
    assert.deepEqual(
      await branchWords(await place.sessions.get("c")),
      [
        ["1", 1, `q a${mark("a")}`],
        ["2", 1, `q b${mark("b")}`],
      ],
      name,
    );
  }
});

test("a conversation without an id is found again by its first branch, whichever branch is shown", async () => {
  const branch = (content: string): { readonly messages: readonly { role: string; content: string }[] } => ({
    messages: [
      { role: "user", content: "q" },
      { role: "assistant", content },
    ],
  });
  const [a, b] = [branch("a"), branch("b")];
  await using place = inMemory();
  const importOne = async (conversation: object): Promise<unknown> => {
    const items = [{ source: "f", conversation }] as Parameters<typeof importSessions>[1];
    const { restored, grown, present } = await importSessions(place.sessions, items);
    return [restored, grown, present];
  };
  assert.deepEqual(await importOne({ ...a, branches: [b] }), [1, 0, 0]);
  assert.deepEqual(await importOne({ ...b, branches: [a], branchesBefore: 1 }), [0, 0, 1]);
  assert.deepEqual(await importOne({ ...b, branches: [a, branch("c")], branchesBefore: 1 }), [0, 1, 0]);
});

test("the instructions of another branch are counted, and its messages must be whole", async () => {
  const messages = [{ role: "user", content: "q" }];
  const importOne = async (branch: readonly object[]): Promise<ImportReport> => {
    await using place = inMemory();
    const conversation = { id: "c", messages, branches: [{ messages: branch }] };
    const items = [{ source: "f", conversation }] as unknown as Parameters<typeof importSessions>[1];
    return await importSessions(place.sessions, items);
  };
  const other = await importOne([
    { role: "system", content: "Be brief." },
    { role: "user", content: "r" },
  ]);
  assert.deepEqual([other.restored, other.leftOut], [1, { "other instructions": 1 }]);
  const loose = await importOne([{ role: "tool", tool_call_id: "x", content: "r" }]);
  assert.deepEqual([loose.skipped, loose.reasons[0]?.code], [1, "message_invalid"]);
});

test("an export in our own format has all branches", async () => {
  await using place = inMemory();
  await importText(place.sessions, chatgpt("d", oven), keep);
  await using other = inMemory();
  await importSessions(other.sessions, exportSessions(place.sessions));
  assert.deepEqual(await branchWords(await other.sessions.get("c")), await branchWords(await place.sessions.get("c")));
});

test("sessions of single branches keep their ids when another branch is shown, grows or begins", async () => {
  const fork = { branches: "fork" } as const;
  const first: readonly Row[] = [
    ["q", "", "user"],
    ["a", "q", "assistant"],
    ["b", "q", "assistant"],
  ];
  const later: readonly Row[] = [...first, ["r", "a", "user"], ["c", "q", "assistant"]];
  const changed = later.map((row): Row => (row[0] === "b" ? ["b", "q", "assistant", "changed"] : row));
  await using place = inMemory();
  const imported = async (text: string): Promise<unknown> => {
    const dry = await importText(place.sessions, text, { ...fork, dryRun: true });
    const real = await importText(place.sessions, text, fork);
    assert.deepEqual(counts(dry), counts(real));
    const { items } = await place.sessions.list();
    const sessions = items.map(async ({ id, metadata }) => {
      const turns = await Array.fromAsync((await place.sessions.get(id)).turns());
      const said = turns.flatMap(({ input, output }) => [...input, ...output].map(({ content }) => content)).join(" ");
      return [id, metadata["branchOf"], said] as const;
    });
    const words = (await Promise.all(sessions)).toSorted(([a], [b]) => (a < b ? -1 : 1));
    const { restored, grown, present, skipped } = real;
    return [{ restored, grown, present, skipped }, ...words];
  };
  const none = { restored: 0, grown: 0, present: 0, skipped: 0 };
  const [b, a] = [["c", undefined, "q b"] as const, ["c-branch-2", "c", "q a"] as const];
  assert.deepEqual(await imported(chatgpt("b", first)), [{ ...none, restored: 2 }, b, a]);
  assert.deepEqual(await imported(chatgpt("a", first)), [{ ...none, present: 2 }, b, a]);
  const all = [b, ["c-branch-2", "c", "q a r"], ["c-branch-3", "c", "q c"]] as const;
  assert.deepEqual(await imported(chatgpt("c", later)), [{ ...none, restored: 1, grown: 1, present: 1 }, ...all]);
  assert.deepEqual(await imported(chatgpt("r", later)), [{ ...none, present: 3 }, ...all]);
  // A branch that has changed takes no place of another one.
  assert.deepEqual(await imported(chatgpt("r", changed)), [{ ...none, present: 2, skipped: 1 }, ...all]);
  await importText(place.sessions, chatgpt("r", changed), { ...fork, onExists: "replace" });
  const replaced = [["c", undefined, "q changed"] as const, ...all.slice(1)];
  assert.deepEqual(await imported(chatgpt("c", changed)), [{ ...none, present: 3 }, ...replaced]);
  // Two states of one conversation in one file, and both in a dry run.
  await using other = inMemory();
  const file = [chatgpt("b", first), chatgpt("c", later)].join("\n");
  const dry = await importText(other.sessions, file, { ...fork, dryRun: true });
  assert.deepEqual([dry.restored, dry.grown, dry.present], [3, 1, 1]);
  assert.deepEqual(counts(await importText(other.sessions, file, fork)), counts(dry));
});

const forked: readonly Row[] = [
  ["q", "", "user"],
  ["a", "q", "assistant"],
  ["b", "q", "assistant"],
];

/** The words of each session, by its id. */
async function sessionWords(sessions: Sessions): Promise<Record<string, string>> {
  const { items } = await sessions.list();
  const all = items.map(async ({ id }): Promise<[string, string]> => {
    const messages = await messagesOf(sessions, id);
    return [id, messages.map(({ content }) => content).join(" ")];
  });
  return Object.fromEntries((await Promise.all(all)).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** Imports each branch as a session; the dry run has the same counts. */
async function importForked(sessions: Sessions, text: string, options: ImportOptions = {}): Promise<unknown> {
  const dry = await importText(sessions, text, { ...options, branches: "fork", dryRun: true });
  const real = await importText(sessions, text, { ...options, branches: "fork" });
  assert.deepEqual([counts(dry), dry.replaced], [counts(real), real.replaced]);
  const { restored, present, grown, replaced, skipped } = real;
  return { restored, present, grown, replaced, skipped };
}

const none = { restored: 0, present: 0, grown: 0, replaced: 0, skipped: 0 };

test("a branch that has changed replaces its own session, and no session that another branch is", async () => {
  await using place = inMemory();
  await importForked(place.sessions, chatgpt("a", forked));
  await (await place.sessions.get("c")).append({ input: "here", output: "mine" });
  const changed = forked.map((row): Row => (row[0] === "b" ? ["b", "q", "assistant", "changed"] : row));
  const report = await importForked(place.sessions, chatgpt("b", changed), { onExists: "replace" });
  assert.deepEqual(report, { ...none, present: 1, replaced: 1 });
  assert.deepEqual(await sessionWords(place.sessions), { c: "q a here mine", "c-branch-2": "q changed" });
});

test("of sessions without a branch, a changed branch replaces the one with the most turns in common", async () => {
  const rows: readonly Row[] = [...forked, ["u", "b", "user"], ["v", "u", "assistant"], ["d", "q", "assistant"]];
  await using place = inMemory();
  await importForked(place.sessions, chatgpt("d", rows));
  const words = { c: "q d", "c-branch-2": "q a", "c-branch-3": "q b u v" };
  assert.deepEqual(await sessionWords(place.sessions), words);
  // The branch d is gone, and v has changed.
  const later = rows
    .filter(([id]) => id !== "d")
    .map((row): Row => (row[0] === "v" ? ["v", "u", "assistant", "w"] : row));
  const report = await importForked(place.sessions, chatgpt("v", later), { onExists: "replace" });
  assert.deepEqual(report, { ...none, present: 1, replaced: 1 });
  assert.deepEqual(await sessionWords(place.sessions), { ...words, "c-branch-3": "q b u w" });
});

test("a branch continues no session that is the one of another branch", async () => {
  const rows: readonly Row[] = [...forked, ["u", "b", "user"], ["v", "u", "assistant"], ["x", "b", "user"]];
  await using place = inMemory();
  assert.deepEqual(await importForked(place.sessions, chatgpt("b", rows)), { ...none, restored: 4 });
  const words = { c: "q b", "c-branch-2": "q a", "c-branch-3": "q b u v", "c-branch-4": "q b x" };
  assert.deepEqual(await sessionWords(place.sessions), words);
  // The branch that ended with b is none any more: there are more sessions than branches.
  assert.deepEqual(await importForked(place.sessions, chatgpt("v", rows)), { ...none, present: 3 });
  const later: readonly Row[] = [...rows, ["y", "x", "assistant"]];
  assert.deepEqual(await importForked(place.sessions, chatgpt("a", later)), { ...none, present: 2, grown: 1 });
  assert.deepEqual(await sessionWords(place.sessions), { ...words, "c-branch-4": "q b x y" });
  // The session that has no branch any more has the place of no new one, and is not replaced.
  const last: readonly Row[] = [...later, ["e", "q", "assistant"]];
  const report = await importForked(place.sessions, chatgpt("e", last), { onExists: "replace" });
  assert.deepEqual(report, { ...none, present: 3, restored: 1 });
  const all = { ...words, "c-branch-4": "q b x y", "c-branch-5": "q e" };
  assert.deepEqual(await sessionWords(place.sessions), all);
});

test("a branch whose siblings are not in the file replaces no session", async () => {
  await using place = inMemory();
  const branch = (id: string, answer: string): Conversation => {
    const messages = [
      { role: "user", content: "q" },
      { role: "assistant", content: answer },
    ] as const;
    return { id, messages, branchOf: { id: "c", count: 2 } };
  };
  const importAll = async (...all: readonly Conversation[]): Promise<readonly number[]> => {
    const items = all.map((conversation) => ({ source: "f", conversation }));
    const dry = await importSessions(place.sessions, items, { onExists: "replace", dryRun: true });
    const real = await importSessions(place.sessions, items, { onExists: "replace" });
    assert.deepEqual([counts(dry), dry.replaced], [counts(real), real.replaced]);
    return [real.restored, real.present, real.replaced, real.skipped];
  };
  const [a, b] = [branch("c", "a"), branch("c-branch-2", "b")];
  assert.deepEqual(await importAll(a, b), [2, 0, 0, 0]);
  assert.deepEqual(await importAll(branch("c", "changed")), [0, 0, 0, 1]);
  assert.deepEqual(await importAll(branch("c", "b")), [0, 1, 0, 0]);
  assert.deepEqual(await importAll(branch("c", "changed"), branch("c-branch-2", "a")), [0, 1, 1, 0]);
  assert.deepEqual(await sessionWords(place.sessions), { c: "q a", "c-branch-2": "q changed" });
  // Callers without types pass anything.
  const wrong = { ...a, branchOf: { id: "c", count: "2" } } as unknown as Conversation;
  assert.deepEqual(await importAll(wrong), [0, 0, 0, 1]);
});
