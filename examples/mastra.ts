/**
 * An agent of Mastra whose memory outlives the process: `npm install @mastra/core @mastra/memory`, then run this file twice. The model is
 * scripted, so it needs no key; in an application the agent has a model such as `openai/gpt-5`.
 */
import { Agent } from "@mastra/core/agent";
import { InMemoryStore, MastraCompositeStore } from "@mastra/core/storage";
import { createMockModel } from "@mastra/core/test-utils/llm-mock";
import { Memory } from "@mastra/memory";
import { openSessions } from "perdure";
import { perdureMemory } from "perdure/mastra";

await using sessions = await openSessions("sqlite:mastra.db");
const domain = await perdureMemory(sessions);
// The other domains, such as workflows and traces, stay in the storage that the application has.
const storage = new MastraCompositeStore({ id: "main", default: new InMemoryStore(), domains: { memory: domain } });

const agent = new Agent({
  id: "support",
  name: "support",
  instructions: "You help with parcels.",
  model: createMockModel({ mockText: "It arrives today.", version: "v2" }) as never,
  memory: new Memory({ storage }),
});

const memory = { thread: "support-42", resource: "ada" };
console.log((await agent.generate("Where is my parcel?", { memory })).text);
const { total } = await domain.listMessages({ threadId: memory.thread });
console.log(`${total} messages in this thread`);
