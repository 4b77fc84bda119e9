import { Option, type Command } from "commander";
import { printable } from "../../domain/values/format-value.ts";
import { hasCode, SessionError, type Session } from "../../index.ts";
import { examples } from "../program/command.ts";
import { lastSession, showLastTurn } from "./last-session.ts";
import {
  consultOptions,
  conversationCommand,
  endpointHelp,
  noteTurn,
  resumeConversation,
  sayAnswer,
  type ConversationOptions,
} from "./conversation.ts";
import { complain } from "../terminal/failure.ts";
import { note } from "../terminal/output.ts";
import { questionsOfPipe } from "../terminal/pipe.ts";
import { untilSignalled } from "../terminal/signals.ts";
import { Terminal } from "../terminal/terminal.ts";
import { counted } from "../../errors/counted.ts";

const help = `Each line is a question. End a line with \\ to continue in the next one; pasted lines stay together.
The arrow keys recall earlier questions, also of earlier runs.
Ctrl-C stops a running answer and keeps its text. Twice at an empty prompt, it leaves, like Ctrl-D and /exit.
/help  show this text
/exit  leave; the session is stored, and --session continues it`;

/** `perdure chat`: a conversation at a prompt, or line by line from a pipe. */
export function chatCommand(): Command {
  return conversationCommand("chat", "Talk to an agent at a prompt; Ctrl-C stops an answer and keeps its text")
    .argument("[agent]", "the agent that answers (default: with --session, the one that answers there)")
    .addOption(
      new Option(
        "-c, --continue",
        "continue the last active session without a user or a device, and show its last turn; with an agent, one of that agent",
      ).conflicts(["session", "instructions"]),
    )
    .option("--agent <name>", "hand the session off to this agent, which stays active")
    .addHelpText(
      "after",
      examples([
        "perdure chat ceo",
        "perdure chat -c",
        "perdure chat --session ceo_01m7…",
        "perdure chat --session ceo_01m7… --agent sales",
        "perdure chat ceo < questions.txt",
      ]) + `\nAt the prompt:\n${help.replaceAll(/^/gm, "  ")}\n${endpointHelp}`,
    )
    .action(chat);
}

interface ChatOptions extends ConversationOptions {
  readonly agent?: string;
  readonly continue?: true;
}

async function chat(agent: string | undefined, given: ChatOptions): Promise<void> {
  const options = given.continue === true ? { ...given, session: await lastSession(agent, given) } : given;
  if (process.stdin.isTTY)
    await untilSignalled((signal) => chatAtPrompt(agent, options, signal), ["SIGTERM", "SIGHUP"]);
  else
    await untilSignalled((signal) => chatThroughPipe(agent, options, signal), undefined, "before anything was asked");
}

/** The first failure ends the command, so that a script gets its exit code. */
async function chatThroughPipe(named: string | undefined, options: ChatOptions, signal: AbortSignal): Promise<void> {
  const { sessions, session, agent } = await resumeConversation(named, options);
  await using _ = sessions;
  if (options.continue === true) await showLastTurn(session);
  for await (const question of questionsOfPipe(signal)) {
    if (question.trim() === "/exit") return;
    if (question.trim() !== "") await ask(session, question, { agent, options, signal });
  }
}

/** At a prompt the conversation continues after a failed answer. */
async function chatAtPrompt(named: string | undefined, options: ChatOptions, signal: AbortSignal): Promise<void> {
  const { sessions, session, agent } = await resumeConversation(named, options);
  await using _ = sessions;
  const { turn } = session.info;
  note(`session ${session.id}${turn === 0 ? "" : `, ${counted(turn, "turn")} so far`} · /help shows the keys`);
  if (turn > 0) await showLastTurn(session);
  const terminal = new Terminal({
    history: await questionsSoFar(session),
    onFirstInterrupt: () => note("Ctrl-C again, Ctrl-D or /exit leaves; the session is stored"),
    signal,
  });
  try {
    for (let question = await terminal.next(); question !== undefined; question = await terminal.next()) {
      const asked = question;
      if (asked.trim() === "/exit") break;
      if (asked.trim() === "/help") note(help);
      else if (asked.trim() !== "") {
        await terminal.during(async (stop) => {
          try {
            await ask(session, asked, { agent, options, signal: stop });
          } catch (error) {
            if (hasCode(error, "interrupted")) note(`stopped; the text so far is stored as turn ${error.details.turn}`);
            else if (error instanceof SessionError) complain(error, { json: false });
            else if (!stop.aborted) throw error;
          }
        });
      }
    }
  } finally {
    terminal.close(); // an open prompt keeps the process alive
  }
}

/** The questions of the last turns, the newest first. */
async function questionsSoFar(session: Session): Promise<string[]> {
  const questions: string[] = [];
  for await (const { input } of session.turns({ last: 100 })) {
    for (const { role, content } of input) {
      // Devices write questions too, and the line editor sends their characters to the terminal.
      if (role === "user" && typeof content === "string" && !content.includes("\n")) questions.push(printable(content));
    }
  }
  return questions.toReversed();
}

async function ask(
  session: Session,
  question: string,
  { agent, options, signal }: { agent: string; options: ConversationOptions; signal: AbortSignal },
): Promise<void> {
  const before = session.info.turn;
  const { turn } = await session.refresh();
  if (turn > before) note(`another process added ${counted(turn - before, "turn")}`);
  const answer = await session.consult(question, consultOptions(agent, options, signal));
  noteTurn(session, await sayAnswer(answer));
}
