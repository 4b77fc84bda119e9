import type { Command } from "commander";
import { openSessions, type CopyReport } from "../index.ts";
import { bareCommand, examples, jsonOption, tenantOption, type JsonOption } from "./command.ts";
import { note, printable, writeJson } from "./output.ts";
import { Progress } from "./progress.ts";
import { untilSignalled } from "./signals.ts";

interface CopyOptions extends JsonOption {
  readonly from: string;
  readonly to: string;
  readonly tenant?: string;
}

/** `perdure copy`: from one store into another. */
export function copyCommand(): Command {
  return bareCommand("copy", "Copy a store into another, while it is in use; again brings what changed since")
    .requiredOption("--from <url>", "the store to read")
    .requiredOption("--to <url>", "the store to write; nobody else should write these sessions there yet")
    .option(tenantOption[0], "only this tenant, with its devices (default: everything)")
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure copy --from sqlite:perdure.db --to postgres://app@db.example/app",
        "perdure copy --from postgres://app@db.example/app --to sqlite:shop.db --tenant shop",
      ]),
    )
    .action(copy);
}

async function copy({ from, to, tenant, json }: CopyOptions): Promise<void> {
  await untilSignalled(async (signal) => {
    const own = { sweep: false, ...(tenant === undefined ? {} : { tenant }) } as const;
    await using source = await openSessions({ store: from, ...own });
    await using target = await openSessions({ store: to, ...own });
    const countable = Progress.isShown && tenant !== undefined;
    const progress = new Progress(countable ? await source.count() : undefined);
    const done = await source.copyTo(target, {
      everything: tenant === undefined,
      signal,
      onProgress({ restored, present, replaced, bytes }) {
        const sessions = restored + present + replaced;
        progress.show({ done: sessions, sessions, bytes });
      },
    });
    progress.clear();
    tellCopy(done, { json, verb: "copied" });
  });
}

/** What came of it, and exit code 1 where that is not everything. */
export function tellCopy(
  done: CopyReport,
  { json, verb }: { readonly json: boolean | undefined; readonly verb: string },
): void {
  const { restored, present, replaced, skipped, reasons, complete } = done;
  if (skipped > 0 || !complete) process.exitCode ||= 1;
  if (json === true) {
    writeJson(done);
    return;
  }
  for (const { source, code, message } of reasons)
    note(`skipped ${printable(source)}: ${printable(message)} [${code}]`);
  if (skipped > reasons.length) note(`… and ${skipped - reasons.length} more`);
  const counts = [
    `${restored} new`,
    `${replaced} brought up to date`,
    `${present} were there already`,
    `${skipped} skipped`,
  ];
  note(`${verb} and checked: ${counts.join(", ")}`);
  if (!complete) note("not complete: stopped, or the source changed faster; the same command goes on");
}
