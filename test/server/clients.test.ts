/** The clients against real servers, and the servers mounted where people mount them. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer as createHttpServer, type RequestListener, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono";
import { browserDevice, chat, connect, hasCode } from "../../src/client/index.ts";
import { openSessions, type Model } from "../../src/index.ts";
import { createServer, listen } from "../../src/server/index.ts";
import { settled } from "../support/count-timers.ts";
import { InstanceProcess } from "./instance-process.ts";
import { assertProblem, serve } from "./serving.ts";

async function onFile<T>(work: (store: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "perdure-clients-"));
  try {
    return await work(`sqlite:${join(folder, "s.db")}`);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Each request to the next of these servers, as a proxy in front of them does. */
function roundRobin(urls: () => readonly string[]): typeof fetch {
  let requests = 0;
  return async (input, init) => {
    const all = urls();
    const { pathname, search } = new URL(input instanceof Request ? input.url : input);
    return await fetch(`${all[requests++ % all.length]}${pathname}${search}`, init);
  };
}

test("a chat through a round-robin proxy keeps its context from instance to instance", async () => {
  await onFile(async (store) => {
    const instances = await Promise.all([InstanceProcess.start({ store }), InstanceProcess.start({ store })]);
    try {
      const mine = chat({
        url: "http://chat.test",
        device: randomUUID(),
        fetch: roundRobin(() => instances.map(({ url }) => url)),
      });
      for (let index = 1; index <= 6; index++) {
        const answer = await mine.say(`${index}`);
        assert.equal((await Array.fromAsync(answer)).join(""), `${index} ${index}`);
      }
      assert.equal((await Array.fromAsync(mine.turns())).length, 6);
      assert.equal((await mine.session())?.turn, 6);
    } finally {
      await Promise.all(instances.map((instance) => instance.stop("SIGTERM")));
    }
  });
});

test("a client whose instance is killed during an answer resumes at another one", async () => {
  await onFile(async (store) => {
    const [doomed, other] = await Promise.all([
      InstanceProcess.start({ store, delayMs: 600_000 }),
      InstanceProcess.start({ store }),
    ]);
    try {
      let urls = [doomed.url];
      const mine = chat({ url: "http://chat.test", device: randomUUID(), fetch: roundRobin(() => urls) });
      const answer = await mine.say("Hello");
      const heard: string[] = [];
      const hearing = (async () => {
        for await (const text of answer) {
          heard.push(text);
          urls = [other.url];
          void doomed.stop("SIGKILL");
        }
      })();
      await assert.rejects(hearing, { code: "interrupted" });
      assert.equal(heard[0], "1");
      assert.equal(await (await mine.say("Again")).text(), "2 Again");
    } finally {
      await Promise.all([doomed.stop("SIGKILL"), other.stop("SIGTERM")]);
    }
  });
});

test("handoffs, link codes and cancel from the client of a device without a session", async () => {
  await using here = serve();
  const listening = await listen(here.server, { port: 0 });
  try {
    const [phone, laptop] = [randomUUID(), randomUUID()].map((device) => chat({ url: listening.url, device }));
    assert(phone !== undefined && laptop !== undefined);
    assert.equal(await phone.session(), undefined);
    assert.deepEqual(await Array.fromAsync(phone.turns()), []);
    assert.equal(await phone.activeAgent(), null);
    await (
      await phone.say("from the phone")
    ).done;
    const given = await phone.handOff("scheduling", { ttl: "1h" });
    assert.deepEqual(await phone.activeAgent(), given);
    const { code, expiresAt } = await phone.linkCode();
    assert(expiresAt.getTime() > Date.now());
    await laptop.link(code);
    assert.equal((await Array.fromAsync(laptop.turns()))[0]?.input[0]?.content, "from the phone");
    await assert.rejects(laptop.link(code), { code: "link_code_invalid" });
    await laptop.endHandoff();
    assert.equal(await phone.activeAgent(), null);
    assert.equal(await laptop.unlink(), true);
    assert.deepEqual(await Array.fromAsync(laptop.turns()), []);
    assert.equal(await phone.cancel(), false);
    await assert.rejects(Array.fromAsync(chat({ url: listening.url, device: "no uuid" }).turns()), {
      code: "id_invalid",
    });
  } finally {
    await listening.close(1000);
  }
});

test("a browser keeps its device id", () => {
  const kept = new Map<string, string>();
  const keeper = {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => void kept.set(name, value),
  };
  const device = browserDevice(keeper);
  assert.match(device, /^[0-9a-f-]{36}$/);
  assert.equal(browserDevice(keeper), device);
  assert.throws(() => browserDevice(undefined), /localStorage/);
});

