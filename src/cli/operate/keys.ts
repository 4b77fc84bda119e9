import { Option, type Command } from "commander";
import type { KeyRight } from "../../index.ts";
import { CliError } from "../terminal/cli-error.ts";
import { bareCommand, examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openFor, type StoreOptions } from "../program/environment.ts";
import { localTime, note, report, writeJson, writeTable } from "../terminal/output.ts";

export function keysCommand(): Command {
  return bareCommand("keys", "Keys by which programs reach sessions over HTTP")
    .addCommand(createCommand())
    .addCommand(listCommand())
    .addCommand(revokeCommand());
}

interface CreateOptions extends StoreOptions, JsonOption {
  readonly name: string;
  readonly right: KeyRight;
}

function createCommand(): Command {
  return storeCommand("create", "Make a key; it is shown this once")
    .requiredOption("--name <text>", "what it is for")
    .addOption(
      new Option("--right <right>", "what it allows; write includes read, admin both")
        .choices(["read", "write", "admin"])
        .default("write"),
    )
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples(["perdure keys create --name backend", "perdure keys create --name cron --right admin --tenant shop"]),
    )
    .action(create);
}

async function create({ name, right, json, ...options }: CreateOptions): Promise<void> {
  await using sessions = await openFor(options);
  const { token, ...key } = await sessions.keys.create({ name, right, tenant: sessions.tenant });
  if (json === true) {
    writeJson({ ...key, token });
    return;
  }
  // The key alone goes to a pipe.
  process.stdout.write(`${token}\n`);
  note(`key ${key.id} for tenant ${key.tenant}, right ${key.right}; it is not shown again`);
}

function listCommand(): Command {
  return storeCommand("list", "The keys, without their secrets")
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure keys list"]))
    .action(list);
}

async function list({ json, ...options }: StoreOptions & JsonOption): Promise<void> {
  await using sessions = await openFor(options);
  const keys = await Array.fromAsync(sessions.keys.each());
  if (json === true) {
    for (const key of keys) writeJson(key);
    return;
  }
  writeTable(
    ["ID", "NAME", "TENANT", "RIGHT", "CREATED"],
    keys.map(({ id, name, tenant, right, createdAt }) => [id, name, tenant, right, localTime(createdAt)]),
  );
}

function revokeCommand(): Command {
  return storeCommand("revoke", "A key opens nothing any more, from this moment on")
    .argument("<id>", "the key's id, as list shows it")
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure keys revoke 01kah…"]))
    .action(revoke);
}

async function revoke(id: string, { json, ...options }: StoreOptions & JsonOption): Promise<void> {
  await using sessions = await openFor(options);
  if (!(await sessions.keys.revoke(id))) {
    throw new CliError("not_found", `there is no key ${id}; "perdure keys list" shows those there are`);
  }
  report({ key: id, revoked: true }, `key ${id} opens nothing any more`, { json });
}
