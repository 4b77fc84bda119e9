import type { Command } from "commander";
import { renameOn } from "../../../sessions/conversations/title-and-pin.ts";
import { coreOf } from "../../../sessions/sessions.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../../program/command.ts";
import { openExisting, type StoreOptions } from "../../program/environment.ts";
import { CliError } from "../../terminal/cli-error.ts";
import { report } from "../../terminal/output.ts";

export function renameCommand(): Command {
  return storeCommand("rename", "Set the title of a session, which is no activity")
    .argument("<id>", "the session")
    .argument("[title]", "a text for people, at most 256 characters, in quotes")
    .option("--clear", "remove the title")
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples(["perdure sessions rename ceo_01m7… 'Ordering flour'", "perdure sessions rename ceo_01m7… --clear"]),
    )
    .action(rename);
}

interface RenameOptions extends StoreOptions, JsonOption {
  readonly clear?: true;
}

async function rename(id: string, title: string | undefined, given: RenameOptions): Promise<void> {
  const { clear, json, ...options } = given;
  if ((title === undefined) === (clear === undefined)) throw new CliError("usage", "name either a title or --clear");
  await using sessions = await openExisting(options);
  const renamed = await renameOn(coreOf(sessions), { tenant: sessions.tenant, id }, title ?? null);
  report({ session: id, title: renamed }, `session ${id}: ${renamed ?? "no title"}`, { json });
}
