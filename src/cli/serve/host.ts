import type { Command } from "commander";
import { bareCommand, examples } from "../program/command.ts";
import { runCommand } from "./host-run.ts";
import { statusCommand } from "./host-status.ts";

/** `perdure host`: live sessions. */
export function hostCommand(): Command {
  const group = bareCommand("host", "Run live sessions, and show their hosts").addHelpText(
    "after",
    examples(["perdure host run ./agent.ts", "perdure host status --watch"]),
  );
  for (const command of [runCommand(), statusCommand()]) group.addCommand(command);
  return group;
}
