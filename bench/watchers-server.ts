/** A server in a process of its own, whose memory is measured: Perdure's, or one of Node's that streams the same by hand. */
import { createServer as createNodeServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createServer, listen } from "../src/server/index.ts";
import { sessionsOn } from "../src/sessions/sessions.ts";
import { openMemory } from "../src/store/memory.ts";

/** Commands to the server; it answers each with a {@link Reply}. */
export type Command = "start perdure" | "start node" | "memory" | "send";

export interface Reply {
  readonly port?: number;
  /** The request that opens a stream. */
  readonly request?: string;
  /** Used heap with buffers, and resident memory, bytes. */
  readonly memory?: { readonly kept: number; readonly resident: number };
}

const text = "x".repeat(100_000);
let send: () => Promise<void> | void = () => undefined;

process.on("message", (command: Command) => void handle(command).then((reply) => process.send?.(reply)));
process.on("disconnect", () => process.exit());

async function handle(command: Command): Promise<Reply> {
  switch (command) {
    case "start perdure":
      return await startPerdure();
    case "start node":
      return await startNode();
    case "memory":
      return { memory: memory() };
    case "send":
      await send();
      return {};
  }
}

async function startPerdure(): Promise<Reply> {
  const sessions = sessionsOn(openMemory(), { sweep: false, secret: "for benches only, no secret" });
  const { token } = await sessions.keys.create({ name: "bench", right: "read", tenant: "default" });
  const session = await sessions.create({ id: "s" });
  await session.append({ input: "q" });
  send = async () => void (await session.append({ input: "q", output: text }));
  const rates = { device: 1e9, newDevices: 1e9, key: 1e9 };
  const { url } = await listen(createServer({ sessions, rates, streams: { session: 1e9 } }), { port: 0 });
  const head = `host: bench\r\nauthorization: Bearer ${token}\r\naccept: text/event-stream\r\n`;
  return { port: Number(new URL(url).port), request: `GET /v1/sessions/s/watch?after=1 HTTP/1.1\r\n${head}\r\n` };
}

async function startNode(): Promise<Reply> {
  const streams = new Set<ServerResponse>();
  const server = createNodeServer((_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    streams.add(response);
  });
  send = () => {
    const bytes = Buffer.from(`data: ${text}\n\n`);
    for (const stream of streams) stream.write(bytes);
  };
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { port, request: "GET / HTTP/1.1\r\nhost: bench\r\n\r\n" };
}

function memory(): NonNullable<Reply["memory"]> {
  for (let pass = 0; pass < 4; pass++) globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { kept: heapUsed + external, resident: rss };
}
