/** The client of `useChat` without a view, and a server that answers it with a scripted model. */
import { serve } from "@hono/node-server";
import {
  AbstractChat,
  convertToModelMessages,
  DefaultChatTransport,
  simulateReadableStream,
  stepCountIs,
  streamText,
  type ChatInit,
  type ChatState,
  type ChatStatus,
  type ToolSet,
  type UIMessage,
} from "ai";
import * as modelsOfTests from "ai/test";
import type { MockLanguageModelV4 } from "ai/test";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { chats, type Chats, type Question } from "../../../src/adapters/ai.ts";
import { hasCode, SessionError, type Sessions } from "../../../src/index.ts";

/** The state of a chat in memory. */
class PlainState implements ChatState<UIMessage> {
  status: ChatStatus = "ready";
  error: Error | undefined = undefined;
  messages: UIMessage[];
  constructor(messages: UIMessage[]) {
    this.messages = messages;
  }
  pushMessage = (message: UIMessage): void => void (this.messages = [...this.messages, message]);
  popMessage = (): void => void (this.messages = this.messages.slice(0, -1));
  replaceMessage = (index: number, message: UIMessage): void => {
    this.messages = this.messages.with(index, structuredClone(message));
  };
  snapshot = <T>(value: T): T => structuredClone(value);
}

/** `Chat` of `@ai-sdk/react`, whose state React watches, does the same. */
export class Client extends AbstractChat<UIMessage> {
  constructor({ messages = [], ...init }: ChatInit<UIMessage> & { messages?: UIMessage[] }) {
    super({ ...init, state: new PlainState(structuredClone(messages)) });
  }
}

export const usage = {
  inputTokens: { total: 3, noCache: 3, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 5, text: 5, reasoning: 0 },
};

/** Version 6 of the package has no models of the specification v4. */
const testing: object = modelsOfTests;
const MockLanguageModel = (
  "MockLanguageModelV4" in testing ? testing.MockLanguageModelV4 : Reflect.get(testing, "MockLanguageModelV3")
) as typeof MockLanguageModelV4;

type Part = Parameters<MockLanguageModelV4["doStream"]>[0] extends never ? never : object;

/** The parts of an answer in words. */
export function words(...pieces: readonly string[]): Part[] {
  return [
    { type: "stream-start", warnings: [] },
    { type: "response-metadata", id: "r", modelId: "scripted-1", timestamp: new Date(0) },
    { type: "text-start", id: "t" },
    ...pieces.map((delta) => ({ type: "text-delta", id: "t", delta })),
    { type: "text-end", id: "t" },
    { type: "finish", usage, finishReason: { unified: "stop", raw: "stop" } },
  ];
}

/** The parts of an answer that calls a tool. */
export function call(toolName: string, input: object, toolCallId = "call_1"): Part[] {
  return [
    { type: "stream-start", warnings: [] },
    { type: "tool-call", toolCallId, toolName, input: JSON.stringify(input) },
    { type: "finish", usage, finishReason: { unified: "tool-calls", raw: "tool-calls" } },
  ];
}

/** A model that gives these answers, one for each call; `gate` holds the parts behind the first word back. */
export function scripted(answers: readonly (readonly Part[] | ReadableStream)[]): MockLanguageModelV4 {
  let calls = 0;
  return new MockLanguageModel({
    doStream: async () => {
      const parts = answers[calls++];
      if (parts === undefined) throw new Error(`the script has no answer ${calls}`);
      const stream = parts instanceof ReadableStream ? parts : simulateReadableStream({ chunks: [...parts] });
      return { stream: stream as never };
    },
  });
}

/** A stream of parts that its test feeds. */
export function fed(): { readonly stream: ReadableStream; readonly feed: ReadableStreamDefaultController } {
  let feed: ReadableStreamDefaultController | undefined;
  const stream = new ReadableStream({ start: (controller) => void (feed = controller) });
  return { stream, feed: feed! };
}

export interface ChatServer extends AsyncDisposable {
  readonly api: string;
  readonly store: Chats<UIMessage>;
  /** A client of this chat. */
  client(id: string, init?: Partial<ChatInit<UIMessage>>): Client;
}

/** The five lines of a user, over HTTP. */
export async function chatServer(
  sessions: Sessions,
  {
    model,
    tools = {},
    body = {},
    answer,
  }: {
    readonly model: MockLanguageModelV4;
    readonly tools?: ToolSet;
    readonly body?: object;
    readonly answer?: (question: Question<UIMessage>) => Promise<never>;
  },
): Promise<ChatServer> {
  const store = chats<UIMessage>(sessions, { tools });
  const respond = async (request: Request): Promise<Response> => {
    const [, , , id, action] = new URL(request.url).pathname.split("/");
    const chatId = decodeURIComponent(id ?? "");
    if (action === "stream") return await store.resume(chatId);
    if (action === "stop") return Response.json(await store.stop(chatId));
    const chat = await store.receive(await request.json());
    return await chat.respond(
      answer ??
        (async ({ messages, signal }) =>
          streamText({
            model,
            tools,
            messages: await convertToModelMessages(messages, { tools }),
            abortSignal: signal,
            stopWhen: stepCountIs(5),
            onError: () => undefined,
          })),
    );
  };
  const fetch = async (request: Request): Promise<Response> => {
    try {
      return await respond(request);
    } catch (error) {
      if (!(error instanceof SessionError)) throw error;
      return new Response(`${error.code}: ${error.message}`, { status: error.status });
    }
  };
  const server = serve({ fetch, port: 0, hostname: "127.0.0.1" });
  await once(server, "listening");
  const api = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/chat`;
  return {
    api,
    store,
    client: (id, init = {}) => new Client({ id, transport: new DefaultChatTransport({ api, body }), ...init }),
    async [Symbol.asyncDispose]() {
      (server as unknown as { closeAllConnections(): void }).closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && (hasCode(error, code as never) || error.message.startsWith(`${code}:`));
}
