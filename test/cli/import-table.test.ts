/** `perdure import --from URL --table NAME`: the tables of other systems, in SQLite and PostgreSQL. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { nativeOf } from "../../src/domain/request/native-form.ts";
import { openSessions } from "../../src/index.ts";
import { serverOfFile } from "../postgres/of-file.ts";
import { query } from "../postgres/server.ts";
import { Workplace } from "./command-line.ts";

const server = await serverOfFile();

const exchanges = `
  create table llm_sessions (
    id integer primary key, session_id text, agent_name text, user_id text, question text, response text,
    timestamp TIME, tokens_used integer
  );
  insert into llm_sessions values
    (1, 'a', 'ceo', 'ada', 'What does a second oven cost?', 'About 900 euros.', '2026-01-02 10:00:00', 12),
    (3, 'a', 'ceo', 'ada', 'And a third?', 'Ask the supplier.', '2026-01-02 10:05:00', 9),
    (2, 'b', null, null, 'Hello', null, '2026-01-03 08:00:00', null),
    (4, null, 'ceo', null, 'lost', 'lost', '2026-01-03 08:00:00', 1),
    (5, 'c', 'ceo', null, '', null, '2026-01-03 08:00:00', 1),
    (6, 'b', null, null, 'Anybody?', 'Yes.', '2026-01-03 08:01:00', null)`;

const states = `
  create table conversation_states (session_id text primary key, active_agent text, state JSON, updated_at TIME);
  insert into conversation_states values
    ('d', 'sales', '{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"hello"}]}', '2026-02-01 09:00:00'),
    ('e', 'sales', '{"step":3,"cart":["flour"]}', '2026-02-01 09:00:00'),
    ('f', 'sales', 'no json', '2026-02-01 09:00:00')`;

const messages = `
  create table chat_messages (
    id integer primary key, "chatId" text, role text, parts JSON, attachments JSON, model text, "createdAt" TIME
  );
  insert into chat_messages values
    (2, 'a', 'assistant', '[{"type":"reasoning","text":"hm"},{"type":"text","text":"Rye."}]', '[]', 'm', '2026-01-02 10:00:01'),
    (1, 'a', 'user', '[{"type":"text","text":"Rye or wheat?"}]',
      '[{"name":"a.png","contentType":"image/png","url":"https://e.example/a.png"}]', null, '2026-01-02 10:00:00'),
    (3, 'b', 'user', '[{"type":"text","text":"My door code is 0000"}]', null, null, '2026-01-02 11:00:00'),
    (4, 'b', 'user', null, null, null, '2026-01-02 11:00:00'),
    (5, 'b', 'assistant', '[{"type":"text","text":"Noted."}]', null, null, null);
  create table plain_messages (conversation_id text, role text, content text, tool_calls JSON, tool_call_id text, user_id text, rating bigint);
  insert into plain_messages values
    ('c', 'user', '[1, 2]', null, null, 'ada', null),
    ('c', 'assistant', null, '[{"id":"t","type":"function","function":{"name":"sum","arguments":"{}"}}]', null, null, 9007199254740993),
    ('c', 'tool', '3', 'null', 't', null, null);
  create table message_store (id integer primary key, session_id text, message JSON);
  insert into message_store values
    (2, 'm', '{"type":"ai","content":"Rye.","tool_calls":[],"additional_kwargs":{}}'),
    (1, 'm', '{"type":"human","data":{"content":"Rye or wheat?"}}')`;

const engines = {
  async sqlite(place: Workplace): Promise<string> {
    const file = join(place.folder, "old.db");
    using database = new DatabaseSync(file);
    for (const sql of [exchanges, states, messages])
      database.exec(sql.replaceAll("TIME", "text").replaceAll("JSON", "text"));
    return `sqlite:${file}`;
  },
  async postgres(): Promise<string> {
    for (const sql of [exchanges, states, messages]) {
      const typed = sql.replaceAll("TIME", "timestamp").replaceAll("JSON", "text");
      for (const statement of typed.split(";")) await query(server.url(), statement);
    }
    return server.url();
  },
};

for (const [engine, prepare] of Object.entries(engines)) {
  test(`${engine}: rows of questions and answers become sessions, once, and the report says what is left out`, async () => {
    await using place = await Workplace.open();
    const from = await prepare(place);
    const run = async (...args: string[]) =>
      await place.run(["import", "--from", from, "--table", "llm_sessions", ...args]);
    const dry = await run("--dry-run");
    assert.equal(dry.code, 0, dry.stderr);
    const taken =
      "session from session_id, question from question, answer from response, tokens from tokens_used, time from timestamp, agent from agent_name, user from user_id";
    assert(dry.stderr.includes(`table llm_sessions, a row for each exchange: ${taken}\n`), dry.stderr);
    assert.match(dry.stderr, /columns kept beside the messages: id\n/);
    assert.match(dry.stderr, /would import 2 sessions, 4 turns, /);
    assert.match(dry.stderr, /2 rows of 6 left out: without a session, or without a text\n/);
    assert.equal((await run()).code, 0);
    const again = JSON.parse((await run("--json")).stdout) as Record<string, unknown>;
    assert.deepEqual([again["restored"], again["present"], again["skipped"]], [0, 2, 0]);
    assert.deepEqual((again["table"] as Record<string, unknown>)["leftOut"], 2);
    assert.deepEqual(again["leftOut"], { row: 2 });
    await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
    const session = await sessions.get("a");
    assert.deepEqual([session.info.agent, session.info.user], ["ceo", "ada"]);
    const turns = await Array.fromAsync(session.turns());
    assert.deepEqual(
      turns.map(({ at, input, output }) => [new Date(at).toISOString(), input[0]?.content, output[0]?.content]),
      [
        ["2026-01-02T10:00:00.000Z", "What does a second oven cost?", "About 900 euros."],
        ["2026-01-02T10:05:00.000Z", "And a third?", "Ask the supplier."],
      ],
    );
    assert.deepEqual(
      turns.map(({ usage }) => usage?.totalTokens),
      [12, 9],
    );
    assert.equal((await sessions.get("b")).info.turn, 2);
  });

  test(`${engine}: rows of states become sessions with their messages, or with the state as metadata`, async () => {
    await using place = await Workplace.open();
    const from = engine === "sqlite" ? await prepare(place) : server.url();
    const { code, stderr } = await place.run(["import", "--from", from, "--table", "conversation_states"]);
    assert.match(
      stderr,
      /table conversation_states, a row for each session: session from session_id, messages from state/,
    );
    assert.match(stderr, /skipped conversation_states f is not JSON: .*\[message_invalid\]/);
    assert.equal(code, 1);
    await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
    const [turn] = await Array.fromAsync((await sessions.get("d")).turns());
    assert.deepEqual([turn?.input[0]?.content, turn?.output[0]?.content, turn?.agent], ["hi", "hello", "sales"]);
    const { metadata, agent } = (await sessions.get("e")).info;
    assert.deepEqual([metadata, agent], [{ state: { step: 3, cart: ["flour"] } }, "sales"]);
  });

  test(`${engine}: rows of messages become sessions, in the order of their times`, async () => {
    await using place = await Workplace.open();
    const from = engine === "sqlite" ? await prepare(place) : server.url();
    const { code, stderr } = await place.run(["import", "--from", from, "--table", "chat_messages"]);
    assert.equal(code, 0, stderr);
    const taken =
      "session from chatId, role from role, content from parts, model from model, attachments from attachments, time from createdAt";
    assert(stderr.includes(`table chat_messages, a row for each message: ${taken}\n`), stderr);
    assert.match(stderr, /1 row of 5 left out/);
    assert.equal((await place.run(["import", "--from", from, "--table", "plain_messages"])).code, 0);
    await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
    const [turn, ...others] = await Array.fromAsync((await sessions.get("a")).turns());
    const picture = { type: "image_url", image_url: { url: "https://e.example/a.png" } };
    assert.deepEqual(
      [others.length, turn?.input[0]?.content, turn?.output[0]?.content, turn?.model, turn?.at.toISOString()],
      [0, [{ type: "text", text: "Rye or wheat?" }, picture], "Rye.", "m", "2026-01-02T10:00:00.000Z"],
    );
    // The row without a time comes last.
    const [noted, ...more] = await Array.fromAsync((await sessions.get("b")).turns());
    assert.deepEqual([noted?.output[0]?.content, more], ["Noted.", []]);
    const called = await sessions.get("c");
    const [exchange] = await Array.fromAsync(called.turns());
    assert.deepEqual(
      [called.info.user, exchange?.input[0]?.content, exchange?.output.map(({ role }) => role)],
      ["ada", "[1, 2]", ["assistant", "tool"]],
    );
    // Columns without a place of their own are kept, a number that JavaScript cannot hold as its digits.
    assert.deepEqual(nativeOf(exchange!.output[0]!)?.value, [{ rating: "9007199254740993" }]);
  });

  test(`${engine}: rows with a whole message, as LangChain and n8n keep them, become sessions`, async () => {
    await using place = await Workplace.open();
    const from = engine === "sqlite" ? await prepare(place) : server.url();
    const { code, stderr } = await place.run(["import", "--from", from, "--table", "message_store"]);
    assert.equal(code, 0, stderr);
    await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
    const [turn] = await Array.fromAsync((await sessions.get("m")).turns());
    assert.deepEqual([turn?.input[0]?.content, turn?.output[0]?.content], ["Rye or wheat?", "Rye."]);
  });

  test(`${engine}: a table that is missing or has other columns is refused, with those that are there`, async () => {
    await using place = await Workplace.open();
    const from = engine === "sqlite" ? await prepare(place) : server.url();
    const missing = await place.run(["import", "--from", from, "--table", "absent"]);
    assert.match(missing.stderr, /table is "absent"; expected one of .*conversation_states.*llm_sessions/);
    assert.equal(missing.code, 2);
    if (engine === "postgres") await query(from, "create table if not exists other (a text, b text)");
    else new DatabaseSync(from.slice("sqlite:".length)).exec("create table other (a text, b text)");
    const other = await place.run(["import", "--from", from, "--table", "other"]);
    assert.match(other.stderr, /table is "other"; expected a table with a session_id.*the columns a, b/);
    assert.equal(other.code, 2);
  });
}

test("a file and a table together, or half a table, are refused", async () => {
  await using place = await Workplace.open();
  for (const args of [
    [],
    ["a.json", "--from", "sqlite:a.db", "--table", "t"],
    ["--from", "sqlite:a.db"],
    ["--table", "t"],
  ]) {
    const { code, stderr } = await place.run(["import", ...args]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, /name files or folders, - for stdin, or a table with --from URL --table NAME/);
  }
});

test("a session of a table whose questions name several users is refused, the others come in", async () => {
  await using place = await Workplace.open();
  const file = join(place.folder, "old.db");
  using database = new DatabaseSync(file);
  database.exec("create table chats (session_id text, role text, content text, user_id text)");
  database.exec(
    `insert into chats values ('a', 'user', 'My door code is 0000', 'ada'), ('a', 'user', 'Hello', 'bob'),
      ('b', 'user', 'Done?', 'ada'), ('b', 'assistant', 'Yes.', 'baker')`,
  );
  const { code, stderr } = await place.run(["import", "--from", `sqlite:${file}`, "--table", "chats"]);
  assert.equal(code, 1);
  assert.match(stderr, /skipped chats a.* user is "bob", while messages beside it name "ada"/);
  assert.match(stderr, /imported 1 session, 1 turn/);
});
