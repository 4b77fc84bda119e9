/** Live sessions over HTTP: spoken to, looked at, started and ended, at one host. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer, type IncomingMessage, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { defined } from "../../src/domain/values/defined.ts";
import { systemClock } from "../../src/clock.ts";
import { startHost, type Host, type HostOptions, type LiveSession, type Runtime } from "../../src/host/index.ts";
import { createServer } from "../../src/server/index.ts";
import { sessionsOn } from "../../src/sessions/sessions.ts";
import { openMemory } from "../../src/store/memory.ts";
import type { Store } from "../../src/store/store.ts";
import { assertProblem, callOn, eventsOf, serve, type Answered, type Call, type Serving } from "./serving.ts";

/** Says what it was sent and how often it was spoken to; does as it is told. */
const runtime: Runtime = {
  async onMessage(session: LiveSession, message: unknown) {
    if (message === "throw") throw new Error("as told");
    if (message === "nothing") return undefined;
    if (message === "hang") await new Promise(() => undefined);
    if (message === "parts") return parts(["a", undefined, { b: 2 }]);
    if (message === "break") return parts(["a", new Error("in the middle")]);
    if (message === "much") return parts(Array.from({ length: 9 }, () => "x".repeat(1024 * 1024)));
    const count = ((session.state as number | undefined) ?? 0) + 1;
    session.state = count;
    return { message, count };
  },
};

async function* parts(all: readonly unknown[]): AsyncGenerator {
  for (const part of all) {
    await sleep(1);
    if (part instanceof Error) throw part;
    yield part;
  }
}

interface PlaceOptions extends Partial<HostOptions> {
  /** That of each request: a busy machine keeps a short one from an answer. */
  readonly deadline?: string;
}

interface Hosting extends AsyncDisposable {
  readonly store: Store;
  readonly host: Host;
  readonly serving: Serving;
  call(method: string, path: string, how?: Call): Promise<Answered>;
  send(id: string, message: unknown, how?: Call & { readonly create?: boolean }): Promise<Answered>;
}

async function place({ deadline = "2m", ...options }: PlaceOptions = {}): Promise<Hosting> {
  const store = openMemory({ clock: systemClock });
  const serving = serve({ store });
  const host = await startHost(serving.sessions, { runtime, ...options });
  const { sessions } = serving;
  const server = createServer({ sessions, host, deadline, rates: { key: 1e9 } });
  const admin = await serving.key("admin");
  const call = (method: string, path: string, how: Call = {}) => callOn(server, method, path, { key: admin, ...how });
  return {
    store,
    host,
    serving,
    call,
    send: (id, message, { create, ...how } = {}) =>
      call("POST", `/v1/sessions/${id}/messages`, {
        ...how,
        body: { message, ...defined({ create }) },
      }),
    async [Symbol.asyncDispose]() {
      await server.stop();
      await host.close();
      await serving[Symbol.asyncDispose]();
    },
  };
}

test("a message activates its session and is answered as JSON; the session is created on request", async () => {
  await using here = await place();
  assertProblem(await here.send("s", "hello"), 404, "session_not_found");
  const { status, json } = await here.send("s", { deep: ["hello"] }, { create: true });
  assert.deepEqual([status, json], [200, { answer: { message: { deep: ["hello"] }, count: 1 } }]);
  assert.deepEqual((await here.send("s", null, { create: true })).json, { answer: { message: null, count: 2 } });
  assert.deepEqual((await here.send("s", "nothing")).json, { answer: null });
});

test("a streamed answer is a stream if the client accepts one, else one JSON document", async () => {
  await using here = await place();
  await here.serving.sessions.create({ id: "s" });
  assert.deepEqual((await here.send("s", "parts")).json, { parts: ["a", null, { b: 2 }] });
  const streamed = await here.send("s", "parts", { headers: { accept: "text/event-stream" } });
  assert.deepEqual(
    eventsOf(streamed.text).map(({ event, data }) => [event, data]),
    [
      ["part", { part: "a" }],
      ["part", { part: null }],
      ["part", { part: { b: 2 } }],
      ["done", {}],
    ],
  );
  const broken = await here.send("s", "break", { headers: { accept: "text/event-stream" } });
  assert.deepEqual(
    eventsOf(broken.text).map(({ event, data }) => [event, data["code"]]),
    [
      ["part", undefined],
      ["error", "runtime_failed"],
    ],
  );
  const value = await here.send("s", "hello", { headers: { accept: "text/event-stream" } });
  assert.equal(value.json.answer.message, "hello", "a value is no stream");
  const much = await here.send("s", "much");
  assertProblem(much, 400, "request_invalid");
  assert.match(much.json.detail, /expected text\/event-stream/);
});

