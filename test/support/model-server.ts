/** A local endpoint that speaks OpenAI's streaming protocol, with its failures, for tests. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

export interface ChatRequest {
  readonly model: string;
  readonly messages: readonly {
    readonly role: string;
    readonly content: string | null;
    readonly [key: string]: unknown;
  }[];
  readonly stream: boolean;
}

export type Reply =
  | {
      readonly kind: "answer";
      readonly texts: readonly string[];
      readonly delayMs?: number;
      readonly usage?: readonly [input: number, output: number];
      readonly toolCalls?: readonly (readonly unknown[])[];
    }
  | {
      readonly kind: "status";
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly message?: string;
    }
  /** The connection is cut after these texts, in the middle of a chunk. */
  | { readonly kind: "cut"; readonly texts: readonly string[] }
  /** Raw bytes of a stream, as they are; at once, or so many at a time. */
  | { readonly kind: "raw"; readonly body: string; readonly contentType?: string; readonly bytesAtOnce?: number }
  /** Nothing more after these texts. */
  | { readonly kind: "hang"; readonly texts: readonly string[] };

export interface ModelServer extends AsyncDisposable {
  readonly baseURL: string;
  /** Every request that came, in order. */
  readonly requests: ChatRequest[];
  /** Requests whose client went away before the end. */
  readonly abandoned: () => number;
}

/** Start one on a free port; `respond` chooses the reply to each request. */
export async function startModelServer(respond: (request: ChatRequest, index: number) => Reply): Promise<ModelServer> {
  const requests: ChatRequest[] = [];
  let abandoned = 0;
  const server: Server = createServer((incoming, outgoing) => {
    outgoing.on("close", () => {
      if (!outgoing.writableFinished) abandoned++;
    });
    void handle(incoming, outgoing).catch((error: unknown) => outgoing.destroy(error as Error));
  });
  async function handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const body = JSON.parse(await text(incoming)) as ChatRequest;
    requests.push(body);
    await send(outgoing, body, respond(body, requests.length - 1));
  }
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    baseURL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    requests,
    abandoned: () => abandoned,
    async [Symbol.asyncDispose]() {
      if (!server.listening) return;
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

async function text(incoming: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of incoming) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}

async function send(outgoing: ServerResponse, { model }: ChatRequest, reply: Reply): Promise<void> {
  if (reply.kind === "status") {
    outgoing.writeHead(reply.status, { "content-type": "application/json", ...reply.headers });
    outgoing.end(JSON.stringify({ error: { message: reply.message ?? `status ${reply.status}`, type: "test" } }));
    return;
  }
  outgoing.writeHead(200, {
    "content-type": reply.kind === "raw" ? (reply.contentType ?? "text/event-stream") : "text/event-stream",
  });
  if (reply.kind === "raw") {
    const bytes = Buffer.from(reply.body);
    const step = reply.bytesAtOnce ?? Math.max(bytes.length, 1);
    for (let start = 0; start < bytes.length && !outgoing.destroyed; start += step) {
      outgoing.write(bytes.subarray(start, start + step));
      await sleep(1);
    }
    outgoing.end();
    return;
  }
  const event = (fields: object): void => {
    outgoing.write(`data: ${JSON.stringify({ id: "c1", object: "chat.completion.chunk", model, ...fields })}\n\n`);
  };
  for (const content of reply.texts) {
    if (outgoing.destroyed) return;
    event({ choices: [{ index: 0, delta: { content }, finish_reason: null }] });
    await sleep(reply.kind === "answer" ? (reply.delayMs ?? 0) : 5);
  }
  if (reply.kind === "hang") return;
  if (reply.kind === "cut") {
    outgoing.write('data: {"id":"c1","choices":[{"index":0,"del');
    await sleep(5);
    outgoing.destroy();
    return;
  }
  for (const pieces of reply.toolCalls ?? [])
    event({ choices: [{ index: 0, delta: { tool_calls: pieces }, finish_reason: null }] });
  event({ choices: [{ index: 0, delta: {}, finish_reason: reply.toolCalls === undefined ? "stop" : "tool_calls" }] });
  if (reply.usage !== undefined) {
    const [input, output] = reply.usage;
    event({ choices: [], usage: { prompt_tokens: input, completion_tokens: output, total_tokens: input + output } });
  }
  outgoing.end("data: [DONE]\n\n");
}
