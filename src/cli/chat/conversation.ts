/** The parts that `consult` and `chat` share. */
import { Option, type Command } from "commander";
import {
  SessionError,
  type Answer,
  type BusyPolicy,
  type ConsultOptions,
  type EnsureOptions,
  type Session,
  type Sessions,
  type Turn,
} from "../../index.ts";
import { isKnown } from "../../domain/turns/agent-choice.ts";
import { printable, printableLines } from "../../domain/values/format-value.ts";
import { defined } from "../../domain/values/defined.ts";
import { readAgentsFile } from "../program/agents-file.ts";
import { storeCommand } from "../program/command.ts";
import { settingsOf, windowOf, withModelOptions, type ModelOptions } from "../program/model-options.ts";
import {
  handoffTtlOfEnvironment,
  modelOfEnvironment,
  openExisting,
  openFor,
  type StoreOptions,
} from "../program/environment.ts";
import { CliError } from "../terminal/cli-error.ts";
import { note, span } from "../terminal/output.ts";
import { counted } from "../../errors/counted.ts";

export interface ConversationOptions extends StoreOptions, ModelOptions {
  readonly session?: string;
  readonly onExpired: NonNullable<EnsureOptions["onExpired"]>;
  readonly agents?: string;
  readonly instructions?: string;
  readonly model?: string;
  readonly busy: BusyPolicy;
}

export function conversationCommand(name: string, summary: string): Command {
  const command = storeCommand(name, summary)
    .option("--session <id>", "continue this session (default: create a new one)")
    .addOption(
      new Option("--on-expired <policy>", "what to do if that session has expired")
        .choices(["fail", "revive", "reset"])
        .default("revive"),
    )
    .option("--agents <file>", "the file of the agents (default: perdure.agents.json, if it exists)")
    .addOption(
      new Option("--instructions <text>", "the instructions of a new session (default: the agent's)").conflicts(
        "session",
      ),
    )
    .option("--model <name>", "the model to ask (default: the agent's, else $PERDURE_MODEL)")
    .addOption(
      new Option("--busy <policy>", "what to do if the session is already answering")
        .choices(["reject", "queue", "interrupt", "take-over"])
        .default("reject"),
    );
  return withModelOptions(command);
}

export const endpointHelp = `
Use any model endpoint with OpenAI's API: set OPENAI_BASE_URL (such as http://127.0.0.1:11434/v1),
OPENAI_API_KEY, or both, and PERDURE_MODEL.
`;

/** Open the store and the session that the options name, or create one for the agent. */
async function openConversation(
  agent: string,
  options: ConversationOptions,
): Promise<{ sessions: Sessions; session: Session }> {
  const agents = readAgentsFile(options.agents);
  if (agents !== undefined && !Object.hasOwn(agents, agent)) {
    throw new SessionError("agent_unknown", { agent, known: Object.keys(agents) });
  }
  const model = modelOfEnvironment(options.model ?? agents?.[agent]?.model);
  // A session that is to continue is in a store that exists.
  const open = options.session === undefined ? openFor : openExisting;
  const sessions = await open(options, { agents, model, handoffTtl: handoffTtlOfEnvironment() });
  try {
    return { sessions, session: await openSession(sessions, agent, options) };
  } catch (error) {
    await sessions.close();
    throw error;
  }
}

async function openSession(
  sessions: Sessions,
  agent: string,
  { session: id, instructions, onExpired }: ConversationOptions,
): Promise<Session> {
  if (id === undefined) return await sessions.create({ agent, ...defined({ instructions }) });
  // A mistyped id fails here, and creates no session.
  const session = await sessions.get(id);
  if (onExpired === "fail" || session.info.state !== "expired") return session;
  const own = session.info.agent;
  return await sessions.ensure(id, { agent: isKnown(own, sessions.agents) ? own : agent, onExpired });
}

/**
 * Open the store and the session, and make the agent of `--agent` the active one.
 * @throws CliError without an agent for a new session; SessionError `agent_unknown` where the agent of the session is not configured
 */
export async function resumeConversation(
  named: string | undefined,
  options: ConversationOptions & { readonly agent?: string },
): Promise<{ sessions: Sessions; session: Session; agent: string }> {
  const { agent: next, session: id } = options;
  if (named !== undefined && next !== undefined)
    throw new CliError("usage", "the agent is named twice; name it as an argument, or with --agent to hand off to it");
  const asked = named ?? next;
  if (asked !== undefined) {
    const opened = await openConversation(asked, options);
    const { agent } = opened.session.info;
    const answers = (await opened.session.activeAgent())?.agent ?? agent;
    if (next !== undefined && answers !== next) await opened.session.handOff(next);
    return { ...opened, agent: asked };
  }
  if (id === undefined) throw new CliError("usage", "name the agent of a new session, such as: perdure chat ceo");
  const agents = readAgentsFile(options.agents);
  const [model, handoffTtl] = [modelOfEnvironment(options.model), handoffTtlOfEnvironment()];
  const sessions = await openExisting(options, { agents, model, handoffTtl });
  try {
    const session = await sessions.get(id);
    const agent = (await session.activeAgent())?.agent ?? session.info.agent;
    if (!isKnown(agent, sessions.agents))
      throw new SessionError("agent_unknown", { agent, known: Object.keys(agents ?? {}) });
    return { sessions, session: await openSession(sessions, agent, options), agent };
  } catch (error) {
    await sessions.close();
    throw error;
  }
}

/** The options of each question in this conversation. */
export function consultOptions(agent: string, options: ConversationOptions, signal: AbortSignal): ConsultOptions {
  const { model, busy } = options;
  const [settings, window] = [settingsOf(options), windowOf(options)];
  return { agent, busy, signal, ...defined({ model, settings, window }) };
}

/** Print an answer as it streams, and end its last line, also after an error. */
export async function sayAnswer(answer: Answer): Promise<Turn> {
  let last = "\n";
  const write = (text: string): void => {
    if (text !== "") last = text;
    process.stdout.write(process.stdout.isTTY ? printableLines(text) : text);
  };
  let held = "";
  try {
    for await (const text of answer) {
      const whole = held + text;
      // The first half of a character or of a line break is printed with its second half.
      held = /[\r\ud800-\udbff]$/.exec(whole)?.[0] ?? "";
      write(whole.slice(0, whole.length - held.length));
    }
  } finally {
    write(held);
    if (!last.endsWith("\n")) process.stdout.write("\n");
  }
  return await answer.done;
}

/** Print the line that follows an answer on stderr. */
export function noteTurn(session: Session, turn: Turn): void {
  const { usage, seq, durationMs = 0 } = turn;
  const about = usage?.estimated === true ? "about " : "";
  const tokens = `${about}${counted(usage?.totalTokens ?? 0, "token")} (${usage?.inputTokens ?? 0} in, ${usage?.outputTokens ?? 0} out)`;
  const calls = turn.output.flatMap((message) => message.tool_calls ?? []).map((call) => call.function.name);
  const asks = calls.length === 0 ? "" : ` · calls ${calls.map(printable).join(", ")}`;
  const { finish } = turn;
  const isCut = finish !== undefined && !["stop", "tool_calls"].includes(finish);
  const end = isCut ? ` · ended by ${printable(finish)}` : "";
  note(`session ${session.id} · turn ${seq} · ${tokens} · ${span(durationMs)}${asks}${end}`);
}
