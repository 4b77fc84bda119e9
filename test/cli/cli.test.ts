import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { openSessions } from "../../src/index.ts";
import { startModelServer, type ModelServer, type Reply } from "../model-server.ts";
import { finish, Workplace } from "./command-line.ts";

/** Says how many messages it was shown, so that a test can see what a session remembers. */
function counting({ messages }: { messages: readonly unknown[] }): Reply {
  return { kind: "answer", texts: ["saw ", String(messages.length)], usage: [10, 2] };
}

async function setUp(
  respond: Parameters<typeof startModelServer>[0] = counting,
): Promise<AsyncDisposable & { place: Workplace; server: ModelServer }> {
  const server = await startModelServer(respond);
  const place = await Workplace.open({
    OPENAI_BASE_URL: server.baseURL,
    OPENAI_API_KEY: "secret-key",
    PERDURE_MODEL: "m",
  });
  return {
    place,
    server,
    async [Symbol.asyncDispose]() {
      await place[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

test("a session started by one process goes on in the next", async () => {
  await using context = await setUp();
  const { place, server } = context;
  const first = await place.run(["consult", "ceo", "one?"]);
  assert.equal(first.code, 0, first.stderr);
  assert.equal(first.stdout, "saw 1\n");
  const id = /^session (ceo_[0-9a-z]{26}) · turn 1 · 12 tokens \(10 in, 2 out\) · /.exec(first.stderr)?.[1];
  assert(id !== undefined, first.stderr);

  const second = await place.run(["consult", "ceo", "two?", "--session", id, "--json"]);
  assert.deepEqual(
    { ...JSON.parse(second.stdout), durationMs: 0 },
    {
      session: id,
      turn: 2,
      answer: "saw 3",
      usage: { inputTokens: 10, outputTokens: 2, totalTokens: 12 },
      durationMs: 0,
    },
  );
  assert.equal(second.stdout.split("\n").length, 2, "one line");
  assert.equal(second.stderr, "", "nothing but data");
  const third = await place.run(["consult", "ceo", "three?", "--session", id, "--window", "1"]);
  assert.equal(third.stdout, "saw 3\n", "a window of one turn and the question");
  assert.equal(server.requests.length, 3);
});

test("agents come from a file; an unknown one is wrong usage and the known ones are named", async () => {
  await using context = await setUp();
  const { place, server } = context;
  const agents = {
    ceo: { instructions: "Be brief.", model: "big", ttl: "1h" },
    constructor: { instructions: "Build." },
  };
  await writeFile(join(place.folder, "perdure.agents.json"), JSON.stringify(agents));
  assert.equal((await place.run(["consult", "ceo", "hi"])).stdout, "saw 2\n");
  assert.deepEqual([server.requests[0]?.model, server.requests[0]?.messages[0]?.content], ["big", "Be brief."]);
  assert.equal((await place.run(["consult", "constructor", "hi", "--model", "small"])).code, 0);
  assert.equal(server.requests[1]?.model, "small");
  const unknown = await place.run(["consult", "cto", "hi"]);
  assert.equal(unknown.code, 2);
  assert.match(unknown.stderr, /no agent is named "cto"; known: ceo, constructor/);
});

const brokenFiles: readonly (readonly [title: string, text: string, message: RegExp])[] = [
  [
    "a misplaced word",
    '{\n  "ceo": {\n    "instructions": oops\n  }\n}',
    /agents\.json:3: not JSON: there is oops .*column 21/,
  ],
  ["an end too early", '{\n  "ceo": {', /agents\.json:2: not JSON: the file ends/],
  ["a list", "[]", /agents\.json:1: expected/],
  [
    "a wrong ttl",
    '{\n  "a": {},\n  "ceo": { "ttl": "tomorrow" }\n}',
    /agents\.json:3: ttl of agent "ceo" is "tomorrow"/,
  ],
  ["an unknown field", '{\n\n  "ceo": { "modle": "m" }\n}', /agents\.json:3: agent "ceo" has no setting "modle"/],
];

for (const [title, text, message] of brokenFiles) {
  test(`an agents file with ${title} is named with its line`, async () => {
    await using context = await setUp();
    await writeFile(join(context.place.folder, "agents.json"), text);
    const { code, stderr } = await context.place.run(["consult", "ceo", "hi", "--agents", "agents.json"]);
    assert.equal(code, 2);
    assert.match(stderr, message);
  });
}

const refused: readonly (readonly [title: string, args: readonly string[], code: number, message: RegExp])[] = [
  ["an empty question", ["consult", "ceo", "  "], 2, /question is empty/],
  ["an unknown session", ["consult", "ceo", "hi", "--session", "nope"], 3, /there is no session nope/],
  ["an empty session id", ["sessions", "show", ""], 2, /session id "" is empty/],
  [
    "an unknown store",
    ["sessions", "list", "--store", "mongodb://u:pw@h/d"],
    2,
    /no store opens mongodb:\/\/\*\*\*@h\/d; known/,
  ],
  [
    "a folder that is missing",
    ["sessions", "list", "--store", "sqlite:no/such/x.db"],
    1,
    /no\/such does not exist; create it first/,
  ],
  ["an unknown command", ["sessoins"], 2, /Did you mean sessions/],
  ["a wrong number", ["sessions", "list", "--limit", "-1"], 2, /whole number/],
  ["a wrong duration", ["sessions", "sweep", "--retention", "soon"], 2, /retention is "soon"/],
  ["a wrong cursor", ["sessions", "list", "--after", "x"], 2, /after is "x"/],
  ["removing what is not there", ["sessions", "remove", "nope"], 3, /there is no session nope/],
];

for (const [title, args, code, message] of refused) {
  test(`${title}: exit ${code}, one clear line, no stack`, async () => {
    await using context = await setUp();
    const result = await context.place.run(args);
    assert.match(result.stderr, message);
    assert.equal(result.code, code);
    assert.equal(result.stdout, "");
    assert.doesNotMatch(result.stderr, /^\s+at /m);
    assert.doesNotMatch(result.stderr, /pw|secret-key/);
  });
}

test("without an endpoint the variables to set are named", async () => {
  await using place = await Workplace.open();
  const { code, stderr } = await place.run(["consult", "ceo", "hi"]);
  assert.equal(code, 2);
  assert.match(stderr, /OPENAI_BASE_URL .* OPENAI_API_KEY/);
});

test("an error with --json is one JSON object on stderr", async () => {
  await using context = await setUp();
  const { stderr } = await context.place.run(["consult", "ceo", "hi", "--session", "nope", "--json"]);
  const { error } = JSON.parse(stderr) as { error: { code: string; details: object } };
  assert.deepEqual([error.code, error.details], ["session_not_found", { sessionId: "nope", tenant: "default" }]);
});

test("a model that fails: exit 1, the question and what came are kept as a failed turn", async () => {
  const replies: Reply[] = [
    { kind: "status", status: 401 },
    { kind: "cut", texts: ["half"] },
    { kind: "raw", body: "data: {oops\n\n" },
  ];
  await using context = await setUp((_, index) => replies[index] ?? { kind: "status", status: 401 });
  const { place } = context;
  const outcomes = [
    await place.run(["consult", "a", "x"]),
    await place.run(["consult", "a", "x"]),
    await place.run(["consult", "a", "x"]),
  ];
  assert.deepEqual(
    outcomes.map(({ code }) => code),
    [1, 1, 1],
  );
  assert.match(outcomes[0]?.stderr ?? "", /\[model_refused\]/);
  assert.equal(outcomes[1]?.stdout, "half\n");
  await using sessions = await openSessions(place.storeUrl);
  const { sessions: all } = await sessions.list();
  assert.equal(all.length, 3);
  for (const { id } of all) {
    const [turn] = await Array.fromAsync((await sessions.get(id)).turns());
    assert.equal(turn?.status, "failed");
    assert.deepEqual(turn?.input, [{ role: "user", content: "x" }]);
  }
});

test("Ctrl-C stops the answer, keeps what came, and exits with 130", async () => {
  await using context = await setUp(() => ({ kind: "hang", texts: ["so far", " so good"] }));
  const { place } = context;
  const child = place.start(["consult", "ceo", "long?"]);
  const finished = finish(child);
  let seen = "";
  while (!seen.includes("good")) seen += String((await once(child.stdout ?? child, "data"))[0]);
  child.kill("SIGINT");
  assert.equal((await finished).code, 130);
  await using sessions = await openSessions(place.storeUrl);
  const [info] = (await sessions.list()).sessions;
  const [turn] = await Array.fromAsync((await sessions.get(info?.id ?? "")).turns());
  assert.deepEqual([turn?.status, turn?.output[0]?.content, info?.lease], ["interrupted", "so far so good", null]);
});

test("a session that answers elsewhere is busy: exit 4, its holder shown, its lease broken on request", async () => {
  await using context = await setUp(({ messages }) =>
    messages.at(-1)?.content === "long?" ? { kind: "hang", texts: ["…"] } : counting({ messages }),
  );
  const { place } = context;
  const setup = await openSessions(place.storeUrl);
  await setup.create({ id: "s", agent: "ceo" });
  await setup.close();
  const child = place.start(["consult", "ceo", "long?", "--session", "s"]);
  const finished = finish(child);
  await once(child.stdout ?? child, "data");

  const busy = await place.run(["consult", "ceo", "me?", "--session", "s"]);
  assert.equal(busy.code, 4, busy.stderr);
  assert.match(busy.stderr, /is held by i_.*perdure sessions unlock/);
  const shown = await place.run(["sessions", "show", "s"]);
  assert.match(shown.stdout, new RegExp(`held by +i_\\w+ \\(process ${child.pid} on .*\\) for `));
  assert.equal((await place.run(["sessions", "unlock", "s"])).code, 0);
  assert.equal((await place.run(["consult", "ceo", "me?", "--session", "s"])).stdout, "saw 3\n");
  child.kill("SIGINT");
  await finished;
  const { turns } = JSON.parse((await place.run(["sessions", "show", "s", "--json"])).stdout) as {
    turns: { status: string }[];
  };
  assert.deepEqual(
    turns.map(({ status }) => status),
    ["interrupted", "done"],
  );
});

test("list, show, end, remove and sweep, for people and for programs", async () => {
  await using context = await setUp();
  const { place } = context;
  await place.run(["consult", "ceo", "hi"]);
  await place.run(["consult", "cto", "hi"]);
  const lines = (await place.run(["sessions", "list", "--json"])).stdout.trim().split("\n");
  const infos = lines.map(
    (line) => JSON.parse(line) as { id: string; agent: string; createdAt: string; state: string },
  );
  assert.deepEqual(new Set(infos.map(({ agent }) => agent)), new Set(["ceo", "cto"]));
  assert.match(infos[0]?.createdAt ?? "", /^\d{4}-\d\d-\d\dT.*Z$/);
  const id = infos.find(({ agent }) => agent === "ceo")?.id ?? "";

  const table = (await place.run(["sessions", "list", "--agent", "ceo"])).stdout;
  assert.match(table, new RegExp(`^SESSION .*\\n${id} +ceo .* active +1 +12 `));
  assert.match((await place.run(["sessions", "show", id])).stdout, /user: hi\n {2}assistant: saw 1/);
  assert.equal((await place.run(["sessions", "end", id])).code, 0);
  assert.equal((await place.run(["consult", "ceo", "more", "--session", id])).code, 1);
  assert.equal(JSON.parse((await place.run(["sessions", "list", "--state", "ended", "--json"])).stdout).id, id);
  const swept = JSON.parse((await place.run(["sessions", "sweep", "--retention", "1ms", "--json"])).stdout) as object;
  assert.deepEqual(swept, { expired: 0, removed: 1, looked: 1, complete: true });
  const other = infos.find(({ agent }) => agent === "cto")?.id ?? "";
  assert.equal((await place.run(["sessions", "remove", other])).code, 0);
  assert.equal((await place.run(["sessions", "list"])).stdout, "");
});

test("chat from a pipe answers line by line, and a line that ends in a backslash goes on", async () => {
  await using context = await setUp();
  const { place, server } = context;
  const { code, stdout, stderr } = await place.run(["chat", "ceo"], { input: "one\ntwo \\\nlines\n/exit\nnever\n" });
  assert.equal(code, 0, stderr);
  assert.equal(stdout, "saw 1\nsaw 3\n");
  assert.equal(server.requests[1]?.messages.at(-1)?.content, "two \nlines");
});

test("every command explains itself by example", async () => {
  await using place = await Workplace.open();
  const commands = [
    [],
    ["consult"],
    ["chat"],
    ["sessions"],
    ...["list", "show", "end", "remove", "unlock", "sweep"].map((name) => ["sessions", name]),
  ];
  for (const command of commands) {
    const { code, stdout } = await place.run([...command, "--help"]);
    assert.equal(code, 0);
    assert.match(stdout, /Examples:\n {2}\$ perdure /, command.join(" "));
  }
});

test("a reader that has seen enough is no failure, and the answer is kept whole", async () => {
  await using context = await setUp(() => ({
    kind: "answer",
    texts: Array.from({ length: 200 }, () => "x".repeat(1000)),
  }));
  const { place } = context;
  const child = place.start(["consult", "ceo", "hi"]);
  child.stdout?.once("data", () => child.stdout?.destroy());
  assert.equal((await finish(child)).code, 0);
  await using sessions = await openSessions(place.storeUrl);
  const [info] = (await sessions.list()).sessions;
  const [turn] = await Array.fromAsync((await sessions.get(info?.id ?? "")).turns());
  assert.deepEqual([turn?.status, turn?.output[0]?.content], ["done", "x".repeat(200_000)]);
});
