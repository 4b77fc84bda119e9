import type { Command } from "commander";
import { labelOf, labelTexts } from "../../../domain/values/labels.ts";
import type { LabelPatch } from "../../../index.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../../program/command.ts";
import { openExisting, type StoreOptions } from "../../program/environment.ts";
import { label } from "../../terminal/arguments.ts";
import { CliError } from "../../terminal/cli-error.ts";
import { report } from "../../terminal/output.ts";

export function labelCommand(): Command {
  return storeCommand("label", "Set and remove labels of a session")
    .argument("<id>", "the session")
    .argument("[name=value...]", "the labels to set")
    .option("--remove <name>", "remove a label; several times for several labels", label)
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure sessions label ceo_01m7… team=ops priority=high",
        "perdure sessions label ceo_01m7… --remove draft",
      ]),
    )
    .action(setLabels);
}

interface LabelOptions extends StoreOptions, JsonOption {
  readonly remove?: readonly string[];
}

async function setLabels(id: string, set: readonly string[], given: LabelOptions): Promise<void> {
  const { remove: removed = [], json, ...options } = given;
  const pairs = set.map(labelWithValue);
  const both = pairs.find(([name]) => removed.includes(name));
  if (both !== undefined)
    throw new CliError("usage", `the label ${both[0]} is to be set and to be removed; name it once`);
  const labels: LabelPatch = Object.fromEntries([...pairs, ...removed.map((name) => [name, null])]);
  if (Object.keys(labels).length === 0)
    throw new CliError("usage", "name a label to set, such as team=ops, or one to remove: --remove team");
  await using sessions = await openExisting(options);
  const session = await sessions.get(id);
  await session.update({ labels });
  const { info } = session;
  const text = `session ${id}: ${labelTexts(info.labels).join(", ") || "no labels"}`;
  report({ session: id, labels: info.labels }, text, { json });
}

function labelWithValue(text: string): readonly [name: string, value: string] {
  const [name, value] = labelOf(text);
  if (value === true) throw new CliError("usage", `the label ${text} has no value; write ${text}=VALUE`);
  return [name, value];
}
