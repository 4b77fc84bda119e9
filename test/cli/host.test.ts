/** `perdure host`: live sessions in processes that come, go and are killed, spoken to over HTTP. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { defined } from "../../src/domain/values/defined.ts";
import { openSessions } from "../../src/index.ts";
import { eventsOf } from "../server/serving.ts";
import {
  finish,
  listening,
  outputUntil,
  stop as stopChild,
  Workplace,
  type Listening,
  type StartOptions,
} from "./command-line.ts";

const agent = fileURLToPath(new URL("counting-agent.ts", import.meta.url));

/** Start a host and read its address from what it says. */
async function run(place: Workplace, args: readonly string[] = [], options: StartOptions = {}): Promise<Listening> {
  return await listening(place.start(["host", "run", agent, "--port", "0", ...args], options));
}

async function stop({ child }: Listening, signal?: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  if (signal !== "SIGKILL") return await stopChild(child, signal);
  // The processes of a killed host keep its pipes open until they learn of its end.
  const exited = once(child, "exit");
  child.kill(signal);
  await exited;
  return null;
}

interface Reply {
  readonly status: number;
  // oxlint-disable-next-line typescript/no-explicit-any -- a body is whatever came
  readonly json: any;
}

interface Place extends AsyncDisposable {
  readonly workplace: Workplace;
  readonly key: string;
  run(args?: readonly string[], options?: StartOptions): Promise<Listening>;
  post(url: string, path: string, body?: object, headers?: Readonly<Record<string, string>>): Promise<Response>;
  send(url: string, id: string, message: string): Promise<Reply>;
  /** Wait until the runtime works at the message "slow". */
  begun(id: string): Promise<void>;
}

