/** The log of the command line: levels, components, and what no line ever contains. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { openSessions } from "../../src/index.ts";
import { listening, setUp, stop, type Workplace } from "./command-line.ts";

type Line = Readonly<Record<string, unknown>> & { readonly event: string; readonly component: string };

function linesOf(text: string): readonly Line[] {
  return text
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Line);
}

interface Served {
  readonly url: string;
  readonly log: () => string;
  stop(): Promise<void>;
}

async function serve(
  place: Workplace,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Served> {
  const { child, url, log } = await listening(place.start(["serve", "--port", "0", ...args], { env }));
  while (!log().includes('"event":"started"')) await once(child.stderr ?? child, "data");
  return { url, log, stop: async () => void (await stop(child)) };
}

async function call(
  url: string,
  headers: Record<string, string>,
  body: unknown,
  method: "POST" | "PUT" | "PATCH" = "POST",
): Promise<void> {
  const response = await fetch(url, {
    method,
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
  assert(response.ok, `${method} ${url}: ${response.status} ${await response.text()}`);
}

test("at debug no line contains texts of messages, titles, metadata, labels, notes, reasons or idempotency keys", async () => {
  await using context = await setUp();
  const { place } = context;
  const token = (await place.run(["keys", "create", "--name", "backend", "--right", "admin"])).stdout.trim();
  const server = await serve(place, ["--log-level", "debug"]);
  const device = randomUUID();
  const admin = { authorization: `Bearer ${token}` };
  const key = { "idempotency-key": "MARKER-key" };
  const marked = { marker: "MARKER" };
  await call(`${server.url}/v1/chat`, { "x-device-id": device, ...key }, { message: "MARKER hello" });
  await call(`${server.url}/v1/sessions`, admin, {
    id: "s",
    title: "MARKER",
    metadata: marked,
    labels: { m: "MARKER" },
  });
  await call(`${server.url}/v1/sessions/s/turns`, { ...admin, ...key }, { input: "MARKER", output: "MARKER" });
  await call(`${server.url}/v1/sessions/s/active-agent`, admin, { agent: "scheduling", note: "MARKER" }, "PUT");
  await call(`${server.url}/v1/sessions/s`, admin, { metadata: { more: "MARKER" } }, "PATCH");
  await call(`${server.url}/v1/sessions/s/events`, admin, { type: "app.seen", data: "MARKER" });
  await call(`${server.url}/v1/sessions/s/consult`, admin, { message: "MARKER" });
  await fetch(`${server.url}/v1/sessions/s/active-agent`, { method: "DELETE", headers: admin });
  await call(`${server.url}/v1/sessions/s/end`, admin, {});
  await fetch(`${server.url}/v1/sessions/s/turns`, { method: "POST", headers: admin, body: "MARKER" });
  await server.stop();
  const log = server.log();
  assert.doesNotMatch(log, /MARKER/i);
  for (const secret of [token, device]) assert(!log.includes(secret));
  const events = new Set(linesOf(log).map(({ component, event }) => `${component} ${event}`));
  const expected = [
    "server request",
    "session operation",
    "session turn",
    "session session_event",
    "store store_call",
    "agent agent_active",
    "agent agent_cleared",
  ];
  for (const event of expected) assert(events.has(event), `${event} of ${[...events].join(", ")}`);
});

test("a component has a level of its own, and --log-level prevails over PERDURE_LOG", async () => {
  await using context = await setUp();
  const { place } = context;
  const env = { PERDURE_LOG: "off,store:debug" };
  const first = await serve(place, ["--log-level", "info,session:debug"], env);
  await call(`${first.url}/v1/chat`, { "x-device-id": randomUUID() }, { message: "hello" });
  await first.stop();
  const debug = linesOf(first.log()).filter(({ level }) => level === "debug");
  assert.deepEqual([...new Set(debug.map(({ component }) => component))], ["session"]);
  const listed = await place.run(["sessions", "list"], { env: { PERDURE_LOG: "store:debug" } });
  assert.deepEqual([...new Set(linesOf(listed.stderr).map(({ event }) => event))], ["store_call"]);
  const quiet = await place.run(["sessions", "list"]);
  assert.equal(quiet.stderr, "", "without PERDURE_LOG a command writes no log");
  for (const levels of ["loud", "nothing:debug", "session:loud", "debug,,"]) {
    const refused = await place.run(["serve", "--log-level", levels]);
    assert.equal(refused.code, 2);
    assert.match(
      refused.stderr,
      /--log-level has .*expected a level \(debug, info, warn, error, off\) or COMPONENT:LEVEL/,
    );
  }
});

test("the line of the start has the store, the version of its schema and the number of sessions", async () => {
  await using context = await setUp();
  const { place } = context;
  for (const agent of ["ceo", "cfo"]) assert.equal((await place.run(["consult", agent, "hello"])).code, 0);
  const server = await serve(place, []);
  await server.stop();
  const started = linesOf(server.log()).find(({ event }) => event === "started");
  assert.match(String(started?.["store"]), /^sqlite:/);
  assert.equal(typeof started?.["schema"], "number");
  assert.equal(started?.["sessions"], 2);
});

test("a sweep that does something writes a line with its counts", async () => {
  await using context = await setUp();
  const { place } = context;
  const sweep = async (): Promise<Line | undefined> => {
    const swept = await place.run(["sessions", "sweep"], { env: { PERDURE_LOG: "sweep:debug" } });
    assert.equal(swept.code, 0);
    return linesOf(swept.stderr)[0];
  };
  const sessions = await openSessions({ store: place.storeUrl, sweep: false });
  await sessions.create({ id: "s", ttl: 1 });
  await sessions.close();
  assert.partialDeepStrictEqual(await sweep(), { component: "sweep", level: "info", event: "swept", expired: 1 });
  assert.partialDeepStrictEqual(await sweep(), { component: "sweep", level: "debug", event: "swept", expired: 0 });
});
