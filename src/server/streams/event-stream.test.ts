/** A stream of events takes from its source what its reader reads, and leaves nothing behind however it ends. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { Hono } from "hono";
import { SessionError } from "../../errors.ts";
import type { Session } from "../../index.ts";
import { OpenStreams } from "../http/open-streams.ts";
import type { Env } from "../http/route.ts";
import { eventStream, type StreamEvent, type StreamOptions, type StreamReader } from "./event-stream.ts";

interface Opened {
  readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  /** Streams that are counted. */
  counted(): number;
  readonly errors: string[];
}

/** The response of a stream of these events. */
async function open(
  events: (reader: StreamReader) => AsyncIterable<StreamEvent>,
  options: StreamOptions = {},
): Promise<Opened> {
  let counted = 0;
  const errors: string[] = [];
  const app = new Hono<Env>();
  app.get("/", (c) => {
    c.set("requestId", "request");
    c.set("audience", "operator");
    c.set(
      "reporter",
      () =>
        ({ code }) =>
          void errors.push(code),
    );
    c.set("countStream", () => {
      counted++;
      return () => void counted--;
    });
    return eventStream(c, events, options);
  });
  const { body } = await app.request("/");
  return { reader: body?.getReader() ?? assert.fail(), counted: () => counted, errors };
}

interface Source {
  readonly events: AsyncIterable<StreamEvent>;
  /** How many events were taken. */
  taken(): number;
  isReturned(): boolean;
  push(event: StreamEvent): void;
  fail(error: Error): void;
}

/** A source that a test fills; it has `count` events from the beginning. */
function sourceOf(count = 0): Source {
  let taken = 0;
  let isReturned = false;
  let waiting: PromiseWithResolvers<IteratorResult<StreamEvent>> | undefined;
  return {
    taken: () => taken,
    isReturned: () => isReturned,
    push: (value) => waiting?.resolve({ done: false, value }),
    fail: (error) => waiting?.reject(error),
    events: {
      [Symbol.asyncIterator]: () => ({
        async next() {
          taken++;
          if (taken <= count) return { done: false, value: { event: "n", data: { n: taken } } };
          waiting = Promise.withResolvers();
          return await waiting.promise;
        },
        async return() {
          isReturned = true;
          waiting?.resolve({ done: true, value: undefined });
          return { done: true, value: undefined };
        },
      }),
    },
  };
}

async function textOf({ reader }: Opened): Promise<string> {
  const { value } = await reader.read();
  return value === undefined ? "" : new TextDecoder().decode(value);
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
}

test("a reader that reads nothing takes no event from the source", async () => {
  const source = sourceOf(1000);
  const stream = await open(() => source.events);
  await settled();
  assert.equal(source.taken(), 0);
  assert.equal(await textOf(stream), 'event: n\ndata: {"n":1}\n\n');
  await settled();
  assert.equal(source.taken(), 1);
  await stream.reader.cancel();
  assert.deepEqual([source.isReturned(), stream.counted()], [true, 0]);
});

test("streams of the same source send the same bytes, and encode them once", async () => {
  const source = {};
  let encoded = 0;
  const eventAt = (variant: string): StreamEvent => ({
    event: "turn",
    id: variant,
    // A getter counts each encoding.
    data: Object.defineProperty({}, "turn", { enumerable: true, get: () => ++encoded }),
    shared: { source, slot: "turn", variant },
  });
  const blocks = new Set<unknown>();
  for (let stream = 0; stream < 3; stream++) blocks.add(await firstBlock(only(eventAt("1"))));
  assert.equal(blocks.size, 1);
  const once = encoded;
  assert.match(new TextDecoder().decode(await firstBlock(only(eventAt("2")))), /id: 2/);
  assert.equal(encoded, 2 * once);
});

async function firstBlock(events: AsyncIterable<StreamEvent>): Promise<Uint8Array | undefined> {
  const { reader } = await open(() => events);
  const { value } = await reader.read();
  await reader.cancel();
  return value;
}

async function* only<T>(item: T): AsyncGenerator<T> {
  yield item;
}

