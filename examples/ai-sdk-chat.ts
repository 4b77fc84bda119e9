/**
 * A chat of the AI SDK that outlives its clients and its server: `npm install ai zod`, then run this file twice. Its client is
 * that of `useChat` without a page, and its model is scripted, so it needs no key.
 */
import { AbstractChat, convertToModelMessages, DefaultChatTransport, streamText, type UIMessage } from "ai";
import { MockLanguageModelV4, simulateReadableStream } from "ai/test";
import { openSessions } from "perdure";
import { chats } from "perdure/ai";

await using sessions = await openSessions("sqlite:ai-sdk-chat.db");
const store = chats<UIMessage>(sessions);

/** The routes of an application: `POST /api/chat` and `GET /api/chat/[id]/stream`. */
async function routes(request: Request): Promise<Response> {
  const [, , , id = ""] = new URL(request.url).pathname.split("/");
  if (request.method === "GET") return await store.resume(decodeURIComponent(id));
  const chat = await store.receive(await request.json());
  return await chat.respond(async ({ messages, signal }) =>
    streamText({ model: model(), messages: await convertToModelMessages(messages), abortSignal: signal }),
  );
}

/** A model that counts the questions. */
function model(): MockLanguageModelV4 {
  const usage = {
    inputTokens: { total: 3, noCache: 3, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 5, text: 5, reasoning: 0 },
  };
  return new MockLanguageModelV4({
    doStream: async ({ prompt }) => {
      const asked = prompt.filter(({ role }) => role === "user").length;
      const words = ["This ", "is ", "question ", `${asked}.`];
      return {
        stream: simulateReadableStream({
          chunkDelayInMs: 20,
          chunks: [
            { type: "text-start", id: "1" },
            ...words.map((delta) => ({ type: "text-delta" as const, id: "1", delta })),
            { type: "text-end", id: "1" },
            { type: "finish", usage, finishReason: { unified: "stop", raw: "stop" } },
          ],
        }),
      };
    },
  });
}

/** A page: `useChat({ id, messages, transport, resume: true })`. */
class Page extends AbstractChat<UIMessage> {
  constructor(id: string, messages: UIMessage[]) {
    // The routes are called without a network here.
    const fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> =>
      await routes(new Request(new URL(url as string, "http://localhost"), init));
    super({
      id,
      transport: new DefaultChatTransport({ api: "/api/chat", fetch }),
      state: {
        status: "ready",
        error: undefined,
        messages,
        pushMessage(message) {
          this.messages = [...this.messages, message];
        },
        popMessage() {
          this.messages = this.messages.slice(0, -1);
        },
        replaceMessage(index, message) {
          this.messages = this.messages.with(index, message);
        },
        snapshot: structuredClone,
      },
    });
  }
}

const id = "chat-1";
const { messages } = await store.open(id);
const page = new Page(id, messages);
console.log(`${messages.length} messages so far`);

const sending = page.sendMessage({ text: "How many questions?" });
// The page is loaded again in the middle of the answer: it gets all of it.
while (page.status !== "streaming") await new Promise((resolve) => setTimeout(resolve, 1));
const again = new Page(id, (await store.open(id)).messages);
await again.resumeStream();
await sending;
for (const { role, parts } of again.messages.slice(-2))
  console.log(
    role,
    parts.filter(({ type }) => type === "text"),
  );
