import { Option, type Command } from "commander";
import type { SessionError, SessionSelection, SessionState } from "../../index.ts";
import { sessionStates } from "../../domain/record/states.ts";
import { ExportFile, packedPiece, Piece, type ExportPosition } from "../../files/export-file.ts";
import { sumOf } from "../../files/left-out.ts";
import { renderings } from "../../files/renderings.ts";
import { labelFilterOf } from "../../domain/values/labels.ts";
import { instant, label } from "../terminal/arguments.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openToRead, storeUrl, type StoreOptions } from "../program/environment.ts";
import { printable, printableLines } from "../../domain/values/format-value.ts";
import { defined } from "../../domain/values/defined.ts";
import { note, report } from "../terminal/output.ts";
import { Progress } from "../terminal/progress.ts";
import { untilSignalled } from "../terminal/signals.ts";
import { fileOfStore } from "../program/store-file.ts";
import { exportSessions } from "../../admin.ts";
import { counted } from "../../errors/counted.ts";
import type { LeftOut } from "../../sessions/transfer/conversation.ts";
import { typedFailure } from "../../sessions/core/pass-failures.ts";

interface ExportOptions extends StoreOptions, JsonOption {
  readonly agent?: string;
  readonly user?: string;
  readonly state?: SessionState;
  readonly label?: readonly string[];
  /** The text of the option, and its instant. */
  readonly since?: { readonly text: string; readonly date: Date };
  readonly out?: string;
  readonly gzip?: boolean;
  readonly format: keyof typeof renderings;
  readonly after?: string;
}

/** `perdure export`: many sessions as one file, a line each. */
export function exportCommand(): Command {
  return storeCommand("export", "Export sessions, one a line, ordered by id")
    .option("--agent <name>", "only sessions of this agent")
    .option("--user <id>", "only sessions of this user")
    .addOption(new Option("--state <state>", "only sessions in this state").choices(sessionStates))
    .option("--label <name=value>", "only sessions with this label, or with any value of it: --label team", label)
    .option("--since <instant>", "active at or after: 2026-11-20, 2026-11-20T18:00, or 24h for a day ago", (text) => ({
      text,
      date: instant(text),
    }))
    .option("--out <file>", "write to this file; after an interruption the same command continues (default: stdout)")
    .option("--gzip", "compress the output; a file name that ends in .gz implies it")
    .addOption(
      new Option(
        "--format <format>",
        "perdure: snapshots, markdown: text for people, others: messages as that format writes them",
      )
        .choices(Object.keys(renderings))
        .default("perdure"),
    )
    .option("--after <id>", "start after the session with this id")
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure export > all.ndjson",
        "perdure export --out all.ndjson.gz",
        "perdure export --user ada --format markdown > ada.md",
        "perdure export --agent ceo --state ended --since 30d --format openai > chats.jsonl",
        "perdure export --label team=ops > ops.ndjson",
        "perdure export --format anthropic > messages.jsonl",
      ]),
    )
    .action(exportAll);
}

/** The target of an export. */
interface Target {
  readonly position: ExportPosition;
  /** False once the reader closed the pipe. */
  write(bytes: Uint8Array, position: ExportPosition): Promise<boolean>;
}

async function exportAll(options: ExportOptions): Promise<void> {
  await untilSignalled(async (signal) => {
    const { out, agent, user, state, label: labels, since, format, after, tenant, gzip, json } = options;
    if (out === undefined) {
      const target = new StandardOutput(after);
      const { leftOut } = await exportTo(target, options, signal);
      note(`exported ${countOf(target.position)}${leftOutText(leftOut)}`);
      return;
    }
    const store = storeUrl(options);
    const of = JSON.stringify({ store, tenant, agent, user, state, labels, since: since?.text, format, after, gzip });
    await using file = await ExportFile.open(out, of, await fileOfStore(store));
    const { sessions: earlier } = file.position;
    if (earlier > 0) note(`continuing after ${counted(earlier, "session")} already written`);
    const { isStopped, leftOut } = await exportTo(file, options, signal);
    if (isStopped) {
      await file.keep();
      note(`stopped after ${countOf(file.position)}; run the same command again to continue`);
      return;
    }
    await file.finish();
    const { sessions, turns } = file.position;
    const text = `exported ${countOf(file.position)} to ${file.file}${leftOutText(leftOut)}`;
    report({ file: file.file, sessions, turns, leftOut }, text, { json });
  });
}

