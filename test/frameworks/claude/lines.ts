/** Lines of transcripts, as Claude Code writes them. */
import type { SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import { randomUUID } from "node:crypto";

/** A conversation in lines, each with the uuid of the line before. */
export function conversation(sessionId: string, texts: readonly string[]): SessionStoreEntry[] {
  let parentUuid: string | null = null;
  return texts.map((text, index) => {
    const uuid = randomUUID();
    const isUser = index % 2 === 0;
    const line = {
      type: isUser ? "user" : "assistant",
      uuid,
      parentUuid,
      sessionId,
      isSidechain: false,
      cwd: "/srv/shop",
      timestamp: new Date(1_700_000_000_000 + index * 1000).toISOString(),
      message: isUser
        ? { role: "user", content: text }
        : { role: "assistant", id: `msg_${index}`, type: "message", content: [{ type: "text", text }] },
    };
    parentUuid = uuid;
    return line;
  });
}
