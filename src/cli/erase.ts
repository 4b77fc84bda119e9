import { readFileSync } from "node:fs";
import type { Command } from "commander";
import type { ErasureReceipt, Traces } from "../index.ts";
import { CliError } from "./cli-error.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "./command.ts";
import { serverSecret } from "./device-secret.ts";
import { openFor, storeUrl, type StoreOptions } from "./environment.ts";
import { note, report, writeJson } from "./output.ts";
import { untilSignalled } from "./signals.ts";

interface EraseOptions extends StoreOptions, JsonOption {
  readonly user: string;
  readonly dryRun?: boolean;
  readonly verify?: string;
}

/** `perdure erase`: everything of a user, with a receipt. */
export function eraseCommand(): Command {
  return storeCommand("erase", "Erase a user: sessions, forks, archives, devices; the signed receipt goes to stdout")
    .requiredOption("--user <id>", "whom")
    .option("--dry-run", "change nothing, and tell what there is")
    .option("--verify <file>", "change nothing, and tell whether this is the receipt of this user's erasure, unaltered")
    .option(...jsonOption)
    .addHelpText(
      "after",
      `\nThe receipt is signed under PERDURE_SECRET, or the secret beside the SQLite file. A run that was stopped is taken up by the\nnext. Backups, copies and exports are not touched.\n${examples(
        [
          "perdure erase --user ada --dry-run",
          "perdure erase --user ada > receipt.json",
          "perdure erase --user ada --verify receipt.json",
        ],
      )}`,
    )
    .action(erase);
}

async function erase({ user, dryRun, verify, json, ...options }: EraseOptions): Promise<void> {
  const url = storeUrl(options);
  await untilSignalled(async (signal) => {
    await using sessions = await openFor(options, { secret: serverSecret(url) });
    if (verify !== undefined) {
      const valid = sessions.verifyErasure(readReceipt(verify), user);
      if (!valid) throw new CliError("receipt_invalid", `${verify} is not a receipt of ${user}, or was altered`);
      report({ user, valid }, `${verify} is the receipt of ${user}`, { json });
    } else if (dryRun === true) {
      const traces = await sessions.traces(user);
      report(traces, `nothing was changed; there are ${tracesText(traces)}`, { json });
    } else {
      const receipt = await sessions.erase({ user, store: withoutSecrets(url), signal });
      writeJson(receipt);
      note(receiptText(receipt));
    }
  });
}

function readReceipt(file: string): ErasureReceipt {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as ErasureReceipt;
  } catch (error) {
    throw new CliError("usage", `${file} cannot be read as a receipt: ${String(error)}`);
  }
}

/** A receipt is shown to others: neither a password nor options belong in it. */
function withoutSecrets(url: string): string {
  return url.replace(/\/\/[^@/]*@/, "//").replace(/\?.*$/s, "");
}

function tracesText({ sessions, held, devices, outbox }: Traces): string {
  const under = held === 0 ? "" : ` (${held} under hold)`;
  return `${sessions} sessions${under}, ${devices} devices, ${outbox} sessions in the outbox`;
}

function receiptText({ erased, held, kept, scrubbed }: ErasureReceipt): string {
  const parts = [
    `erased: ${erased.sessions} sessions with ${erased.turns} turns, ${erased.devices} devices; nothing else is left`,
    ...(held === 0 ? [] : [`${held} sessions are under hold and stay`]),
    ...(kept === 0 ? [] : [`${kept} forks are others' or under hold, and keep their copy`]),
    ...(scrubbed ? [] : ["the database's files are its administrator's to clean, see docs/erase.md"]),
  ];
  return parts.join("; ");
}
