import { createInterface, type Interface } from "node:readline";
import { hasCode, type Session, SessionError } from "../index.ts";
import { consultOptions, noteTurn, openConversation, type ConversationOptions } from "./conversation.ts";
import { note } from "./output.ts";

const help = `A line is a question; end it with \\ to go on in the next line. Arrow keys bring back earlier ones.
Ctrl-C stops a running answer and keeps what came; at the prompt, twice, it leaves, as Ctrl-D does.
/help this text · /exit leave`;

/** `perdure chat`: a conversation at a prompt, or line by line from a pipe. */
export async function chat(agent: string, options: ConversationOptions): Promise<void> {
  const { sessions, session } = await openConversation(agent, options);
  await using _ = sessions;
  note(`session ${session.id} · /help for help`);
  const terminal = process.stdin.isTTY;
  // The prompt is for people: it must not end up in a pipe beside the answers.
  const lines = createInterface({ input: process.stdin, output: process.stderr, terminal, prompt: "> " });
  const chatting = new Chatting(session, lines, (question, signal) =>
    ask(session, question, { agent, options, signal }),
  );
  await chatting.run();
}

async function ask(
  session: Session,
  question: string,
  { agent, options, signal }: { agent: string; options: ConversationOptions; signal: AbortSignal },
): Promise<void> {
  await session.refresh();
  const answer = await session.consult(question, consultOptions(agent, options, signal));
  for await (const text of answer) process.stdout.write(text);
  process.stdout.write("\n");
  noteTurn(session, await answer.done);
}

type Ask = (question: string, signal: AbortSignal) => Promise<void>;

/** The prompt: idle, in the middle of a question, or listening to an answer. */
class Chatting {
  readonly #session: Session;
  readonly #lines: Interface;
  readonly #ask: Ask;
  #answering: AbortController | undefined;
  #interruptedAtPrompt = false;
  #question = "";

  constructor(session: Session, lines: Interface, ask: Ask) {
    this.#session = session;
    this.#lines = lines;
    this.#ask = ask;
    const onInterrupt = (): void => this.#onInterrupt();
    lines.on("SIGINT", onInterrupt);
    process.on("SIGINT", onInterrupt);
    lines.on("close", () => {
      process.removeListener("SIGINT", onInterrupt);
      // Left in the middle of an answer: it stops, and what came is kept.
      if (process.stdin.isTTY) this.#answering?.abort();
    });
  }

  async run(): Promise<void> {
    this.#prompt();
    for await (const line of this.#lines) {
      this.#interruptedAtPrompt = false;
      if (line.endsWith("\\")) {
        this.#question += `${line.slice(0, -1)}\n`;
        this.#prompt();
        continue;
      }
      const question = this.#question + line;
      this.#question = "";
      if (question.trim() === "/exit") break;
      if (question.trim() === "/help") note(help);
      else if (question.trim() !== "") await this.#answer(question);
      this.#prompt();
    }
    this.#lines.close();
  }

  #prompt(): void {
    if (!process.stdin.isTTY) return;
    this.#lines.setPrompt(this.#question === "" ? "> " : "… ");
    this.#lines.prompt();
  }

  async #answer(question: string): Promise<void> {
    this.#answering = new AbortController();
    try {
      await this.#ask(question, this.#answering.signal);
    } catch (error) {
      // One answer that failed is no reason to lose the conversation at a prompt; a script must hear of it.
      const stopped = hasCode(error, "interrupted");
      if (!process.stdin.isTTY && !stopped) throw error;
      process.stdout.write("\n");
      if (!(error instanceof SessionError)) throw error;
      note(stopped ? "stopped; what came is kept" : `perdure: ${error.message}`);
    } finally {
      this.#answering = undefined;
    }
  }

  #onInterrupt(): void {
    if (this.#answering !== undefined) {
      this.#answering.abort();
    } else if (this.#interruptedAtPrompt || !process.stdin.isTTY) {
      this.#lines.close();
    } else {
      this.#interruptedAtPrompt = true;
      this.#question = "";
      note(`\nCtrl-C again, Ctrl-D or /exit leaves; session ${this.#session.id} goes on whenever you want`);
      this.#prompt();
    }
  }
}
