/** Several server processes on one PostgreSQL: chats continue while processes start, stop and are killed. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { serverOfFile } from "../postgres/of-file.ts";
import { InstanceProcess, type InstanceOptions } from "./instance-process.ts";
import { isThorough } from "../support/rounds.ts";
import { eventsOf } from "./serving.ts";

const postgres = await serverOfFile();

const start = (options: Partial<InstanceOptions> = {}): Promise<InstanceProcess> =>
  InstanceProcess.start({ store: postgres.url(), ...options });

interface Reply {
  readonly turn: {
    readonly seq: number;
    readonly status: string;
    readonly input: readonly { readonly content: string }[];
  };
  readonly text: string;
}

/** Send a message until it is answered, as a patient front end does: each try has the same key and goes to the next instance. */
async function say(urls: () => readonly string[], device: string, message: string): Promise<Reply> {
  const key = `${device} ${message}`;
  for (let attempt = 0; ; attempt++) {
    const all = urls();
    const url = all[attempt % all.length] ?? assert.fail("no instance");
    try {
      const response = await fetch(`${url}/v1/chat`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-device-id": device, "idempotency-key": key },
        body: JSON.stringify({ message }),
      });
      const body = (await response.json()) as Reply & { code?: string };
      if (response.ok) return body;
      // Busy with the try before, whose instance may have been killed: the next look finds its turn.
      const maySucceed = ["busy", "turn_open", "conflict", "interrupted", "store_unavailable", "closed"];
      assert(maySucceed.includes(body.code ?? ""), `${response.status} ${JSON.stringify(body)}`);
      if (body.code === "interrupted") return body;
    } catch (error) {
      // The instance was stopped: the next one.
      if (error instanceof assert.AssertionError) throw error;
    }
    await sleep(20 + Math.random() * 50);
  }
}

async function turnsOf(url: string, device: string): Promise<Reply["turn"][]> {
  const response = await fetch(`${url}/v1/chat/turns?last=100`, { headers: { "x-device-id": device } });
  return ((await response.json()) as { items: Reply["turn"][] }).items;
}

const messages = 5;
/** A quick run has a quarter of the devices. */
const deviceCount = isThorough ? 200 : 50;
const loadedCount = isThorough ? 24 : 20;

test(`${deviceCount} devices at once, five messages each, on two instances in turn: every conversation is complete and separate`, async () => {
  const instances = await Promise.all([start(), start()]);
  const urls = instances.map(({ url }) => url);
  try {
    const devices = Array.from({ length: deviceCount }, () => randomUUID());
    await Promise.all(
      devices.map(async (device) => {
        for (let index = 1; index <= messages; index++) {
          // The instances answer in turn.
          const turned = () => (index % 2 === 0 ? urls : urls.toReversed());
          const { text, turn } = await say(turned, device, `${device} ${index}`);
          assert.equal(turn.seq, index);
          assert.equal(text, `${index} ${device} ${index}`, "the model is shown all earlier messages");
        }
      }),
    );
    for (const device of devices.slice(0, 100)) {
      const inputs = (await turnsOf(urls[0] ?? "", device)).map(({ input }) => input[0]?.content);
      assert.deepEqual(
        inputs,
        Array.from({ length: messages }, (_, index) => `${device} ${index + 1}`),
      );
    }
  } finally {
    await Promise.all(instances.map((instance) => instance.stop("SIGTERM")));
  }
});

/** Read a stream of events until this has arrived, then leave it. */
async function untilSeen(url: string, headers: Readonly<Record<string, string>>, sign: string): Promise<void> {
  const left = new AbortController();
  const response = await fetch(url, { headers, signal: left.signal });
  const reader = (response.body ?? assert.fail()).pipeThrough(new TextDecoderStream()).getReader();
  let seen = "";
  while (!seen.includes(sign)) seen += (await reader.read()).value ?? assert.fail("it ended early");
  left.abort();
}

for (const [how, signal] of [
  ["killed and restarted again and again", "SIGKILL"],
  ["replaced one after another, in good order", "SIGTERM"],
] as const) {
  test(`servers ${how} under load lose no message and double none`, async () => {
    let instances = await Promise.all([start({ delayMs: 5 }), start({ delayMs: 5 })]);
    const urls = (): string[] => instances.map(({ url }) => url);
    const devices = Array.from({ length: loadedCount }, () => randomUUID());
    let running = true;
    const replacing = (async () => {
      for (let round = 0; running; round++) {
        await sleep(400);
        const fresh = await start({ delayMs: 5 });
        const [oldest, ...others] = instances;
        if (signal === "SIGKILL") await oldest?.stop(signal);
        instances = [...others, fresh];
        await oldest?.stop(signal);
      }
    })();
    try {
      const interrupted = new Map<string, number>();
      await Promise.all(
        devices.map(async (device) => {
          for (let index = 1; index <= 10; index++) {
            const { turn } = await say(urls, device, `${index}`);
            if (turn === undefined) interrupted.set(device, (interrupted.get(device) ?? 0) + 1);
          }
        }),
      );
      running = false;
      await replacing;
      for (const device of devices) {
        const turns = await turnsOf(urls()[0] ?? "", device);
        assert.deepEqual(
          turns.map(({ input }) => input[0]?.content),
          Array.from({ length: 10 }, (_, index) => `${index + 1}`),
          "each message is there once, in order",
        );
        const cut = turns.filter(({ status }) => status === "interrupted").length;
        assert.equal(
          cut,
          interrupted.get(device) ?? 0,
          "a client without a report of an interruption has a whole answer",
        );
        assert.equal(turns.filter(({ status }) => status === "done").length, 10 - cut);
        if (signal === "SIGTERM") assert.equal(cut, 0, "in good order, running answers come to their end");
      }
    } finally {
      running = false;
      await replacing.catch(() => undefined);
      await Promise.all(instances.map((instance) => instance.stop("SIGTERM")));
    }
  });
}

test("a stream whose instance is killed resumes at another one with the received text, and ends", async () => {
  const [doomed, other] = await Promise.all([start({ delayMs: 600_000 }), start()]);
  try {
    const device = randomUUID();
    const response = await fetch(`${doomed.url}/v1/chat`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-device-id": device, accept: "text/event-stream" },
      body: JSON.stringify({ message: "Hello" }),
    });
    const reader = (response.body ?? assert.fail()).pipeThrough(new TextDecoderStream()).getReader();
    let heard = "";
    while (!heard.includes("event: text")) heard += (await reader.read()).value ?? assert.fail("it ended early");
    const resumption = { "x-device-id": device, "last-event-id": "1-0" };
    await untilSeen(`${other.url}/v1/chat/stream`, resumption, "event: text");
    await doomed.stop("SIGKILL");
    await reader.cancel().catch(() => undefined);
    const resumed = await fetch(`${other.url}/v1/chat/stream`, {
      headers: resumption,
      signal: AbortSignal.timeout(120_000),
    });
    const events = eventsOf(await resumed.text());
    assert.equal(events[0]?.data["text"], "1", "the text before the kill");
    assert.equal(events.at(-1)?.data["code"], "interrupted", "the answer ends although its writer is no longer alive");
    const next = await say(() => [other.url], device, "Again");
    assert.equal(next.turn.seq, 2);
  } finally {
    await Promise.all([doomed.stop("SIGKILL"), other.stop("SIGTERM")]);
  }
});
