import { openSessions } from "perdure";

await using sessions = await openSessions("sqlite:perdure.db");

// The same id in the next process, or in a function on another day, is the same conversation.
const session = await sessions.ensure("support-42", { agent: "support", user: "ada" });
await session.append({
  input: "My parcel is late. Order 7181.",
  output: "It is in Ghent and arrives tomorrow.",
  usage: { inputTokens: 12, outputTokens: 11, totalTokens: 23 },
});

for await (const turn of session.turns({ last: 20 })) {
  console.log(turn.seq, turn.input[0]?.content, "→", turn.output[0]?.content);
}
console.log(`${session.info.counters.turns} turns, ${session.info.counters.totalTokens} tokens so far`);
