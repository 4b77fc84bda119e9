import type { Command } from "commander";
import { bareCommand, examples } from "./program/command.ts";
import { keepCompiled } from "./terminal/compile-cache.ts";
import { complain, exitCodeOf } from "./terminal/failure.ts";
import { isClosedReader, note } from "./terminal/output.ts";
import { version } from "../files/version.ts";
import { warnOfVisibleSecrets } from "./program/visible-secrets.ts";

/** The commands by name, in the order of the help. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  consult: async () => (await import("./chat/consult.ts")).consultCommand(),
  chat: async () => (await import("./chat/chat.ts")).chatCommand(),
  sessions: async () => (await import("./sessions/sessions.ts")).sessionsCommand(),
  search: async () => (await import("./sessions/search.ts")).searchCommand(),
  share: async () => (await import("./sessions/conversations/share.ts")).shareCommand(),
  shares: async () => (await import("./sessions/conversations/share.ts")).sharesCommand(),
  unshare: async () => (await import("./sessions/conversations/share.ts")).unshareCommand(),
  logs: async () => (await import("./sessions/logs.ts")).logsCommand(),
  write: async () => (await import("./sessions/write.ts")).writeCommand(),
  documents: async () => (await import("./documents/documents.ts")).documentsCommand(),
  attachments: async () => (await import("./documents/attachments.ts")).attachmentsCommand(),
  streams: async () => (await import("./streams/streams.ts")).streamsCommand(),
  stats: async () => (await import("./operate/stats.ts")).statsCommand(),
  doctor: async () => (await import("./operate/doctor.ts")).doctorCommand(),
  snapshot: async () => (await import("./transfer/snapshot.ts")).snapshotCommand(),
  export: async () => (await import("./transfer/export.ts")).exportCommand(),
  import: async () => (await import("./transfer/import.ts")).importCommand(),
  copy: async () => (await import("./transfer/copy.ts")).copyCommand(),
  backup: async () => (await import("./transfer/backup.ts")).backupCommand(),
  events: async () => (await import("./operate/events.ts")).eventsCommand(),
  news: async () => (await import("./operate/news.ts")).newsCommand(),
  serve: async () => (await import("./serve/serve.ts")).serveCommand(),
  studio: async () => (await import("./serve/studio.ts")).studioCommand(),
  mcp: async () => (await import("./serve/mcp.ts")).mcpCommand(),
  host: async () => (await import("./serve/host.ts")).hostCommand(),
  keys: async () => (await import("./operate/keys.ts")).keysCommand(),
  secret: async () => (await import("./operate/secret.ts")).secretCommand(),
  erase: async () => (await import("./operate/erase.ts")).eraseCommand(),
  compact: async () => (await import("./operate/compact.ts")).compactCommand(),
  migrate: async () => (await import("./operate/migrate.ts")).migrateCommand(),
};

/** Run the command line, and set `process.exitCode`. */
export async function main(args: readonly string[]): Promise<void> {
  keepCompiled();
  quietExperimentalWarnings();
  for (const stream of [process.stdout, process.stderr]) stream.on("error", ignoreClosedReader);
  process.stdout.on("error", reportFullDisk);
  try {
    const perdure = bareCommand("perdure", "Durable sessions for AI agents and LLM chats")
      .version(version(), "--version", "show the version")
      .addHelpText(
        "after",
        examples(["perdure consult ceo 'Shall we buy a second oven?'", "perdure chat ceo", "perdure sessions list"]) +
          "\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 conflict or busy, 5 newer schema.\n",
      );
    warnOfVisibleSecrets(args);
    for (const command of await commandsFor(args)) perdure.addCommand(command);
    await perdure.parseAsync(args, { from: "user" });
  } catch (error) {
    complain(error, { json: args.includes("--json") });
    // A signal has already set the exit code of the process.
    process.exitCode ||= exitCodeOf(error);
  }
}

/** The named command, without loading the others; all commands for the help and for an unknown name. */
export async function commandsFor([name = ""]: readonly string[]): Promise<Command[]> {
  const named = Object.hasOwn(commands, name) ? commands[name] : undefined;
  return await Promise.all((named === undefined ? Object.values(commands) : [named]).map((load) => load()));
}

/** Suppress the warning of Node 22 on stderr that its SQLite is experimental. */
function quietExperimentalWarnings(): void {
  const warn = process.emitWarning.bind(process) as (...args: unknown[]) => void;
  process.emitWarning = (...args: unknown[]): void => {
    if (!args.includes("ExperimentalWarning")) warn(...args);
  };
}

/** A closed pipe (`| head`) or terminal is not a failure: the command continues and stores the answer. */
function ignoreClosedReader(error: NodeJS.ErrnoException): void {
  if (!isClosedReader(error)) process.exitCode ||= 1;
}

/** Stdout may be a file on a full disk. */
function reportFullDisk(error: NodeJS.ErrnoException): void {
  if (!isClosedReader(error)) note(`perdure: the output cannot be written: ${error.message}`);
}

if (import.meta.main) await main(process.argv.slice(2));
