import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdir, open, readFile, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { defined } from "../../src/domain/values/defined.ts";
import { exitCodeOf } from "../../src/cli/terminal/failure.ts";
import { errorCodes, type ErrorCode } from "../../src/errors/codes.ts";
import { openSessions, SessionError } from "../../src/index.ts";
import { setUp, Workplace } from "./command-line.ts";

const brokenFiles: readonly (readonly [title: string, text: string, message: RegExp])[] = [
  [
    "a misplaced word",
    '{\n  "ceo": {\n    "instructions": oops\n  }\n}',
    /agents\.json:3:21: the file is not JSON: found oops/,
  ],
  ["an end too early", '{\n  "ceo": {', /agents\.json:2:\d+: the file is not JSON: found the end of the file/],
  ["a list", "[]", /agents\.json:1:1: the file is an array; expected/],
  ["a wrong ttl", '{\n  "a": {},\n  "ceo": { "ttl": "tomorrow" }\n}', /agents\.json:3:\d+: ceo\.ttl is "tomorrow"/],
  ["an unknown field", '{\n\n  "ceo": { "modle": "m" }\n}', /agents\.json:3:\d+: ceo\.modle is no setting/],
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
  ["an unknown session", ["consult", "ceo", "hi", "--session", "nope"], 3, /session nope does not exist/],
  ["an empty session id", ["sessions", "show", ""], 2, /sessionId is ""; expected/],
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
  ["removing what is not there", ["sessions", "remove", "nope"], 3, /session nope does not exist/],
];