test("lost requests are retried with their key, refusals are not, and an unreachable server is named", async () => {
  await using here = serve();
  const key = await here.key("write");
  let requests = 0;
  const lossy: typeof fetch = async (input, init) => {
    requests++;
    const answered = await here.server.fetch(new Request(input, init));
    if (requests % 2 === 0) return answered;
    // The connection breaks after the server has done its work.
    await answered.body?.cancel();
    throw new TypeError("fetch failed");
  };
  const sessions = connect({ url: "http://server.test", key, fetch: lossy });
  const session = await sessions.create({ agent: "assistant" });
  for (let index = 1; index <= 5; index++)
    assert.equal((await session.append({ input: `${index}`, output: "ok" })).seq, index);
  assert.equal(await (await session.consult("six")).text(), "you said: six");
  assert.equal((await (await here.sessions.get(session.id)).refresh()).turn, 6);

  requests = 0;
  const refused = connect({
    url: "http://server.test",
    key: "pdk_wrong",
    fetch: async (input, init) => {
      requests++;
      return await here.server.fetch(new Request(input, init));
    },
  });
  await assert.rejects(refused.get("s"), { code: "key_missing" });
  assert.equal(requests, 1);
  const nobody = connect({ url: "http://127.0.0.1:1", key, retries: 1 });
  await assert.rejects(
    nobody.get("s"),
    (error) => hasCode(error, "store_unavailable") && error.message.includes("127.0.0.1:1"),
  );
});

test("a question whose signal aborts while it is sent is cancelled", async () => {
  const endless: Model = async function* ({ signal }) {
    yield { type: "text", text: "word" };
    await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
  };
  await using here = serve({ model: endless });
  const stop = new AbortController();
  const asked: string[] = [];
  const sessions = connect({
    url: "http://server.test",
    key: await here.key("write"),
    fetch: async (input, init) => {
      const request = new Request(input, init);
      asked.push(new URL(request.url).pathname.split("/").at(-1) ?? "");
      const answered = await here.server.fetch(request);
      if (asked.at(-1) === "consult") stop.abort();
      return answered;
    },
  });
  const session = await sessions.ensure("s");
  const answer = await session.consult("q", { signal: stop.signal });
  await settled();
  assert.deepEqual(asked, ["s", "consult", "cancel"]);
  await assert.rejects(answer.done, { code: "interrupted" });
});

async function over(listener: RequestListener, work: (url: string) => Promise<void>): Promise<void> {
  const http: HttpServer = createHttpServer(listener);
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  try {
    await work(`http://127.0.0.1:${(http.address() as AddressInfo).port}`);
  } finally {
    http.closeAllConnections();
    http.close();
  }
}

test("a server mounts in another Hono app, beside other routes, and as a plain fetch function", async () => {
  const sessions = await openSessions({ store: "memory:", secret: "a secret for tests only", model: echo });
  const server = createServer({ sessions });
  const body = JSON.stringify({ message: "Hello" });
  const init = { method: "POST", headers: { "content-type": "application/json", "x-device-id": randomUUID() }, body };

  const outer = new Hono().get("/", (c) => c.text("outer")).route("/agents", server.app);
  const mounted = (await (await outer.request("http://x.test/agents/v1/chat", init)).json()) as { text: string };
  assert.equal(mounted.text, "hi");
  assert.equal(await (await outer.request("http://x.test/")).text(), "outer");

  const perdure = getRequestListener((request) => server.fetch(request));
  const beside: RequestListener = (incoming, outgoing) => {
    if (incoming.url?.startsWith("/v1/") === true) void perdure(incoming, outgoing);
    else outgoing.end("express");
  };
  await over(beside, async (url) => {
    const answered = (await (await fetch(`${url}/v1/chat`, init)).json()) as { text: string; turn: { seq: number } };
    assert.deepEqual([answered.text, answered.turn.seq], ["hi", 2]);
    assert.equal(await (await fetch(`${url}/`)).text(), "express");
  });
  assert.equal((await server.fetch(new Request("http://x.test/v1/chat", init))).status, 200);
  await server.stop();
  await sessions.close();
});

async function* echo() {
  yield { type: "text", text: "hi" } as const;
}

test("a watch reports refusals of the server, and pauses before it reconnects", async () => {
  await using here = serve();
  let asked = 0;
  const sessions = connect({
    url: "http://server.test",
    key: await here.key("write"),
    fetch: async (url, init) => {
      asked++;
      return await here.server.fetch(new Request(url, init));
    },
  });
  const session = await sessions.ensure("s");
  await assert.rejects(session.watch({ after: -1 }).next(), { code: "request_invalid" });
  await here.server.stop();
  asked = 0;
  const signal = AbortSignal.timeout(700);
  for await (const _ of session.watch({ signal })) assert.fail("there is no news");
  assert(asked <= 8, `asked ${asked} times`);
});

test("a server whose sessions are closed asks clients to retry", async () => {
  await using here = serve();
  const key = await here.key("read");
  await here.sessions.close();
  assertProblem(await here.call("GET", "/v1/sessions/s", { key }), 503, "store_unavailable");
  assertProblem(await here.call("GET", "/v1/chat/turns", { device: randomUUID() }), 503, "store_unavailable");
});
