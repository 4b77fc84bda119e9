/** Messages to live sessions from the client, over real HTTP. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, hasCode, type RemoteSessions } from "../../src/client/index.ts";
import { systemClock } from "../../src/clock.ts";
import { startHost, type Host, type LiveSession, type Runtime } from "../../src/host/index.ts";
import { createServer, listen } from "../../src/server/index.ts";
import { sessionsOn } from "../../src/sessions/sessions.ts";
import { openMemory } from "../../src/store/memory.ts";

interface PlaceOptions {
  readonly retries?: number;
  /** That of each request: a busy machine keeps a short one from an answer. */
  readonly deadline?: string;
}

interface Hosting extends AsyncDisposable {
  readonly host: Host;
  readonly url: string;
  readonly remote: RemoteSessions;
  /** What the code of the sessions did. */
  readonly did: readonly string[];
}

async function place({ retries = 3, deadline = "2m" }: PlaceOptions = {}): Promise<Hosting> {
  const did: string[] = [];
  const runtime: Runtime = {
    async onMessage(session: LiveSession, message: unknown) {
      did.push(String(message));
      if (message === "throw") throw new Error("as told");
      if (message === "hang") await sleep(60_000, undefined, { signal: session.signal });
      if (message === "count") return counted(did, Number.POSITIVE_INFINITY);
      if (message === "break") return counted(did, 2);
      if (message === "parts") return parts();
      return { message, session: session.id };
    },
  };
  const sessions = sessionsOn(openMemory({ clock: systemClock }), { sweep: false });
  const host = await startHost(sessions, { runtime });
  const listening = await listen(createServer({ sessions, host, deadline }), { port: 0 });
  const { token: key } = await sessions.keys.create({ name: "test", right: "write" });
  return {
    host,
    url: listening.url,
    remote: connect({ url: listening.url, key, retries }),
    did,
    async [Symbol.asyncDispose]() {
      await listening.close(0);
      await host.close();
      await sessions.close();
    },
  };
}

async function* parts(): AsyncGenerator {
  yield "a";
  yield new Date(0);
  yield { deep: [1n, null] };
}

async function* counted(did: string[], breaksAt: number): AsyncGenerator<number> {
  try {
    for (let part = 1; ; part++) {
      if (part > breaksAt) throw new Error("in the middle");
      yield part;
      await sleep(5);
    }
  } finally {
    did.push("tidied up");
  }
}

test("a message is answered as by the host itself: a value, or a stream of chunks", async () => {
  await using here = await place();
  const { remote } = here;
  await assert.rejects(remote.send("s", "hello"), { code: "session_not_found" });
  const at = new Date(1);
  assert.deepEqual(await remote.send("s", { at }, { create: true }), { message: { at }, session: "s" });
  assert.deepEqual(await remote.send("s", null), { message: null, session: "s" });
  const parts = (await remote.send("s", "parts")) as AsyncIterable<unknown>;
  assert.deepEqual(await Array.fromAsync(parts), ["a", new Date(0), { deep: [1n, null] }]);
  await remote.create({ id: "with a / and ü" });
  assert.deepEqual(await remote.send("with a / and ü", 1), { message: 1, session: "with a / and ü" });
});

test("errors are those of the host, also during an answer, and no message is sent twice", async () => {
  await using here = await place({ deadline: "2s" });
  const { remote } = here;
  await remote.create({ id: "s" });
  await assert.rejects(remote.send("s", "throw"), (error) => {
    assert(hasCode(error, "runtime_failed"));
    assert.deepEqual([error.details.how, error.details.reported], ["threw", "as told"]);
    return true;
  });
  const broken = (await remote.send("s", "break")) as AsyncIterableIterator<unknown>;
  assert.deepEqual([(await broken.next()).value, (await broken.next()).value], [1, 2]);
  await assert.rejects(broken.next(), { code: "runtime_failed" });
  await assert.rejects(remote.send("s", "hang"), { code: "deadline_passed" });
  assert.deepEqual(
    here.did.filter((what) => what !== "tidied up"),
    ["throw", "break", "hang"],
  );
  await here.host.kill("s");
});

test("a reader that stops early ends the answer; a broken connection is an error", async () => {
  await using here = await place();
  const { remote } = here;
  await remote.create({ id: "s" });
  for await (const part of (await remote.send("s", "count")) as AsyncIterable<unknown>) if (part === 3) break;
  while (!here.did.includes("tidied up")) await sleep(5);
  assert.deepEqual(await remote.send("s", 1), { message: 1, session: "s" });
  const leaving = new AbortController();
  const left = (await remote.send("s", "count", { signal: leaving.signal })) as AsyncIterableIterator<unknown>;
  await left.next();
  leaving.abort(new Error("enough"));
  await assert.rejects(Array.fromAsync(left), /enough/);
  const cut = (await remote.send("s", "count")) as AsyncIterableIterator<unknown>;
  await cut.next();
  await here[Symbol.asyncDispose]();
  await assert.rejects(
    Array.fromAsync(cut),
    (error) => hasCode(error, "store_unavailable") || hasCode(error, "session_stopped"),
  );
  await assert.rejects(remote.send("s", 1), { code: "store_unavailable" });
});

test("a lost answer is not requested again, and a truncated one never looks complete", async () => {
  let asked = 0;
  const http = createHttpServer((request, response) => {
    asked++;
    if (request.url?.includes("lost") === true) response.destroy();
    else response.writeHead(200, { "content-type": "text/event-stream" }).end('event: part\ndata: {"part":1}\n\n');
  }).listen(0, "127.0.0.1");
  await once(http, "listening");
  const remote = connect({ url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`, key: "pdk_x" });
  await assert.rejects(remote.send("lost", 1), { code: "store_unavailable" });
  assert.equal(asked, 1);
  const parts = (await remote.send("s", 1)) as AsyncIterableIterator<unknown>;
  assert.equal((await parts.next()).value, 1);
  await assert.rejects(parts.next(), { code: "store_unavailable" });
  http.close();
  http.closeAllConnections();
});

test("a server without a host answers route_unknown, and a key without the right is refused", async () => {
  const sessions = sessionsOn(openMemory({ clock: systemClock }), { sweep: false });
  const listening = await listen(createServer({ sessions }), { port: 0 });
  const { token: key } = await sessions.keys.create({ name: "test", right: "write" });
  await assert.rejects(connect({ url: listening.url, key }).send("s", 1), { code: "route_unknown" });
  await listening.close(0);
  await sessions.close();
  await using here = await place();
  await assert.rejects(connect({ url: here.url, key: "pdk_wrong" }).send("s", 1), { code: "key_missing" });
});
