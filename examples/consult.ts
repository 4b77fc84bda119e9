import { openSessions } from "perdure";
import { openaiModel } from "perdure/openai";

await using sessions = await openSessions({
  store: "sqlite:perdure.db",
  // Any OpenAI-compatible endpoint: OpenAI, Ollama, vLLM, LM Studio …
  model: openaiModel({ baseURL: process.env["OPENAI_BASE_URL"] ?? "http://127.0.0.1:11434/v1" }),
  agents: {
    ceo: { instructions: "You run a small bakery. Be brief.", model: "llama3.2", ttl: "7d" },
  },
});

const session = await sessions.ensure("board-meeting", { agent: "ceo" });
const answer = await session.consult("What did we decide about the second oven?", {
  window: { tokens: 4000 },
});
for await (const text of answer) process.stdout.write(text);

const turn = await answer.done;
console.log(`\nturn ${turn.seq}, ${turn.usage?.totalTokens} tokens, ${turn.durationMs} ms`);
