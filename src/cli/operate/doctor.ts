import type { Command } from "commander";
import { readAgentsFile } from "../program/agents-file.ts";
import { bareCommand, examples, jsonOption, storeOption, type JsonOption } from "../program/command.ts";
import { previousSecrets, secretAdvice } from "../program/device-secret.ts";
import { openWith, storeUrl, type StoreOptions } from "../program/environment.ts";
import { bytes, note, writeJson, writeLine } from "../terminal/output.ts";
import { untilSignalled } from "../terminal/signals.ts";
import { doctor as examine, type Finding } from "../../admin.ts";
import type { DiskSpace } from "../../index.ts";
import { counted } from "../../errors/counted.ts";

interface DoctorOptions extends Pick<StoreOptions, "store">, JsonOption {
  readonly agents?: string;
  readonly repair?: boolean;
}

export function doctorCommand(): Command {
  return bareCommand("doctor", "Check a whole store, report problems and repair them")
    .option(...storeOption)
    .option(
      "--agents <file>",
      "report sessions whose agent is not in this file, and count those with other instructions (default: perdure.agents.json, if it exists)",
    )
    .option("--repair", "repair what can be repaired; nothing is deleted, and sessions in use are skipped")
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure doctor",
        "perdure doctor --repair",
        "perdure doctor --agents perdure.agents.json",
        "perdure doctor --json | jq -r 'select(.session).session'",
      ]) + "\nExit codes: 0 no problem is left, 1 a problem is left.\n",
    )
    .action(doctor);
}

async function doctor({ repair = false, agents: file, json, ...options }: DoctorOptions): Promise<void> {
  await untilSignalled(async (signal) => {
    // The schema may be of any version: the doctor reports an older one.
    await using sessions = await openWith(repair ? "repair" : "examine", options, { agents: readAgentsFile(file) });
    const onFinding = json === true ? writeJson : describe;
    const report = await examine(sessions, { repair, signal, onFinding });
    const {
      sessions: looked,
      findings,
      repaired,
      skipped,
      complete,
      unreadable,
      otherInstructions,
      underEarlierSecrets,
      inlineData,
      disk,
    } = report;
    if (json === true) writeJson({ kind: "report", ...report });
    const left = findings - repaired;
    const parts = [
      `${counted(looked, "session")} checked`,
      findings === 0 ? "no problems" : counted(findings, "problem"),
      ...(repair ? [`${repaired} repaired`] : []),
      ...(skipped === 0 ? [] : [`${skipped} skipped because another process is writing to them`]),
      ...(complete
        ? []
        : [
            unreadable === null
              ? "not all sessions were checked"
              : "no session can be read until the schema is repaired",
          ]),
    ];
    note(parts.join(", "));
    if (disk !== undefined) note(describeDisk(disk));
    if (otherInstructions > 0)
      note(
        `${counted(otherInstructions, "session")} with other instructions than the agents file: an earlier prompt, or one of their own; update({ instructions }) sets the present one`,
      );
    if (inlineData.count > 0)
      note(
        `messages hold ${bytes(inlineData.bytes)} of data in ${counted(inlineData.count, "part")} of more than 64 KiB; --inline-bytes-max 65536 of perdure serve, or PERDURE_INLINE_BYTES_MAX, stores such data of new messages beside them, the same bytes once`,
      );
    const advice = unreadable === null ? await secretAdvice(sessions, storeUrl(options)) : undefined;
    if (advice !== undefined) note(advice);
    if (underEarlierSecrets > 0)
      note(
        `${underEarlierSecrets === 1 ? "1 device or user is" : `${underEarlierSecrets} devices or users are`} known under an earlier secret only: keep PERDURE_SECRET_PREVIOUS until they return`,
      );
    else if (complete && previousSecrets().length > 0)
      note("no device needs an earlier secret: PERDURE_SECRET_PREVIOUS is no longer needed");
    if (left > 0 || !complete) process.exitCode ||= 1;
  });
}

/** Print a finding on one line: the place, the problem and the repair. */
function describe({ kind, tenant, session, what, fix, repaired }: Finding): void {
  const where = session === null ? "the store" : `${tenant ?? ""}/${session}`;
  const end = repaired
    ? `repaired: ${fix}`
    : fix === null
      ? "cannot be repaired; a backup may have it"
      : `--repair: ${fix}`;
  // An unknown agent, a full disk and missing rights are not damage: the finding itself names the cure.
  const isDamage = !["agent", "disk", "rights"].includes(kind);
  writeLine(`${kind}  ${where}: ${what}${isDamage ? ` (${end})` : ""}`);
}

function describeDisk(disk: DiskSpace | null): string {
  return disk === null
    ? "free disk space: not known here; watch the disk of the database server"
    : `free disk space: ${bytes(disk.freeBytes)} of ${bytes(disk.totalBytes)}`;
}
