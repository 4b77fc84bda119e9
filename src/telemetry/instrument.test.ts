import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { channel } from "node:diagnostics_channel";
import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { context, SpanStatusCode, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
  type DataPoint,
  type Histogram,
} from "@opentelemetry/sdk-metrics";
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider, type ReadableSpan } from "@opentelemetry/sdk-trace";
import { openSessions, withTools, type Model, type OpenOptions, type Sessions } from "../index.ts";
import { startHost, type LiveSession, type Runtime } from "../host/index.ts";
import { scriptedClock } from "../testing/scripted-clock.ts";
import { instrument } from "./index.ts";
import { sweep } from "../admin.ts";

const model: Model = async function* () {
  trace.getTracer("mine").startSpan("http call of the model's client").end();
  yield { type: "model", model: "m-1" };
  yield { type: "text", text: "a secret answer" };
  yield { type: "usage", usage: { inputTokens: 7, outputTokens: 3, totalTokens: 10 } };
};

/** The real SDK, in memory, and instrumented sessions. */
class Place implements AsyncDisposable {
  readonly #spans = new InMemorySpanExporter();
  readonly #metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  readonly #reader = new PeriodicExportingMetricReader({
    exporter: this.#metrics,
    exportIntervalMillis: 3_600_000,
    exportTimeoutMillis: 10_000,
  });
  readonly tracerProvider: TracerProvider = new TracerProvider({
    spanProcessors: [new SimpleSpanProcessor({ exporter: this.#spans })],
  });
  readonly meterProvider: MeterProvider = new MeterProvider({ readers: [this.#reader] });
  readonly sessions: Sessions;
  #stop: () => void = () => undefined;

  private constructor(sessions: Sessions) {
    this.sessions = sessions;
  }

  static async open(options: OpenOptions = {}): Promise<Place> {
    const sessions = await openSessions({ store: "memory:", sweep: false, secret: "a secret for tests", ...options });
    const place = new Place(sessions);
    const { tracerProvider, meterProvider } = place;
    place.#stop = (await instrument({ sessions, tracerProvider, meterProvider })).stop;
    trace.setGlobalTracerProvider(tracerProvider);
    return place;
  }

  stop(): void {
    this.#stop();
  }

  async spans(): Promise<readonly ReadableSpan[]> {
    await setImmediate();
    await this.tracerProvider.forceFlush();
    return this.#spans.getFinishedSpans();
  }

  async span(name: string): Promise<ReadableSpan> {
    const spans = await this.spans();
    return (
      spans.find((span) => span.name === name) ??
      assert.fail(`${name} is none of ${spans.map((span) => span.name).join(", ")}`)
    );
  }

  /** The current points of one metric. */
  async points(name: string): Promise<readonly DataPoint<number | Histogram>[]> {
    this.#metrics.reset();
    await this.meterProvider.forceFlush();
    const metrics = this.#metrics.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((s) => s.metrics));
    const found = metrics.filter(({ descriptor }) => descriptor.name === name);
    return found.flatMap(({ dataPoints }) => dataPoints as DataPoint<number | Histogram>[]);
  }

  /** The values of one metric, or the counts of a histogram, by their attributes. */
  async values(name: string): Promise<Record<string, number>> {
    const points = await this.points(name);
    const value = ({ value }: DataPoint<number | Histogram>): number =>
      typeof value === "number" ? value : value.count;
    return Object.fromEntries(points.map((point) => [Object.values(point.attributes).join(" "), value(point)]));
  }

  /** Everything that was exported to OpenTelemetry. */
  async everything(): Promise<string> {
    const spans = (await this.spans()).map(({ name, attributes, status, events }) => ({
      name,
      attributes,
      status,
      events,
    }));
    await this.meterProvider.forceFlush();
    return JSON.stringify([spans, this.#metrics.getMetrics().map(({ scopeMetrics }) => scopeMetrics)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    trace.disable();
    await this.sessions.close();
    await this.tracerProvider.shutdown();
    await this.meterProvider.shutdown();
  }
}

beforeEach(() => context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable()));
afterEach(() => context.disable());

function parentOf(span: ReadableSpan, spans: readonly ReadableSpan[]): string | undefined {
  return spans.find((other) => other.spanContext().spanId === span.parentSpanContext?.spanId)?.name;
}

test("a consultation is a span by the conventions, with the store's calls and the program's own spans beneath it", async () => {
  await using place = await Place.open({ model });
  const session = await place.sessions.create({ id: "s", agent: "ceo" });
  const tracer = trace.getTracer("mine");
  await tracer.startActiveSpan("request", async (request) => {
    await (
      await session.consult("a secret question", { model: "m" })
    ).done;
    request.end();
  });
  const spans = await place.spans();
  const consultation = await place.span("invoke_agent ceo");
  assert.partialDeepStrictEqual(consultation.attributes, {
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.provider.name": "perdure",
    "gen_ai.agent.name": "ceo",
    "gen_ai.conversation.id": "s",
    "gen_ai.response.model": "m-1",
    "gen_ai.usage.input_tokens": 7,
    "gen_ai.usage.output_tokens": 3,
    "perdure.usage.estimated": false,
    "perdure.tenant": "default",
    "perdure.turn": 1,
    "perdure.turn.status": "done",
    "perdure.turn.requests": 1,
  });
  assert.equal(typeof consultation.attributes["gen_ai.response.time_to_first_chunk"], "number");
  assert.equal(consultation.status.code, SpanStatusCode.UNSET);
  assert.equal(parentOf(consultation, spans), "request");
  const beneath = spans.filter((span) => parentOf(span, spans) === "invoke_agent ceo").map(({ name }) => name);
  assert(beneath.includes("perdure.store commit"));
  assert(beneath.includes("http call of the model's client"));
  assert(beneath.includes("perdure seal"));
  const { traceId } = consultation.spanContext();
  const elsewhere = spans.filter((span) => span.spanContext().traceId !== traceId).map(({ name }) => name);
  assert.deepEqual(elsewhere, ["perdure.store commit", "perdure create"], "all else is of the one trace");
});

test("spans nest without a context manager too", async () => {
  context.disable();
  await using place = await Place.open();
  await place.sessions.create({ id: "s" });
  const spans = await place.spans();
  assert.deepEqual(
    spans.map((span) => [span.name, parentOf(span, spans)]),
    [
      ["perdure.store commit", "perdure create"],
      ["perdure create", undefined],
    ],
  );
});

test("writers that share a commit each have their own trace", async () => {
  await using place = await Place.open();
  const sessions = await Promise.all(["a", "b", "c"].map((id) => place.sessions.create({ id })));
  for (let round = 0; round < 5; round++) await Promise.all(sessions.map((session) => session.append({ input: "x" })));
  const spans = await place.spans();
  const commits = spans.filter(({ name }) => name === "perdure.store commit");
  for (const commit of commits) {
    const parent = spans.find((span) => span.spanContext().spanId === commit.parentSpanContext?.spanId);
    assert(parent !== undefined, "no commit stands alone");
    assert(spans.indexOf(commit) < spans.indexOf(parent), "none outlives its call");
  }
  assert.equal(
    new Set(spans.filter(({ name }) => name === "perdure append").map((s) => s.spanContext().traceId)).size,
    15,
  );
});

test("timers and the polls of the gauge emit no spans", async () => {
  await using place = await Place.open();
  await (await place.sessions.create({ id: "s" })).lease();
  const before = (await place.spans()).length;
  await place.values("perdure.sessions.live");
  assert.equal((await place.spans()).length, before);
});

test("an error is reported by its code, never by its message", async () => {
  const failing: Model = async function* () {
    yield { type: "text", text: "so far" };
    throw new Error("a secret reason");
  };
  await using place = await Place.open({ model: failing });
  const session = await place.sessions.create({ id: "s", agent: "ceo" });
  await assert.rejects((await session.consult("hello")).done);
  await assert.rejects(place.sessions.get("nobody"));
  const consultation = await place.span("invoke_agent ceo");
  assert.deepEqual(consultation.status, { code: SpanStatusCode.ERROR, message: "model_failed" });
  assert.equal(consultation.attributes["error.type"], "model_failed");
  assert.equal((await place.span("perdure get")).attributes["error.type"], "session_not_found");
  assert.deepEqual(await place.values("perdure.errors"), { model_failed: 1, session_not_found: 1 });
});

test("a tool is a span beneath the answer that called for it", async () => {
  const asking: Model = async function* ({ messages }) {
    if (messages.at(-1)?.role === "tool") yield { type: "text", text: "done" };
    else {
      const call = { id: "c1", type: "function", function: { name: "look", arguments: '{"where":"secret"}' } } as const;
      yield { type: "message", message: { role: "assistant", content: null, tool_calls: [call] } };
    }
  };
  await using place = await Place.open();
  const session = await place.sessions.create({ id: "s", agent: "ceo" });
  const look = { name: "look", description: "look", parameters: { type: "object" }, run: () => "a secret result" };
  await (
    await session.consult("look", { model: withTools(asking, [look], { session }) })
  ).done;
  const span = await place.span("execute_tool look");
  assert.deepEqual(span.attributes, {
    "gen_ai.operation.name": "execute_tool",
    "gen_ai.tool.name": "look",
    "gen_ai.tool.call.id": "c1",
    "gen_ai.tool.type": "function",
    "gen_ai.conversation.id": "s",
    "gen_ai.agent.name": "ceo",
    "perdure.tenant": "default",
  });
  assert.equal(parentOf(span, await place.spans()), "invoke_agent ceo");
});

test("a summary is a span beneath the answer that waits for it, and its tokens are counted beside those of turns", async () => {
  let isFailing = false;
  const usage = { inputTokens: 20, outputTokens: 5 };
  const summarizer = () =>
    isFailing
      ? Promise.reject(new Error("a secret failure"))
      : Promise.resolve({ text: "a secret summary", usage, model: "m-2" });
  await using place = await Place.open({ model, compaction: { atTokens: 1, keep: 1, summarizer } });
  const session = await place.sessions.create({ id: "s", agent: "ceo" });
  for (const input of ["one", "two", "three"]) await session.append({ input, output: "reply" });
  await (
    await session.consult("four")
  ).done;
  const span = await place.span("summarize ceo");
  assert.deepEqual(span.attributes, {
    "gen_ai.conversation.id": "s",
    "gen_ai.agent.name": "ceo",
    "perdure.tenant": "default",
    "perdure.summary.from": 1,
    "perdure.summary.to": 2,
    "perdure.summary.automatic": true,
    "gen_ai.response.model": "m-2",
    "gen_ai.usage.input_tokens": 20,
    "gen_ai.usage.output_tokens": 5,
    "perdure.usage.estimated": false,
  });
  assert.equal(parentOf(span, await place.spans()), "invoke_agent ceo");
  isFailing = true;
  await assert.rejects(session.summarize({ to: 4 }), /a secret failure/);
  assert.deepEqual(await place.values("perdure.summary.duration"), { "ceo m-2 true": 1, "ceo false Error": 1 });
  assert.deepEqual(await place.values("perdure.summary.tokens"), {
    "ceo m-2 false input": 20,
    "ceo m-2 false output": 5,
  });
  assert.deepEqual(await place.values("perdure.tokens"), { "ceo m-1 false input": 7, "ceo m-1 false output": 3 });
  assert(!(await place.everything()).includes("secret"));
});

test("a title is a span without its words, and its time and tokens are counted beside those of turns", async () => {
  const usage = { inputTokens: 20, outputTokens: 5 };
  const title = () => Promise.resolve({ text: "a secret title", usage, model: "m-2" });
  await using place = await Place.open({ titles: { title } });
  await (await place.sessions.create({ id: "s", agent: "ceo" })).append({ input: "one", output: "reply" });
  await place.sessions.close();
  assert.deepEqual((await place.span("title ceo")).attributes, {
    "gen_ai.conversation.id": "s",
    "gen_ai.agent.name": "ceo",
    "perdure.tenant": "default",
    "perdure.title.made": true,
    "gen_ai.response.model": "m-2",
    "gen_ai.usage.input_tokens": 20,
    "gen_ai.usage.output_tokens": 5,
    "perdure.usage.estimated": false,
  });
  assert.deepEqual(await place.values("perdure.title.duration"), { "ceo m-2 true": 1 });
  assert.deepEqual(await place.values("perdure.title.tokens"), {
    "ceo m-2 false input": 20,
    "ceo m-2 false output": 5,
  });
  assert(!(await place.everything()).includes("secret"));
});

test("turns, tokens, calls, batches, sweeps and events are counted, by agent and model", async () => {
  await using place = await Place.open({ model });
  const { sessions } = place;
  const session = await sessions.create({ id: "s", agent: "ceo" });
  await (
    await session.consult("hello")
  ).done;
  await (
    await session.consult("and?")
  ).done;
  await session.append({ input: "x", output: "y", status: "failed", durationMs: 1500 });
  await session.handOff("cfo");
  await session.endHandoff();
  await sweep(sessions);
  assert.deepEqual(await place.values("perdure.agent.active.duration"), { cfo: 1 });
  assert.deepEqual(await place.values("perdure.turns"), { "ceo m-1 done": 2, "ceo failed": 1 });
  assert.deepEqual(await place.values("perdure.turn.duration"), { "ceo m-1 done": 2, "ceo failed": 1 });
  assert.deepEqual(await place.values("perdure.tokens"), { "ceo m-1 false input": 14, "ceo m-1 false output": 6 });
  assert.equal((await place.values("perdure.operation.duration"))["append"], 1);
  assert.equal((await place.values("perdure.session.events"))["handed_off ceo"], 1);
  assert.equal((await place.values("perdure.sweep.lag"))[""], 1);
  assert((await place.values("perdure.commit.size"))[""]! >= 5);
  assert((await place.values("perdure.store.call.duration"))["commit"]! >= 5);
});

test("a conflict is counted once at the store and once at the caller, a fence once", async () => {
  await using place = await Place.open();
  const { sessions } = place;
  const mine = await sessions.create({ id: "s" });
  const theirs = await sessions.get("s");
  await theirs.append({ input: "theirs" });
  await assert.rejects(mine.append({ input: "mine" }), { code: "conflict" });
  await theirs.lease();
  await mine.breakLease();
  await assert.rejects(theirs.append({ input: "late" }), { code: "fenced" });
  assert.deepEqual(await place.values("perdure.errors"), { conflict: 1, fenced: 1 });
  assert((await place.values("perdure.commit.conflicts"))[""]! >= 1);
});

test("live sessions are counted by state and agent at the time of collection", async () => {
  await using place = await Place.open();
  const { sessions } = place;
  await sessions.create({ agent: "ceo" });
  await sessions.create({ agent: "ceo" });
  await (await sessions.create({ agent: "cfo" })).end();
  await sessions.create({ agent: "cto" });
  assert.deepEqual(await place.values("perdure.sessions.live"), { "active ceo": 2, "active cto": 1 });
});

test("the space of the disk is a gauge for an SQLite store, and absent for a store in memory", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-telemetry-"));
  t.after(() => rmSync(folder, { recursive: true }));
  await using onDisk = await Place.open({ store: `sqlite:${join(folder, "a.db")}` });
  const { blocks, bsize } = statfsSync(folder);
  assert.deepEqual(await onDisk.values("perdure.store.disk.size"), { "": blocks * bsize });
  assert.ok((await onDisk.values("perdure.store.disk.free"))[""]! >= 0);
  await using inMemory = await Place.open();
  assert.deepEqual(await inMemory.values("perdure.store.disk.size"), {});
});

const runtime = {
  async onMessage(session: LiveSession, message: unknown) {
    if (message === "throw") throw new Error("a secret");
    await session.append({ input: "a secret", output: "another" });
    return "done";
  },
} satisfies Runtime;

test("events of live sessions are counted; activations and messages are spans, each beneath its sender", async () => {
  await using place = await Place.open();
  await place.sessions.create({ id: "s", agent: "ceo" });
  const host = await startHost(place.sessions, { runtime });
  const tracer = trace.getTracer("mine");
  const send = async (name: string): Promise<void> =>
    await tracer.startActiveSpan(name, async (sender) => {
      await host.send("s", "hello");
      sender.end();
    });
  await Promise.all([send("first"), send("second")]);
  await assert.rejects(host.send("s", "throw"));
  await host.send("s", "hello again");
  await host.close();
  const spans = await place.spans();
  const pathOf = (span: ReadableSpan): string => {
    const parent = spans.find((other) => other.spanContext().spanId === span.parentSpanContext?.spanId);
    return parent === undefined ? span.name : `${pathOf(parent)} > ${span.name}`;
  };
  const paths = spans.map(pathOf);
  for (const path of [
    "first > perdure activate",
    "first > perdure message",
    "second > perdure message > perdure append",
  ])
    assert(paths.includes(path), `${path} is none of ${paths.join("; ")}`);
  const events = await place.values("perdure.host.events");
  assert.partialDeepStrictEqual(events, { "activated ceo": 1, "message ceo": 3, "crashed ceo": 1, "restarted ceo": 1 });
  assert.equal((await place.values("perdure.host.message.duration"))["ceo"], 3);
  assert((await place.values("perdure.host.mailbox.depth"))["ceo"]! >= 4);
});

test("session changes are counted by the events of their logs", async () => {
  const clock = scriptedClock();
  await using place = await Place.open({ clock });
  const { sessions } = place;
  await (await sessions.create({ id: "a", agent: "ceo" })).end();
  await sessions.create({ id: "b", agent: "ceo", ttl: "1h" });
  await clock.advance(2 * 3_600_000);
  await sweep(sessions);
  await sessions.ensure("b", { onExpired: "reset", agent: "ceo" });
  const counts = await place.values("perdure.session.events");
  assert.deepEqual(counts, {
    "created ceo": 2,
    "ended ceo": 1,
    "expired ceo": 1,
    "reset ceo": 1,
    "archived ceo": 1,
  });
});

test("no message text, device id, user or key is exported", async () => {
  await using place = await Place.open({ model });
  const { sessions } = place;
  const device = randomUUID();
  const session = await sessions.devices.open(device, { metadata: { note: "a secret" }, instructions: "a secret" });
  await (
    await session.consult("a secret question", { key: "secret-key" })
  ).done;
  await assert.rejects(session.append({ input: "another secret" }, { key: "secret-key" }), { code: "key_reused" });
  await session.handOff("cfo", { note: "a secret note" });
  await sessions.devices.claim(device, "user-secret");
  const { code } = await sessions.devices.linkCode(device);
  const { token } = await sessions.keys.create({ name: "secret" });
  await sessions.keys.verify(token);
  const exported = await place.everything();
  assert.match(exported, /keys\.verify/);
  for (const kept of ["secret", device, code, token]) assert(!exported.includes(kept), `${kept} was exported`);
});

test("after stop nothing is exported, and no channel has a subscriber", async () => {
  await using place = await Place.open();
  place.stop();
  await place.sessions.create();
  assert.deepEqual(await place.spans(), []);
  assert.deepEqual(await place.values("perdure.operation.duration"), {});
  for (const name of [
    "tracing:perdure:operation:start",
    "tracing:perdure:store:asyncEnd",
    "perdure:turn",
    "perdure:host",
  ])
    assert.equal(channel(name).hasSubscribers, false, name);
});
