import type { Command } from "commander";
import { readAgentsFile } from "../program/agents-file.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openFor, type StoreOptions } from "../program/environment.ts";
import { printable } from "../../domain/values/format-value.ts";
import { defined } from "../../domain/values/defined.ts";
import { note, report, writeTable } from "../terminal/output.ts";
import { untilSignalled } from "../terminal/signals.ts";
import { sweep as sweepSessions } from "../../admin.ts";

interface SweepOptions extends StoreOptions, JsonOption {
  readonly retention?: string;
  readonly agents?: string;
  readonly dryRun?: boolean;
  readonly eventRetention?: string;
}

export function sweepCommand(): Command {
  return storeCommand("sweep", "Mark what has expired, and archive and remove by the policies of retention; for cron")
    .option(
      "--retention <duration>",
      "remove sessions that long after they expired or ended, such as 30d, where no policy decides (default: never)",
    )
    .option(
      "--agents <file>",
      "the agents and their policies of retention (default: perdure.agents.json, if it exists)",
    )
    .option("--dry-run", "change nothing, and show what would be done")
    .option("--event-retention <duration>", "forget events that long after they happened, such as 90d (default: never)")
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure sessions sweep",
        "perdure sessions sweep --dry-run",
        "perdure sessions sweep --retention 90d --json",
      ]),
    )
    .action(sweep);
}

async function sweep(given: SweepOptions): Promise<void> {
  const { retention, eventRetention, agents: file, dryRun = false, json, ...options } = given;
  const agents = readAgentsFile(file);
  await untilSignalled(async (signal) => {
    await using sessions = await openFor(options, { agents });
    const swept = await sweepSessions(sessions, {
      signal,
      dryRun,
      ...defined({ retention, eventRetention }),
    });
    const { expired, handoffs, archived, removed, forgotten, looked, failed, failures, complete, planned } = swept;
    if (planned !== undefined && json !== true) {
      writeTable(
        ["SESSION", "TENANT", "WOULD"],
        planned.map(({ session, tenant, action }) => [session, tenant, action]),
      );
    }
    for (const { tenant, session, action, code, message } of failures)
      note(printable(`could not ${action} session ${session} of tenant ${tenant}: ${message} [${code}]`));
    if (failed > failures.length) note(`${failed - failures.length} more sessions failed`);
    if (failed > 0) process.exitCode ||= 1;
    const rest = complete ? "" : "; there is more to do, sweep again";
    report(
      swept,
      `${dryRun ? "nothing was changed; it would be: " : ""}${expired} marked as expired, ${handoffs} handoffs ended, ${archived} archived, ${removed} removed, ${forgotten} events forgotten, ${looked} looked at${failed === 0 ? "" : `, ${failed} failed`}${rest}`,
      { json },
    );
  });
}