/** A workplace with a key; the hosts that were started in it are ended with it. */
async function place(): Promise<Place> {
  const workplace = await Workplace.open();
  const { stdout } = await workplace.run(["keys", "create", "--name", "test", "--right", "admin"]);
  const key = stdout.trim();
  const started: Listening[] = [];
  const post: Place["post"] = async (url, path, body, headers = {}) =>
    await fetch(`${url}${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, ...(body === undefined ? {} : json), ...headers },
      ...defined({ body: body === undefined ? undefined : JSON.stringify(body) }),
    });
  return {
    workplace,
    key,
    post,
    async run(args = [], options = {}) {
      const running = await run(workplace, args, options);
      started.push(running);
      return running;
    },
    async send(url, id, message) {
      const response = await post(url, `/v1/sessions/${id}/messages`, { message, create: true });
      return { status: response.status, json: await response.json() };
    },
    async begun(id) {
      await using sessions = await openSessions({ store: workplace.storeUrl, sweep: false });
      while ((await sessions.get(id)).info.metadata["begun"] !== true) await sleep(10);
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(started.map((running) => stop(running, "SIGKILL")));
      await workplace[Symbol.asyncDispose]();
    },
  };
}

const json = { "content-type": "application/json" };

test("a session answers over HTTP; at SIGTERM running answers come to their end and sessions go on in the next host", async () => {
  await using here = await place();
  const first = await here.run();
  const { json: reply } = await here.send(first.url, "s", "hello");
  assert.deepEqual(reply, { answer: { count: 1, pid: first.child.pid } });
  const slow = here.send(first.url, "s", "slow");
  await here.begun("s");
  assert.equal(await stop(first), 0, "a host that stops in good order succeeds");
  assert.equal((await slow).json.answer?.count, 2, "the running answer ends first");
  const second = await here.run();
  assert.deepEqual((await here.send(second.url, "s", "hello")).json, { answer: { count: 3, pid: second.child.pid } });
  const { stdout } = await here.workplace.run(["sessions", "show", "s", "--json"]);
  assert.equal((JSON.parse(stdout) as { turn: number }).turn, 3, "each answer is kept once");
});

test("at a stop signal a host is not ready, and answers the messages of its sessions for the time of --drain", async () => {
  await using here = await place();
  const host = await here.run(["--drain", "3600"]);
  await here.send(host.url, "s", "hello");
  host.child.kill("SIGTERM");
  while (!host.log().includes('"event":"stopping"')) await once(host.child.stderr ?? host.child, "data");
  assert.equal((await fetch(`${host.url}/readyz`)).status, 503);
  assert.equal((await here.send(host.url, "s", "hello")).json.answer.count, 2);
  assert.equal(await stop(host, "SIGKILL"), null);
});

test("whichever of two hosts is asked, the one where a session lives answers, also in parts", async () => {
  await using here = await place();
  const [a, b] = await Promise.all([here.run(), here.run(["--isolation", "pool", "--workers", "1"])]);
  const [ofA, ofB] = [a.child.pid, b.child.pid];
  for (const url of [a.url, b.url, a.url]) assert.equal((await here.send(url, "at-a", "hi")).json.answer.pid, ofA);
  for (const url of [b.url, a.url, b.url]) assert.equal((await here.send(url, "at-b", "hi")).json.answer.pid, ofB);
  assert.equal((await here.send(b.url, "at-a", "hi")).json.answer.count, 4, "in one conversation");
  const streamed = await here.post(
    b.url,
    "/v1/sessions/at-a/messages",
    { message: "parts" },
    { accept: "text/event-stream" },
  );
  assert.equal(streamed.headers.get("content-type"), "text/event-stream");
  assert.deepEqual(
    eventsOf(await streamed.text()).map(({ event, data }) => [event, data["part"]]),
    [
      ["part", 1],
      ["part", 2],
      ["part", 3],
      ["done", undefined],
    ],
  );
  const failed = await here.send(b.url, "at-a", "throw");
  assert.deepEqual([failed.status, failed.json.code, failed.json.details.reported], [502, "runtime_failed", "as told"]);
});

test("orders reach the host where a session lives; a request is sent on once, with the caller's own key", async () => {
  await using here = await place();
  const [a, b] = await Promise.all([here.run(), here.run()]);
  await here.send(a.url, "s", "hi");
  const again = await here.post(b.url, "/v1/sessions/s/messages", { message: "hi" }, { "x-perdure-forwarded": "1" });
  assert.equal(again.status, 421);
  const refusal = await again.text();
  assert.match(refusal, /"code":"not_owner"/);
  assert(!refusal.includes(new URL(a.url).host), "where hosts listen is not for callers");
  const weak = (await here.workplace.run(["keys", "create", "--name", "weak", "--right", "read"])).stdout.trim();
  const refused = await here.post(
    b.url,
    "/v1/sessions/s/messages",
    { message: "hi" },
    { authorization: `Bearer ${weak}` },
  );
  assert.equal(refused.status, 403);
  const killed = await here.post(b.url, "/v1/host/sessions/s/stop");
  assert.equal(killed.status, 204);
  const { answer } = (await here.send(b.url, "s", "hi")).json as { answer: { count: number; pid: number } };
  assert.deepEqual(answer, { count: 2, pid: b.child.pid }, "it sleeps, and wakes where it is spoken to");
});

test("a host that cannot be reached is reported, and only the store gives its address", async () => {
  await using here = await place();
  const a = await here.run(["--address", "http://127.0.0.1:1/"]);
  const b = await here.run();
  await here.send(a.url, "s", "hi");
  const lost = await here.post(
    b.url,
    "/v1/sessions/s/messages",
    { message: "hi" },
    { "x-forwarded-host": new URL(a.url).host, forwarded: `host=${new URL(a.url).host}` },
  );
  const { code, details } = (await lost.json()) as { code: string; details: object };
  assert.deepEqual([lost.status, code], [502, "owner_unreachable"]);
  assert.deepEqual(details, { sessionId: "s", tenant: "default", problem: "no_response", reported: "bad port" });
});

test("hosts that are replaced one after another under load lose no acknowledged turn, and fail with temporary errors only", async () => {
  await using here = await place();
  let hosts = await Promise.all([here.run(["--quiet"]), here.run(["--quiet"])]);
  // All of them are temporary by the table of errors. `busy`: the lease of a host that is gone has not run out.
  const retryable = ["owner_unreachable", "not_owner", "session_stopped", "busy"];
  const send = async (id: string): Promise<number> => {
    for (let attempt = 0; ; attempt++) {
      const { url } = hosts[attempt % hosts.length] ?? assert.fail();
      const reply = await here.send(url, id, "hi").catch(() => undefined); // a connection to one that is gone
      if (reply?.status === 200) return (reply.json as { answer: { count: number } }).answer.count;
      if (reply !== undefined) assert(retryable.includes(reply.json.code as string), JSON.stringify(reply.json));
      await sleep(20);
    }
  };
  let rounds = 0;
  const talking = Array.from({ length: 20 }, async (_, index) => {
    for (let last = 0; rounds < 3;) {
      const count = await send(`s${index}`);
      assert(count > last, "what was acknowledged stays");
      last = count;
      await sleep(10);
    }
  });
  for (; rounds < 3; rounds++) {
    const fresh = await here.run(["--quiet"]);
    const [oldest, ...others] = hosts;
    hosts = [...others, fresh];
    assert.equal(await stop(oldest ?? assert.fail()), 0);
  }
  await Promise.all(talking);
});

for (const isolation of ["inline", "process"]) {
  test(`${isolation}: the sessions of a host that is killed answer at another one, with what was acknowledged`, async () => {
    await using here = await place();
    const [doomed, other] = await Promise.all([here.run(["--isolation", isolation]), here.run()]);
    const ids = Array.from({ length: 5 }, (_, index) => `s${index}`);
    for (const id of ids) assert.equal((await here.send(doomed.url, id, "hi")).status, 200);
    await stop(doomed, "SIGKILL");
    for (const id of ids) {
      let reply = await here.send(other.url, id, "hi");
      // The processes of a host learn of its end by themselves, a moment later.
      while (reply.status !== 200) {
        await sleep(50);
        reply = await here.send(other.url, id, "hi");
      }
      assert.deepEqual(reply.json, { answer: { count: 2, pid: other.child.pid } });
    }
  });
}

test("an eager host activates the sessions of a dead host and reports the result; a damaged session does not delay the others", async () => {
  await using here = await place();
  const doomed = await here.run();
  for (const id of ["a", "b", "sick"]) await here.send(doomed.url, id, "hi");
  await stop(doomed, "SIGKILL");
  const sessions = await openSessions({ store: here.workplace.storeUrl, sweep: false });
  await sessions.create({ id: "asleep" });
  await sessions.close();
  const { url, log } = await here.run(["--recover", "eager"], { env: { SICK: "sick" } });
  while (!/sessions activated/.test(log())) await sleep(20);
  assert.match(log(), /2 of 3 sessions activated, 0 .*, 1 failed/);
  assert.match(log(), /"event":"broken","session":"sick".*it cannot wake up/);
  const status = await fetch(`${url}/v1/host`, { headers: { authorization: `Bearer ${here.key}` } });
  const { items: live } = (await status.json()) as { items: { id: string; phase: string }[] };
  assert.deepEqual(
    live.map(({ id, phase }) => [id, phase]),
    [
      ["a", "live"],
      ["b", "live"],
      ["sick", "failed"],
    ],
  );
});

test("a host that recovers all activates the sessions that an orderly stop suspended", async () => {
  await using here = await place();
  const first = await here.run();
  for (const id of ["a", "b"]) await here.send(first.url, id, "hi");
  await stop(first, "SIGTERM");
  const { url, log } = await here.run(["--recover", "all"]);
  while (!/sessions activated/.test(log())) await sleep(20);
  assert.match(log(), /2 of 2 sessions activated/);
  const status = await fetch(`${url}/v1/host`, { headers: { authorization: `Bearer ${here.key}` } });
  const { metrics } = (await status.json()) as { metrics: Record<string, unknown> };
  assert.deepEqual([metrics["total"], metrics["active"], metrics["sleeping"], metrics["durable"]], [2, 2, 0, true]);
});

test("on a terminal, a bar shows how far an eager recovery is", async () => {
  await using here = await place();
  const doomed = await here.run();
  for (const id of ["a", "b"]) await here.send(doomed.url, id, "hi");
  await stop(doomed, "SIGKILL");
  const child = here.workplace.startOnTerminal(["host", "run", agent, "--port", "0", "--recover", "eager"]);
  const finished = finish(child);
  await outputUntil(child, "2 of 2 sessions activated");
  child.stdin?.write("\u0003");
  assert.match((await finished).stdout, /█+░+ 1 of 2/);
});

test("a signal to the whole process group, as Ctrl-C sends it, stops no session in the middle of an answer", async () => {
  await using here = await place();
  const host = await here.run(["--isolation", "process"], { detached: true });
  await here.send(host.url, "s", "hi");
  const slow = here.send(host.url, "s", "slow");
  await here.begun("s");
  const exited = once(host.child, "close") as Promise<[number | null]>;
  process.kill(-(host.child.pid ?? assert.fail()), "SIGINT");
  assert.equal((await slow).json.answer?.count, 2);
  assert.equal((await exited)[0], 0);
  assert.doesNotMatch(host.log(), /crashed/);
});

test("status shows the hosts and their sessions, for people and for programs; a host that is gone says so", async () => {
  await using here = await place();
  const { workplace, key } = here;
  const status = async (...args: string[]) => await workplace.run(["host", "status", "--key", key, ...args]);
  assert.deepEqual([(await status()).stdout, (await status()).stderr], ["", "no hosts\n"]);
  const [a, b] = await Promise.all([here.run(), here.run(["--isolation", "session", "--max-sessions", "7"])]);
  for (const id of ["s1", "s2"]) await here.send(a.url, id, "hi");
  await here.send(b.url, "s3", "hi");
  const { stdout } = await status();
  assert.match(stdout, new RegExp(`^${a.url} +${a.child.pid} on .* 2 of 10000 +0 +0 +0 +\\d+ MiB +answers$`, "m"));
  assert.match(stdout, new RegExp(`^${b.url} +${b.child.pid} on .* 1 of 7 `, "m"));
  assert.match(stdout, new RegExp(`^s3 +\\S+ +live .* ${b.url}$`, "m"));
  await stop(b, "SIGKILL");
  assert.match(
    (await status()).stdout,
    new RegExp(`^${b.url} .*does not answer \\(ECONNREFUSED\\), last heartbeat`, "m"),
  );
  const lines = (await status("--json")).stdout.trim().split("\n");
  const reports = lines.map(
    (line) => JSON.parse(line) as { address: string; answers: boolean; liveSessions?: object[] },
  );
  assert.deepEqual(
    new Map(reports.map(({ address, answers, liveSessions }) => [address, [answers, liveSessions?.length]])),
    new Map([
      [a.url, [true, 2]],
      [b.url, [false, undefined]],
    ]),
  );
  const wrong = await workplace.run(["host", "status", "--key", "pdk_guess"]);
  assert.match(wrong.stdout, /does not answer \(this route needs a valid key/);
  await stop(a);
  assert.doesNotMatch((await status()).stdout, new RegExp(a.url), "a host that was stopped in order is not listed");
});

test("on a terminal, the status is redrawn every second, until Ctrl-C", async () => {
  await using here = await place();
  const host = await here.run();
  const child = here.workplace.startOnTerminal(["host", "status", "--key", here.key, "--watch"]);
  const finished = finish(child);
  await outputUntil(child, "0 of 10000");
  await here.send(host.url, "s", "hi");
  await outputUntil(child, "1 of 10000");
  child.stdin?.write("\u0003");
  assert((await finished).stdout.includes("\u001b[0J"), "the screen is cleared from the top down");
});

test("wrong usage is reported before anything is served", async () => {
  await using workplace = await Workplace.open();
  const absent = await workplace.run(["host", "run", "./absent.ts", "--port", "0"]);
  assert.equal(absent.code, 2, absent.stderr);
  assert.match(absent.stderr, /absent\.ts exports no runtime: it cannot be imported.*\[runtime_invalid\]/);
  const refused = async (...args: string[]) => await workplace.run(["host", "run", agent, "--port", "0", ...args]);
  for (const [args, reply] of [
    [["--isolation", "none"], /Allowed choices are inline, pool, session, process/],
    [["--idle", "soon"], /idleTimeout is "soon"/],
    [["--memory", "0"], /memoryMax is 0/],
    [["--address", "nowhere"], /address is "nowhere"; expected an http or https URL/],
    [["--host", "0.0.0.0"], /the store has no key.*perdure keys create/],
  ] as const) {
    const { code, stderr } = await refused(...args);
    assert.equal(code, 2, stderr);
    assert.match(stderr, reply);
  }
  const keyless = await workplace.run(["host", "status"]);
  assert.equal(keyless.code, 2);
  assert.match(keyless.stderr, /PERDURE_KEY/);
});
