import { setTimeout as pause } from "node:timers/promises";
import type { Model } from "../../../src/index.ts";
/** A message as assistant-ui has it; its text is its id. */
export function messageOf(id: string, role: "user" | "assistant"): { readonly id: string } {
  const common = { id, role, createdAt: new Date(0), content: [{ type: "text", text: id }], metadata: { custom: {} } };
  if (role === "user") return { ...common, attachments: [] } as { id: string };
  return { ...common, status: { type: "complete", reason: "stop" } } as { id: string };
}

/** A model whose answers are stored in several commits. */
export const slow: Model = async function* ({ messages }) {
  yield { type: "text", text: "on " };
  await pause(300);
  yield { type: "text", text: String(messages.at(-1)?.content) };
};
