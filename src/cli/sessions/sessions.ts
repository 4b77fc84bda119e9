import type { Command } from "commander";
import { bareCommand, examples } from "../program/command.ts";
import { archiveCommand, unarchiveCommand } from "./sessions-archive.ts";
import { budgetCommand } from "./sessions-budget.ts";
import { cancelCommand } from "./sessions-cancel.ts";
import { endCommand } from "./sessions-end.ts";
import {
  leaveOutCommand,
  pinCommand,
  rateCommand,
  ratingsCommand,
  summariesCommand,
  summarizeCommand,
} from "./memory/sessions-memory.ts";
import { branchesCommand, forkCommand, switchCommand } from "./sessions-fork.ts";
import { legalHoldCommand } from "./sessions-legal-hold.ts";
import { listCommand } from "./sessions-list.ts";
import { removeCommand } from "./sessions-remove.ts";
import { showCommand } from "./sessions-show.ts";
import { sweepCommand } from "./sessions-sweep.ts";
import { labelCommand } from "./conversations/sessions-label.ts";
import { renameCommand } from "./conversations/sessions-rename.ts";
import { breakLeaseCommand } from "./sessions-break-lease.ts";

/** `perdure sessions`: the commands on sessions. */
export function sessionsCommand(): Command {
  const group = bareCommand("sessions", "List, show and change sessions").addHelpText(
    "after",
    examples([
      "perdure sessions list --state active",
      "perdure sessions show ceo_01m7…",
      "perdure sessions sweep --retention 90d",
    ]),
  );
  const commands = [
    listCommand(),
    showCommand(),
    renameCommand(),
    labelCommand(),
    budgetCommand(),
    cancelCommand(),
    endCommand(),
    removeCommand(),
    breakLeaseCommand(),
    forkCommand(),
    branchesCommand(),
    switchCommand(),
    summarizeCommand(),
    summariesCommand(),
    pinCommand(),
    leaveOutCommand(),
    rateCommand(),
    ratingsCommand(),
    archiveCommand(),
    unarchiveCommand(),
    legalHoldCommand(),
    sweepCommand(),
  ];
  for (const command of commands) group.addCommand(command);
  return group;
}
