/** A process that chats, and is killed before one of its commits. Prints what it has acknowledged, a JSON object a line. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { convertToModelMessages, stepCountIs, streamText, tool, type UIMessage } from "ai";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { chats, type Chat } from "../../../src/adapters/ai.ts";
import { openSessions } from "../../../src/index.ts";
import { mortalStore } from "../mortal-store.ts";
import { call, scripted, words } from "./chat-client.ts";

const [url = "", task = "", commitsMax = "0"] = process.argv.slice(2);
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

const user = (id: string, text: string): object => ({ id, role: "user", parts: [{ type: "text", text }] });

/** The answer, once all of it is stored. */
async function answered(chat: Chat<UIMessage>, model: ReturnType<typeof scripted>): Promise<void> {
  const tools = { pay: tool({ inputSchema: z.object({}), needsApproval: true, execute: () => "paid" }) };
  const response = await chat.respond(async ({ messages, signal }) =>
    streamText({
      model,
      tools,
      messages: await convertToModelMessages(messages, { tools }),
      abortSignal: signal,
      stopWhen: stepCountIs(3),
      onError: () => undefined,
    }),
  );
  await response.text();
}

const store = await mortalStore(url, task === "chat" ? Number(commitsMax) : Infinity);
const sessions = await openSessions({ store, sweep: false });
const all = chats<UIMessage>(sessions);

if (task === "endless") {
  const chat = await all.open("c");
  await chat.add(user("u1", "Count"));
  let at = 0;
  const numbers = new ReadableStream<Record<string, string> & { type: string }>({
    start: (controller) => {
      controller.enqueue({ type: "start-step" });
      controller.enqueue({ type: "text-start", id: "t" });
    },
    pull: async (controller) => {
      await sleep(2);
      controller.enqueue({ type: "text-delta", id: "t", delta: `${++at} ` });
      say({ said: at });
    },
  });
  await (await chat.respond(() => numbers)).text();
}

const model = scripted([words("First."), words("Second."), call("pay", {}), words("Paid.")]);
const first = await all.open("c");
await first.add(user("u1", "Hi"));
say({ did: "asked" });
await answered(first, model);
say({ did: "answered" });
await first.regenerate();
await answered(first, model);
say({ did: "regenerated" });
const second = await all.open("c");
await second.add(user("u2", "Pay"));
await answered(second, model);
say({ did: "called" });
const third = await all.open("c");
const last = third.messages.at(-1)!;
const grown = {
  ...last,
  parts: last.parts.map((part) =>
    part.type === "tool-pay" && "approval" in part && part.approval !== undefined
      ? { ...part, state: "approval-responded", approval: { id: part.approval.id, approved: true } }
      : part,
  ),
};
await third.add(grown);
say({ did: "approved" });
await answered(third, model);
say({ did: "paid" });
await sessions.close();
say({ did: "closed" });
