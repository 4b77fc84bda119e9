import { createManager, openSessions } from "perdure";
import { openaiModel } from "perdure/openai";

await using sessions = await openSessions({
  store: "sqlite:perdure.db",
  model: openaiModel({ baseURL: process.env["OPENAI_BASE_URL"] ?? "http://127.0.0.1:11434/v1", model: "llama3.2" }),
  agents: {
    front: { instructions: "You greet and listen.", default: true },
    orders: { instructions: "You look after orders.", description: "Parcels and deliveries", keywords: ["parcel"] },
  },
});

const manager = createManager({
  sessions,
  tools: {
    orders: [
      {
        name: "find_order",
        description: "Where an order is",
        parameters: { type: "object", properties: { order: { type: "string" } }, required: ["order"] },
        run: ({ order }) => ({ order, place: "Ghent", arrives: "tomorrow" }),
      },
    ],
  },
});

const session = await sessions.ensure("visitor-7", { agent: "front" });
const answer = await manager.send(session, "My parcel is late. Order 7181.");
for await (const text of answer) process.stdout.write(text);
console.log(`\n${(await answer.done).agent} answered, ${(await session.activeAgent())?.agent} is the active agent`);
