/** The clients refuse an option that does not exist, as the library does, and send nothing. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { chat, connect, type Chat, type RemoteSession, type RemoteSessions } from "../../src/client/index.ts";
import { serve } from "./serving.ts";

/** Options of a JavaScript caller, which no compiler checks. */
// oxlint-disable-next-line typescript/no-explicit-any -- the options are wrong on purpose
const misspelt: any = { dryrun: true };

const onSession: Readonly<Record<string, (session: RemoteSession) => Promise<unknown>>> = {
  append: (session) => session.append({ input: "q" }, misspelt),
  cancel: (session) => session.cancel(misspelt),
  consult: (session) => session.consult("q", misspelt),
  end: (session) => session.end(misspelt),
  fork: (session) => session.fork(misspelt),
  handOff: (session) => session.handOff("a", misspelt),
  watch: (session) => Array.fromAsync(session.watch(misspelt)),
};
const onSessions: Readonly<Record<string, (sessions: RemoteSessions) => Promise<unknown>>> = {
  send: (sessions) => sessions.send("s", "hello", misspelt),
  stats: (sessions) => sessions.stats(misspelt),
  "streams.read": (sessions) => Array.fromAsync(sessions.streams.read("stream", misspelt)),
};
const onChat: Readonly<Record<string, (mine: Chat) => Promise<unknown>>> = {
  cancel: (mine) => mine.cancel(misspelt),
  handOff: (mine) => mine.handOff("a", misspelt),
  say: (mine) => mine.say("q", misspelt),
};

const refusal = { code: "argument_invalid", message: /"dryrun"/ } as const;

/** Clients of a server without a network, and how many requests they sent. */
async function clients(): Promise<
  AsyncDisposable & { readonly sessions: RemoteSessions; readonly mine: Chat; readonly sent: () => number }
> {
  const place = serve();
  let sent = 0;
  const options = {
    url: "http://server.test",
    fetch: async (url: string | URL | Request, init?: RequestInit): Promise<Response> => {
      sent++;
      return await place.server.fetch(new Request(url, init));
    },
  };
  return {
    sessions: connect({ ...options, key: await place.key("admin") }),
    mine: chat({ ...options, device: randomUUID() }),
    sent: () => sent,
    [Symbol.asyncDispose]: async () => await place[Symbol.asyncDispose](),
  };
}

for (const [name, call] of Object.entries(onSession)) {
  test(`${name} of a remote session refuses an option that does not exist`, async () => {
    await using client = await clients();
    const session = await client.sessions.create({ id: "s" });
    const before = client.sent();
    await assert.rejects(async () => await call(session), refusal);
    assert.equal(client.sent(), before);
  });
}

for (const [name, call] of Object.entries(onSessions)) {
  test(`${name} of remote sessions refuses an option that does not exist`, async () => {
    await using client = await clients();
    await assert.rejects(async () => await call(client.sessions), refusal);
    assert.equal(client.sent(), 0);
  });
}

for (const [name, call] of Object.entries(onChat)) {
  test(`${name} of a chat refuses an option that does not exist`, async () => {
    await using client = await clients();
    await assert.rejects(async () => await call(client.mine), refusal);
    assert.equal(client.sent(), 0);
  });
}

test("chat and connect refuse an option that does not exist", () => {
  assert.throws(() => chat({ url: "http://server.test", device: randomUUID(), ...misspelt }), refusal);
  assert.throws(() => connect({ url: "http://server.test", key: "pdk_x", ...misspelt }), refusal);
});

test("a question over HTTP whose signal has aborted fails with aborted and is not sent", async () => {
  await using client = await clients();
  const session = await client.sessions.create({ id: "s" });
  const before = client.sent();
  await assert.rejects(session.consult("q", { signal: AbortSignal.abort("left") }), {
    code: "aborted",
    details: { sessionId: "s", waitedMs: 0 },
    cause: "left",
  });
  // The signal aborts after the call, before the request.
  const stop = new AbortController();
  const asking = session.consult("q", { signal: stop.signal });
  stop.abort();
  await assert.rejects(asking, { code: "aborted" });
  assert.equal(client.sent(), before);
});
