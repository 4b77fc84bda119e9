/** Messages of a thread, as Mastra stores them. */
import type { MastraDBMessage } from "@mastra/core/agent";

/** A message of a thread, that is as many seconds old as its number says. */
export function messageOf(
  id: string,
  {
    threadId = "t",
    resourceId = "ada",
    at = 0,
    text = "Hi",
  }: {
    readonly threadId?: string;
    readonly resourceId?: string;
    readonly at?: number;
    readonly text?: string;
  } = {},
): MastraDBMessage {
  const content = { format: 2 as const, parts: [{ type: "text" as const, text }] };
  const role = at % 2 === 0 ? "user" : "assistant";
  return { id, threadId, resourceId, role, type: "text", createdAt: new Date(1_700_000_000_000 + at * 1000), content };
}

/** A thread of a resource. */
export function threadOf(
  id: string,
  resourceId = "ada",
): {
  id: string;
  resourceId: string;
  title: string;
  createdAt: Date;
  updatedAt: Date;
} {
  const now = new Date(1_700_000_000_000);
  return { id, resourceId, title: `Thread ${id}`, createdAt: now, updatedAt: now };
}
