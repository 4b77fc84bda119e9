/** Commands of shares: read-only links to one session. */
import type { Command } from "commander";
import { defined } from "../../../domain/values/defined.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../../program/command.ts";
import { openExisting, openToRead, type StoreOptions } from "../../program/environment.ts";
import { CliError } from "../../terminal/cli-error.ts";
import { localTime, note, report, writeJson, writeTable } from "../../terminal/output.ts";

interface ShareOptions extends StoreOptions, JsonOption {
  readonly ttl?: string;
}

/** `perdure share` */
export function shareCommand(): Command {
  return storeCommand("share", "Share a session: print a token that opens it to read, once")
    .argument("<session>", "the session")
    .option("--ttl <duration>", "how long the token is valid, at most 365 days (default: 7d)")
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure share ceo_01m7…", "perdure share ceo_01m7… --ttl 30d --json"]))
    .action(share);
}

async function share(id: string, { ttl, json, ...options }: ShareOptions): Promise<void> {
  await using sessions = await openExisting(options);
  const link = await sessions.share(id, defined({ ttl }));
  if (json === true) {
    writeJson(link);
    return;
  }
  // Stdout has only the token, for pipes.
  process.stdout.write(`${link.token}\n`);
  note(`share ${link.id} of session ${id}, valid until ${localTime(link.expiresAt)}; its token is not shown again`);
}

/** `perdure shares` */
export function sharesCommand(): Command {
  return storeCommand("shares", "List the valid shares of a session, without their tokens")
    .argument("<session>", "the session")
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure shares ceo_01m7…"]))
    .action(shares);
}

async function shares(id: string, { json, ...options }: StoreOptions & JsonOption): Promise<void> {
  await using sessions = await openToRead(options);
  const links = await sessions.shares(id);
  if (json === true) for (const link of links) writeJson(link);
  else if (links.length === 0) note(`session ${id} has no shares`);
  else {
    writeTable(
      ["SHARE", "CREATED", "EXPIRES"],
      links.map((link) => [link.id, localTime(link.createdAt), localTime(link.expiresAt)]),
    );
  }
}

/** `perdure unshare` */
export function unshareCommand(): Command {
  return storeCommand("unshare", "Revoke a share: its token opens nothing from now on")
    .argument("<share>", "the id of the share, from perdure shares")
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure unshare 01kah…"]))
    .action(unshare);
}

async function unshare(id: string, { json, ...options }: StoreOptions & JsonOption): Promise<void> {
  await using sessions = await openExisting(options);
  if (!(await sessions.unshare(id)))
    throw new CliError("not_found", `there is no share ${id}; "perdure shares" lists those of a session`);
  report({ share: id, revoked: true }, `share ${id} is revoked`, { json });
}
