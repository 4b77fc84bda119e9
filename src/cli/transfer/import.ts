import { Option, type Command } from "commander";
import { defined } from "../../domain/values/defined.ts";
import { parseNewId } from "../../domain/values/ids.ts";
import type { Lifetime } from "../../domain/values/duration.ts";
import { branchChoices, type BranchOptions } from "../../imports/conversations/conversation-format.ts";
import { formNames, formsNamed } from "../../imports/forms/form-choice.ts";
import { conversationFormats } from "../../imports/forms/registry.ts";
import { fileItems } from "../../imports/file-items.ts";
import type { ReadFile } from "../../imports/import-items.ts";
import { sourcesOf } from "../../imports/sources.ts";
import { hasCode, SessionError, type Sessions } from "../../index.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { reportSkipped } from "./copy.ts";
import { readAhead } from "./read-ahead.ts";
import { lifetime } from "../program/lifetime-options.ts";
import { openFor, openToRead, type StoreOptions } from "../program/environment.ts";
import { note, writeJson } from "../terminal/output.ts";
import { Progress } from "../terminal/progress.ts";
import { untilSignalled } from "../terminal/signals.ts";
import { importSessions, type ImportItem, type ImportOptions, type ImportReport } from "../../admin.ts";
import { counted } from "../../errors/counted.ts";
import { tableColumnsOf, type TableColumns } from "../../imports/tables/table-columns.ts";
import { tableItems, type TableCounts } from "../../imports/tables/table-items.ts";
import { openTable, type Table } from "../../imports/tables/table-rows.ts";
import { printable } from "../../domain/values/format-value.ts";
import { CliError } from "../terminal/cli-error.ts";

interface Options extends StoreOptions, JsonOption {
  readonly dryRun?: boolean;
  readonly onExists: NonNullable<ImportOptions["onExists"]>;
  readonly agent?: string;
  readonly ttl?: Lifetime;
  readonly format?: string;
  readonly branches: BranchOptions["branches"];
  readonly from?: string;
  readonly table?: string;
}

/** `perdure import`: create sessions from a file. */
export function importCommand(): Command {
  return storeCommand("import", "Import sessions: exports of Perdure, or conversations of other programs")
    .argument("[paths...]", "files, folders and zip archives to read, compressed by gzip or not; - for stdin")
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
      new Option(
        "--branches <which>",
        "of a conversation with branches: the one that was shown last, a session for each, or one session with all",
      )
        .choices(branchChoices)
        .default("shown"),
    )
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure import all.ndjson.gz --dry-run",
        "perdure import all.ndjson.gz",
        "perdure import chatgpt-export.zip claude-export.zip --dry-run",
        "perdure import chatgpt-export.zip --branches keep",
        "perdure import sharegpt.json --agent tutor",
        "perdure import --from postgres://app@db.example/app --table llm_sessions --dry-run",
        "perdure export | perdure import - --store postgres://app@db.example/app",
      ]) +
        `\nForms: ${formNames(conversationFormats).join(", ")}, and snapshots of Perdure.\n` +
        "Existing sessions are left unchanged: after an interruption, run the same command again.\n",
    )
    .action(importAll);
}

