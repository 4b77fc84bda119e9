import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openSessions } from "../../src/index.ts";
import { untilStored } from "../support/stored-text.ts";
import { answers, listening, setUp, stop, Workplace, type Listening } from "./command-line.ts";

/** Start the server and read its address from what it says. */
async function serve(place: Workplace, args: readonly string[] = []): Promise<Listening> {
  return await listening(place.start(["serve", "--port", "0", ...args]));
}

async function chat(url: string, device: string, message: string) {
  const response = await fetch(`${url}/v1/chat`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-device-id": device },
    body: JSON.stringify({ message }),
  });
  // oxlint-disable-next-line typescript/no-unsafe-return -- a body is whatever came
  return { status: response.status, body: await response.json() } as { status: number; body: Record<string, unknown> };
}

test("a new process for every request, as on a serverless host: the chat continues", async () => {
  await using context = await setUp();
  const device = randomUUID();
  for (let index = 1; index <= 3; index++) {
    const { child, url } = await serve(context.place, ["--quiet"]);
    const { body } = await chat(url, device, "hello");
    assert.equal(body["text"], `saw ${2 * index - 1}`, "all that was said before");
    assert.equal(await stop(child), 0, "stopped as asked is done");
  }
});

test("a server without a model warns at its start, and answers chats with model_missing as an error of the server", async () => {
  await using place = await Workplace.open();
  const { child, url, log } = await serve(place);
  const { status, body } = await chat(url, randomUUID(), "hello");
  assert.deepEqual([status, body["code"]], [500, "model_missing"]);
  assert.equal(body["detail"], "the service has no model to ask");
  assert.equal(await stop(child), 0);
  const lines = log().split("\n");
  const warnings = lines.filter((line) => line.startsWith("no model endpoint is set, so chats are refused"));
  assert.equal(warnings.length, 1);
  const entries = lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as { level: string });
  const failed = entries.filter((entry) => "status" in entry && entry.status === 500);
  assert.deepEqual(
    failed.map(({ level }) => level),
    ["error", "error"],
  );
});

test("the secret stands beside the file, for its owner only, unless the environment has one", async () => {
  await using context = await setUp();
  const { place } = context;
  const { child } = await serve(place);
  await stop(child);
  const file = join(place.folder, "perdure.db.secret");
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  const first = await readFile(file, "utf8");
  assert.match(first, /^[\w-]{43}\n$/);
  await stop((await serve(place)).child);
  assert.equal(await readFile(file, "utf8"), first);
});

test("a percent sign in the name of the file means itself, for the store and for the secret beside it", async () => {
  await using context = await setUp();
  const { place } = context;
  const store = `sqlite:${join(place.folder, "100%.db")}`;
  const { child } = await serve(place, ["--store", store]);
  await stop(child);
  const { code, stderr } = await place.run(["erase", "--user", "ada", "--store", store]);
  assert.equal(code, 0, stderr);
  const files = await readdir(place.folder);
  for (const name of ["100%.db", "100%.db.secret"]) assert.ok(files.includes(name), files.join(" "));
});

test("a running answer comes to its end when the server is stopped; one that takes longer is sealed with what had arrived", async () => {
  const slow = { kind: "answer", texts: Array.from({ length: 10 }, (_, index) => `${index} `), delayMs: 100 } as const;
  await using context = await setUp(answers({ "slow?": slow, "hang?": { kind: "hang", texts: ["half "] } }));
  const { place, server } = context;
  const device = randomUUID();
  const first = await serve(place, ["--quiet"]);
  const answer = chat(first.url, device, "slow?");
  const streamed = fetch(`${first.url}/v1/chat`, {
    method: "POST",
    headers: { "x-device-id": randomUUID(), "content-type": "application/json", accept: "text/event-stream" },
    body: JSON.stringify({ message: "slow?" }),
  }).then(async (response) => await response.text());
  while (server.requests.length < 2) await sleep(10);
  assert.equal(await stop(first.child), 0);
  assert.equal((await answer).body["text"], "0 1 2 3 4 5 6 7 8 9 ");
  assert.match(await streamed, /event: done\ndata: .*"text":"0 1 2 3 4 5 6 7 8 9 "/);

  const second = await serve(place, ["--quiet", "--grace", "1"]);
  const cut = chat(second.url, device, "hang?").catch((error: unknown) => error);
  {
    await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
    const hanging = async () => (await sessions.list()).items.find(({ turn }) => turn === 2);
    let info = await hanging();
    for (; info === undefined; info = await hanging()) await sleep(10);
    await untilStored(await sessions.get(info.id), "half ");
  }
  assert.equal(await stop(second.child, "SIGINT"), 0);
  await cut;
  const third = await serve(place, ["--quiet"]);
  const turns = (await (await fetch(`${third.url}/v1/chat/turns`, { headers: { "x-device-id": device } })).json()) as {
    items: { status: string; output: { content: string }[] }[];
  };
  assert.deepEqual(
    turns.items.map(({ status }) => status),
    ["done", "interrupted"],
  );
  assert.equal(turns.items[1]?.output[0]?.content, "half ");
  await stop(third.child);
});

