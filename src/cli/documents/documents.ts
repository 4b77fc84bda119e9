import { Option, type Command } from "commander";
import { defined } from "../../domain/values/defined.ts";
import { printable } from "../../domain/values/format-value.ts";
import { SessionError } from "../../errors.ts";
import { encodeValue, type Document, type Documents, type Value } from "../../index.ts";
import { fromJson } from "../../protocol/json.ts";
import { wireDocument } from "../../protocol/wire-documents.ts";
import { bareCommand, examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openExisting, openFor, openToRead, type StoreOptions } from "../program/environment.ts";
import { wholeNumber } from "../terminal/arguments.ts";
import { CliError } from "../terminal/cli-error.ts";
import { writeEach } from "../terminal/each.ts";
import { localTime, note, report, writeJson, writeLine } from "../terminal/output.ts";
import { textOfFile } from "../terminal/pipe.ts";
import { untilSignalled } from "../terminal/signals.ts";

interface CommonOptions extends StoreOptions, JsonOption {}

/** The text of a value has at most so many bytes; the library limits the document. */
const bytesMax = 64 * 1024 * 1024;
/** Documents of one page. */
const pageMax = 1000;
/** Characters of a value on a line for people. */
const lengthMax = 300;

/** `perdure documents`: the commands on documents. */
export function documentsCommand(): Command {
  return bareCommand("documents", "List, read and write documents: small values under keys, outside of sessions")
    .addHelpText(
      "after",
      examples([
        "perdure documents list preferences",
        `echo '{"theme":"dark"}' | perdure documents put preferences ada -`,
      ]),
    )
    .addCommand(listCommand())
    .addCommand(getCommand())
    .addCommand(putCommand())
    .addCommand(deleteCommand())
    .addCommand(countCommand());
}

function documentCommand(name: string, summary: string): Command {
  return storeCommand(name, summary)
    .argument("<scope>", "the scope of the documents")
    .option(...jsonOption);
}

interface ListOptions extends CommonOptions {
  readonly prefix?: string;
  readonly after?: string;
  readonly limit: number;
}

function listCommand(): Command {
  return documentCommand("list", "List the documents of a scope, by key")
    .option("--prefix <text>", "only the documents whose keys begin with this")
    .option("--after <key>", "the documents behind this key")
    .addOption(new Option("--limit <n>", "at most so many documents").argParser(wholeNumber).default(50))
    .addHelpText(
      "after",
      examples([
        "perdure documents list preferences",
        "perdure documents list memories --prefix ada/ --limit 1000 --json | jq -r .key",
      ]),
    )
    .action(list);
}

async function list(scope: string, { json, prefix, after, limit, ...options }: ListOptions): Promise<void> {
  await untilSignalled(async (signal) => {
    await using sessions = await openToRead(options);
    let count = 0;
    const write = (document: Document): void => {
      count++;
      if (json === true) writeLine(encodeValue(wireDocument(document)));
      else writeDocument(document);
    };
    const documents = sessions.documents(scope);
    await writeEach(() => listed(documents, { ...defined({ prefix, after }), limit }), write, signal);
    if (count === 0 && limit > 0) note(`no documents in the scope ${scope}`);
  });
}

/** The documents up to the limit. Notes name those that cannot be read, and the key for the next list. */
async function* listed(
  documents: Documents,
  { limit, ...query }: { readonly prefix?: string; readonly after?: string; readonly limit: number },
): AsyncGenerator<Document, void, undefined> {
  let left = limit;
  let { after } = query;
  while (left > 0) {
    const page = await documents.list({ ...query, ...defined({ after }), limit: Math.min(left, pageMax) });
    yield* page.items;
    for (const key of page.unreadable ?? []) note(`document ${key} is not listed: its data cannot be read`);
    left -= page.items.length + (page.unreadable?.length ?? 0);
    after = page.next;
    if (after === undefined) return;
  }
  if (after !== undefined && limit > 0) note(`more: --after ${after}`);
}

function writeDocument({ key, version, updatedAt, expiresAt, value }: Document): void {
  const whole = printable(textOf(value));
  const rest = whole.length - lengthMax;
  const text = rest > 0 ? `${whole.slice(0, lengthMax)}… (${rest} more characters; --json shows them)` : whole;
  const expiry = expiresAt === null ? [] : [`expires ${localTime(expiresAt)}`];
  writeLine([key, `version ${version}`, localTime(updatedAt), ...expiry, text].join("  "));
}

