import type { Command } from "commander";
import { isSame } from "../../files/target-file.ts";
import { bareCommand, examples, jsonOption, tenantOption, type JsonOption } from "../program/command.ts";
import { printable } from "../../domain/values/format-value.ts";
import { defined } from "../../domain/values/defined.ts";
import { note, writeJson } from "../terminal/output.ts";
import { Progress } from "../terminal/progress.ts";
import { untilSignalled } from "../terminal/signals.ts";
import { otherSecretAdvice, secretAdvice } from "../program/device-secret.ts";
import { openFor, openToRead } from "../program/environment.ts";
import { fileOfStore } from "../program/store-file.ts";
import { copySessions, type CopyOptions, type CopyReport } from "../../admin.ts";
import { CliError } from "../terminal/cli-error.ts";
import { counted } from "../../errors/counted.ts";

interface Options extends JsonOption {
  readonly from: string;
  readonly to: string;
  readonly tenant?: string;
}

/** `perdure copy`: copy one store into another. */
export function copyCommand(): Command {
  return bareCommand("copy", "Copy a store into another, while it is in use; run it again to copy later changes")
    .requiredOption("--from <url>", "the store to read")
    .requiredOption("--to <url>", "the store to write; no other program may write these sessions there yet")
    .option(tenantOption[0], "only this tenant, with its devices (default: all tenants)")
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

async function copy({ from, to, tenant, json }: Options): Promise<void> {
  await guardApart(from, to);
  await untilSignalled(async (signal) => {
    await using source = await openToRead({ store: from, ...defined({ tenant }) });
    await using target = await openFor({ store: to, ...defined({ tenant }) });
    const done = await withProgress(async (progress) => {
      return await copySessions(source, target, { everything: tenant === undefined, signal, ...progress });
    });
    reportCopy(done, { json, verb: "copied" });
    const advice = (await secretAdvice(target, to)) ?? otherSecretAdvice(done.otherSecret);
    if (advice !== undefined) note(advice);
  });
}

/** Refuses to copy a store onto itself, which would look like a second copy. */
async function guardApart(from: string, to: string): Promise<void> {
  const [source, target] = [await fileOfStore(from), await fileOfStore(to)];
  const isOne = source === undefined || target === undefined ? from === to : isSame(source, target);
  if (!isOne) return;
  throw new CliError("usage", "--from and --to name the same store; name another store with --to");
}

/** Prints the skipped items, each with its place, once, and its error. */
export function reportSkipped({ skipped, reasons }: Pick<CopyReport, "skipped" | "reasons">): void {
  for (const { source, code, message } of reasons) {
    const what = message.startsWith(source) ? message : `${source}: ${message}`;
    note(`skipped ${printable(what)} [${code}]`);
  }
  if (skipped > reasons.length) note(`… and ${skipped - reasons.length} more`);
}

/** Copy, with a progress bar on a terminal. */
export async function withProgress(
  work: (options: Pick<CopyOptions, "onProgress">) => Promise<CopyReport>,
): Promise<CopyReport> {
  // The sessions are counted only for the progress bar.
  if (!Progress.isShown) return await work({});
  using progress = await Progress.begin();
  return await work({
    onProgress({ restored, present, replaced, skipped, bytes, total }) {
      const sessions = restored + present + replaced;
      progress.show({ done: sessions + skipped, total, sessions, bytes });
    },
  });
}

/** Prints the result; sets exit code 1 if the copy is not complete. */
export function reportCopy(
  done: CopyReport,
  { json, verb }: { readonly json: boolean | undefined; readonly verb: string },
): void {
  const { restoredKinds, present, replaced, removed, skipped, orphaned, orphans, unsettled, complete, extraDocuments } =
    done;
  if (skipped > 0 || !complete) process.exitCode ||= 1;
  if (json === true) {
    writeJson(done);
    return;
  }
  reportSkipped(done);
  const counts = [
    kindsText(restoredKinds, "new "),
    `${replaced} updated`,
    `${present} unchanged`,
    ...(removed === 0 ? [] : [`${removed} removed as in the source`]),
    `${skipped} skipped`,
  ];
  note(`${verb} and checked: ${counts.join(", ")}`);
  if (extraDocuments !== undefined) {
    const { count, keys } = extraDocuments;
    const names = keys.map(({ scope, key }) => `${scope}/${key}`);
    note(
      `the target has ${counted(count, "document")} that the source does not have (${named(names, count)}); delete there what was deleted or erased in the source`,
    );
  }
  if (complete) return;
  if (orphaned > 0) {
    const names = named(orphans, orphaned);
    note(
      `not complete: the target has ${counted(orphaned, "session")} that the source no longer has (${names}); remove from the target what was erased`,
    );
  }
  if (unsettled.length > 0)
    note(
      `not complete: these sessions kept changing (${named(unsettled, unsettled.length)}); run the same command again to continue`,
    );
  else if (orphaned === 0 && skipped === 0) note("not complete: stopped; run the same command again to continue");
}

/** Numbers of records by their kind. */
export function kindsText(
  { sessions, attachments, others }: CopyReport["restoredKinds"],
  which: "" | "new " = "",
): string {
  return `${counted(sessions, `${which}session`)}, ${counted(attachments, `${which}attachment`)}, ${counted(others, `other ${which}record`)} (devices, keys, references to attachments)`;
}

function named(ids: readonly string[], count: number): string {
  const names = ids.slice(0, 5).map(printable);
  return [...names, ...(count > names.length ? [`… and ${count - names.length} more`] : [])].join(", ");
}