async function importAll(
  paths: readonly string[],
  { dryRun, onExists, agent, ttl, format, branches, json, from, table: name, ...options }: Options,
): Promise<void> {
  const hasTable = from !== undefined && name !== undefined;
  if ((from === undefined) !== (name === undefined) || hasTable === paths.length > 0)
    throw new CliError("usage", "name files or folders, - for stdin, or a table with --from URL --table NAME");
  // A wrong agent, form or path makes no store.
  if (agent !== undefined) parseNewId(agent, "agent");
  formsNamed(conversationFormats, format);
  const sources = await sourcesOf(paths, process.stdin);
  await untilSignalled(async (signal) => {
    await using table = hasTable ? await tableOf(from, name) : undefined;
    const columns = table && tableColumnsOf(name ?? "", table.columns);
    await using reader = await (dryRun === true ? openForDryRun(options) : openFor({ ...options, store: "memory:" }));
    const { snapshotBytesMax: bytesMax, branchesMax } = reader.limits;
    if (columns !== undefined && json !== true) noteColumns(name ?? "", columns);
    const counts: TableCounts = { rows: 0, leftOut: 0 };
    const files: ReadFile[] = [];
    let bytes = 0;
    const sizes = sources.map(({ size }) => size);
    const total =
      sizes.length === 0 || sizes.includes(undefined) ? undefined : sizes.reduce((sum = 0, size = 0) => sum + size, 0);
    using progress = await Progress.begin();
    const found =
      table !== undefined && columns !== undefined
        ? tableItems(table, columns, { name: name ?? "", bytesMax, counts })
        : fileItems(sources, {
            bytesMax,
            branches,
            branchesMax,
            onForm: (read) => files.push(read),
            onRead: (length) => (bytes += length),
            ...defined({ format }),
          });
    const how = defined({ agent, ttl });
    const items = until(signal, found);
    // A store is created for a session alone: files without any are read to their end before.
    const ahead = dryRun === true ? { canImport: false, items } : await readAhead(reader, items, how);
    await using writer = ahead.canImport ? await openOrEnd(options, items) : undefined;
    let sofar: ImportReport | undefined;
    const importing = importSessions(writer ?? reader, ahead.items, {
      onExists,
      dryRun: writer === undefined,
      ...how,
      onProgress: (report) => {
        sofar = report;
        const { restored, present, replaced, grown } = report;
        progress.show({ done: bytes, total, sessions: restored + present + replaced + grown, bytes });
      },
    });
    const done = await importing.catch((error: unknown) => {
      progress[Symbol.dispose]();
      // The sessions before the failure are imported: report them before the error.
      if (sofar !== undefined) printResult(sofar, { dryRun: dryRun === true, stopped: true });
      throw error;
    });
    progress[Symbol.dispose]();
    // An export of an application has conversations that were opened and left: nothing of them is missing.
    if (done.skipped > done.empty) process.exitCode ||= 1;
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

/** @throws SessionError `argument_invalid` for a file that does not exist, as for the path of a file to import */
async function tableOf(from: string, name: string): Promise<Table> {
  try {
    return await openTable(from, name);
  } catch (error) {
    if (hasCode(error, "store_unavailable") && error.details.problem === "file_missing")
      throw new SessionError("argument_invalid", { name: from, expected: "existing_file" }, { cause: error });
    throw error;
  }
}

const rowNames = { exchanges: "exchange", messages: "message", states: "session" } as const;

/** Says which column is taken for what, and which are kept as they are. */
function noteColumns(table: string, { rows, columns, others }: TableColumns): void {
  const taken = Object.entries(columns).map(([field, column]) => `${field} from ${printable(column)}`);
  note(`table ${printable(table)}, a row for each ${rowNames[rows]}: ${taken.join(", ")}`);
  const place = rows === "states" ? "as metadata" : "beside the messages";
  if (others.length > 0) note(`columns kept ${place}: ${others.map(printable).join(", ")}`);
}

/** The store to write. The items are read no further where it cannot be opened. */
async function openOrEnd(options: StoreOptions, items: AsyncGenerator<ImportItem, void, undefined>): Promise<Sessions> {
  try {
    return await openFor(options);
  } catch (error) {
    await items.return();
    throw error;
  }
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
  for (const { source, id, leftOut, fields = [] } of done.incomplete) {
    const place = id === undefined ? printable(source) : `${printable(id)} (${printable(source)})`;
    const names = fields.length === 0 ? "" : `: ${fields.map(printable).join(", ")}`;
    note(`${place}: left out ${leftOutText(leftOut)}${names}`);
  }
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

/** The items until the signal aborts: a pipe may be silent for long. */
async function* until(
  signal: AbortSignal,
  items: AsyncGenerator<ImportItem, void, undefined>,
): AsyncGenerator<ImportItem, void, undefined> {
  let stop = (): void => undefined;
  signal.addEventListener("abort", () => stop(), { once: true });
  let isEnded = false;
  try {
    while (!signal.aborted) {
      // A race with one promise for the whole import would keep every item until its end.
      const next = await new Promise<IteratorResult<ImportItem, void> | undefined>((resolve, reject) => {
        stop = () => resolve(undefined);
        items.next().then(resolve, reject);
      });
      if (next === undefined) return;
      isEnded = next.done === true;
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    // The reader of a silent pipe would keep the process.
    if (!isEnded) process.stdin.destroy();
  }
}
