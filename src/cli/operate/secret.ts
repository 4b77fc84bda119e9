import type { Command } from "commander";
import { counted } from "../../errors/counted.ts";
import { resetSecret } from "../../sessions/devices/secret-check.ts";
import { coreOf } from "../../sessions/sessions.ts";
import { bareCommand, examples, jsonOption, storeOption, type JsonOption } from "../program/command.ts";
import { openExisting, type StoreOptions } from "../program/environment.ts";
import { report } from "../terminal/output.ts";

/** `perdure secret`: the secret under which devices are known. */
export function secretCommand(): Command {
  return bareCommand("secret", "Manage the check value of the secret of devices")
    .addHelpText("after", examples(["perdure secret reset --store sqlite:restored.db"]))
    .addCommand(resetCommand());
}

function resetCommand(): Command {
  return bareCommand("reset", "Let the next program with a secret set the store's; give up sessions of other secrets")
    .option(...storeOption)
    .option(...jsonOption)
    .addHelpText(
      "after",
      `${examples(["perdure secret reset --store sqlite:restored.db"])}
Use it if the secret of the store is lost. Devices that were known under it get new sessions; the old ones stay in the
store. To change a secret without losing sessions, set PERDURE_SECRET_PREVIOUS to the old one instead.
`,
    )
    .action(reset);
}

async function reset({ json, ...options }: Pick<StoreOptions, "store"> & JsonOption): Promise<void> {
  await using sessions = await openExisting(options);
  const count = await resetSecret(coreOf(sessions));
  const text = `the next program with a secret sets the one of the store; with another one than before, ${counted(count, "session")} of devices cannot be reached`;
  report({ reset: true, sessions: count }, text, { json });
}
