/** What `/metrics` says of turns, models and the process. */
import assert from "node:assert/strict";
import { channel, type Channel } from "node:diagnostics_channel";
import { test } from "node:test";
import { SessionError, type Model } from "../../src/index.ts";
import { openMemory } from "../../src/store/memory.ts";
import { scriptedClock } from "../../src/testing/scripted-clock.ts";
import { serve, type Serving } from "./serving.ts";

/** The values of a metric, by the text of their labels. */
async function valuesOf(here: Serving, name: string): Promise<Record<string, number>> {
  const { text } = await here.call("GET", "/metrics");
  const lines = text.split("\n").filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  return Object.fromEntries(
    lines.map((line) => [line.slice(name.length, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
  );
}

const usage = { inputTokens: 60, outputTokens: 40, totalTokens: 100, cachedTokens: 25 };
const server = { openMetrics: true } as const;

test("metrics count turns, tokens, answers and errors by model", async () => {
  const model: Model = async function* model({ messages }) {
    yield { type: "model", model: "small" };
    if (messages.at(-1)?.content === "fail") throw new SessionError("model_refused", { reported: "no" });
    yield { type: "text", text: "Yes." };
    yield { type: "usage", usage };
  };
  await using here = serve({ model, server });
  const session = await here.sessions.create({ id: "s" });
  await (
    await session.consult("1", { key: "k" })
  ).done;
  await (
    await session.consult("1", { key: "k" })
  ).done;
  await session.append({ input: "2", output: "x", usage: { inputTokens: 5, outputTokens: 0, totalTokens: 5 } });
  await assert.rejects((await session.consult("fail")).done);
  assert.deepEqual(await valuesOf(here, "perdure_turns_total"), {
    '{status="done",model="small"}': 1,
    '{status="done",model="unknown"}': 1,
    '{status="failed",model="small"}': 1,
  });
  const tokens = await valuesOf(here, "perdure_tokens_total");
  assert.equal(tokens['{type="cached",model="small"}'], 25);
  assert.equal(tokens['{type="output",model="small"}'], 40);
  assert.equal(tokens['{type="input",model="unknown"}'], 5);
  assert.deepEqual(await valuesOf(here, "perdure_model_errors_total"), { '{code="model_refused",model="small"}': 1 });
  assert.equal(
    (await valuesOf(here, "perdure_model_answer_seconds_count"))['{model="small"}'],
    1,
    "neither the retry nor the failure",
  );
  assert.equal((await valuesOf(here, "perdure_model_first_text_seconds_count"))['{model="small"}'], 1);
});

test("the number of models with series of their own is bounded", async () => {
  await using here = serve({ server });
  const session = await here.sessions.create({ id: "s" });
  for (let n = 0; n < 60; n++) await session.append({ input: "hi", output: "x", model: `model ${n}` });
  const turns = await valuesOf(here, "perdure_turns_total");
  assert.equal(Object.keys(turns).length, 51);
  assert.equal(turns['{status="done",model="other"}'], 10);
});

test("metrics have the memory of the process, the lag of its event loop and its version", async () => {
  await using here = serve({ server: { ...server, version: "1.2.3" } });
  const [memory] = Object.values(await valuesOf(here, "process_resident_memory_bytes"));
  assert.ok((memory ?? 0) > 1e6);
  assert.deepEqual(await valuesOf(here, "perdure_build_info"), { [`{version="1.2.3",node="${process.version}"}`]: 1 });
  const before = await valuesOf(here, "nodejs_eventloop_lag_seconds");
  assert.deepEqual(Object.keys(before).toSorted(), ['{quantile="0.5"}', '{quantile="0.99"}', '{quantile="1"}']);
  // The timer that measures may have no turn before or after a blocked loop, so it is blocked until one is seen.
  const longest = async (): Promise<number> =>
    (await valuesOf(here, "nodejs_eventloop_lag_seconds"))['{quantile="1"}'] ?? 0;
  do {
    await new Promise((resolve) => setTimeout(resolve, 50));
    for (const end = performance.now() + 300; performance.now() < end;);
    await new Promise((resolve) => setTimeout(resolve, 50));
  } while ((await longest()) < 0.2);
});

test("metrics have the time that agents were active, so their mean is known", async () => {
  const clock = scriptedClock();
  await using here = serve({ store: openMemory({ clock }), clock, server });
  const session = await here.sessions.create({ id: "s" });
  await session.handOff("sales");
  await clock.advance(90_000);
  await session.handOff("billing");
  await clock.advance(30_000);
  await session.endHandoff();
  await session.handOff("sales");
  assert.deepEqual(await valuesOf(here, "perdure_active_agent_seconds_sum"), {
    '{agent="sales"}': 90,
    '{agent="billing"}': 30,
  });
  assert.deepEqual(await valuesOf(here, "perdure_active_agent_seconds_count"), {
    '{agent="sales"}': 1,
    '{agent="billing"}': 1,
  });
});

test("metrics count titles by their outcome, and their tokens", async () => {
  let answers = 0;
  const title = async (): Promise<{ text: string; usage: { inputTokens: number; outputTokens: number } }> => {
    if (++answers === 3) throw new Error("away");
    return { text: answers === 1 ? "A title" : "", usage: { inputTokens: 7, outputTokens: 2 } };
  };
  await using here = serve({ titles: { title }, server });
  for (let index = 1; index <= 3; index++) {
    const ended = once(channel("tracing:perdure:title:asyncEnd"));
    await (await here.sessions.create()).append({ input: "q", output: "a" });
    await ended;
  }
  assert.deepEqual(await valuesOf(here, "perdure_titles_total"), {
    '{outcome="done"}': 1,
    '{outcome="none"}': 1,
    '{outcome="failed"}': 1,
  });
  const tokens = await valuesOf(here, "perdure_title_tokens_total");
  assert.deepEqual(tokens, { '{type="input"}': 14, '{type="output"}': 4 });
});

/** Resolves with the next message of a channel. */
function once(of: Channel): Promise<void> {
  return new Promise((resolve) => {
    const hear = (): void => {
      of.unsubscribe(hear);
      resolve();
    };
    of.subscribe(hear);
  });
}
