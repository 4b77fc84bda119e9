import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { SessionError } from "../index.ts";
import { chat } from "./chat.ts";
import { consult } from "./consult.ts";
import { exitCodeOf } from "./exit-code.ts";
import * as sessions from "./sessions.ts";

/** Run the command line; the exit code is left in `process.exitCode`. */
export async function main(args: readonly string[]): Promise<void> {
  quietExperimentalWarnings();
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    // A reader that has seen enough (`| head`) is no failure, and no reason to lose the rest of an answer.
    if (error.code !== "EPIPE") throw error;
  });
  try {
    await program().parseAsync(args, { from: "user" });
  } catch (error) {
    complain(error, args.includes("--json"));
    // An interrupt has said already what the process exits with.
    process.exitCode ||= exitCodeOf(error);
  }
}

/** Node 22 calls its SQLite experimental on stderr, which is not ours to say to users. */
function quietExperimentalWarnings(): void {
  const warn = process.emitWarning.bind(process) as (...args: unknown[]) => void;
  process.emitWarning = (...args: unknown[]): void => {
    if (!args.includes("ExperimentalWarning")) warn(...args);
  };
}

function complain(error: unknown, json: boolean): void {
  if (error instanceof CommanderError) return; // said by commander itself
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  const code = error instanceof SessionError ? error.code : "internal";
  if (json) {
    const details = error instanceof SessionError ? error.details : {};
    process.stderr.write(`${JSON.stringify({ error: { code, message, details } })}\n`);
  } else {
    process.stderr.write(`perdure: ${message} [${code}]\n`);
  }
  if (process.env["PERDURE_DEBUG"]) process.stderr.write(`${stack}\n`);
}

function program(): Command {
  const perdure = new Command("perdure")
    .description("Durable sessions for AI agents and LLM chats")
    .exitOverride()
    .showSuggestionAfterError()
    .addHelpText(
      "after",
      examples(["perdure consult ceo 'Shall we buy a second oven?'", "perdure chat ceo", "perdure sessions list"]),
    );
  perdure.addCommand(consultCommand());
  perdure.addCommand(chatCommand());
  perdure.addCommand(sessionsCommand());
  return perdure;
}

function examples(lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ ${line}`).join("\n")}\n`;
}

/** A command with the options that all share. */
function command(name: string, summary: string): Command {
  return new Command(name)
    .description(summary)
    .exitOverride()
    .option("--store <url>", "where sessions are kept (default: $PERDURE_STORE, $DATABASE_URL or sqlite:perdure.db)")
    .option("--tenant <name>", "the scope of all ids");
}

const jsonOption = ["--json", "one JSON object a line, for programs"] as const;

function conversation(name: string, summary: string): Command {
  return command(name, summary)
    .argument("<agent>", "who answers")
    .option("--session <id>", "go on with this session (default: start a new one)")
    .option("--agents <file>", "the known agents (default: perdure.agents.json, where it exists)")
    .option("--instructions <text>", "the startup context of a new session")
    .option("--model <name>", "the model to ask (default: the agent's, else $PERDURE_MODEL)")
    .option("--window <turns>", "how many past turns the model is shown", wholeNumber, 20)
    .addOption(
      new Option("--busy <policy>", "what to do where the session is answering already").choices([
        "reject",
        "queue",
        "interrupt",
        "take-over",
      ]),
    );
}

const environment = `
The model's endpoint is any that speaks OpenAI's API: set OPENAI_BASE_URL, OPENAI_API_KEY and PERDURE_MODEL.`;

function consultCommand(): Command {
  return conversation("consult", "Ask one question, with the session's memory; the answer streams to stdout")
    .argument("<question>", "what to ask")
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure consult ceo 'Shall we buy a second oven?'",
        "perdure consult ceo 'And a third?' --session ceo_01m7xjt6y3j1fvq2vg32v9j0fg",
        "perdure consult ceo 'Shorter, please' --session ceo_01m7… --window 2 --json | jq -r .answer",
      ]) + environment,
    )
    .action(consult);
}

function chatCommand(): Command {
  return conversation("chat", "Talk to an agent at a prompt; Ctrl-C stops an answer and keeps what came")
    .addHelpText(
      "after",
      examples(["perdure chat ceo", "perdure chat ceo --session ceo_01m7…", "perdure chat ceo < questions.txt"]) +
        environment,
    )
    .action(chat);
}

function sessionsCommand(): Command {
  const group = new Command("sessions")
    .description("Look after sessions")
    .exitOverride()
    .addHelpText("after", examples(["perdure sessions list --state active", "perdure sessions show ceo_01m7…"]));
  group.addCommand(
    command("list", "The sessions, the most recently active first")
      .option("--agent <name>", "only this agent's")
      .option("--user <id>", "only this user's")
      .addOption(
        new Option("--state <state>", "only in this state").choices([
          "active",
          "inactive",
          "expired",
          "ended",
          "archived",
        ]),
      )
      .option("--since <instant>", "active at or after, such as 2026-11-20 or 2026-11-20T18:00", instant)
      .option("--before <instant>", "active before", instant)
      .option("--limit <n>", "how many", wholeNumber, 50)
      .option("--after <cursor>", "go on behind the last page")
      .option(...jsonOption)
      .addHelpText(
        "after",
        examples(["perdure sessions list --agent ceo --since 2026-11-01", "perdure sessions list --json | jq -r .id"]),
      )
      .action(sessions.list),
  );
  group.addCommand(
    command("show", "One session: its counters, its deadlines, who holds it, its last turns")
      .argument("<id>")
      .option("--turns <n>", "how many turns", wholeNumber, 5)
      .option(...jsonOption)
      .addHelpText(
        "after",
        examples(["perdure sessions show ceo_01m7…", "perdure sessions show ceo_01m7… --turns 100 --json"]),
      )
      .action(sessions.show),
  );
  const one = (name: string, summary: string, action: (id: string, options: object) => Promise<void>): Command =>
    command(name, summary)
      .argument("<id>")
      .option(...jsonOption)
      .addHelpText("after", examples([`perdure sessions ${name} ceo_01m7…`]))
      .action(action);
  group.addCommand(one("end", "End a session for good; it stays readable", sessions.end));
  group.addCommand(one("remove", "Remove a session with everything in it", sessions.remove));
  group.addCommand(one("unlock", "Break the lease on a session, whoever holds it", sessions.unlock));
  group.addCommand(
    command("sweep", "Mark what has expired and, past a retention time, remove it; for cron")
      .option(
        "--retention <duration>",
        "remove sessions that long after they expired or ended, such as 30d (default: never)",
      )
      .option(...jsonOption)
      .addHelpText("after", examples(["perdure sessions sweep", "perdure sessions sweep --retention 90d --json"]))
      .action(sessions.sweep),
  );
  return group;
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new InvalidArgumentError("Expected a whole number, 0 or more.");
}

function instant(text: string): Date {
  const date = new Date(text);
  if (!Number.isNaN(date.getTime())) return date;
  throw new InvalidArgumentError("Expected a date such as 2026-11-20 or 2026-11-20T18:00.");
}

if (import.meta.main) await main(process.argv.slice(2));
