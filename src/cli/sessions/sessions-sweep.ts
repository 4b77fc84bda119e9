import type { Command } from "commander";
import { readAgentsFile } from "../program/agents-file.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openExisting, openToRead, type StoreOptions } from "../program/environment.ts";
import { printable } from "../../domain/values/format-value.ts";
import { defined } from "../../domain/values/defined.ts";
import { note, report, writeTable } from "../terminal/output.ts";
import { untilSignalled } from "../terminal/signals.ts";
import { sweep as sweepSessions } from "../../admin.ts";
import { counted } from "../../errors/counted.ts";

interface SweepOptions extends StoreOptions, JsonOption {
  readonly retention?: string;
  readonly olderThan?: string;
  readonly agents?: string;
  readonly dryRun?: boolean;
  readonly eventRetention?: string;
}

export function sweepCommand(): Command {
  return storeCommand("sweep", "Expire sessions, and archive and remove them by their retention policies; for cron")
    .option(
      "--retention <duration>",
      "remove sessions this long after they expired or ended, such as 30d, if no policy applies (default: never)",
    )
    .option(
      "--older-than <duration>",
      "remove all sessions that expired or ended longer ago than this, such as 90d, whatever the policies say",
    )
    .option(
      "--agents <file>",
      "the file of the agents and their retention policies (default: perdure.agents.json, if it exists)",
    )
    .option("--dry-run", "change nothing; show what would be done")
    .option("--event-retention <duration>", "delete events older than this, such as 90d (default: never)")
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure sessions sweep",
        "perdure sessions sweep --dry-run",
        "perdure sessions sweep --retention 90d --json",
        "perdure sessions sweep --older-than 90d",
      ]),
    )
    .action(sweep);
}

async function sweep(given: SweepOptions): Promise<void> {
  const { retention, olderThan, eventRetention, agents: file, dryRun = false, json, ...options } = given;
  const agents = readAgentsFile(file);
  await untilSignalled(async (signal) => {
    await using sessions = await (dryRun ? openToRead : openExisting)(options, { agents });
    const swept = await sweepSessions(sessions, {
      signal,
      dryRun,
      ...defined({ retention, olderThan, eventRetention }),
    });
    const { expired, handoffs, archived, removed, events, documents, looked, failed, failures, complete, planned } =
      swept;
    if (planned !== undefined && json !== true) {
      writeTable(
        ["SESSION", "TENANT", "WOULD"],
        planned.map(({ session, tenant, action }) => [session, tenant, action]),
      );
    }
    for (const { tenant, session, action, code, message } of failures)
      note(printable(`could not ${action} session ${session} of tenant ${tenant}: ${message} [${code}]`));
    if (failed > failures.length) note(`${counted(failed - failures.length, "more session")} failed`);
    if (failed > 0) process.exitCode ||= 1;
    const rest = complete ? "" : "; more is left to do, run it again";
    report(
      swept,
      `${dryRun ? "nothing changed; without --dry-run: " : ""}${expired} expired, ${counted(handoffs, "handoff")} ended, ${archived} archived, ${removed} removed, ${counted(events, "event")} and ${counted(documents, "document")} deleted, ${looked} checked${failed === 0 ? "" : `, ${failed} failed`}${rest}`,
      { json },
    );
  });
}
