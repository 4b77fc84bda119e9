import type { Command } from "commander";
import type { LeaseHolder, Message, Session, SessionInfo, Sessions, Turn, UnreadableEntry } from "../../index.ts";
import { wholeNumber } from "../terminal/arguments.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openToRead, type StoreOptions } from "../program/environment.ts";
import { jsonOf } from "../../domain/turns/known-parts.ts";
import { labelTexts } from "../../domain/values/labels.ts";
import { printable } from "../../domain/values/format-value.ts";
import { localTime, note, span, writeJson, writeLine, writeTable } from "../terminal/output.ts";
import { budgetText } from "./sessions-budget.ts";
import { counted } from "../../errors/counted.ts";

interface ShowOptions extends StoreOptions, JsonOption {
  readonly turns: number;
}

export function showCommand(): Command {
  return storeCommand(
    "show",
    "Show a session: counters, deadlines, instructions, reason of its end, lease holder, last turns",
  )
    .argument("<id>", "the session")
    .option("--turns <n>", "how many of the last turns to show", wholeNumber, 5)
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples(["perdure sessions show ceo_01m7…", "perdure sessions show ceo_01m7… --turns 100 --json | jq .turns"]),
    )
    .action(show);
}

async function show(id: string, { turns, json, ...options }: ShowOptions): Promise<void> {
  await using sessions = await openToRead(options);
  const session = await sessions.get(id);
  const holder = await session.leaseHolder();
  const onUnreadable = ({ seq, reason }: UnreadableEntry): void => note(`turn ${seq} is not shown: ${reason}`);
  const last = await Array.fromAsync(session.turns({ last: turns, onUnreadable }));
  const instructions = (await session.instructions()) ?? null;
  const ended = await endOf(sessions, session.info);
  if (json === true) writeJson({ ...session.info, lease: holder, instructions, ended, turns: last });
  else describe(session, { holder, instructions, ended, turns: last });
}

/** When and why a session was ended; null if it was not, or its event is not kept any more. */
async function endOf(sessions: Sessions, { id, state }: SessionInfo): Promise<Ended | null> {
  if (state !== "ended" && state !== "archived") return null;
  const { items } = await sessions.listEvents({ session: id, type: "ended", order: "descending", limit: 1 });
  const [event] = items;
  return event?.type === "ended" ? { at: event.at, reason: event.reason } : null;
}

interface Ended {
  readonly at: Date;
  readonly reason: string;
}

/** What is shown beside the session itself. */
interface Shown {
  readonly holder: LeaseHolder | null;
  readonly instructions: string | null;
  readonly ended: Ended | null;
  readonly turns: readonly Turn[];
}

function describe({ info }: Session, { holder, instructions, ended, turns }: Shown): void {
  const { counters } = info;
  writeTable(
    ["SESSION", info.id],
    [
      ["agent", info.agent],
      ["title", info.title ?? "-"],
      ["labels", labelTexts(info.labels).join(", ") || "-"],
      ["user", info.user ?? "-"],
      ["state", info.state],
      ...(ended === null ? [] : [["ended", `${localTime(ended.at)}: ${ended.reason}`]]),
      ["instructions", instructions === null ? "-" : shortened(instructions)],
      ["created", localTime(info.createdAt)],
      ["last active", localTime(info.lastActivityAt)],
      ["expires", localTime(info.expiresAt)],
      ["turns", `${counters.turns} with ${counted(counters.messages, "message")}`],
      [
        "tokens",
        `${counters.totalTokens} (${counters.inputTokens} in, ${counters.outputTokens} out) in ${counted(counters.requests, "model call")}`,
      ],
      ["budget", budgetText(info)],
      ["duration", `${span(counters.durationMs)}, the longest ${span(counters.longestMs)}`],
      ["metadata", metadataText(info)],
      ...(info.archive === null ? [] : [["archived", archiveText(info.archive)]]),
      ...(info.waitingTurn === null ? [] : [["waits", waitingText(info.waitingTurn)]]),
      ...(info.legalHold === null
        ? []
        : [["legal hold", `since ${localTime(info.legalHold.since)}: ${info.legalHold.reason}`]]),
      ...(info.parent === null ? [] : [["fork of", `${info.parent.id}, up to turn ${info.parent.turn}`]]),
      ["lease holder", holder === null ? "none" : holderText(holder)],
    ],
  );
  for (const turn of turns) describeTurn(turn);
}

function metadataText({ metadata }: SessionInfo): string {
  const names = Object.keys(metadata);
  return names.length === 0 ? "-" : names.join(", ");
}

function waitingText({ turn, reason, since, expiresAt }: NonNullable<SessionInfo["waitingTurn"]>): string {
  const end = expiresAt === null ? "" : `, until ${localTime(expiresAt)}`;
  return `turn ${turn}, since ${localTime(since)}${end}: ${printable(reason)}`;
}

function archiveText({ bytes, packedBytes }: NonNullable<SessionInfo["archive"]>): string {
  return `${counted(bytes, "byte")}, compressed to ${packedBytes}`;
}

function holderText({ instance, host, pid, fence, heldMs, alive }: LeaseHolder): string {
  const where = host === null ? "" : ` (process ${pid} on ${host})`;
  const state = alive ? "" : "; the holder is dead, the next writer takes over";
  return `${instance}${where} for ${span(heldMs)}, fencing token ${fence}${state}`;
}

function describeTurn(turn: Turn): void {
  const parts = [
    `turn ${turn.seq}`,
    localTime(turn.at),
    turn.agent,
    ...(turn.status === "done" ? [] : [turn.status]),
    ...(turn.error === undefined ? [] : [turn.error.message]),
  ];
  process.stdout.write("\n");
  writeLine(parts.join(" · "));
  for (const message of [...turn.input, ...turn.output]) writeLine(`  ${messageText(message)}`);
}

const lengthMax = 300;

function messageText({ role, content, tool_calls: calls }: Message): string {
  const text = typeof content === "string" ? content : content == null ? "" : jsonOf(content);
  const called = (calls ?? []).map((call) => `${call.function.name}(${call.function.arguments})`).join(" ");
  return `${role}: ${shortened([text, called].filter((part) => part !== "").join(" "))}`;
}

function shortened(text: string): string {
  const whole = printable(text);
  const rest = whole.length - lengthMax;
  return rest > 0 ? `${whole.slice(0, lengthMax)}… (${rest} more characters; --json shows them)` : whole;
}