test("keys are made, listed without their secret, used and revoked; without one, only the loopback is served", async () => {
  await using context = await setUp();
  const { place } = context;
  const refused = await place.run(["serve", "--host", "0.0.0.0", "--port", "0"]);
  assert.equal(refused.code, 2, refused.stderr);
  assert.match(refused.stderr, /has no key.*perdure keys create/);

  const made = await place.run(["keys", "create", "--name", "backend", "--right", "admin"]);
  assert.match(made.stdout, /^pdk_\w{26}_[\w-]{43}\n$/, "the key alone goes to a pipe");
  const token = made.stdout.trim();
  const listed = await place.run(["keys", "list", "--json"]);
  assert(!listed.stdout.includes(token.slice(31)));
  const { id, right } = JSON.parse(listed.stdout) as { id: string; right: string };
  assert.equal(right, "admin");
  assert.match((await place.run(["keys", "list"])).stdout, /backend +default +admin/);

  const { child, url } = await serve(place, ["--host", "0.0.0.0"]);
  const local = url.replace("0.0.0.0", "127.0.0.1");
  const list = () => fetch(`${local}/v1/sessions`, { headers: { authorization: `Bearer ${token}` } });
  assert.equal((await list()).status, 200);
  assert.equal((await place.run(["keys", "revoke", id])).code, 0);
  assert.equal((await list()).status, 401, "from this moment on");
  assert.equal((await place.run(["keys", "revoke", id])).code, 3);
  await stop(child);
});

for (const when of ["next", "now"] as const)
  test(`with --hands-over ${when}, the agent that a model hands off to answers ${when === "now" ? "in the same turn" : "the next message"}`, async () => {
    const call = { index: 0, id: "c1", function: { name: "hand_off", arguments: '{"agent":"billing"}' } };
    await using context = await setUp(({ messages }) => {
      const agent = String(messages[0]?.content);
      const hands = agent.startsWith("You greet") && !messages.some(({ role }) => role === "tool");
      return { kind: "answer", texts: hands ? [] : [agent.slice(0, 9)], ...(hands ? { toolCalls: [[call]] } : {}) };
    });
    const { place } = context;
    const agents = {
      front: { default: true, instructions: "You greet people." },
      billing: { description: "bills", instructions: "Refunding money." },
    };
    await writeFile(join(place.folder, "perdure.agents.json"), JSON.stringify(agents));
    const { child, url } = await serve(place, ["--hands-over", when]);
    const device = randomUUID();
    const { body } = await chat(url, device, "my money");
    assert.equal(body["text"], when === "now" ? "Refunding" : "You greet");
    assert.equal((await chat(url, device, "again")).body["text"], "Refunding");
    await stop(child);
  });

test("keys of the environment admit to a server on all addresses with an empty store, and are not printed", async () => {
  await using place = await Workplace.open();
  const [admin, read] = ["a".repeat(40), "r".repeat(40)];
  for (const keys of ["short", `owner:${admin}`, admin, `admin:${admin} read:short`]) {
    const refused = await place.run(["serve", "--host", "0.0.0.0", "--port", "0"], {
      env: { PERDURE_SERVER_KEYS: keys },
    });
    assert.equal(refused.code, 2, refused.stderr);
    assert.match(refused.stderr, /PERDURE_SERVER_KEYS: entry [12] is no key; set it to RIGHT:SECRET/);
    assert.ok(!refused.stderr.includes(admin));
  }
  await using given = await Workplace.open({ PERDURE_SERVER_KEYS: `admin:${admin},\n read:${read}` });
  const { child, url, log } = await serve(given, ["--host", "0.0.0.0"]);
  const local = url.replace("0.0.0.0", "127.0.0.1");
  const status = async (method: string, key: string): Promise<number> => {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const body = method === "POST" ? "{}" : null;
    return (await fetch(`${local}/v1/sessions`, { method, headers, body })).status;
  };
  assert.deepEqual(
    [await status("POST", admin), await status("GET", read), await status("POST", read)],
    [201, 200, 403],
  );
  assert.equal(await status("GET", "x".repeat(40)), 401);
  assert.equal((await given.run(["keys", "list", "--json"])).stdout, "", "they are not in the store");
  await stop(child);
  assert.ok(!log().includes(admin) && !log().includes(read));
  assert.ok(!log().includes("no key"));
});

