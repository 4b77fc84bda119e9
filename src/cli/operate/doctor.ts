import type { Command } from "commander";
import { openSessions, type Agent, type Sessions } from "../../index.ts";
import { readAgentsFile } from "../program/agents-file.ts";
import { bareCommand, examples, jsonOption, type JsonOption } from "../program/command.ts";
import { openExisting, storeUrl, type StoreOptions } from "../program/environment.ts";
import { note, writeJson, writeLine } from "../terminal/output.ts";
import { untilSignalled } from "../terminal/signals.ts";
import { doctor as examine, type Finding } from "../../admin.ts";

interface DoctorOptions extends Pick<StoreOptions, "store">, JsonOption {
  readonly agents?: string;
  readonly repair?: boolean;
}

export function doctorCommand(): Command {
  return bareCommand("doctor", "Look over a whole store: what is wrong, and what would mend it")
    .option("--store <url>", "where sessions are kept (default: $PERDURE_STORE, $DATABASE_URL or sqlite:perdure.db)")
    .option(
      "--agents <file>",
      "report sessions whose agent is not in it (default: perdure.agents.json, where it exists)",
    )
    .option("--repair", "mend what can be mended; nothing is deleted, and sessions in use are left alone")
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure doctor",
        "perdure doctor --repair",
        "perdure doctor --agents perdure.agents.json",
        "perdure doctor --json | jq -r .session",
      ]) + "\nExit codes: 0 nothing is wrong (any more), 1 something is.\n",
    )
    .action(doctor);
}

async function doctor({ repair = false, agents: file, json, ...options }: DoctorOptions): Promise<void> {
  await untilSignalled(async (signal) => {
    await using sessions = await openToLook(options, readAgentsFile(file));
    const onFinding = json === true ? writeJson : describe;
    const {
      sessions: looked,
      findings,
      repaired,
      skipped,
      complete,
      unreadable,
    } = await examine(sessions, { repair, signal, onFinding });
    const left = findings - repaired;
    const parts = [
      `${looked} sessions looked at`,
      findings === 0 ? "nothing is wrong" : `${findings} ${findings === 1 ? "thing is" : "things are"} wrong`,
      ...(repair ? [`${repaired} mended`] : []),
      ...(skipped === 0 ? [] : [`${skipped} skipped, as another process is writing to them`]),
      ...(complete
        ? []
        : [unreadable === null ? "not all could be looked at" : "no session can be read until the schema is mended"]),
    ];
    note(parts.join(", "));
    if (left > 0 || !complete) process.exitCode ||= 1;
  });
}

/** A schema that is out of date is something to find, not something to change on the way in. */
async function openToLook(
  options: Pick<StoreOptions, "store">,
  agents: Readonly<Record<string, Agent>> | undefined,
): Promise<Sessions> {
  const url = storeUrl(options);
  if (!/^postgres(ql)?:/i.test(url)) return await openExisting(options, { agents });
  const { openPostgres } = await import("../../store/postgres/open.ts");
  return await openSessions({
    store: await openPostgres({ url, migrate: false, serverless: true }),
    sweep: false,
    ...(agents === undefined ? {} : { agents }),
  });
}

/** One finding on one line: where, what, and what mends it. */
function describe({ kind, tenant, session, what, remedy, repaired }: Finding): void {
  const where = session === null ? "the store" : `${tenant ?? ""}/${session}`;
  const end = repaired
    ? `mended: ${remedy}`
    : remedy === null
      ? "nothing here mends it; a backup may"
      : `--repair: ${remedy}`;
  // An unknown agent is not damage: the finding itself names the call that replaces it.
  writeLine(`${kind}  ${where}: ${what}${kind === "agent" ? "" : ` (${end})`}`);
}
