import { createReadStream, statSync } from "node:fs";
import { Option, type Command } from "commander";
import { defined } from "../../domain/values/defined.ts";
import type { Lifetime } from "../../domain/values/duration.ts";
import { unpacked } from "../../files/bytes.ts";
import type { ReadOptions } from "../../imports/forms/conversation-format.ts";
import { conversationFormats } from "../../imports/forms/registry.ts";
import { importItems, type ReadFile } from "../../imports/import-items.ts";
import { hasCode, type Sessions } from "../../index.ts";
import { withFileErrors } from "../../files/durable-file.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { reportSkipped } from "./copy.ts";
import { lifetime } from "../program/lifetime-options.ts";
import { openFor, openToRead, type StoreOptions } from "../program/environment.ts";
import { note, writeJson } from "../terminal/output.ts";
import { Progress } from "../terminal/progress.ts";
import { untilSignalled } from "../terminal/signals.ts";
import { importSessions, type ImportItem, type ImportOptions, type ImportReport } from "../../admin.ts";
import { counted } from "../../errors/counted.ts";
import { tableColumnsOf, type TableColumns } from "../../imports/tables/table-columns.ts";
import { tableItems, type TableCounts } from "../../imports/tables/table-items.ts";
import { openTable } from "../../imports/tables/table-rows.ts";
import { printable } from "../../domain/values/format-value.ts";
import { CliError } from "../terminal/cli-error.ts";

interface Options extends StoreOptions, JsonOption {
  readonly dryRun?: boolean;
  readonly onExists: NonNullable<ImportOptions["onExists"]>;
  readonly agent?: string;
  readonly ttl?: Lifetime;
  readonly format?: string;
  readonly branches: ReadOptions["branches"];
  readonly from?: string;
  readonly table?: string;
}

/** `perdure import`: create sessions from a file. */
export function importCommand(): Command {
  return storeCommand("import", "Import sessions: exports of Perdure, or conversations of other programs")
    .argument("[file]", "the file to read, compressed by gzip or not; - for stdin")
    .option("--from <url>", "read the rows of a table in this database instead: postgres://… or sqlite:FILE")
    .option("--table <name>", "the table, such as llm_sessions or app.conversation_states")
    .option("--dry-run", "write nothing; report what would be imported")
    .addOption(
      new Option("--on-exists <policy>", "what to do if another session has the id")
        .choices(["skip", "replace"])
        .default("skip"),
    )
    .option("--agent <name>", "the agent of conversations that name none")
    .option("--ttl <duration>", "the time to live of conversations, from now on (default: never)", lifetime)
    .option("--format <name>", "the form of the file (default: the one that all of it fits)")
    .addOption(
      new Option("--branches <which>", "of a conversation with branches: the one that was shown last, or all")
        .choices(["shown", "fork"])
        .default("shown"),
    )
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure import all.ndjson.gz --dry-run",
        "perdure import all.ndjson.gz",
        "perdure import sharegpt.json --agent tutor",
        "perdure import --from postgres://app@db.example/app --table llm_sessions --dry-run",
        "perdure export | perdure import - --store postgres://app@db.example/app",
      ]) +
        `\nForms: ${conversationFormats.map(({ name }) => name).join(", ")}, and snapshots of Perdure.\n` +
        "Existing sessions are left unchanged: after an interruption, run the same command again.\n",
    )
    .action(importAll);
}

async function importAll(
  file: string | undefined,
  { dryRun, onExists, agent, ttl, format, branches, json, from, table: name, ...options }: Options,
): Promise<void> {
  const hasTable = from !== undefined && name !== undefined;
  if ((from === undefined) !== (name === undefined) || hasTable === (file !== undefined))
    throw new CliError("usage", "name a file, - for stdin, or a table with --from URL --table NAME");
  await untilSignalled(async (signal) => {
    await using sessions = await (dryRun === true ? openForDryRun(options) : openFor(options));
    const { snapshotBytesMax: bytesMax } = sessions.limits;
    await using table = hasTable ? await openTable(from, name) : undefined;
    const columns = table && tableColumnsOf(name ?? "", table.columns);
    if (columns !== undefined && json !== true) noteColumns(name ?? "", columns);
    const counts: TableCounts = { rows: 0, leftOut: 0 };
    const source = new Counted(file ?? "", signal);
    const total = table === undefined ? await source.size() : undefined;
    using progress = await Progress.begin();
    const items =
      table !== undefined && columns !== undefined
        ? tableItems(table, columns, { name: name ?? "", bytesMax, counts })
        : importItems(unpacked(source, file ?? ""), {
            file: file ?? "",
            bytesMax,
            branches,
            onForm: (read) => files.push(read),
            ...defined({ format }),
          });
    const files: ReadFile[] = [];
    let sofar: ImportReport | undefined;
    const importing = importSessions(sessions, until(signal, items), {
      onExists,
      dryRun: dryRun === true,
      ...defined({ agent, ttl }),
      onProgress: (report) => {
        sofar = report;
        const { restored, present, replaced } = report;
        progress.show({ done: source.read, total, sessions: restored + present + replaced, bytes: source.read });
      },
    });
    const done = await importing.catch((error: unknown) => {
      progress[Symbol.dispose]();
      // The sessions before the failure are imported: report them before the error.
      if (sofar !== undefined) printResult(sofar, { dryRun: dryRun === true, stopped: true });
      throw error;
    });
    progress[Symbol.dispose]();
    if (done.skipped > 0) process.exitCode ||= 1;
    const about = columns && { name, ...columns, ...counts };
    if (json === true)
      writeJson({ ...done, files, ...defined({ table: about }), dryRun: dryRun === true, complete: !signal.aborted });
    else {
      for (const { file, title, conversations } of files)
        note(`${printable(file)}: read as ${title}, ${counted(conversations, "conversation")}`);
      printResult(done, { dryRun: dryRun === true, stopped: signal.aborted });
    }
    if (json !== true && counts.leftOut > 0)
      note(`${counted(counts.leftOut, "row")} of ${counts.rows} left out: without a session, or without a text`);
  });
}