test("a key with --ttl is listed with its end and its last use, and an expired one does not open a public address", async () => {
  await using place = await Workplace.open();
  const made = await place.run(["keys", "create", "--name", "partner", "--ttl", "1ms", "--json"]);
  const { id, expiresAt } = JSON.parse(made.stdout) as { id: string; expiresAt: string };
  const listed = await place.run(["keys", "list", "--json"]);
  assert.deepEqual(
    [JSON.parse(listed.stdout)].map((key: Record<string, unknown>) => [
      key["id"],
      key["expiresAt"],
      key["expired"],
      key["lastUsedAt"],
    ]),
    [[id, expiresAt, true, null]],
  );
  assert.match((await place.run(["keys", "list"])).stdout, /EXPIRES +LAST USE\n.*partner.* \(expired\) +never\n$/);
  assert.equal((await place.run(["serve", "--host", "0.0.0.0", "--port", "0"])).code, 2);
  const note = (await place.run(["keys", "create", "--name", "b", "--ttl", "90d"])).stderr;
  assert.match(note, /right write, valid until \d{4}-/);
  assert.equal((await place.run(["keys", "create", "--name", "b", "--ttl", "soon"])).code, 2);
});

test("the log is one JSON object a line, and holds no message, no device and no key", async () => {
  await using context = await setUp();
  const device = randomUUID();
  const { child, url, log } = await serve(context.place);
  await chat(url, device, "a very private question");
  await fetch(`${url}/v1/sessions/some-session`, { headers: { authorization: "Bearer pdk_guess" } });
  await stop(child);
  const lines = log()
    .trim()
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const { version: known } = JSON.parse(await readFile("package.json", "utf8")) as { version: string };
  const [started] = lines.filter(({ event }) => event === "started");
  assert.deepEqual([started?.["version"], started?.["url"]], [known, url]);
  assert.deepEqual(
    lines.map(({ event }) => event),
    ["started", "request", "request", "stopping", "stopped"],
  );
  assert.deepEqual(
    lines.filter(({ event }) => event === "request").map(({ method, route, status }) => [method, route, status]),
    [
      ["POST", "/v1/chat", 200],
      ["GET", "/v1/sessions/:id", 401],
    ],
  );
  for (const secret of ["private", device, "pdk_guess"]) assert(!log().includes(secret), secret);
});

test("wrong usage is reported before anything is opened", async () => {
  await using context = await setUp();
  const { place } = context;
  const port = await place.run(["serve", "--port", "70000"]);
  assert.equal(port.code, 2);
  const ttl = await place.run(["serve", "--port", "0"], { env: { DEFAULT_SESSION_TTL: "1h" } });
  assert.match(ttl.stderr, /DEFAULT_SESSION_TTL is "1h".* seconds/);
  const secret = await place.run(["serve", "--store", "postgres://nobody@127.0.0.1:1/none"]);
  assert.match(secret.stderr, /PERDURE_SECRET/);
  const folder = await place.run(["serve", "--store", `sqlite:${join(place.folder, "missing", "a.db")}`]);
  assert.match(folder.stderr, /cannot be opened: the folder .*missing does not exist; create it first/);
  const { child, url } = await serve(place);
  const taken = await place.run(["serve", "--port", new URL(url).port]);
  assert.equal(taken.code, 2);
  assert.match(taken.stderr, /is in use; choose another with --port/);
  await stop(child);
});

test("an agents file of several agents without a default one is refused at start; one agent needs no mark", async () => {
  await using context = await setUp();
  const { place } = context;
  const file = join(place.folder, "perdure.agents.json");
  await writeFile(file, '{"ceo":{"keywords":["oven"]},"cto":{}}');
  const { code, stderr } = await place.run(["serve", "--port", "0"]);
  assert.equal(code, 2, stderr);
  assert.match(stderr, /agents.default is missing; expected "default": true for one of ceo, cto/);
  await writeFile(file, '{"ceo":{"instructions":"You run a bakery."}}');
  const { child, url } = await serve(place);
  const { status, body } = await chat(url, randomUUID(), "hello");
  assert.deepEqual([status, body["text"]], [200, "saw 2"]);
  await stop(child);
});
