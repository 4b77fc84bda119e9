/** A request goes on to the host that has the session, which is paused just then. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startHost, type Host } from "../../src/host/index.ts";
import { openSessions, type Sessions } from "../../src/index.ts";
import { createServer, type Server } from "../../src/server/index.ts";
import { someDatabase, type SomeDatabase } from "../postgres/server.ts";
import { runtime, staleAfter } from "./live-instance.ts";
import { assertProblem, callOn, requestOf, type Answered } from "./serving.ts";

/** Half of the deadline of a request. */
const promptMs = 60_000;

let database: SomeDatabase;
let sessions: Sessions;
let host: Host;
let server: Server;
let key: string;

/** Another host, which has the session. */
async function withOwner(id: string, use: (owner: ChildProcess, url: string) => Promise<void>): Promise<void> {
  const program = fileURLToPath(new URL("live-instance.ts", import.meta.url));
  const child = spawn(process.execPath, [program, database.url], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const [url] = (await once(createInterface(child.stdout), "line")) as [string];
    const body = { message: "hello", create: true };
    const response = await fetch(requestAt(url, id, body));
    assert.deepEqual([response.status, await response.json()], [200, { answer: 1 }]);
    await use(child, url);
  } finally {
    const exited = once(child, "exit");
    child.kill("SIGCONT");
    child.kill("SIGTERM");
    await exited;
  }
}

function requestAt(url: string, id: string, body: object): Request {
  return new Request(`${url}${pathOf(id)}`, requestOf("POST", pathOf(id), { key, body }));
}

const pathOf = (id: string): string => `/v1/sessions/${id}/messages`;

const send = (id: string, message: string): Promise<Answered> =>
  callOn(server, "POST", pathOf(id), { key, body: { message } });

/** The message is refused for its owner is gone, and answered here when it is sent again. */
async function comesUpHere(id: string, answering: Promise<Answered>, answer: number): Promise<void> {
  const began = performance.now();
  const refused = await answering;
  assertProblem(refused, 502, "owner_unreachable");
  assert.equal(refused.json.details.problem, "silent");
  const ms = performance.now() - began;
  assert(ms < promptMs, `${ms} ms`);
  assert.deepEqual((await send(id, "again")).json, { answer });
  assert.equal(host.live(id)?.phase, "live");
}

/** The owner goes on, and finds itself without the session: it writes nothing, and asks here. */
async function findsItselfWithout(id: string, owner: ChildProcess, url: string, answer: number): Promise<void> {
  owner.kill("SIGCONT");
  await sleep(2000); // what it was at goes on
  const turns = await Array.fromAsync((await sessions.get(id)).turns());
  assert.equal(turns.length, answer, "nothing of what it was sent lands after all");
  const response = await fetch(requestAt(url, id, { message: "who?" }));
  const { code } = (await response.json()) as { code: string };
  assert(["owner_unreachable", "fenced"].includes(code), code); // nobody listens at the address of the new owner
}

// The heartbeats of this host begin with its tests, where other files run in the same process.
describe("a host whose messages go to the owner of a session", () => {
  before(async () => {
    database = await someDatabase();
    sessions = await openSessions({ store: database.url, staleAfter, sweep: false });
    host = await startHost(sessions, { runtime, address: "http://127.0.0.1:1" });
    server = createServer({ sessions, host });
    key = (await sessions.keys.create({ name: "test", right: "write" })).token;
  });

  after(async () => {
    await server.stop();
    await host.close();
    await sessions.close();
    await database[Symbol.asyncDispose]();
  });

  test("a message to a session of a paused host is refused promptly, and answered here when sent again", async () => {
    await withOwner("before", async (owner, url) => {
      assert.deepEqual((await send("before", "forwarded")).json, { answer: 2 });
      owner.kill("SIGSTOP");
      await comesUpHere("before", send("before", "lost"), 3);
      await findsItselfWithout("before", owner, url, 3);
    });
  });

  test("a message whose host is paused while it answers is refused promptly, and answered here when sent again", async () => {
    await withOwner("meanwhile", async (owner, url) => {
      const answering = send("meanwhile", "slow");
      await sleep(500);
      owner.kill("SIGSTOP");
      await comesUpHere("meanwhile", answering, 2);
      await findsItselfWithout("meanwhile", owner, url, 2);
    });
  });

  test("a streamed answer breaks off when its host is paused, and does not look complete", async () => {
    await withOwner("parts", async (owner) => {
      const how = { key, body: { message: "count" }, headers: { accept: "text/event-stream" } };
      const response = await server.fetch(requestOf("POST", pathOf("parts"), how));
      const reader = (response.body ?? assert.fail()).pipeThrough(new TextDecoderStream()).getReader();
      let heard = "";
      while (!heard.includes('"part":3')) heard += (await reader.read()).value ?? assert.fail("it ended early");
      owner.kill("SIGSTOP");
      const began = performance.now();
      await assert.rejects(async () => {
        for (let read = await reader.read(); !read.done; read = await reader.read()) heard += read.value;
      });
      assert(performance.now() - began < promptMs);
      assert(!heard.includes("event: done"));
      assert.deepEqual((await send("parts", "again")).json, { answer: 2 });
    });
  });

  test("a slow answer of a live host is waited for", async () => {
    await withOwner("patience", async () => {
      assert.deepEqual((await send("patience", "slow")).json, { answer: 2 });
    });
  });
});