test("invalid messages and keys without the right are refused; another tenant's key finds nothing", async () => {
  await using here = await place();
  await here.send("s", "hello", { create: true });
  const path = "/v1/sessions/s/messages";
  assertProblem(await here.call("POST", path, { body: {} }), 400, "request_invalid");
  assertProblem(await here.call("POST", path, { body: { message: 1, create: "yes" } }), 400, "request_invalid");
  const [read, write, other] = await Promise.all([
    here.serving.key("read"),
    here.serving.key("write"),
    here.serving.key("admin", "other"),
  ]);
  assertProblem(await here.call("POST", path, { key: read, body: { message: 1 } }), 403, "key_forbidden");
  assert.equal((await here.call("POST", path, { key: write, body: { message: 1 } })).status, 200);
  for (const order of ["start", "stop", "kill"]) {
    const of = `/v1/host/sessions/s/${order}`;
    assertProblem(await here.call("POST", of, { key: write }), 403, "key_forbidden");
    assertProblem(await here.call("POST", of, { key: other }), 404, "session_not_found");
  }
  assertProblem(
    await here.call("POST", path, { key: other, body: { message: 1, create: true } }),
    404,
    "session_not_found",
  );
  assertProblem(await here.call("GET", "/v1/host", { key: other }), 403, "key_forbidden");
  assert.equal((await here.call("GET", "/v1/host", { key: read })).json.items.length, 1);
});

test("a failure of the runtime and a timeout have their own errors", async () => {
  await using here = await place({ restart: { backoff: "1ms" }, deadline: "2s" });
  const failed = await here.send("s", "throw", { create: true });
  assertProblem(failed, 502, "runtime_failed");
  assert.equal(failed.json.details.reported, "as told");
  assertProblem(await here.send("s", "hang"), 504, "deadline_passed");
  await here.call("POST", "/v1/host/sessions/s/kill");
  assert.equal((await here.send("s", "hello")).json.answer.count, 1, "it goes on after it");
});

test("a caller with a key reads why a session is unavailable, also for temporary errors", async () => {
  await using here = await place({ maxSessions: 1, restart: { max: 0 } });
  await here.send("s", "hello", { create: true });
  const full = await here.send("one more", "hello", { create: true });
  assertProblem(full, 503, "host_full");
  assert.deepEqual(full.json.details, { live: 1, liveMax: 1 });
  assertProblem(await here.send("unknown", "hello"), 404, "session_not_found");
  await here.send("s", "throw");
  const failed = await here.send("s", "hello");
  assertProblem(failed, 503, "session_failed");
  assert.equal(failed.json.details.reported, "as told");
  await here.host.close();
  const stopping = await here.send("s", "hello");
  assertProblem(stopping, 503, "session_stopped");
  assert.match(stopping.json.detail, /was stopped with its host before the message was handled; send it again/);
});

/** Something at the address of a host that is none, on the store of one that is. */
async function impostor(here: Hosting, answer: RequestListener): Promise<AsyncDisposable> {
  const http = createHttpServer(answer).listen(0, "127.0.0.1");
  await once(http, "listening");
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  const sessions = sessionsOn(here.store, { sweep: false });
  const host = await startHost(sessions, { runtime, address: url });
  await host.ensure("theirs");
  return {
    async [Symbol.asyncDispose]() {
      await host.close();
      http.closeAllConnections();
      http.close();
    },
  };
}

test("a key is forwarded only to the host address in the store, and no further", async () => {
  await using here = await place();
  const paths: (string | undefined)[] = [];
  await using _ = await impostor(here, ({ url }, response) => {
    paths.push(url);
    response.writeHead(307, { location: "/elsewhere" }).end();
  });
  const answered = await here.send("theirs", "hello");
  assertProblem(answered, 502, "owner_unreachable");
  assert.match(answered.json.details.reported, /redirect/);
  assert.deepEqual(paths, ["/v1/sessions/theirs/messages"]);
});

test("a host that does not answer in time is not waited for", async () => {
  await using here = await place({ deadline: "2s" });
  const closed = Promise.withResolvers<void>();
  await using _ = await impostor(here, (request) => request.socket.once("close", closed.resolve));
  assertProblem(await here.send("theirs", "hello"), 504, "deadline_passed");
  await closed.promise;
});

test("a forwarded response is passed on unchanged, without the headers of its connection", async () => {
  await using here = await place();
  const heard: IncomingMessage[] = [];
  await using _ = await impostor(here, (request, response) => {
    heard.push(request);
    const theirs = { "access-control-allow-origin": "*", "set-cookie": "a=b", server: "theirs" };
    response.writeHead(418, { "content-type": "application/json", "retry-after": "7", ...theirs }).end('{"a":1}');
  });
  const { status, json, headers } = await here.send("theirs", "hello", {
    headers: { cookie: "mine=1", "x-request-id": "request-0042" },
  });
  assert.deepEqual([status, json, headers.get("retry-after")], [418, { a: 1 }, "7"]);
  for (const name of ["access-control-allow-origin", "set-cookie", "server"])
    assert.equal(headers.get(name), null, name);
  const [request] = heard;
  assert.match(request?.headers.authorization ?? "", /^Bearer pdk_/);
  assert.equal(request?.headers["x-request-id"], "request-0042");
  assert.equal(request?.headers.cookie, undefined, "which is for this one");
});

