import { readFile } from "node:fs/promises";
import { Option, type Command } from "commander";
import { CliError } from "../terminal/cli-error.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { existingSecret, newSecret, previousSecrets, serverSecret } from "../program/device-secret.ts";
import { openExisting, openFor, openToRead, storeUrl, type StoreOptions } from "../program/environment.ts";
import { withoutSecrets } from "../program/store-wait.ts";
import { defined } from "../../domain/values/defined.ts";
import { SessionError, type DeviceIds, type Sessions } from "../../index.ts";
import { printable } from "../../domain/values/format-value.ts";
import { note, report, writeJson } from "../terminal/output.ts";
import { untilSignalled } from "../terminal/signals.ts";
import {
  erase as eraseUser,
  findReferences,
  verifyErasure,
  type ErasureReceipt,
  type ErasureReceiptFormat1,
  type SharedForks,
  type References,
} from "../../admin.ts";
import { counted } from "../../errors/counted.ts";
import { withInputErrors } from "../../files/bytes.ts";
import { currentReceipt } from "../../sessions/erasure/erasure-receipt.ts";

interface EraseOptions extends StoreOptions, JsonOption {
  readonly user?: string;
  readonly device?: string;
  readonly deviceIds: DeviceIds;
  readonly dryRun?: boolean;
  readonly withForks?: boolean;
  readonly verify?: string;
}

/** `perdure erase`: erase everything of a user, with a receipt. */
export function eraseCommand(): Command {
  return storeCommand(
    "erase",
    "Erase a user or a guest: sessions, forks, archives, devices; print a signed receipt to stdout",
  )
    .option("--user <id>", "the user to erase")
    .option("--device <id>", "the guest to erase: a device that speaks for no user, by its id")
    .addOption(
      new Option("--device-ids <kind>", "the kind of the id in --device: a UUID, or the id of a channel (any)")
        .choices(["uuid", "any"])
        .default("uuid"),
    )
    .option("--dry-run", "change nothing; count what would be erased")
    .option(
      "--with-forks",
      "also erase whole sessions of others that hold turns of the user (forks, and sessions that were the user's)",
    )
    .option("--verify <file>", "change nothing; check that this file is the unaltered receipt of this erasure")
    .option(...jsonOption)
    .addHelpText(
      "after",
      `\nThe receipt is signed with PERDURE_SECRET, or the secret beside the SQLite file. The next run continues an interrupted one.\nExit code 1: sessions under legal hold, or sessions of others, still hold text of the user.\nBackups, copies and exports are not touched.\n${examples(
        [
          "perdure erase --user ada --dry-run",
          "perdure erase --user ada > receipt.json",
          "perdure erase --user ada --with-forks > receipt.json",
          "perdure erase --user ada --verify receipt.json",
          "perdure erase --device 0b6f5a3e-4c1d-4f0e-9a57-3d2c1b0a9f8e > receipt.json",
        ],
      )}`,
    )
    .action(erase);
}

async function erase({ dryRun, withForks, verify, json, ...options }: EraseOptions): Promise<void> {
  const erased = erasedOf(options);
  const shown = typeof erased === "string" ? erased : "this device";
  const url = storeUrl(options);
  await untilSignalled(async (signal) => {
    await using sessions = await openForErasure({ url, ...options, ...defined({ dryRun, verify }) });
    if (verify !== undefined) {
      const receipt = await readReceipt(verify);
      const valid = verifyErasure(sessions, receipt, erased);
      if (!valid) throw new CliError("receipt_invalid", `${verify} is not a receipt of ${shown}, or it was altered`);
      const { legalHold, sharedForks } = currentReceipt(receipt);
      const text = [`${verify} is the receipt of ${shown}`, ...leftText(currentReceipt(receipt))].join("; ");
      report({ ...(typeof erased === "string" ? { user: erased } : {}), valid, legalHold, sharedForks }, text, {
        json,
      });
    } else if (dryRun === true) {
      const references = await findReferences(sessions, erased);
      report(references, `nothing was changed; found ${referencesText(references)}`, { json });
    } else {
      const forks = withForks === true ? "erase" : "keep";
      const whom = typeof erased === "string" ? { user: erased } : erased;
      const receipt = await eraseUser(sessions, { ...whom, store: withoutSecrets(url), forks, signal });
      if (leftText(receipt).length > 0) process.exitCode ||= 1;
      writeJson(receipt);
      note(receiptText(receipt));
    }
  });
}

