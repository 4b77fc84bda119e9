/** The parts that all commands share. */
import { Command, Option } from "commander";

/** A command that throws instead of printing an error and exiting, so that `main` reports every failure. */
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
  "URL of the store (default: $PERDURE_STORE, $DATABASE_URL or sqlite:perdure.db)",
] as const;

export const tenantOption = [
  "--tenant <name>",
  "the tenant, which is the scope of all ids (default: default)",
] as const;

export interface JsonOption {
  readonly json?: boolean;
}

export const jsonOption = ["--json", "print one JSON object a line, for programs; errors, too"] as const;

/** The ids that devices may have. */
export function deviceIdsOption(): Option {
  return new Option(
    "--device-ids <kind>",
    "the ids of devices: UUIDs alone, or also the ids of a channel, such as phone numbers (any); a request with one needs a key",
  )
    .choices(["uuid", "any"])
    .default("uuid");
}

/** The examples at the end of a help text. */
export function examples(lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ ${line}`).join("\n")}\n`;
}
