/**
 * Sessions of Google's Agent Development Kit that outlive the process: `npm install @google/adk`, then run this file twice. The model is
 * scripted, so it needs no key; in an application the agent has a model such as `gemini-2.5-flash`.
 */
import { BaseLlm, LlmAgent, Runner, stringifyContent, type LlmRequest, type LlmResponse } from "@google/adk";
import { openSessions } from "perdure";
import { adkSessions } from "perdure/adk";

class ScriptedModel extends BaseLlm {
  constructor() {
    super({ model: "scripted" });
  }

  override async *generateContentAsync({ contents }: LlmRequest): AsyncGenerator<LlmResponse, void> {
    const questions = contents.filter(({ role }) => role === "user").length;
    yield { content: { role: "model", parts: [{ text: `This is your question number ${questions}.` }] } };
  }

  override connect(): never {
    throw new Error("the scripted model has no live connection");
  }
}

await using sessions = await openSessions("sqlite:adk.db");
const sessionService = adkSessions(sessions);
const key = { appName: "shop", userId: "ada", sessionId: "support-42" };
await sessionService.getOrCreateSession(key);

const agent = new LlmAgent({ name: "support", model: new ScriptedModel() });
const runner = new Runner({ appName: key.appName, agent, sessionService });
const newMessage = { role: "user", parts: [{ text: "Where is my parcel?" }] };
for await (const event of runner.runAsync({ ...key, newMessage })) console.log(stringifyContent(event));
