import { Option, type Command } from "commander";
import { defined } from "../../domain/values/defined.ts";
import { printable } from "../../domain/values/format-value.ts";
import { SessionError } from "../../errors.ts";
import { encodeValue, type StandingStatus, type StreamInfo, type Streams, type Value } from "../../index.ts";
import { wireStream } from "../../protocol/wire-streams.ts";
import { bareCommand, examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openToRead, type StoreOptions } from "../program/environment.ts";
import { wholeNumber } from "../terminal/arguments.ts";
import { writeEach } from "../terminal/each.ts";
import { localTime, note, writeJson, writeLine } from "../terminal/output.ts";
import { untilSignalled } from "../terminal/signals.ts";

interface CommonOptions extends StoreOptions, JsonOption {}

const statuses: readonly StandingStatus[] = ["streaming", "done", "error", "lost"];
/** Streams of one page. */
const pageMax = 100;

/** `perdure streams`: the commands on streams. */
export function streamsCommand(): Command {
  return bareCommand("streams", "List streams, in progress, done or lost, and show their parts")
    .addHelpText("after", examples(["perdure streams list --status streaming", "perdure streams show answer-7"]))
    .addCommand(listCommand())
    .addCommand(showCommand());
}

interface ListOptions extends CommonOptions {
  readonly status?: StandingStatus;
  readonly session?: string;
  readonly after?: string;
  readonly limit: number;
}

function listCommand(): Command {
  return storeCommand("list", "List the streams, the most recently written first")
    .option(...jsonOption)
    .addOption(new Option("--status <status>", "only streams of this status").choices([...statuses]))
    .option("--session <id>", "only the streams of this session")
    .option("--after <cursor>", "the streams behind this one, as a list names it")
    .addOption(new Option("--limit <n>", "at most so many streams").argParser(wholeNumber).default(50))
    .addHelpText(
      "after",
      examples([
        "perdure streams list",
        "perdure streams list --status lost --json | jq -r .stream",
        "perdure streams list --session chat-1 --limit 200",
      ]),
    )
    .action(list);
}

async function list({ json, status, session, after, limit, ...options }: ListOptions): Promise<void> {
  await untilSignalled(async (signal) => {
    await using sessions = await openToRead(options);
    let count = 0;
    const write = (stream: StreamInfo): void => {
      count++;
      if (json === true) writeJson(wireStream(stream));
      else writeStream(stream);
    };
    const query = defined({ status, session, after });
    await writeEach(() => listed(sessions.streams, { ...query, limit }), write, signal);
    if (count === 0 && limit > 0) note("no streams");
  });
}

/** The streams up to the limit. Notes name those that cannot be read, and the cursor of the next list. */
async function* listed(
  streams: Streams,
  { limit, ...query }: { readonly after?: string; readonly limit: number } & Pick<ListOptions, "status" | "session">,
): AsyncGenerator<StreamInfo, void, undefined> {
  let left = limit;
  let { after } = query;
  while (left > 0) {
    const page = await streams.list({ ...query, ...defined({ after }), limit: Math.min(left, pageMax) });
    yield* page.items;
    for (const { id, reason } of page.unreadable ?? []) note(`stream ${id} is not listed: ${reason}`);
    left -= page.items.length;
    after = page.next;
    if (after === undefined) return;
  }
  if (after !== undefined && limit > 0) note(`more: --after ${after}`);
}

function writeStream({ stream, status, session, parts, lastActivityAt, expiresAt }: StreamInfo): void {
  const of = session === null ? [] : [`session ${session}`];
  const expiry = expiresAt === null ? [] : [`expires ${localTime(expiresAt)}`];
  const count = `${parts} ${parts === 1 ? "part" : "parts"}`;
  writeLine([stream, status, count, localTime(lastActivityAt), ...of, ...expiry].map(printable).join("  "));
}

interface ShowOptions extends CommonOptions {
  readonly after: number;
}

function showCommand(): Command {
  return storeCommand("show", "Print the parts of a stream that are stored, and its status")
    .argument("<stream>", "the id of the stream")
    .option(...jsonOption)
    .addOption(new Option("--after <n>", "the parts behind this one").argParser(wholeNumber).default(0))
    .addHelpText(
      "after",
      examples(["perdure streams show answer-7", "perdure streams show answer-7 --after 20 --json | jq .part"]),
    )
    .action(show);
}

async function show(id: string, { json, after, ...options }: ShowOptions): Promise<void> {
  await untilSignalled(async (signal) => {
    await using sessions = await openToRead(options);
    const { streams } = sessions;
    const info = await streams.get(id);
    if (info === null) throw new SessionError("stream_not_found", { stream: id });
    if (json !== true) writeStream(info);
    for await (const { seq, part } of stored(streams, info, { after, signal })) {
      if (json === true) writeJson({ seq, part });
      else writeLine(`${seq}  ${printable(textOf(part))}`);
    }
  });
}

/** The parts that are stored now: a stream in progress is not followed. */
async function* stored(
  streams: Streams,
  { stream, parts }: StreamInfo,
  { after, signal }: { readonly after: number; readonly signal: AbortSignal },
): ReturnType<Streams["read"]> {
  if (after >= parts) return;
  for await (const part of streams.read(stream, { after, signal })) {
    yield part;
    if (part.seq >= parts) return;
  }
}

function textOf(part: Value): string {
  return typeof part === "string" ? part : encodeValue(part);
}
