/**
 * The HTTP server with a model that answers at once, on the loopback, beside what the same message costs without HTTP:
 * `session.consult`, which is the store's two commits. On SQLite, in this process, with a client in the same process.
 */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { openSessions, type Model } from "../src/index.ts";
import { createServer, listen } from "../src/server/index.ts";
import { alternate, p50Of, type Bench, type Measure } from "./measure.ts";

const unlimited = { device: 1e9, newDevices: 1e9, key: 1e9 };
/** Requests are counted by device for a minute. */
const forgetMs = 62_000;
const message = "Shall we buy a second oven?";
const model: Model = async function* () {
  yield { type: "text", text: "Yes." };
};

export const bench: Bench = async (report) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  try {
    const store = `sqlite:${join(folder, "s.db")}`;
    const sessions = await openSessions({ store, model, secret: "for benches only, no secret", sweep: false });
    const listening = await listen(createServer({ sessions, rates: unlimited }), { port: 0 });
    const agent = new Agent({ keepAlive: true, maxSockets: 1000 });
    const chat = (device: string): Promise<string> => post(`${listening.url}/v1/chat`, device, agent);

    const device = randomUUID();
    const mine = randomUUID();
    await chat(device);
    const added = await alternate(9, {
      ours: () => p50Of(100, () => chat(device)),
      limit: () => p50Of(100, async () => (await (await sessions.devices.open(mine)).consult(message)).done),
    });
    report({
      name: "POST /v1/chat, instant model",
      unit: "µs",
      ours: added.ours,
      limit: added.limit,
      limitName: "device and consult without HTTP",
      value: (added.ours - added.limit) / 1000,
      valueUnit: "ms",
      bar: { atMost: 3 },
    });

    const devices = Array.from({ length: 1000 }, () => randomUUID());
    const started = performance.now();
    await Promise.all(devices.map(chat));
    const perSecond = (devices.length / (performance.now() - started)) * 1000;
    report({
      name: "1 000 devices at once, each its first message",
      unit: "turns/s",
      ours: perSecond,
      value: perSecond,
      valueUnit: "turns/s",
    });

    // A round first, so that what is built once is built.
    for (let round = 0; round < 3; round++) await rounds(chat, 1000);
    await sleep(forgetMs);
    const before = heapAfterCollection();
    await rounds(chat, 10_000);
    await sleep(forgetMs);
    const grown = heapAfterCollection() - before;
    report({
      name: "heap kept per device served, a minute after 10 000 devices",
      unit: "bytes",
      ours: grown / 10_000,
      value: grown / 10_000,
      valueUnit: "bytes",
      bar: { atMost: 100 },
    });
    agent.destroy();
    await listening.close();
    await sessions.close();
    report(await firstAnswer(store));
  } finally {
    rmSync(folder, { recursive: true });
  }
};

async function rounds(chat: (device: string) => Promise<string>, count: number): Promise<void> {
  for (let done = 0; done < count; done += 50) await Promise.all(Array.from({ length: 50 }, () => chat(randomUUID())));
}

function heapAfterCollection(): number {
  if (globalThis.gc === undefined) throw new Error("run with --expose-gc");
  for (let pass = 0; pass < 4; pass++) globalThis.gc();
  return process.memoryUsage().heapUsed;
}

/** Node's own client: `fetch` costs more than the server. */
function post(url: string, device: string, agent: Agent): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const outgoing = request(url, {
    method: "POST",
    agent,
    headers: { "content-type": "application/json", "x-device-id": device },
  });
  outgoing.on("error", reject);
  outgoing.on("response", (response) => {
    let text = "";
    response.on("data", (data: Buffer) => (text += data.toString()));
    response.on("end", () => {
      if (response.statusCode === 200) resolve(text);
      else reject(new Error(`${response.statusCode} ${text}`));
    });
  });
  outgoing.end(JSON.stringify({ message }));
  return promise;
}

/** From the start of the program to its first answer, beside a program of Node's that answers nothing but "ok". */
async function firstAnswer(store: string): Promise<Measure> {
  const main = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));
  const bare =
    'require("node:http").createServer((q,s)=>s.end("ok")).listen(0,"127.0.0.1",function(){console.error("http://127.0.0.1:"+this.address().port)})';
  const times = await alternate(7, {
    ours: () => startTime([main, "serve", "--port", "0", "--quiet", "--store", store]),
    limit: () => startTime(["-e", bare]),
  });
  return {
    name: "perdure serve: start until the first answer",
    unit: "ms",
    ours: times.ours,
    limit: times.limit,
    limitName: "Node's own server, nothing in it",
    value: times.ours,
    valueUnit: "ms",
    bar: { atMost: 400 },
  };
}

async function startTime(args: readonly string[]): Promise<number> {
  const started = performance.now();
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
  let output = "";
  let url: string | undefined;
  while (url === undefined) {
    output += String((await once(child.stderr, "data"))[0]);
    url = /http:\/\/[\d.]+:\d+/.exec(output)?.[0];
  }
  await fetch(`${url}/healthz`);
  const took = performance.now() - started;
  child.kill("SIGTERM");
  await once(child, "exit");
  return took;
}