test("a silent stream is kept alive while its reader waits, and ends when its reader reads nothing for a minute", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const source = sourceOf(1);
  const stream = await open(() => source.events);
  await stream.reader.read();
  const waiting = textOf(stream);
  await settled();
  t.mock.timers.tick(15_000);
  assert.equal(await waiting, ": keep-alive\n\n");
  // One comment waits for the reader, and no second one.
  for (let interval = 1; interval <= 4; interval++) t.mock.timers.tick(15_000);
  assert.equal(stream.counted(), 1);
  t.mock.timers.tick(15_000);
  assert.deepEqual([source.isReturned(), stream.counted()], [true, 0]);
  assert.equal(await textOf(stream), ": keep-alive\n\n");
  assert.equal((await stream.reader.read()).done, true);
});

test("an event that cannot be encoded ends the stream with its error", async () => {
  const stream = await open(() => only({ event: "part", data: { part: () => undefined } }));
  assert.match(await textOf(stream), /^event: error\ndata: .*"code":"value_unstorable"/);
  assert.equal((await stream.reader.read()).done, true);
  assert.equal(stream.counted(), 0);
});

test("a stream that nothing reads holds no process", async () => {
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const before = timers();
  const stream = await open(() => sourceOf().events);
  const stop = new OpenStreams({}).recover({ id: "s", info: { tenant: "default" } } as Session);
  assert.equal(timers(), before);
  stop();
  await stream.reader.cancel();
});

test("a stream that ends before it was read ends its source", async () => {
  const source = sourceOf(1);
  const stream = await open(() => source.events);
  await stream.reader.cancel();
  assert.deepEqual([source.taken(), source.isReturned(), stream.counted()], [0, true, 0]);
});

const ends: Readonly<Record<string, (ending: Ending) => Promise<unknown>>> = {
  "its reader leaves": ({ stream }) => stream.reader.cancel(),
  "its reader leaves before it has read": ({ fresh }) => fresh.reader.cancel(),
  "the server stops": async ({ stop }) => stop.abort(),
  "its key is revoked": async ({ t, admission }) => {
    admission.isAdmitted = false;
    t.mock.timers.tick(15_000);
    await settled();
  },
  "its events end": async ({ source }) => void (await source.events[Symbol.asyncIterator]().return?.()),
  "its source fails": async ({ source }) => source.fail(new SessionError("internal", { requestId: "r" })),
};

interface Ending {
  readonly t: TestContext;
  readonly source: Source;
  readonly stream: Opened;
  readonly fresh: Opened;
  readonly stop: AbortController;
  readonly admission: { isAdmitted: boolean };
}

for (const [name, end] of Object.entries(ends)) {
  test(`a stream leaves no timer, no listener and no place behind when ${name}`, async (t) => {
    t.mock.timers.enable({ apis: ["setInterval"] });
    const cleared = t.mock.method(globalThis, "clearInterval");
    const started = t.mock.method(globalThis, "setInterval");
    const stop = new AbortController();
    const listeners = { added: 0, removed: 0 };
    for (const [method, count] of [
      ["addEventListener", "added"],
      ["removeEventListener", "removed"],
    ] as const) {
      const original = stop.signal[method].bind(stop.signal) as (...args: unknown[]) => void;
      Object.defineProperty(stop.signal, method, {
        value: (...args: unknown[]) => (listeners[count]++, original(...args)),
      });
    }
    const admission = { isAdmitted: true };
    const source = sourceOf(1);
    const options = { stop: stop.signal, admitted: () => Promise.resolve(admission.isAdmitted) };
    let signal: AbortSignal | undefined;
    const stream = await open((reader) => ((signal = reader.signal), source.events), options);
    await stream.reader.read();
    const rest = stream.reader.read();
    await settled();
    const isFresh = name.includes("before");
    const fresh = isFresh ? await open(() => source.events, options) : stream;
    await end({ t, source, stream, fresh, stop, admission });
    if (isFresh) await stream.reader.cancel();
    while (!(await rest).done && !(await stream.reader.read()).done);
    await settled();
    const streams = isFresh ? 2 : 1;
    assert.deepEqual(listeners, { added: streams, removed: streams });
    assert.deepEqual([started.mock.callCount(), cleared.mock.callCount()], [streams, streams]);
    assert.deepEqual([stream.counted(), fresh.counted(), signal?.aborted], [0, 0, true]);
    assert.deepEqual(stream.errors, name.includes("fails") ? ["internal"] : []);
  });
}