function textOf(value: Value): string {
  return typeof value === "string" ? value : encodeValue(value);
}

function getCommand(): Command {
  return documentCommand("get", "Print the value of a document, or with --json the whole document")
    .argument("<key>", "the key of the document")
    .addHelpText(
      "after",
      examples(["perdure documents get preferences ada", "perdure documents get preferences ada --json | jq .version"]),
    )
    .action(get);
}

async function get(scope: string, key: string, { json, ...options }: CommonOptions): Promise<void> {
  await using sessions = await openToRead(options);
  const document = await sessions.documents(scope).get(key);
  if (document === null) throw new SessionError("document_not_found", { scope, key });
  if (json === true) writeLine(encodeValue(wireDocument(document)));
  else writeLine(textOf(document.value));
}

interface PutOptions extends CommonOptions {
  readonly if?: number | "absent";
  readonly ttl?: string;
  readonly user?: string;
}

function putCommand(): Command {
  return documentCommand("put", "Put a document, which replaces the stored one with its ttl and user")
    .argument("<key>", "the key of the document")
    .argument("<file>", "the value as JSON; - for stdin")
    .addOption(new Option("--if <version>", "only if this version is stored, or absent: if none is").argParser(version))
    .option("--ttl <duration>", "how long the document lives, such as 7d (default: for ever)")
    .option("--user <id>", "the user whose erasure deletes the document (default: none)")
    .addHelpText(
      "after",
      examples([
        `echo '{"theme":"dark"}' | perdure documents put preferences ada - --user ada`,
        "perdure documents put state job-7 state.json --if absent --ttl 7d",
      ]) + "\nExit code 4: another document is stored than --if names; nothing was written.\n",
    )
    .action(put);
}

function version(text: string): number | "absent" {
  return text === "absent" ? text : wholeNumber(text);
}

async function put(
  scope: string,
  key: string,
  file: string,
  { json, store, tenant, ...given }: PutOptions,
): Promise<void> {
  await untilSignalled(async (signal) => {
    const value = parseValue(await textOfFile(file, { signal, bytesMax }), file);
    await using sessions = await openFor(defined({ store, tenant }));
    const written = await sessions.documents(scope).put(key, value, given);
    report({ scope, key, version: written }, `document ${key} of scope ${scope} has version ${written}`, { json });
  });
}

/** @throws CliError */
function parseValue(text: string, file: string): Value {
  try {
    return fromJson(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CliError("usage", `${file === "-" ? "stdin" : file} is not JSON: ${reason.slice(0, 200)}`);
  }
}

interface DeleteOptions extends CommonOptions {
  readonly if?: number;
}

function deleteCommand(): Command {
  return documentCommand("delete", "Delete a document")
    .argument("<key>", "the key of the document")
    .addOption(new Option("--if <version>", "only if this version is stored").argParser(wholeNumber))
    .addHelpText("after", examples(["perdure documents delete preferences ada"]))
    .action(remove);
}

async function remove(scope: string, key: string, { json, store, tenant, ...given }: DeleteOptions): Promise<void> {
  await using sessions = await openExisting(defined({ store, tenant }));
  if (!(await sessions.documents(scope).delete(key, given)))
    throw new SessionError("document_not_found", { scope, key });
  report({ scope, key, deleted: true }, `document ${key} of scope ${scope} is deleted`, { json });
}

interface CountOptions extends CommonOptions {
  readonly prefix?: string;
}

function countCommand(): Command {
  return documentCommand("count", "Count the documents of a scope")
    .option("--prefix <text>", "only the documents whose keys begin with this")
    .addHelpText("after", examples(["perdure documents count memories --prefix ada/"]))
    .action(count);
}

async function count(scope: string, { json, prefix, ...options }: CountOptions): Promise<void> {
  await using sessions = await openToRead(options);
  const counted = await sessions.documents(scope).count(defined({ prefix }));
  if (json === true) writeJson({ scope, count: counted });
  else writeLine(String(counted));
}
