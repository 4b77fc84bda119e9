/** Snapshots of a conversation, as genkit saves them. */
import type { GenkitSnapshotInput } from "../../../src/adapters/genkit.ts";

/** The snapshot after so many turns; each turn adds a question and an answer. */
export function snapshotAt(sessionId: string, step: number): GenkitSnapshotInput {
  const messages = Array.from({ length: 2 * step }, (_, index) => ({
    role: index % 2 === 0 ? "user" : "model",
    content: [{ text: `${index} ${"x".repeat(200)}` }],
  }));
  return {
    sessionId,
    createdAt: new Date(1_700_000_000_000 + step * 1000).toISOString(),
    status: "completed",
    ...(step > 1 ? { parentId: `${sessionId}-${step - 1}` } : {}),
    state: { sessionId, messages, custom: { step }, artifacts: [{ name: "report", parts: [{ text: "done" }] }] },
  };
}
