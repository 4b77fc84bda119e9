/** Commands of versions of a conversation: forks, and the branches of a session. */
import type { Command } from "commander";
import { defined } from "../../domain/values/defined.ts";
import type { Branch } from "../../index.ts";
import { wholeNumber } from "../terminal/arguments.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openExisting, type StoreOptions } from "../program/environment.ts";
import { report } from "../terminal/output.ts";

interface ForkOptions extends StoreOptions, JsonOption {
  readonly at?: number;
  readonly as?: string;
}

export function forkCommand(): Command {
  return storeCommand("fork", "Create a session that continues from a turn of another one")
    .argument("<id>", "the session to fork")
    .option("--at <turn>", "the last turn that both sessions share (default: the last finished one)", wholeNumber)
    .option("--as <id>", "the id of the new session")
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure sessions fork ceo_01m7… --at 12 --as what-if"]))
    .action(fork);
}

async function fork(id: string, { at, as, json, ...options }: ForkOptions): Promise<void> {
  await using sessions = await openExisting(options);
  const { info } = await (await sessions.get(id)).fork(defined({ at, as }));
  const data = { session: info.id, parent: id, turn: info.turn };
  report(data, `session ${info.id} continues from turn ${info.turn} of ${id}`, { json });
}

interface BranchesOptions extends StoreOptions, JsonOption {
  readonly at?: number;
}

export function branchesCommand(): Command {
  return storeCommand("branches", "List the branches of a session: the versions that edits and new answers have kept")
    .argument("<id>", "the session")
    .option("--at <turn>", "only the versions of this turn", wholeNumber)
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples(["perdure sessions branches ceo_01m7…", "perdure sessions branches ceo_01m7… --at 3 --json"]),
    )
    .action(branches);
}

async function branches(id: string, { at, json, ...options }: BranchesOptions): Promise<void> {
  await using sessions = await openExisting(options);
  const list = await (await sessions.get(id)).branches(defined({ at }));
  report(list, list.map(lineOf).join("\n"), { json });
}

function lineOf({ id, isCurrent, at, index, count, turns, lastActivityAt }: Branch): string {
  const mark = isCurrent ? "*" : " ";
  return `${mark} ${id}  version ${index} of ${count} of turn ${at}, ${turns} turns, last active ${lastActivityAt.toISOString()}`;
}

interface SwitchOptions extends StoreOptions, JsonOption {}

export function switchCommand(): Command {
  return storeCommand("switch", "Switch a session to another of its branches")
    .argument("<id>", "the session")
    .argument("<branch>", "the branch, as `perdure sessions branches` lists it")
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure sessions switch ceo_01m7… 2"]))
    .action(switchTo);
}

async function switchTo(id: string, branch: string, { json, ...options }: SwitchOptions): Promise<void> {
  await using sessions = await openExisting(options);
  const { turn } = await (await sessions.get(id)).switchTo(branch);
  report({ session: id, branch, turn }, `session ${id} continues from turn ${turn} of branch ${branch}`, { json });
}