for (const [title, args, code, message] of refused) {
  test(`${title}: exit ${code}, one clear line, no stack`, async () => {
    await using context = await setUp();
    await (await openSessions({ store: context.place.storeUrl, sweep: false })).close();
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

test("an import of an empty folder, or of a file that does not exist, is refused before there is a store", async () => {
  await using context = await setUp(() => ({ kind: "answer", texts: ["ok"], usage: [1, 1] }));
  const { place } = context;
  await mkdir(join(place.folder, "folder"));
  const empty = await place.run(["import", "folder"]);
  assert.equal(empty.code, 2);
  assert.match(empty.stderr, /folder has no files of JSON \(\.json, \.jsonl, \.ndjson\).* \[argument_invalid\]/);
  const missing = await place.run(["import", "missing"]);
  assert.equal(missing.code, 3);
  assert.match(missing.stderr, /missing does not exist \[not_found\]/);
});

test("an error with --json is one JSON object on stderr", async () => {
  await using context = await setUp();
  await (await openSessions({ store: context.place.storeUrl, sweep: false })).close();
  const { stderr } = await context.place.run(["consult", "ceo", "hi", "--session", "nope", "--json"]);
  const { error } = JSON.parse(stderr) as { error: { code: string; details: object } };
  assert.deepEqual(
    [error.code, error.details],
    ["session_not_found", { sessionId: "nope", tenant: "default", command: "get" }],
  );
});

test("an agents file that is named must be there, and must be a file", async () => {
  await using context = await setUp();
  const missing = await context.place.run(["consult", "ceo", "hi", "--agents", "no.json"]);
  assert.equal(missing.code, 2);
  assert.match(missing.stderr, /no\.json: the file cannot be read: ENOENT.*\[agents_file_invalid\]/);
  const folder = await context.place.run(["consult", "ceo", "hi", "--agents", "."]);
  assert.equal(folder.code, 2);
  assert.match(folder.stderr, /the file cannot be read: EISDIR/);
});

test("without a model's name the ways to give one are named", async () => {
  await using place = await Workplace.open({ OPENAI_API_KEY: "secret-key", OPENAI_BASE_URL: "" });
  const { code, stderr } = await place.run(["consult", "ceo", "hi"]);
  assert.equal(code, 2);
  assert.match(stderr, /--model NAME, a model in the agents file, or PERDURE_MODEL/);
});

test("wrong usage with --json is one JSON object, too", async () => {
  await using place = await Workplace.open();
  const { code, stdout, stderr } = await place.run(["sessions", "list", "--json", "--stat", "active"]);
  assert.equal(code, 2);
  assert.equal(stdout, "");
  assert.deepEqual(JSON.parse(stderr), {
    error: { code: "usage", message: "unknown option '--stat' (Did you mean --state?)", details: {} },
  });
});

test("a command that is refused for its arguments does not touch the store", async () => {
  await using context = await setUp();
  const { place, server } = context;
  await writeFile(join(place.folder, "agents.json"), '{"ceo":{}}');
  for (const args of [
    ["consult", "ceo", ""],
    ["consult", "cto", "hi", "--agents", "agents.json"],
    ["consult", "ceo", "hi", "--window", "-1"],
    ["consult", "ceo", "hi", "--window", ""],
    ["consult", "ceo", "hi", "--busy", "later"],
    ["consult", "ceo", "hi", "there"],
    ["consult", "ceo"],
    ["sessions", "list", "--since", "yesterday"],
    ["sessions", "list", "--state", "asleep"],
    ["sessions", "show"],
  ]) {
    const { code, stderr } = await place.run(args);
    assert.equal(code, 2, `${args.join(" ")}: ${stderr}`);
    assert.match(stderr, /^perdure: [^\n]+\n$/, args.join(" "));
  }
  assert.equal(existsSync(join(place.folder, "perdure.db")), false);
  assert.equal(server.requests.length, 0);
});

for (const [title, id, message] of [
  ["over 256 characters", "x".repeat(257), /has 257 characters; expected a text of 1 to 256 characters/],
  ["with a control character", "a\u001bb", /expected a text of 1 to 256 characters without control characters/],
] as const) {
  test(`an id ${title} is refused wherever one is taken`, async () => {
    await using context = await setUp();
    await (await openSessions({ store: context.place.storeUrl, sweep: false })).close();
    for (const args of [
      ["consult", "ceo", "hi", "--session", id],
      ["consult", id, "hi"],
      ["sessions", "show", id],
      ["sessions", "list", "--tenant", id],
    ]) {
      const { code, stderr } = await context.place.run(args);
      assert.match(stderr, message);
      assert.equal(code, 2);
      assert.ok(!stderr.includes("\u001b"), "nothing moves the terminal's cursor");
    }
  });
}

test("names such as __proto__ and constructor are ordinary text", async () => {
  await using context = await setUp();
  const { place } = context;
  await writeFile(join(place.folder, "perdure.agents.json"), '{"__proto__":{"instructions":"I am."}}');
  const { stdout, stderr } = await place.run(["consult", "__proto__", "hi", "--json"]);
  assert.match(stdout, /"session":"__proto___[0-9a-z]{26}"/, stderr);
  assert.equal(context.server.requests[0]?.messages[0]?.content, "I am.");
  assert.equal((await place.run(["consult", "toString", "hi"])).code, 2);
});

const stores: readonly (readonly [
  title: string,
  spoil: (file: string) => Promise<void>,
  says: RegExp,
  exit?: number,
])[] = [
  ["is not a database", (file) => writeFile(file, "dear diary ".repeat(1000)), /\[store_invalid\]/],
  [
    "is cut short",
    async (file) => {
      await (await openSessions(`sqlite:${file}`)).close();
      const handle = await open(file, "r+");
      await handle.truncate(5000);
      await handle.close();
    },
    /\[store_invalid\]/,
  ],
  [
    "belongs to another program",
    async (file) => {
      const database = new DatabaseSync(file);
      database.exec("create table diary (day text)");
      database.close();
    },
    /another program; name another file \[store_invalid\]/,
  ],
  [
    "has a newer schema",
    async (file) => {
      await (await openSessions(`sqlite:${file}`)).close();
      const database = new DatabaseSync(file);
      database.exec("pragma user_version = 99");
      database.close();
    },
    /schema 99.*upgrade Perdure \[store_schema_newer\]/,
    5,
  ],
  ["is a folder", (file) => mkdir(file), /\[store_\w+\]/],
];

for (const [title, spoil, says, exit = 1] of stores) {
  test(`a store file that ${title}: exit ${exit}, and it stays as it is`, async () => {
    await using context = await setUp();
    const { place } = context;
    const file = join(place.folder, "perdure.db");
    await spoil(file);
    const before = await readFile(file).catch(() => undefined);
    const { code, stdout, stderr } = await place.run(["consult", "ceo", "hi"]);
    assert.match(stderr, says);
    assert.deepEqual([code, stdout], [exit, ""]);
    assert.deepEqual(await readFile(file).catch(() => undefined), before);
    assert.equal(context.server.requests.length, 0);
  });
}

test("a store file that may not be written: exit 1, and nothing is asked", async (t) => {
  await using context = await setUp();
  const { place } = context;
  // Nothing is read-only to the superuser: there, nobody asks.
  const uid = process.getuid?.() === 0 ? 65534 : undefined;
  const file = join(place.folder, "perdure.db");
  await (await openSessions(`sqlite:${file}`)).close();
  await chmod(file, 0o444);
  await chmod(place.folder, 0o555);
  try {
    const canStart = await place.run(["--version"], defined({ uid }));
    if (canStart.code !== 0) return t.skip("nobody may not read this checkout");
    const { code, stderr } = await place.run(["consult", "ceo", "hi"], defined({ uid }));
    assert.match(stderr, /\[store_read_only\]/);
    assert.equal(code, 1);
    assert.equal(context.server.requests.length, 0);
  } finally {
    await chmod(place.folder, 0o755);
  }
});

test("a model's address without a model behind it is an error that says so, and the question is kept", async () => {
  await using context = await setUp();
  const { place, server } = context;
  await server[Symbol.asyncDispose]();
  const { code, stderr } = await place.run(["consult", "ceo", "hi"]);
  assert.equal(code, 1);
  assert.match(
    stderr,
    /perdure: the model failed: .*\(ECONNREFUSED at 127\.0\.0\.1:\d+\) \(turn 1 of session ceo_\w+\) \[model_failed\]/,
  );
  await using sessions = await openSessions(place.storeUrl);
  assert.equal((await sessions.list()).items[0]?.turn, 1);
});

test("PERDURE_DEBUG adds the stack", async () => {
  await using place = await Workplace.open({ PERDURE_DEBUG: "1" });
  assert.match((await place.run(["sessions", "show", "nope"])).stderr, /\n {4}at .*\n/);
});

test("commands that work on an existing store refuse a mistyped name of an SQLite file, and make no file", async () => {
  await using place = await Workplace.open({ OPENAI_BASE_URL: "http://127.0.0.1:9", PERDURE_MODEL: "m" });
  const at = ["--store", "sqlite:typo.db"];
  for (const args of [
    ["erase", "--user", "ada", ...at],
    ["erase", "--user", "ada", "--dry-run", ...at],
    ["copy", "--from", "sqlite:typo.db", "--to", "sqlite:other.db"],
    ["export", ...at],
    ["export", "--out", "all.ndjson", ...at],
    ["stats", ...at],
    ["stats", "--html", "report.html", ...at],
    ["doctor", "--repair", ...at],
    ["events", ...at],
    ["sessions", "list", ...at],
    ["sessions", "show", "a", ...at],
    ["sessions", "remove", "a", ...at],
    ["sessions", "end", "a", ...at],
    ["sessions", "fork", "a", ...at],
    ["sessions", "archive", "a", ...at],
    ["sessions", "break-lease", "a", ...at],
    ["sessions", "legal-hold", "a", "--clear", ...at],
    ["sessions", "sweep", ...at],
    ["sessions", "sweep", "--dry-run", ...at],
    ["consult", "ceo", "hi", "--session", "a", ...at],
    ["keys", "list", ...at],
    ["keys", "revoke", "k", ...at],
    ["host", "status", "--key", "k", ...at],
    ["doctor", ...at],
    ["migrate", ...at],
    ["migrate", "--dry-run", ...at],
    ["snapshot", "save", "a", ...at],
    ["backup", "create", "monday.db", ...at],
  ]) {
    const { code, stdout, stderr } = await place.run(args);
    assert.equal(code, 1, args.join(" "));
    assert.equal(stdout, "");
    assert.match(stderr, /there is no store at .*typo\.db; correct its name \[store_unavailable\]\n$/);
    assert.deepEqual(
      readdirSync(place.folder).filter((name) => !name.startsWith(".")),
      [],
      args.join(" "),
    );
  }
});

/** The answer of a PostgreSQL server whose connections are all in use. */
const tooManyClients = Buffer.concat(
  ((fields: Buffer) => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(fields.length + 4);
    return [Buffer.from("E"), length, fields];
  })(Buffer.from("SFATAL\0VFATAL\0C53300\0Msorry, too many clients already\0\0")),
);

test("a command that waits for a database without a free connection says so, on a pipe and with --json", async () => {
  await using place = await Workplace.open();
  await using server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => socket.end(tooManyClients));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const store = ["--store", `postgres://app:secret@127.0.0.1:${port}/app?sslmode=disable`];
  for (const command of [["sessions", "list", "--json"], ["migrate"], ["serve", "--port", "0"]]) {
    const child = place.start([...command, ...store], { env: { PERDURE_SECRET: "a secret for this test" } });
    let output = "";
    while (!output.includes("\n")) output += String((await once(child.stderr ?? child, "data"))[0]);
    child.kill("SIGKILL");
    assert.equal(
      output,
      `still waiting for the store postgres://127.0.0.1:${port}/app: it is away, locked, without a free connection, or being migrated; the command continues\n`,
    );
  }
});

test("each error of something that is not found is exit code 3", async () => {
  const codes = Object.keys(errorCodes).filter((code) => code.endsWith("_not_found")) as ErrorCode[];
  assert(codes.includes("branch_not_found"));
  for (const code of codes) assert.equal(exitCodeOf(new SessionError(code, {})), 3, code);
});

test("an input file that does not exist is exit code 3, and one that cannot be read is 2: the store is no part of it", async () => {
  await using place = await Workplace.open({ PERDURE_SECRET: "s".repeat(40) });
  const sessions = await openSessions({ store: place.storeUrl, sweep: false });
  await sessions.create({ id: "chat" });
  await sessions.close();
  for (const command of [
    (file: string) => ["attachments", "add", "chat", file],
    (file: string) => ["write", "chat", file],
    (file: string) => ["backup", "restore", file, "--store", "sqlite:restored.db"],
    (file: string) => ["erase", "--user", "ada", "--verify", file],
    (file: string) => ["import", "--from", `sqlite:${file}`, "--table", "chats"],
  ]) {
    const missing = await place.run(command("no-such-file"));
    assert.match(missing.stderr, /^perdure: \S*no-such-file does not exist \[not_found\]\n$/, command("").join(" "));
    assert.equal(missing.code, 3, command("").join(" "));
    if (command("").includes("--from")) continue;
    const folder = await place.run(command("."));
    assert.match(folder.stderr, /cannot be read: EISDIR[^\n]*\[argument_invalid\]\n$/, command("").join(" "));
    assert.equal(folder.code, 2, command("").join(" "));
  }
  assert(!existsSync(join(place.folder, "restored.db")));
});
