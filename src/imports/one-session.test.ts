import assert from "node:assert/strict";
import { test } from "node:test";
import { importText } from "../../test/support/import-text.ts";
import { inMemory } from "../../test/support/in-memory.ts";
import type { Value } from "../domain/values/codec.ts";
import { tableColumnsOf } from "./tables/table-columns.ts";
import { tableItems } from "./tables/table-items.ts";
import type { Table } from "./tables/table-rows.ts";

type Row = Readonly<Record<string, Value>>;

const question = (text: string, more: Row): Row => ({ role: "user", content: text, ...more });
const answer = (text: string, more: Row = {}): Row => ({ role: "assistant", content: text, ...more });

/** The ids of the sessions of the rows, one a line, and why rows were refused. */
async function imported(
  rows: readonly Value[],
): Promise<{ readonly ids: readonly string[]; readonly why: readonly string[] }> {
  await using place = inMemory();
  const { reasons } = await importText(place.sessions, rows.map((row) => JSON.stringify(row)).join("\n"));
  const { items } = await place.sessions.list({ limit: 10 });
  return { ids: items.map(({ id }) => id).toSorted(), why: reasons.map(({ message }) => message) };
}

const named: readonly ((id: string) => Row)[] = [
  (id) => ({ conversation: { id } }),
  (id) => ({ chat: { id, userId: "u" } }),
  (id) => ({ conversation_id: { value: id } }),
  (id) => ({ conv_id: id }),
  (id) => ({ sessionID: id }),
  (id) => ({ ConversationId: id }),
  (id) => ({ Session_ID: id }),
  (id) => ({ chat_session_id: id }),
  (id) => ({ room_id: id }),
  (id) => ({ ticket_id: id }),
  (id) => ({ _id: { $oid: "65a" }, thread_id: id }),
];

for (const name of named)
  test(`rows with ${JSON.stringify(name("A"))} are a session for each id`, async () => {
    const rows = [
      question("My key is 1", { ...name("A"), userEmail: "ada@x" }),
      question("Hello", { ...name("B"), userEmail: "bob@x" }),
      answer("Noted", name("A")),
    ];
    assert.deepEqual(await imported(rows), { ids: ["A", "B"], why: [] });
    const exchanges = ["A", "B"].map((id) => ({ question: "q", answer: "a", ...name(id) }));
    assert.deepEqual(await imported(exchanges), { ids: ["A", "B"], why: [] });
  });

const clashing: readonly (readonly [string, Row, Row])[] = [
  ["session_id", { session_id: true }, { session_id: false }],
  ["metadata.thread_id", { metadata: { thread_id: "A" } }, { metadata: { thread_id: "B" } }],
  ["customer_id", { customer_id: 1 }, { customer_id: 2 }],
  ["email", { email: "ada@x" }, { email: "bob@x" }],
  ["author_id", { author_id: "ada" }, { author_id: "bob" }],
  ["sender", { sender: { id: "ada" } }, { sender: { id: "bob" } }],
  ["sender", { sender: "ada@x.org" }, { sender: "bob@x.org" }],
  ["user", { user: { email: "ada@x" } }, { user: { email: "bob@x" } }],
  ["metadata.user_id", { metadata: { user_id: "ada" } }, { metadata: { user_id: "bob" } }],
  ["user_id", { user: "web", user_id: "ada" }, { user: "web", user_id: "bob" }],
  ["matterUuid", { matterUuid: "A" }, { matterUuid: "B" }],
  ["id", { id: "A" }, { id: "B" }],
];

for (const [field, one, other] of clashing)
  test(`rows with ${JSON.stringify(one)} and ${JSON.stringify(other)} do not become one session`, async () => {
    const { ids, why } = await imported([
      question("My key is 1", one),
      answer("Noted", one),
      question("Hello", other),
      answer("Hi", other),
    ]);
    assert.deepEqual([ids, why.length], [[], 1]);
    assert.match(
      why[0]!,
      new RegExp(`^f:\\d ${field.replace(".", "\\.")} is .* (?:conversation_id|name the conversation)`),
    );
  });

test("users are compared where rows name their conversation, too", async () => {
  const { ids, why } = await imported([
    question("My key is 1", { chat_id: "A", customer_id: 1 }),
    question("Hello", { chat_id: "A", customer_id: 2 }),
    question("Hello", { chat_id: "B", customer_id: 2 }),
  ]);
  assert.deepEqual([ids, why.length], [["B"], 1]);
  const exchanges = [1, 2].map((customer) => ({ session_id: "A", question: "q", answer: "a", customer_id: customer }));
  assert.deepEqual((await imported(exchanges)).ids, []);
});

test("an object with messages of several conversations is refused", async () => {
  const messages = [question("My key is 1", { conversation_id: "A" }), question("Hello", { conversation_id: "B" })];
  const { ids, why } = await imported([{ id: "X", messages }]);
  assert.deepEqual([ids, why.length], [[], 1]);
  assert.match(why[0]!, /^f:1 messages\[1\] conversation_id is "B"/);
  const history = ["A", "B"].map((id) => ({ question: "q", response: "a", conversation_id: id }));
  assert.deepEqual((await imported([{ id: "X", conversation_history: history }])).ids, []);
});

test("ids of messages, runs, models, calls, parents, devices and authors of answers differ within one session", async () => {
  const rows = [1, 2, 3].flatMap((turn) => {
    const ids = { run_id: `r${turn}`, requestId: `q${turn}`, turn_id: turn, trace: { id: `t${turn}` } };
    const asked = { id: `m${turn}`, parent_id: `n${turn - 1}`, device_id: `d${turn % 2}`, sender_id: "ada" };
    return [
      question("q", { ...ids, ...asked, user_message_id: turn, topic_id: turn % 2, metadata: { run_id: `r${turn}` } }),
      answer("a", {
        ...ids,
        id: `n${turn}`,
        parent_id: `m${turn}`,
        model_id: turn,
        sender_id: "bot",
        agent: { id: turn },
      }),
    ];
  });
  for (const more of [{}, { conversation_id: "A", session_key: "s" }]) {
    const { ids, why } = await imported(rows.map((row) => ({ ...row, ...more })));
    assert.deepEqual([ids.length, why], [1, []]);
  }
  // A conversation that was continued in several sessions.
  const continued = rows.map((row, index) => ({ ...row, conversation_id: "A", session_id: index % 2 }));
  assert.deepEqual(await imported(continued), { ids: ["A"], why: [] });
});

test("rows of a table with several users do not become one session", async () => {
  const columns = ["session_id", "role", "content", "customer_id"];
  const rows = [1, 2].map((customer) => ({ session_id: "A", role: "user", content: "q", customer_id: customer }));
  const table: Table = {
    columns,
    async *rows() {
      yield* rows;
    },
    async [Symbol.asyncDispose]() {},
  };
  const counts = { rows: 0, leftOut: 0 };
  const items = await Array.fromAsync(
    tableItems(table, tableColumnsOf("t", columns), { name: "t", bytesMax: 1e6, counts }),
  );
  assert.deepEqual(
    items.map((item) => "error" in item && item.error.message.includes("t A customer_id is")),
    [true],
  );
});
