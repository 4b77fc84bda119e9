import type { Command } from "commander";
import { counted } from "../../errors/counted.ts";
import { encodeValue, type SessionWrite, type WriteOutcome } from "../../index.ts";
import { fromJson } from "../../protocol/json.ts";
import type { WriteBody } from "../../protocol/write-schemas.ts";
import { wireOutcome, writeOfWire } from "../../protocol/written.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openExisting, type StoreOptions } from "../program/environment.ts";
import { CliError } from "../terminal/cli-error.ts";
import { exitCodes } from "../terminal/failure.ts";
import { note, writeLine } from "../terminal/output.ts";
import { textOfFile } from "../terminal/pipe.ts";
import { untilSignalled } from "../terminal/signals.ts";

interface WriteOptions extends StoreOptions, JsonOption {}

/** The text of a write has at most so many bytes; the library limits its parts. */
const bytesMax = 64 * 1024 * 1024;

export function writeCommand(): Command {
  return storeCommand("write", "Write turns, entries of named logs, fields of a session and documents in one commit")
    .argument("<session>", "the session")
    .argument("<file>", "the write as JSON: {turns?, logs?, set?, documents?, onto?}; - for stdin")
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        `echo '{"logs":{"jobs":{"entries":[{"key":"mail-8","value":"sent"}]}}}' | perdure write ceo_01m7… -`,
        "perdure write ceo_01m7… turns.json --json | jq .version",
      ]) + "\nExit code 4: a key is in its log already, or a log changed after onto; nothing was written.\n",
    )
    .action(write);
}

async function write(id: string, file: string, { json, ...options }: WriteOptions): Promise<void> {
  await untilSignalled(async (signal) => {
    const parsed = parseDocument(await textOfFile(file, { signal, bytesMax }), file);
    await using sessions = await openExisting(options);
    const session = await sessions.get(id);
    const outcome = await session.write(parsed);
    if (outcome.status === "duplicate") process.exitCode = exitCodes.conflict;
    if (json === true) writeLine(encodeValue(wireOutcome(outcome)));
    else note(textOf(id, outcome));
  });
}

/** @throws CliError for a text that is no JSON object; the library checks its fields */
function parseDocument(text: string, file: string): SessionWrite {
  const name = file === "-" ? "stdin" : file;
  let document: unknown;
  try {
    document = fromJson(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CliError("usage", `${name} is not JSON: ${reason.slice(0, 200)}`);
  }
  if (!isObject(document)) throw new CliError("usage", `${name} has no JSON object; write {"turns":…,"logs":…}`);
  const { set } = document as WriteBody;
  return set === undefined || isObject(set) ? writeOfWire(document) : document;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

function textOf(id: string, outcome: WriteOutcome): string {
  if (outcome.status === "duplicate") {
    const { log, entry } = outcome;
    return `nothing was written: the log ${log} of session ${id} has the key ${JSON.stringify(entry.key)} already, as entry ${entry.seq}`;
  }
  const { version, turns, logs, documents = [] } = outcome;
  const parts = [
    ...turns.map(({ seq, status }) => `turn ${seq} (${status})`),
    ...Object.entries(logs).map(([name, { seqs, end }]) => {
      const count = seqs.filter((seq) => seq !== null).length;
      return `${counted(count, "entry")} of ${name}, which ends at ${end}`;
    }),
    ...(documents.length === 0 ? [] : [counted(documents.length, "document")]),
  ];
  return `wrote ${parts.join(", ") || "fields"} of session ${id}, now at version ${version}`;
}
