/**
 * A graph of LangGraph whose threads are sessions: `npm install @langchain/langgraph @langchain/core`, then run this file twice. The
 * first run asks a person and ends; the second one, another process, gives the answer. The model is scripted, so it needs no key.
 */
import { AIMessage, HumanMessage } from "@langchain/core/messages";
import { Command, END, interrupt, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { openSessions } from "perdure";
import { perdureSaver } from "perdure/langgraph";

await using sessions = await openSessions("sqlite:langgraph.db");

const app = new StateGraph(MessagesAnnotation)
  .addNode("refund", () => {
    const isAllowed = interrupt<string, boolean>("Refund 40 euros?");
    return { messages: [new AIMessage(isAllowed ? "I have refunded 40 euros." : "I may not refund this.")] };
  })
  .addEdge(START, "refund")
  .addEdge("refund", END)
  .compile({ checkpointer: perdureSaver(sessions) });

const config = { configurable: { thread_id: "support-42" } };
const { tasks } = await app.getState(config);
if (tasks.length === 0) {
  await app.invoke({ messages: [new HumanMessage("My parcel is lost.")] }, config);
  console.log("The graph waits for a person. Run this file again.");
} else {
  console.log(tasks[0]?.interrupts[0]?.value);
  await app.invoke(new Command({ resume: true }), config);
}

// The conversation, as people and other frameworks read it.
const session = await sessions.get("support-42");
for await (const { status, input, output } of session.turns())
  console.log(`${status}:`, input[0]?.content, "→", output[0]?.content ?? "…");
