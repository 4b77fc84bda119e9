import { Option, type Command } from "commander";
import { defined } from "../../domain/values/defined.ts";
import { parseLifetime } from "../../domain/values/duration.ts";
import { parseNewId } from "../../domain/values/ids.ts";
import type { KeyRight } from "../../index.ts";
import { CliError } from "../terminal/cli-error.ts";
import { bareCommand, examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openExisting, openFor, openToRead, type StoreOptions } from "../program/environment.ts";
import { localTime, note, report, writeJson, writeTable } from "../terminal/output.ts";

export function keysCommand(): Command {
  return bareCommand("keys", "Create, list and revoke the keys of programs that use sessions over HTTP")
    .addHelpText("after", examples(["perdure keys create --name backend"]))
    .addCommand(createCommand())
    .addCommand(listCommand())
    .addCommand(revokeCommand());
}

interface CreateOptions extends StoreOptions, JsonOption {
  readonly name: string;
  readonly right: KeyRight;
  readonly ttl?: string;
}

function createCommand(): Command {
  return storeCommand("create", "Create a key, and print it once")
    .requiredOption("--name <text>", "the purpose of the key")
    .addOption(
      new Option("--right <right>", "what the key allows; write includes read, admin includes both")
        .choices(["read", "write", "admin"])
        .default("write"),
    )
    .option("--ttl <duration>", "how long the key is valid, such as 90d (default: until it is revoked)")
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure keys create --name backend",
        "perdure keys create --name cron --right admin --tenant shop",
        "perdure keys create --name partner --right read --ttl 90d",
      ]),
    )
    .action(create);
}

async function create({ name, right, ttl, json, ...options }: CreateOptions): Promise<void> {
  // A wrong name or time makes no store.
  parseNewId(name, "name");
  if (ttl !== undefined) parseLifetime(ttl, "ttl");
  await using sessions = await openFor(options);
  const { token, ...key } = await sessions.keys.create({ name, right, tenant: sessions.tenant, ...defined({ ttl }) });
  if (json === true) {
    writeJson({ ...key, token });
    return;
  }
  // Stdout has only the key, for pipes.
  process.stdout.write(`${token}\n`);
  const end = key.expiresAt === null ? "" : `, valid until ${localTime(key.expiresAt)}`;
  note(`key ${key.id} for tenant ${key.tenant}, right ${key.right}${end}; it is not shown again`);
}

function listCommand(): Command {
  return storeCommand("list", "List the keys with their end and last use, without their secrets")
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure keys list"]))
    .action(list);
}

async function list({ json, ...options }: StoreOptions & JsonOption): Promise<void> {
  await using sessions = await openToRead(options);
  const keys = await Array.fromAsync(sessions.keys.each());
  if (json === true) {
    for (const key of keys) writeJson(key);
    return;
  }
  writeTable(
    ["ID", "NAME", "TENANT", "RIGHT", "CREATED", "EXPIRES", "LAST USE"],
    keys.map(({ id, name, tenant, right, createdAt, expiresAt, expired, lastUsedAt }) => [
      id,
      name,
      tenant,
      right,
      localTime(createdAt),
      expired ? `${localTime(expiresAt)} (expired)` : localTime(expiresAt),
      localTime(lastUsedAt),
    ]),
  );
}

function revokeCommand(): Command {
  return storeCommand("revoke", "Revoke a key, with immediate effect")
    .argument("<id>", "the id of the key, from perdure keys list")
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure keys revoke 01kah…"]))
    .action(revoke);
}

async function revoke(id: string, { json, ...options }: StoreOptions & JsonOption): Promise<void> {
  await using sessions = await openExisting(options);
  if (!(await sessions.keys.revoke(id))) {
    throw new CliError("not_found", `there is no key ${id}; "perdure keys list" lists the keys`);
  }
  report({ key: id, revoked: true }, `key ${id} is revoked`, { json });
}
