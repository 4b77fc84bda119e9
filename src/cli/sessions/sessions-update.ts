import type { Command } from "commander";
import { defined } from "../../domain/values/defined.ts";
import { labelOf, labelTexts } from "../../domain/values/labels.ts";
import type { LabelPatch } from "../../index.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openExisting, type StoreOptions } from "../program/environment.ts";
import { label } from "../terminal/arguments.ts";
import { CliError } from "../terminal/cli-error.ts";
import { report } from "../terminal/output.ts";

export function updateCommand(): Command {
  return storeCommand("update", "Change the title and the labels of a session")
    .argument("<id>", "the session")
    .option("--title <text>", "a text for people, at most 256 characters")
    .option("--no-title", "remove the title")
    .option("--label <name=value>", "set a label; several times for several labels", label)
    .option("--remove-label <name>", "remove a label; several times for several labels", label)
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        'perdure sessions update ceo_01m7… --title "Ordering flour" --label team=ops',
        "perdure sessions update ceo_01m7… --remove-label draft",
      ]),
    )
    .action(update);
}

interface UpdateOptions extends StoreOptions, JsonOption {
  /** False: --no-title. */
  readonly title?: string | false;
  readonly label?: readonly string[];
  readonly removeLabel?: readonly string[];
}

async function update(id: string, given: UpdateOptions): Promise<void> {
  const { title, label: set = [], removeLabel: removed = [], json, ...options } = given;
  const labels: LabelPatch = Object.fromEntries([...set.map(labelWithValue), ...removed.map((name) => [name, null])]);
  if (title === undefined && Object.keys(labels).length === 0)
    throw new CliError("usage", "name --title, --no-title, --label or --remove-label");
  await using sessions = await openExisting(options);
  const session = await sessions.get(id);
  await session.update({
    labels,
    ...defined({ title: title === false ? null : title }),
  });
  const { info } = session;
  const text = `session ${id}: ${info.title ?? "no title"}; ${labelTexts(info.labels).join(", ") || "no labels"}`;
  report({ session: id, title: info.title, labels: info.labels }, text, { json });
}

function labelWithValue(text: string): readonly [name: string, value: string] {
  const [name, value] = labelOf(text);
  if (value === true) throw new CliError("usage", `--label ${text} has no value; write --label ${text}=VALUE`);
  return [name, value];
}
