/**
 * Sessions of the Claude Agent SDK in one store: `npm install @anthropic-ai/claude-agent-sdk`, then run this file twice. The lines
 * of the transcript are scripted, so it needs no key; in an application `query({ options: { sessionStore } })` appends them.
 */
import { forkSession, getSessionMessages, listSessions, renameSession } from "@anthropic-ai/claude-agent-sdk";
import { randomUUID } from "node:crypto";
import { openSessions } from "perdure";
import { claudeStore } from "perdure/claude";

await using sessions = await openSessions("sqlite:claude-store.db");
const sessionStore = claudeStore(sessions, { user: "ada" });
const sessionId = "7b1c7a3e-8f57-4c5a-9a52-4d2c0b6f1e11";

/** Claude Code appends such lines; each has the uuid of the line before. */
async function say(role: "user" | "assistant", content: string, parentUuid: string | null): Promise<string> {
  const uuid = randomUUID();
  const timestamp = new Date().toISOString();
  const key = { projectKey: process.cwd().replace(/[^a-zA-Z0-9]/g, "-"), sessionId };
  const line = { type: role, uuid, parentUuid, sessionId, timestamp, message: { role, content } };
  await sessionStore.append(key, [line]);
  return uuid;
}

const before = await getSessionMessages(sessionId, { sessionStore });
const asked = await say("user", "Where is my parcel?", before.at(-1)?.uuid ?? null);
await say("assistant", "It arrives today.", asked);
if (before.length === 0) await renameSession(sessionId, "A parcel", { sessionStore });

const messages = await getSessionMessages(sessionId, { sessionStore });
const title = (await listSessions({ dir: ".", sessionStore })).find((one) => one.sessionId === sessionId)?.customTitle;
console.log(`${messages.length} lines of ${title}`);
const fork = await forkSession(sessionId, { sessionStore });
console.log(`${(await getSessionMessages(fork.sessionId, { sessionStore })).length} lines in its fork`);
