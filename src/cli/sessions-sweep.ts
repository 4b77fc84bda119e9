import type { Command } from "commander";
import { examples, jsonOption, storeCommand, type JsonOption } from "./command.ts";
import { openFor, type StoreOptions } from "./environment.ts";
import { report } from "./output.ts";
import { untilSignalled } from "./signals.ts";

interface SweepOptions extends StoreOptions, JsonOption {
  readonly retention?: string;
  readonly eventRetention?: string;
}

export function sweepCommand(): Command {
  return storeCommand("sweep", "Mark what has expired and, past a retention time, remove it; for cron")
    .option(
      "--retention <duration>",
      "remove sessions that long after they expired or ended, such as 30d (default: never)",
    )
    .option("--event-retention <duration>", "forget events that long after they happened, such as 90d (default: never)")
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure sessions sweep", "perdure sessions sweep --retention 90d --json"]))
    .action(sweep);
}

async function sweep({ retention, eventRetention, json, ...options }: SweepOptions): Promise<void> {
  await untilSignalled(async (signal) => {
    await using sessions = await openFor(options);
    const swept = await sessions.sweep({
      signal,
      ...(retention === undefined ? {} : { retention }),
      ...(eventRetention === undefined ? {} : { eventRetention }),
    });
    const { expired, floors, removed, forgotten, looked, complete } = swept;
    const rest = complete ? "" : "; there is more to do, sweep again";
    report(
      swept,
      `${expired} marked as expired, ${floors} floors taken back, ${removed} removed, ${forgotten} events forgotten, ${looked} looked at${rest}`,
      { json },
    );
  });
}
