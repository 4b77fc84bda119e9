/** The parts that all commands share. */
import { Command } from "commander";

/** A command that throws where commander would print and exit, so that every failure is reported in one place. */
export function bareCommand(name: string, summary: string): Command {
  return new Command(name)
    .description(summary)
    .helpOption("-h, --help", "show this help")
    .exitOverride()
    .configureOutput({ outputError: () => undefined });
}

/** A command that works on a store. */
export function storeCommand(name: string, summary: string): Command {
  return bareCommand(name, summary)
    .option(...storeOption)
    .option(...tenantOption);
}

export const storeOption = [
  "--store <url>",
  "where sessions are kept (default: $PERDURE_STORE, $DATABASE_URL or sqlite:perdure.db)",
] as const;

export const tenantOption = ["--tenant <name>", "the scope of all ids"] as const;

export interface JsonOption {
  readonly json?: boolean;
}

export const jsonOption = ["--json", "one JSON object a line, for programs; errors are one, too"] as const;

/** The end of a help text. */
export function examples(lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ ${line}`).join("\n")}\n`;
}
