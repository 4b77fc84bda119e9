import { backupCommand } from "./backup.ts";
import { chatCommand } from "./chat.ts";
import { bareCommand, examples } from "./command.ts";
import { consultCommand } from "./consult.ts";
import { copyCommand } from "./copy.ts";
import { doctorCommand } from "./doctor.ts";
import { eventsCommand } from "./events.ts";
import { exportCommand } from "./export.ts";
import { complain, exitCodeOf } from "./failure.ts";
import { hostCommand } from "./host.ts";
import { importCommand } from "./import.ts";
import { keysCommand } from "./keys.ts";
import { migrateCommand } from "./migrate.ts";
import { restoreAllCommand } from "./restore-all.ts";
import { restoreCommand } from "./restore.ts";
import { saveCommand } from "./save.ts";
import { savedCommand } from "./saved.ts";
import { serveCommand } from "./serve.ts";
import { sessionsCommand } from "./sessions.ts";
import { statsCommand } from "./stats.ts";
import { version } from "./version.ts";

/** Run the command line; the exit code is left in `process.exitCode`. */
export async function main(args: readonly string[]): Promise<void> {
  quietExperimentalWarnings();
  for (const stream of [process.stdout, process.stderr]) stream.on("error", forgiveGoneReader);
  try {
    const perdure = bareCommand("perdure", "Durable sessions for AI agents and LLM chats")
      .version(version(), "--version", "show the version")
      .addHelpText(
        "after",
        examples(["perdure consult ceo 'Shall we buy a second oven?'", "perdure chat ceo", "perdure sessions list"]) +
          "\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 conflict or busy, 5 a newer schema.\n",
      );
    for (const command of [
      consultCommand(),
      chatCommand(),
      sessionsCommand(),
      statsCommand(),
      doctorCommand(),
      saveCommand(),
      restoreCommand(),
      savedCommand(),
      exportCommand(),
      importCommand(),
      copyCommand(),
      backupCommand(),
      restoreAllCommand(),
      eventsCommand(),
      serveCommand(),
      hostCommand(),
      keysCommand(),
      migrateCommand(),
    ])
      perdure.addCommand(command);
    await perdure.parseAsync(args, { from: "user" });
  } catch (error) {
    complain(error, { json: args.includes("--json") });
    // A signal has said already what the process exits with.
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

/** A reader that has seen enough (`| head`) or a terminal that is gone is no failure, and no reason to lose an answer. */
function forgiveGoneReader(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE" && error.code !== "EIO") throw error;
}

if (import.meta.main) await main(process.argv.slice(2));
