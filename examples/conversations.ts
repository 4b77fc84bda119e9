/** A list of conversations with titles, pins and a link to share: `node examples/conversations.ts`, and again. No key is needed. */
import { openSessions, type Model } from "perdure";

/** A scripted model: it answers, and names a conversation by its first words. Use `openaiModel(…)` in its place. */
const model: Model = async function* ({ messages }) {
  const question = messages.at(-1)?.content;
  yield { type: "text", text: `You asked: ${typeof question === "string" ? question : "much"}` };
};

await using sessions = await openSessions({
  store: "sqlite:conversations.db",
  secret: "sixteen characters or more", // keep yours outside of the code
  model,
  titles: {
    title: async ({ messages: [first] }) =>
      typeof first?.content === "string" ? first.content.split(" ").slice(0, 4).join(" ") : "",
  },
});

const device = "0b9c8d5e-4c3f-4f0e-9a51-2f6f3f1d7a10"; // a browser makes and keeps its own
const mine = sessions.conversations({ device });

const chat = await mine.create();
const answer = await chat.consult("Which train goes to Oslo tomorrow morning?");
for await (const text of answer) process.stdout.write(text);
console.log();
while ((await chat.refresh()).title === null) await new Promise((resolve) => setTimeout(resolve, 50)); // made in the background
await mine.pin(chat.id);

console.log("Your conversations, pinned ones first:");
for await (const { title, turns, isPinned } of mine.each())
  console.log(`${isPinned ? "*" : " "} ${title ?? "untitled"} (${turns} turn)`);

const link = await sessions.share(chat.id, { ttl: "1h" });
const shared = await sessions.openShare(link.token); // in any process, until it expires
console.log(`Shared until ${link.expiresAt.toISOString()}: ${(await shared.info()).title}`);
await sessions.unshare(link.id);
