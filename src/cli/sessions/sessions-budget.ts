import type { Command } from "commander";
import { defined } from "../../domain/values/defined.ts";
import type { Budget, SessionInfo } from "../../index.ts";
import { wholeNumber } from "../terminal/arguments.ts";
import { counted } from "../../errors/counted.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openExisting, type StoreOptions } from "../program/environment.ts";
import { CliError } from "../terminal/cli-error.ts";
import { report } from "../terminal/output.ts";

export function budgetCommand(): Command {
  return storeCommand(
    "budget",
    "Set or clear the budget of a session; it also bounds a running answer, from its next step",
  )
    .argument("<id>", "the session")
    .option("--tokens <n>", "the most tokens of the session, those it has used included", wholeNumber)
    .option("--turns <n>", "the most turns of the session, those it has included", wholeNumber)
    .option("--clear", "clear the budget")
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure sessions budget ceo_01m7… --tokens 200000 --turns 500",
        "perdure sessions budget ceo_01m7… --clear",
      ]),
    )
    .action(setBudget);
}

interface BudgetOptions extends StoreOptions, JsonOption {
  readonly tokens?: number;
  readonly turns?: number;
  readonly clear?: true;
}

async function setBudget(id: string, { tokens, turns, clear, json, ...options }: BudgetOptions): Promise<void> {
  const given: Budget = defined({ tokens, turns });
  if ((Object.keys(given).length === 0) === (clear === undefined))
    throw new CliError("usage", "name --tokens <n>, --turns <n> or both, or --clear");
  const budget = clear === true ? null : given;
  await using sessions = await openExisting(options);
  const session = await sessions.get(id);
  await session.update({ budget });
  const text =
    budget === null ? `session ${id} has no budget` : `the budget of session ${id}: ${budgetText(session.info)}`;
  report({ session: id, budget }, text, { json });
}

/** The budget of a session, and the rest of it. */
export function budgetText({ budget, counters }: Pick<SessionInfo, "budget" | "counters">): string {
  if (budget === null) return "no limit";
  const used = { tokens: counters.totalTokens, turns: counters.turns };
  return (["tokens", "turns"] as const)
    .flatMap((unit) => {
      const max = budget[unit];
      return max === undefined ? [] : [`${counted(max, unit.slice(0, -1))}, ${Math.max(0, max - used[unit])} left`];
    })
    .join("; ");
}
