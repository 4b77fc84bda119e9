/**
 * OpenAI's Agents SDK: sessions that its Runner reads and writes. A session that another framework began continues here, and
 * the other way round.
 *
 * @module perdure/openai-agents
 */
import { defined } from "../domain/values/defined.ts";
import { invalidArgument, parseFunction } from "../domain/values/invalid-argument.ts";
import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import { idFor, SessionError, Sessions, type EnsureOptions } from "../index.ts";
import { History } from "./openai-agents/history.ts";
import { OpenAiSession, type AgentCompact } from "./openai-agents/session.ts";
import type { AgentItem } from "./openai-agents/turn-items.ts";

export { OpenAiSession } from "./openai-agents/session.ts";
export type {
  AgentCompact,
  AgentCompaction,
  AgentHistoryMutation,
  AgentHistoryTransaction,
  AgentRunState,
  CompactionArguments,
  PauseOptions,
} from "./openai-agents/session.ts";
export type { AgentRunner } from "./openai-agents/durable-run.ts";
export type { AgentRunContext } from "./openai-agents/run-usage.ts";
export type { AgentItem } from "./openai-agents/turn-items.ts";

/** How a session is opened; the options of `ensure` shape a new one. */
export interface OpenAiSessionOptions<Item extends AgentItem = never> extends EnsureOptions {
  /**
   * The end of a run whose items no longer follow those that it has read: `fail` with `conflict`, or `append` them to what is
   * stored.
   * @default "fail"
   */
  readonly onConflict?: "fail" | "append";
  /**
   * Shortens the items, such as by `responses.compact`: the Runner calls it each time that it has stored a turn. What it gives takes
   * the place of all items in one commit; null leaves them as they are.
   * @default the items stay
   */
  readonly compact?: AgentCompact<Item>;
}

const optionNames: OptionNames<OpenAiSessionOptions> = {
  agent: true,
  user: true,
  title: true,
  labels: true,
  metadata: true,
  instructions: true,
  ttl: true,
  maxAge: true,
  budget: true,
  onExpired: true,
  onConflict: true,
  compact: true,
};
const onConflicts: readonly string[] = ["fail", "append"];

/**
 * The session with this id, as the Runner of the Agents SDK takes it; it is created where there is none. Another text than a
 * valid id stands for a hash of it. With the type of the items, `openaiSession<AgentInputItem>`, its methods have it too.
 * @throws SessionError `session_not_found` for the session of another user than `options.user`, `argument_invalid`, and as
 *   `sessions.ensure`
 */
export async function openaiSession<Item extends AgentItem = never>(
  sessions: Sessions,
  id: string,
  options: OpenAiSessionOptions<Item> = {},
): Promise<OpenAiSession<Item>> {
  if (!(sessions instanceof Sessions)) throw invalidArgument("sessions", sessions, { expected: "sessions" });
  guardNames(options, "options", optionNames);
  const { onConflict = "fail", compact, ...ensured } = options;
  if (compact !== undefined) parseFunction(compact, "compact");
  if (!onConflicts.includes(onConflict))
    throw invalidArgument("onConflict", onConflict, { expected: "one_of", known: onConflicts });
  const session = await sessions.ensure(idFor(id), ensured);
  const { user } = session.info;
  const problem = user === null ? ("no_user" as const) : undefined;
  if (options.user !== undefined && user !== options.user)
    throw new SessionError("session_not_found", { sessionId: session.id, ...defined({ problem }) });
  return new OpenAiSession(new History(session, onConflict), defined({ compact }));
}