/** Says which column is taken for what, and which are not imported. */
function noteColumns(table: string, { rows, columns, unused }: TableColumns): void {
  const taken = Object.entries(columns).map(([field, column]) => `${field} from ${printable(column)}`);
  note(`table ${printable(table)}, a row for each ${rows === "states" ? "session" : "exchange"}: ${taken.join(", ")}`);
  if (unused.length > 0) note(`columns left out: ${unused.map(printable).join(", ")}`);
}

/** A dry run creates no store: it compares with an empty one where there is none. */
async function openForDryRun(options: StoreOptions): Promise<Sessions> {
  try {
    return await openToRead(options);
  } catch (error) {
    if (!isNoStore(error)) throw error;
    return await openFor({ ...options, store: "memory:" });
  }
}

function isNoStore(error: unknown): boolean {
  if (hasCode(error, "store_unavailable")) return error.details.problem === "file_missing";
  return hasCode(error, "store_invalid") && error.details.problem === "schema_missing";
}

function printResult(done: ImportReport, { dryRun, stopped }: { dryRun: boolean; stopped: boolean }): void {
  reportSkipped(done);
  for (const { source, id, leftOut } of done.incomplete)
    note(`${printable(id)} (${printable(source)}): left out ${leftOutText(leftOut)}`);
  const { restored, turns, grown, replaced, present, aside, leftOut, skipped } = done;
  const counts = [
    counted(restored, "session"),
    counted(turns, "turn"),
    ...(grown > 0 ? [`${grown} continued`] : []),
    ...(replaced > 0 ? [`${replaced} replaced`] : []),
    `${present} unchanged`,
    ...(aside > 0 ? [`${counted(aside, "part")} kept beside the text`] : []),
    ...(Object.keys(leftOut).length > 0 ? [`left out ${leftOutText(leftOut)}`] : []),
    `${skipped} skipped`,
  ];
  note(`${dryRun ? "would import" : "imported"} ${counts.join(", ")}`);
  if (stopped) note("stopped before the end; run the same command again to continue");
}

function leftOutText(leftOut: ImportReport["leftOut"]): string {
  return Object.entries(leftOut)
    .map(([kind, count]) => counted(count, kind))
    .join(", ");
}

async function* until(
  signal: AbortSignal,
  items: AsyncIterable<ImportItem>,
): AsyncGenerator<ImportItem, void, undefined> {
  try {
    for await (const item of items) {
      if (signal.aborted) return;
      yield item;
    }
  } catch (error) {
    // The signal has closed the source in the middle of an item.
    if (!signal.aborted) throw error;
  }
}

/** The bytes of a file or of stdin, counted as they are read, until the signal aborts. */
class Counted implements AsyncIterable<Uint8Array> {
  readonly #file: string;
  readonly #signal: AbortSignal;
  read = 0;

  constructor(file: string, signal: AbortSignal) {
    this.#file = file;
    this.#signal = signal;
  }

  /** Undefined for stdin. @throws SessionError `store_unavailable` for a missing file */
  async size(): Promise<number | undefined> {
    if (this.#file === "-") return undefined;
    return await withFileErrors(this.#file, async () => statSync(this.#file).size);
  }

  /** @throws SessionError `store_unavailable` for a file that cannot be read, such as a folder */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    const stream = this.#file === "-" ? process.stdin : createReadStream(this.#file, { highWaterMark: 128 * 1024 });
    const chunks = (stream as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
    // A pipe may be silent for long.
    const stop = (): void => void stream.destroy();
    this.#signal.addEventListener("abort", stop);
    if (this.#signal.aborted) stop();
    try {
      for (;;) {
        const { done, value } = await withFileErrors(this.#file, () => chunks.next());
        if (done === true) return;
        this.read += value.length;
        yield value;
      }
    } finally {
      this.#signal.removeEventListener("abort", stop);
      await chunks.return?.();
    }
  }
}
