/** A conversation that an export of Perdure wrote in another format: its metadata say what that format has no place for. */
import { isFields, type Fields } from "../../domain/turns/known-parts.ts";
import type { ReportedUsage } from "../../domain/turns/turn.ts";
import type { Value } from "../../domain/values/codec.ts";
import { defined } from "../../domain/values/defined.ts";
import type { Conversation } from "../../sessions/transfer/conversation.ts";
import { instantOf } from "./instants.ts";

/** True for a conversation that an export of Perdure wrote: it may have no messages. */
export function isExported(conversation: Fields): boolean {
  return exportedIn(conversation["metadata"]) !== undefined;
}

/** The conversation, with what an export wrote into its metadata in its own place. Those of other programs are as they were. */
export function asExported(conversation: Conversation): Conversation {
  const exported = exportedIn(conversation.metadata);
  if (exported === undefined || contradicts(conversation, exported)) return conversation;
  const { usage, metadata, ...about } = exported;
  return { ...conversation, ...about, metadata, ...defined({ facts: factsWith(conversation, usage) }) };
}

/** True for a conversation that says something else around its metadata: no export of Perdure does. */
function contradicts(conversation: Conversation, exported: Exported): boolean {
  return (["agent", "createdAt", "updatedAt"] as const).some(
    (name) => conversation[name] !== undefined && conversation[name] !== exported[name],
  );
}

interface Exported extends Required<Pick<Conversation, "agent" | "createdAt" | "updatedAt">> {
  readonly title?: string;
  readonly usage: ReportedUsage;
  /** The metadata of the session itself. */
  readonly metadata: Fields;
}

/** What an export says in the metadata; undefined for metadata of other programs. */
function exportedIn(given: Value | undefined): Exported | undefined {
  if (!isFields(given)) return undefined;
  const { title, agent, created_at: created, updated_at: updated, usage, ...metadata } = given;
  const [createdAt, updatedAt] = [instantOf(created), instantOf(updated)];
  if (typeof agent !== "string" || createdAt === undefined || updatedAt === undefined || !isFields(usage))
    return undefined;
  const { prompt_tokens: inputTokens, completion_tokens: outputTokens, total_tokens: totalTokens, ...others } = usage;
  if (Object.keys(others).length > 0 || (title !== undefined && typeof title !== "string")) return undefined;
  if (typeof inputTokens !== "number" || typeof outputTokens !== "number" || typeof totalTokens !== "number")
    return undefined;
  return {
    ...defined({ title: typeof title === "string" ? title : undefined }),
    agent,
    createdAt,
    updatedAt,
    usage: { inputTokens, outputTokens, totalTokens },
    metadata,
  };
}

/** The tokens of the whole conversation as those of its last answer, where no message says its own. */
function factsWith({ messages, facts = new Map() }: Conversation, usage: ReportedUsage): Conversation["facts"] {
  const last = messages.findLast(({ role }) => role === "assistant");
  const isKnown = [...facts.values()].some((one) => one.usage !== undefined);
  if (last === undefined || isKnown || usage.totalTokens === 0) return facts;
  return new Map([...facts, [last, { ...facts.get(last), usage }]]);
}
