import type { Command } from "commander";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openExisting, type StoreOptions } from "../program/environment.ts";
import { CliError } from "../terminal/cli-error.ts";
import { report } from "../terminal/output.ts";

export function legalHoldCommand(): Command {
  return storeCommand("legal-hold", "Set or clear a legal hold: the session cannot be removed, truncated or erased")
    .argument("<id>", "the session")
    .option("--reason <text>", "set the legal hold for this reason; errors show it")
    .option("--clear", "clear the legal hold")
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure sessions legal-hold ceo_01m7… --reason 'case 4711'",
        "perdure sessions legal-hold ceo_01m7… --clear",
      ]),
    )
    .action(legalHold);
}

interface LegalHoldOptions extends StoreOptions, JsonOption {
  readonly reason?: string;
  readonly clear?: true;
}

async function legalHold(id: string, { reason, clear, json, ...options }: LegalHoldOptions): Promise<void> {
  if ((reason === undefined) === (clear === undefined))
    throw new CliError("usage", "name either --reason <text> or --clear");
  await using sessions = await openExisting(options);
  const session = await sessions.get(id);
  if (reason !== undefined) {
    await session.setLegalHold(reason);
    report({ session: id, underLegalHold: true, reason }, `session ${id} is under legal hold; --clear clears it`, {
      json,
    });
    return;
  }
  const cleared = await session.clearLegalHold();
  const text = cleared ? `the legal hold of session ${id} is cleared` : `session ${id} has no legal hold`;
  report({ session: id, cleared }, text, { json });
}
