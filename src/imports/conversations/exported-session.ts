/** A conversation that an export of Perdure wrote in another format: its metadata say what that format has no place for. */
import { isFields } from "../../domain/turns/known-parts.ts";
import type { ReportedUsage } from "../../domain/turns/turn.ts";
import { defined } from "../../domain/values/defined.ts";
import type { Conversation } from "../../sessions/transfer/conversation.ts";
import { instantOf } from "./instants.ts";

/** The conversation, with what an export wrote into its metadata in its own place. Those of other programs are as they were. */
export function asExported(conversation: Conversation): Conversation {
  const { title, agent, created_at: created, updated_at: updated, usage, ...metadata } = conversation.metadata ?? {};
  const [createdAt, updatedAt] = [instantOf(created), instantOf(updated)];
  const isExported = typeof agent === "string" && createdAt !== undefined && updatedAt !== undefined;
  if (!isExported || !isFields(usage)) return conversation;
  const { prompt_tokens: inputTokens, completion_tokens: outputTokens, total_tokens: totalTokens } = usage;
  if (typeof inputTokens !== "number" || typeof outputTokens !== "number" || typeof totalTokens !== "number")
    return conversation;
  return {
    ...conversation,
    ...defined({ title: typeof title === "string" ? title : undefined }),
    agent,
    createdAt,
    updatedAt,
    metadata,
    ...defined({ facts: factsWith(conversation, { inputTokens, outputTokens, totalTokens }) }),
  };
}

/** The tokens of the whole conversation as those of its last answer, where no message says its own. */
function factsWith({ messages, facts = new Map() }: Conversation, usage: ReportedUsage): Conversation["facts"] {
  const last = messages.findLast(({ role }) => role === "assistant");
  const isKnown = [...facts.values()].some((one) => one.usage !== undefined);
  if (last === undefined || isKnown || usage.totalTokens === 0) return facts;
  return new Map([...facts, [last, { ...facts.get(last), usage }]]);
}