test("starting, stopping and killing sessions needs the right to do so", async () => {
  await using here = await place();
  await here.serving.sessions.create({ id: "s" });
  const order = async (name: string, id = "s") => await here.call("POST", `/v1/host/sessions/${id}/${name}`);
  assert.equal((await order("start")).status, 204);
  assert.equal(here.host.live("s")?.phase, "live");
  await here.send("s", "hello");
  assert.equal((await order("stop")).status, 204);
  assert.equal(here.host.live("s"), undefined);
  assert.equal((await here.send("s", "hello")).json.answer.count, 2, "its state was kept");
  assert.equal((await order("kill")).status, 204);
  assert.equal((await here.send("s", "hello")).json.answer.count, 2, "its state was not");
  for (const name of ["start", "stop", "kill"]) assertProblem(await order(name, "none"), 404, "session_not_found");
  await order("stop");
  assert.equal((await order("stop")).status, 204, "it sleeps already");
});

test("the status has the metrics and the live sessions, page by page", async () => {
  await using here = await place();
  for (const id of ["c", "a", "b"]) await here.send(id, "hello", { create: true });
  const first = (await here.call("GET", "/v1/host?limit=2")).json;
  const { total, active, sleeping, recovered, durable } = first.metrics;
  assert.deepEqual([total, active, sleeping, recovered, durable], [3, 3, 0, 0, false]);
  assert.deepEqual(
    first.items.map(({ id, phase, mailbox, restarts }: Record<string, unknown>) => [id, phase, mailbox, restarts]),
    [
      ["a", "live", 0, 0],
      ["b", "live", 0, 0],
    ],
  );
  assert.equal(first.metrics.live, 3);
  assert.equal(first.metrics.counts.message, 3);
  assert(first.memoryBytes > 1e6);
  const second = (await here.call("GET", `/v1/host?limit=2&after=${first.next}`)).json;
  assert.deepEqual([second.items.map(({ id }: { id: string }) => id), second.next], [["c"], undefined]);
  const ids = Array.from({ length: 40 }, (_, index) => `s${(index * 17) % 40}`);
  for (const id of ids) await here.host.ensure(id);
  const walked: string[] = [];
  for (let after: string | undefined = ""; after !== undefined;) {
    const { json }: Answered = await here.call("GET", `/v1/host?limit=3&after=${after}`);
    assert(json.items.length <= 3);
    walked.push(...json.items.map(({ id }: { id: string }) => id));
    after = json.next as string | undefined;
  }
  assert.deepEqual(walked, ["a", "b", "c", ...ids].sort(), "each once, in order");
  assertProblem(await here.call("GET", "/v1/host?limit=1001"), 400, "request_invalid");
});

test("Prometheus metrics have live sessions, mailboxes and their events", async () => {
  await using here = await place();
  await here.serving.sessions.create({ id: "s", agent: "ceo" });
  await here.send("s", "hello");
  await here.send("s", "hello");
  for (const _ of [1, 2]) {
    const { text } = await here.call("GET", "/metrics");
    for (const line of [
      'perdure_live_slots{slots="all"} 10000',
      'perdure_live_slots{slots="taken"} 1',
      'perdure_live_sessions_by_phase{phase="live"} 1',
      'perdure_live_sessions{agent="ceo"} 1',
      "perdure_mailbox_messages 0",
      'perdure_live_events_total{type="message"} 2',
      'perdure_live_events_total{type="activated"} 1',
    ]) {
      assert(text.includes(line), `${line} in\n${text}`);
    }
  }
});

test("the addresses of hosts are for the right admin alone", async () => {
  await using here = await place({ address: "http://host.test" });
  const listed = async (key?: string): Promise<string[]> => {
    const { json } = await here.call("GET", "/v1/hosts", key === undefined ? {} : { key });
    assert.equal(json.items.length, 1);
    return Object.keys(json.items[0] as object).toSorted();
  };
  assert.deepEqual(await listed(), ["address", "alive", "host", "pid", "seenAt"]);
  for (const right of ["read", "write"] as const)
    assert.deepEqual(await listed(await here.serving.key(right)), ["alive", "seenAt"], right);
});

test("the OpenAPI document has the routes of a host only if there is one", async () => {
  await using here = await place();
  const paths = async (document: Promise<Answered>) => Object.keys((await document).json.paths);
  assert((await paths(here.call("GET", "/openapi.json"))).includes("/v1/sessions/{id}/messages"));
  const without = here.serving.call("GET", "/openapi.json");
  // The list of hosts is read from the store.
  assert.deepEqual(
    (await paths(without)).filter((path) => /host|messages/.test(path)),
    ["/v1/hosts"],
  );
});
