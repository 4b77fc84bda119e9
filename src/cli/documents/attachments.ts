/** Commands of the attachments of a session: list them, save one to a file, add a file. */
import { basename, extname, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { addAbortSignal } from "node:stream";
import { Argument, type Command } from "commander";
import { moveAttachments } from "../../admin.ts";
import { defined } from "../../domain/values/defined.ts";
import { printable } from "../../domain/values/format-value.ts";
import { counted } from "../../errors/counted.ts";
import { inputBytes } from "../../files/bytes.ts";
import { writeDurably } from "../../files/durable-file.ts";
import { guardTarget } from "../../files/target-file.ts";
import type { Attachment } from "../../index.ts";
import { bareCommand, examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openExisting, openToRead, storeUrl, type StoreOptions } from "../program/environment.ts";
import { fileOfStore } from "../program/store-file.ts";
import { CliError } from "../terminal/cli-error.ts";
import { isClosedReader, note, report, writeJson, writeLine } from "../terminal/output.ts";
import { untilSignalled } from "../terminal/signals.ts";

interface CommonOptions extends StoreOptions, JsonOption {}

/** `perdure attachments`: the commands on attachments. */
export function attachmentsCommand(): Command {
  return bareCommand(
    "attachments",
    "List, save and add attachments: files and pictures beside the messages of a session",
  )
    .addHelpText(
      "after",
      examples(["perdure attachments add ceo_01m7… plan.pdf", "perdure attachments list ceo_01m7…"]),
    )
    .addCommand(listCommand())
    .addCommand(saveCommand())
    .addCommand(addCommand())
    .addCommand(moveCommand());
}

function attachmentCommand(name: string, summary: string): Command {
  return storeCommand(name, summary)
    .argument("<id>", "the session")
    .option(...jsonOption);
}

function listCommand(): Command {
  return attachmentCommand("list", "List the attachments of a session, by their hash")
    .addHelpText("after", examples(["perdure attachments list ceo_01m7… --json | jq -r .hash"]))
    .action(list);
}

async function list(id: string, { json, ...options }: CommonOptions): Promise<void> {
  await using sessions = await openToRead(options);
  const attachments = await (await sessions.get(id)).attachments.list();
  for (const attachment of attachments)
    if (json === true) writeJson({ ...attachment });
    else writeLine(lineOf(attachment));
  if (attachments.length === 0 && json !== true) note(`session ${id} has no attachments`);
}

function lineOf({ hash, type, length, name }: Attachment): string {
  const named = name === undefined ? [] : [printable(name)];
  return [hash, printable(type), `${length} bytes`, ...named].join("  ");
}

function saveCommand(): Command {
  return attachmentCommand("save", "Save the bytes of an attachment to a file")
    .argument("<hash>", "the hash of the attachment, as list prints it")
    .argument("<file>", "the file, which is replaced; - for stdout")
    .addHelpText("after", examples(["perdure attachments save ceo_01m7… 9f86d0… plan.pdf"]))
    .action(save);
}

async function save(id: string, hash: string, file: string, { json, ...options }: CommonOptions): Promise<void> {
  if (file === "-" && json === true)
    throw new CliError("usage", "--json has no place beside the bytes on stdout; name a file, or leave --json out");
  await untilSignalled(async (signal) => {
    if (file !== "-") guardTarget(resolve(file), await fileOfStore(storeUrl(options)));
    await using sessions = await openToRead(options);
    const attachment = await (await sessions.get(id)).attachments.open(hash);
    if (file === "-") {
      await pipeline(attachment, process.stdout, { signal, end: false }).catch((error: unknown) => {
        if (!isClosedReader(error)) throw error;
      });
      return;
    }
    await writeDurably(file, async (handle) => {
      for await (const bytes of attachment) {
        signal.throwIfAborted();
        await handle.writeFile(bytes);
      }
    });
    const { type, length } = attachment;
    report({ session: id, hash, type, length, file }, `${length} bytes of ${printable(type)} are in ${file}`, { json });
  });
}

interface AddOptions extends CommonOptions {
  readonly type?: string;
  readonly name?: string;
}

function addCommand(): Command {
  return attachmentCommand("add", "Add a file to a session, and print its hash")
    .argument("<file>", "the file; - for stdin")
    .option("--type <type>", "its media type (default: by the end of its name, else application/octet-stream)")
    .option("--name <name>", "the name of the attachment (default: that of the file)")
    .addHelpText(
      "after",
      examples([
        "perdure attachments add ceo_01m7… plan.pdf",
        "… | perdure attachments add ceo_01m7… - --type image/png",
      ]) +
        "\nThe sweep removes an attachment a week later if no message names it. --json prints the part for a message.\n",
    )
    .action(add);
}

const types: Readonly<Record<string, string>> = {
  ".csv": "text/csv",
  ".gif": "image/gif",
  ".jpeg": "image/jpeg",
  ".jpg": "image/jpeg",
  ".json": "application/json",
  ".md": "text/markdown",
  ".mp3": "audio/mpeg",
  ".mp4": "video/mp4",
  ".pdf": "application/pdf",
  ".png": "image/png",
  ".txt": "text/plain",
  ".wav": "audio/wav",
  ".webp": "image/webp",
};

async function add(id: string, file: string, { json, type, name, ...options }: AddOptions): Promise<void> {
  await untilSignalled(async (signal) => {
    await using sessions = await openExisting(options);
    const session = await sessions.get(id);
    const facts = {
      type: type ?? types[extname(file).toLowerCase()] ?? "application/octet-stream",
      ...defined({ name: name ?? (file === "-" ? undefined : basename(file)) }),
    };
    const source = file === "-" ? addAbortSignal(signal, process.stdin) : inputBytes(file, signal);
    const added = await session.attachments.put(source, facts);
    // Stdout has only the hash, for pipes.
    if (json !== true) writeLine(added.hash);
    report({ session: id, ...added }, `session ${id} has attachment ${added.hash}`, { json });
  });
}

function moveCommand(): Command {
  return storeCommand(
    "move",
    "Move the bytes of all attachments of a tenant between the store and the folder of attachments",
  )
    .addArgument(new Argument("<to>", "the folder in PERDURE_ATTACHMENTS, or the store").choices(["folder", "store"]))
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "PERDURE_ATTACHMENTS=/var/lib/perdure/files perdure attachments move folder",
        "PERDURE_ATTACHMENTS=/var/lib/perdure/files perdure attachments move store",
      ]) + "\nAn attachment that was moved stays where it is: after an interruption, run the same command again.\n",
    )
    .action(move);
}

async function move(to: "folder" | "store", { json, ...options }: CommonOptions): Promise<void> {
  await untilSignalled(async (signal) => {
    await using sessions = await openExisting(options);
    const done = await moveAttachments(sessions, { to: to === "folder" ? "attachments" : "sessions", signal });
    const { moved, bytes, present, complete } = done;
    report(done, `moved ${counted(moved, "attachment")} with ${counted(bytes, "byte")}; ${present} were there`, {
      json,
    });
    if (complete) return;
    process.exitCode ||= 1;
    note("not all attachments were moved: run the same command again");
  });
}