/** The end of an export. */
interface Exported {
  /** True if the signal stopped it. */
  readonly isStopped: boolean;
  /** What the format cannot carry of the sessions that this run wrote. */
  readonly leftOut: LeftOut;
}

async function exportTo(target: Target, options: ExportOptions, signal: AbortSignal): Promise<Exported> {
  await using sessions = await openToRead(options);
  const { agent, user, state, label: labels, since, format } = options;
  const selection: SessionSelection = defined({
    agent,
    user,
    state,
    labels: labels && labelFilterOf(labels),
    activeSince: since?.date,
  });
  const packed = options.gzip === true || options.out?.endsWith(".gz") === true;
  // No progress bar if the data goes to the same terminal.
  const isAlone = options.out !== undefined || !process.stdout.isTTY;
  using progress = isAlone ? await Progress.begin() : undefined;
  // The number of sessions after an id is unknown.
  const isCounted = isAlone && Progress.isShown && options.after === undefined;
  const total = isCounted ? await sessions.count(selection) : undefined;
  let bytes = 0;
  const after = target.position.after ?? options.after;
  const onSkipped = (id: string, { message }: SessionError): void => {
    process.exitCode = 1;
    const text = `skipped session ${printable(id)}: ${printable(message)}`;
    if (progress === undefined) note(text);
    else progress.note(text);
  };
  const exported = exportSessions(sessions, { ...selection, onSkipped, ...defined({ after }) });
  // A file or a pipe gets the exact text; on a terminal control characters are escaped.
  const isShown = options.out === undefined && process.stdout.isTTY;
  let leftOut: LeftOut = {};
  const render = (id: string, text: string): string | undefined => {
    try {
      const rendered = renderings[format](text);
      leftOut = sumOf(leftOut, rendered.leftOut);
      return isShown ? printableLines(rendered.text) : rendered.text;
    } catch (error) {
      // A damaged turn may be JSON, but not have the fields that the format needs.
      onSkipped(id, typedFailure({ tenant: sessions.tenant, id }, error));
      return undefined;
    }
  };
  const piece = new Piece();
  let position = target.position;
  let isWanted = true;
  const write = async (): Promise<void> => {
    const taken = piece.take();
    bytes += taken.length;
    isWanted = await target.write(packed ? await packedPiece(taken) : taken, position);
    progress?.show({ done: position.sessions, total, sessions: position.sessions, bytes });
  };
  for await (const { id, turns, text } of exported) {
    const rendered = render(id, text);
    if (rendered === undefined) continue;
    position = { after: id, sessions: position.sessions + 1, turns: position.turns + turns };
    if (piece.add(rendered)) await write();
    if (signal.aborted || !isWanted) break;
  }
  if (isWanted && position.sessions > target.position.sessions) await write();
  return { isStopped: signal.aborted, leftOut };
}

function leftOutText(leftOut: LeftOut): string {
  const kinds = Object.entries(leftOut).map(([kind, count]) => counted(count, kind));
  return kinds.length === 0 ? "" : `; the format left out ${kinds.join(", ")}`;
}

class StandardOutput implements Target {
  position: ExportPosition;

  constructor(after: string | undefined) {
    this.position = { after, sessions: 0, turns: 0 };
  }

  async write(bytes: Uint8Array, position: ExportPosition): Promise<boolean> {
    // Waiting for each write gives backpressure from a slow reader; a closed pipe ends the export without an error.
    const isRead = await new Promise<boolean>((resolve) =>
      process.stdout.write(bytes, (error) => resolve(error == null)),
    );
    if (isRead) this.position = position;
    return isRead;
  }
}

function countOf({ sessions, turns }: ExportPosition): string {
  return `${counted(sessions, "session")} with ${counted(turns, "turn")}`;
}
