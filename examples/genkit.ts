/**
 * A chat of a genkit agent that outlives its process: `npm install genkit`, then run this file twice. The model is scripted, so it needs
 * no key; in an application the agent has a model such as `googleAI.model("gemini-2.5-flash")`.
 */
import { genkit } from "genkit/beta";
import { openSessions } from "perdure";
import { genkitStore } from "perdure/genkit";

await using sessions = await openSessions("sqlite:genkit.db");

const ai = genkit({});
const model = ai.defineModel({ name: "scripted" }, async ({ messages }) => {
  const questions = messages.filter(({ role }) => role === "user").length;
  const content = [{ text: `This is your question number ${questions}.` }];
  return { message: { role: "model", content }, finishReason: "stop" };
});
const agent = ai.defineAgent({ name: "support", model, store: genkitStore(sessions) });

const chat = agent.chat({ sessionId: "f1f6e0a8-6d3b-4b1c-9a54-0d9f0a7c2b11" });
console.log((await chat.send("Where is my parcel?")).text);