/** @throws CliError unless exactly one of the two options is given */
function erasedOf({ user, device }: EraseOptions): string | { readonly device: string } {
  if (user !== undefined && device === undefined) return user;
  if (device !== undefined && user === undefined) return { device };
  throw new CliError("usage", "name the user with --user, or the guest with --device");
}

/** Only an erasure makes a secret beside the file, once the store is known to exist. Verifying a receipt needs no store. */
async function openForErasure({
  dryRun,
  verify,
  url,
  tenant,
  deviceIds,
}: Pick<EraseOptions, "dryRun" | "verify" | "tenant" | "deviceIds"> & { readonly url: string }): Promise<Sessions> {
  const secret = await existingSecret(url);
  const scope = defined({ tenant });
  if (verify !== undefined) {
    if (secret === undefined) throw new SessionError("secret_missing", { name: "erasures" });
    return await openFor({ store: "memory:", ...scope }, { secret, previousSecrets: previousSecrets(), deviceIds });
  }
  if (dryRun === true)
    return await openToRead(
      { store: url, ...scope },
      {
        secret: secret ?? newSecret(),
        previousSecrets: previousSecrets(),
        deviceIds,
      },
    );
  if (secret === undefined) await (await openExisting({ store: url, ...scope })).close();
  return await openExisting(
    { store: url, ...scope },
    {
      secret: await serverSecret(url),
      previousSecrets: previousSecrets(),
      deviceIds,
    },
  );
}

async function readReceipt(file: string): Promise<ErasureReceipt | ErasureReceiptFormat1> {
  const text = await withInputErrors(file, () => readFile(file, "utf8"));
  try {
    return JSON.parse(text) as ErasureReceipt | ErasureReceiptFormat1;
  } catch (error) {
    throw new CliError("usage", `${file} cannot be read as a receipt: ${String(error)}`);
  }
}

function referencesText({ sessions, legalHold, devices, documents, outbox, sharedForks }: References): string {
  const under = legalHold === 0 ? "" : ` (${legalHold} under legal hold)`;
  const counts = `${counted(sessions, "session")}${under}, ${counted(devices, "device")}, ${counted(documents.count, "document")}, ${counted(outbox, "session")} in the outbox`;
  return [counts, ...sharedText(sharedForks)].join("; ");
}

/** Empty without such forks. */
function sharedText({ count, legalHold, ids }: SharedForks): string[] {
  if (count === 0) return [];
  const names = ids.slice(0, 5).map(printable);
  const more = count > names.length ? `, … and ${count - names.length} more` : "";
  const under = legalHold === 0 ? "" : `, ${legalHold} of them under legal hold`;
  return [
    `incomplete: text of this user is still in ${counted(count, "session")} of others (${names.join(", ")}${more})${under}`,
  ];
}

/** The data that an erasure did not delete; empty if it is complete. */
function leftText({ legalHold, sharedForks }: ErasureReceipt): string[] {
  const own = legalHold === 0 ? [] : [`incomplete: legal holds keep ${counted(legalHold, "session")}`];
  return [...sharedText(sharedForks), ...own];
}

function receiptText(receipt: ErasureReceipt): string {
  const { erased, scrubbed } = receipt;
  const left = leftText(receipt);
  const parts = [
    `erased: ${counted(erased.sessions, "session")} with ${counted(erased.turns, "turn")}, ${counted(erased.devices, "device")}, ${counted(erased.documents ?? 0, "document")}, ${counted(erased.attachments ?? 0, "attachment")}`,
    ...(left.length === 0 ? ["nothing else is left"] : left),
    ...(scrubbed ? [] : ["the administrator must clean the files of the database, see docs/tasks/erase-a-user.md"]),
  ];
  return parts.join("; ");
}
