/** A question that waits for a busy session is not asked once its sender has left or has withdrawn it. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { chat, connect } from "../../src/client/index.ts";
import type { Model, Session } from "../../src/index.ts";
import { listen } from "../../src/server/index.ts";
import { systemClock } from "../../src/clock.ts";
import { storeBefore } from "../../src/store/calls/forwarding-store.ts";
import type { Store } from "../../src/store/store.ts";
import { openMemory } from "../../src/store/memory.ts";
import { assertProblem, callOn, requestOf, serve } from "./serving.ts";

/** Answers once the gate opens; notes each question that it is asked. */
function gated(): { readonly model: Model; readonly open: () => void; readonly asked: unknown[] } {
  const gate = Promise.withResolvers<void>();
  const asked: unknown[] = [];
  const model: Model = async function* ({ messages }) {
    asked.push(messages.at(-1)?.content);
    yield { type: "text", text: "Well, " };
    await gate.promise;
    yield { type: "text", text: "yes." };
  };
  return { model, open: gate.resolve, asked };
}

/** The store for another program, which leaves it open. */
function keptOpen(store: Store): Store {
  return Object.assign(storeBefore(store), { close: async () => undefined });
}

/** Resolves once so many questions wait for the session. */
async function untilWaiting(session: Session, count: number): Promise<void> {
  for (;;) {
    const { waiting } = await session.refresh();
    if (waiting === count) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function inputsOf(session: Session): Promise<unknown[]> {
  const turns = await Array.fromAsync(session.turns());
  return turns.map(({ status, input }) => [status, input[0]?.content]);
}

test("a closed connection withdraws a question that waits, and stops no answer that began", async () => {
  const { model, open, asked } = gated();
  await using place = serve({ model });
  const { server } = place;
  const key = await place.key("write");
  const device = randomUUID();
  const listening = await listen(server, { port: 0 });
  try {
    const left = new AbortController();
    const send = async (message: string, accept: string, signal?: AbortSignal): Promise<Response> => {
      const { url, headers } = requestOf("POST", "/v1/chat", { device, headers: { accept } });
      headers.set("content-type", "application/json");
      const body = JSON.stringify({ message, busy: "queue" });
      const { pathname } = new URL(url);
      return await fetch(listening.url + pathname, { method: "POST", headers, body, ...(signal && { signal }) });
    };
    // The first answer began; its connection closes, too.
    await send("first", "text/event-stream", left.signal);
    const session = (await place.sessions.devices.find(device)) ?? assert.fail();
    const waiting = ["text/event-stream", "application/json"].map((accept) =>
      send(`left ${accept}`, accept, left.signal),
    );
    const consult = server.fetch(
      new Request(
        requestOf("POST", `/v1/sessions/${session.id}/consult`, {
          key,
          body: { message: "left by key", busy: "queue" },
        }),
        {
          signal: left.signal,
        },
      ),
    );
    await untilWaiting(session, 3);
    const kept = send("kept", "application/json");
    kept.catch(() => undefined);
    await untilWaiting(session, 4);
    left.abort();
    for (const one of waiting) await assert.rejects(one, { name: "AbortError" });
    assert.equal((await consult).status, 499);
    await untilWaiting(session, 1);
    open();
    assert.equal((await kept).status, 200);
    assert.deepEqual(asked, ["first", "kept"]);
    assert.deepEqual(await inputsOf(session), [
      ["done", "first"],
      ["done", "kept"],
    ]);
  } finally {
    await listening.close(1000);
  }
});

test("a key withdraws its question that waits, from any instance, and stops its answer that runs", async () => {
  const { model, open, asked } = gated();
  const store = openMemory({ clock: systemClock });
  await using place = serve({ model, store });
  await using other = serve({ model, store: keptOpen(store) });
  const [server, elsewhere] = [place.server, other.server];
  const device = randomUUID();
  const headers = (key: string): Record<string, string> => ({ "idempotency-key": key });
  const say = (message: string): Promise<Awaited<ReturnType<typeof callOn>>> =>
    callOn(server, "POST", "/v1/chat", { device, body: { message, busy: "queue" }, headers: headers(message) });
  const cancel = async (key: string): Promise<unknown> =>
    (await callOn(elsewhere, "POST", "/v1/chat/cancel", { device, headers: headers(key) })).json.cancelled;
  const first = say("first");
  let session: Session | undefined;
  while (session === undefined || asked.length === 0) {
    session = await place.sessions.devices.find(device);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const withdrawn = [say("second")];
  await untilWaiting(session, 1);
  const third = say("third");
  await untilWaiting(session, 2);
  assert.equal(await cancel("unknown"), false);
  assert.equal(await cancel("second"), true);
  assert.equal(await cancel("second"), false);
  const [refused] = await Promise.all(withdrawn);
  assertProblem(refused ?? assert.fail(), 499, "aborted");
  assert.equal((await session.refresh()).waiting, 1);
  assert.equal(await cancel("first"), true);
  assertProblem(await first, 499, "interrupted");
  open();
  assert.equal((await third).status, 200);
  assert.equal(await cancel("third"), false, "its answer is done");
  assert.deepEqual(asked, ["first", "third"]);
  assert.deepEqual(await inputsOf(session), [
    ["interrupted", "first"],
    ["done", "third"],
  ]);
});

test("the signal of a question over HTTP and in the library withdraws it while it waits", async () => {
  const { model, open, asked } = gated();
  const store = openMemory({ clock: systemClock });
  await using place = serve({ model, store });
  await using other = serve({ model, store: keptOpen(store) });
  const { server } = place;
  const key = await place.key("write");
  const fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> =>
    await server.fetch(new Request(url, init));
  const session = await place.sessions.create({ id: "s" });
  const first = await session.consult("first");
  const stop = new AbortController();
  const remote = await connect({ url: "http://server.test", key, fetch }).get("s");
  const asking = [
    remote.consult("over HTTP", { busy: "queue", signal: stop.signal }),
    (await place.sessions.get("s")).consult("withdrawn", { busy: "queue", withdraw: stop.signal }),
    (await place.sessions.get("s")).consult("aborted", { busy: "queue", signal: stop.signal }),
    (await other.sessions.get("s")).consult("by key", { busy: "queue", key: "k" }),
  ];
  await untilWaiting(session, 4);
  for (const one of asking) one.catch(() => undefined);
  stop.abort();
  assert.equal(await (await place.sessions.get("s")).cancel({ key: "k" }), true);
  for (const one of asking) await assert.rejects(one, { code: "aborted" });
  // A turn that began is not withdrawn.
  const late = new AbortController();
  const running = (await place.sessions.get("s")).consult("last", { busy: "queue", withdraw: late.signal });
  open();
  const answer = await running;
  late.abort();
  assert.equal(await answer.text(), "Well, yes.");
  assert.equal(await first.text(), "Well, yes.");
  assert.deepEqual(asked, ["first", "last"]);
});

test("a chat withdraws its message by its key", async () => {
  const { model, open, asked } = gated();
  await using place = serve({ model });
  const { server } = place;
  const fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> =>
    await server.fetch(new Request(url, init));
  const device = randomUUID();
  const mine = chat({ url: "http://server.test", device, fetch });
  const first = await mine.say("first");
  const session = (await place.sessions.devices.find(device)) ?? assert.fail();
  const second = mine.say("second", { busy: "queue", key: "2" });
  await untilWaiting(session, 1);
  assert.equal(await mine.cancel({ key: "2" }), true);
  await assert.rejects(second, { code: "aborted" });
  open();
  await first.done;
  assert.deepEqual(asked, ["first"]);
});
