import {
  SessionError,
  type BusyPolicy,
  type ConsultOptions,
  type Session,
  type Sessions,
  type Turn,
} from "../index.ts";
import { readAgentsFile } from "./agents-file.ts";
import { modelOfEnvironment, openFor, type StoreOptions } from "./environment.ts";
import { note, span } from "./output.ts";

/** What `consult` and `chat` have in common. */
export interface ConversationOptions extends StoreOptions {
  readonly session?: string;
  readonly agents?: string;
  readonly instructions?: string;
  readonly model?: string;
  readonly window: number;
  readonly busy?: BusyPolicy;
}

/** Open the store and the session that the options name, or start one for the agent. */
export async function openConversation(
  agent: string,
  options: ConversationOptions,
): Promise<{ sessions: Sessions; session: Session }> {
  const agents = readAgentsFile(options.agents);
  if (agents !== undefined && !Object.hasOwn(agents, agent)) {
    throw new SessionError("agent_unknown", { agent, known: Object.keys(agents) });
  }
  const sessions = await openFor(options, { agents, model: modelOfEnvironment() });
  try {
    const { instructions } = options;
    const session =
      options.session === undefined
        ? await sessions.create({ agent, ...(instructions === undefined ? {} : { instructions }) })
        : await sessions.get(options.session);
    return { sessions, session };
  } catch (error) {
    await sessions.close();
    throw error;
  }
}

/** How a question of this conversation is asked. */
export function consultOptions(agent: string, options: ConversationOptions, signal: AbortSignal): ConsultOptions {
  const { window, model, busy } = options;
  return { agent, window, signal, ...(model === undefined ? {} : { model }), ...(busy === undefined ? {} : { busy }) };
}

/** The one line that follows an answer, for whoever watches. */
export function noteTurn(session: Session, turn: Turn): void {
  const { usage } = turn;
  const about = usage?.estimated === true ? "about " : "";
  const tokens = `${about}${usage?.totalTokens ?? 0} tokens (${usage?.inputTokens ?? 0} in, ${usage?.outputTokens ?? 0} out)`;
  note(`session ${session.id} · turn ${turn.seq} · ${tokens} · ${span(turn.durationMs ?? 0)}`);
}
