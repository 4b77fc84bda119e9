import { Option, type Command } from "commander";
import { defined } from "../../domain/values/defined.ts";
import { printable } from "../../domain/values/format-value.ts";
import { counted } from "../../errors/counted.ts";
import { encodeValue, type LogEntry, type Session } from "../../index.ts";
import { wireLogEntry } from "../../protocol/written.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openToRead, type StoreOptions } from "../program/environment.ts";
import { wholeNumber } from "../terminal/arguments.ts";
import { writeEach } from "../terminal/each.ts";
import { localTime, note, writeJson, writeLine, writeTable } from "../terminal/output.ts";
import { untilSignalled } from "../terminal/signals.ts";

interface Selection {
  readonly from?: number;
  readonly to?: number;
  readonly last?: number;
  readonly keys?: readonly string[];
  readonly prefix?: string;
  readonly order?: "ascending" | "descending";
  readonly limit?: number;
  readonly follow?: boolean;
}

interface LogsOptions extends StoreOptions, JsonOption, Selection {}

/** Entries that are listed where no option selects others. */
const lastByDefault = 50;
/** Characters of a value on a line for people. */
const lengthMax = 300;

export function logsCommand(): Command {
  const byNumber = ["from", "to", "last"];
  return storeCommand("logs", "List the named logs of a session, or the entries of one")
    .argument("<session>", "the session")
    .argument("[name]", `the log (default: all logs, with the number of their entries)`)
    .addOption(new Option("--from <n>", "from this entry on").argParser(wholeNumber))
    .addOption(new Option("--to <n>", "up to this entry").argParser(wholeNumber))
    .addOption(
      new Option("--last <n>", `the last so many entries (default: ${lastByDefault})`)
        .argParser(wholeNumber)
        .conflicts(["from", "to"]),
    )
    .addOption(new Option("--keys <key...>", "the entries with these keys").conflicts([...byNumber, "order"]))
    .addOption(
      new Option("--prefix <text>", "the entries whose keys begin with this, in the order of their keys").conflicts([
        ...byNumber,
        "keys",
      ]),
    )
    .addOption(
      new Option("--order <order>", "of the entries (default: ascending)").choices(["ascending", "descending"]),
    )
    .addOption(new Option("--limit <n>", "at most so many entries").argParser(wholeNumber))
    .addOption(
      new Option("--follow", "continue with later entries until the session ends or Ctrl-C").conflicts([
        "to",
        "keys",
        "prefix",
        "order",
        "limit",
      ]),
    )
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure logs ceo_01m7…",
        "perdure logs ceo_01m7… jobs --last 10",
        "perdure logs ceo_01m7… checkpoints --prefix main/ --order descending --limit 1 --json | jq .value",
        "perdure logs ceo_01m7… jobs --follow",
      ]),
    )
    .action(logs);
}

async function logs(id: string, name: string | undefined, options: LogsOptions): Promise<void> {
  const { json, store, tenant, ...selection } = options;
  await untilSignalled(async (signal) => {
    await using sessions = await openToRead(defined({ store, tenant }));
    const session = await sessions.get(id);
    if (name === undefined) {
      listLogs(session, json === true);
      return;
    }
    let count = 0;
    const write = (entry: LogEntry): void => {
      count++;
      if (json === true) writeLine(encodeValue(wireLogEntry(name, entry)));
      else writeEntry(entry);
    };
    await writeEach((stop) => selected(session, name, { ...selection, stop }), write, signal);
    if (count === 0 && selection.follow !== true) note(`no entries in the log ${name}`);
  });
}

function listLogs({ info }: Session, json: boolean): void {
  const named = Object.entries(info.logs).map(([name, { end }]) => ({ name, end }));
  if (json) for (const log of named) writeJson(log);
  else if (named.length === 0) note(`session ${info.id} has no named logs`);
  else
    writeTable(
      ["LOG", "ENTRIES"],
      named.map(({ name, end }) => [name, String(end)]),
    );
}

/** The entries that the options select, up to the limit. */
async function* selected(
  session: Session,
  name: string,
  { stop, follow, limit = Infinity, ...selection }: Selection & { readonly stop: AbortSignal },
): AsyncGenerator<LogEntry, void, undefined> {
  const log = session.log(name);
  const { from, to, keys, prefix, order } = selection;
  const { logs: named } = session.info;
  const end = Object.hasOwn(named, name) ? (named[name]?.end ?? 0) : 0;
  const isRange = from !== undefined || to !== undefined || order !== undefined || limit !== Infinity;
  const last = selection.last ?? (isRange ? undefined : lastByDefault);
  if (follow === true) {
    const after = from === undefined ? Math.max(0, end - (last ?? 0)) : Math.max(0, from - 1);
    yield* log.follow({ after, signal: stop });
    return;
  }
  let left = limit;
  for await (const entry of entries()) {
    if (left-- <= 0) return;
    yield entry;
  }
  if (selection.last === undefined && last !== undefined && keys === undefined && prefix === undefined && end > last)
    note(`only the last ${counted(last, "entry")} of ${end}; --last or --from lists more`);

  function entries(): AsyncIterable<LogEntry> {
    if (keys !== undefined) return entriesOf(keys);
    if (prefix !== undefined)
      return log.between({ prefix }, defined({ order, limit: limit === Infinity ? undefined : Math.max(1, limit) }));
    return log.entries(defined({ from, to, last, order }));
  }

  async function* entriesOf(wanted: readonly string[]): AsyncGenerator<LogEntry, void, undefined> {
    yield* await log.get(wanted);
  }
}

function writeEntry({ seq, key, at, value }: LogEntry): void {
  const whole = printable(typeof value === "string" ? value : encodeValue(value));
  const rest = whole.length - lengthMax;
  const text = rest > 0 ? `${whole.slice(0, lengthMax)}… (${rest} more characters; --json shows them)` : whole;
  writeLine([String(seq), localTime(at), key ?? "-", text].join("  "));
}
