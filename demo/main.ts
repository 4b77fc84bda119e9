/**
 * The main job, on real input: conversations that continue across operating-system processes on one SQLite file, one of
 * which is killed in the middle of an answer. Every promise is checked against what the processes said while they
 * lived; a broken one makes the exit code 1.
 */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { styleText } from "node:util";
import { readConversations, type Conversation } from "../src/adapters/replay.ts";
import { openSessions } from "../src/index.ts";
import { keepAndMove } from "./keep.ts";
import { Ledger, spokenText } from "./ledger.ts";
import { liveSessions } from "./live.ts";
import type { Part, Said } from "./player.ts";
import { serverlessChat } from "./serverless.ts";
import { PlayerProcess } from "./process.ts";

// The demo starts some thirty processes. Each would compile the sources again, half a second each.
process.env["NODE_COMPILE_CACHE"] ??= join(tmpdir(), "node-compile-cache");

const folder =
  process.env["PERDURE_CONVERSATIONS"] || fileURLToPath(new URL("../examples/conversations", import.meta.url));
const workplace = await mkdtemp(join(tmpdir(), "perdure-demo-"));
const store = `sqlite:${join(workplace, "demo.db")}`;
const ledger = new Ledger();
const rows: string[][] = [];

try {
  const conversations = await choose();
  for (const told of conversations.long) await tellStory(told);
  for (const told of conversations.short) await tellShort(told);
  await allAtOnce(conversations.long.concat(conversations.short));
  await serverless(conversations.long[0] ?? conversations.short[0]);
  heading("live sessions: one loops for ever, the others do not notice");
  await liveSessions(store, say);
  heading("a session as a file, in another store, forked and archived");
  await keepAndMove({ store, id: (conversations.long[0] ?? conversations.short[0])?.id ?? "shared", workplace }, say);
  await conclude();
} finally {
  await rm(workplace, { recursive: true });
}

interface Told extends Conversation {
  readonly file: string;
}

/** From each file, up to two conversations that are long enough to be broken off, and two short ones. */
async function choose(): Promise<{ long: Told[]; short: Told[] }> {
  const files = (await readdir(folder)).filter((name) => name.endsWith(".jsonl")).toSorted();
  const all: Told[] = [];
  for (const name of files) {
    const file = join(folder, name);
    all.push(...(await readConversations(file)).map((conversation) => ({ ...conversation, file })));
  }
  const answered = ({ exchanges }: Told): number => exchanges.filter(({ output }) => output.length > 0).length;
  const ofEach = (fits: (told: Told) => boolean): Told[] =>
    files.flatMap((name) => all.filter((told) => told.file === join(folder, name) && fits(told)).slice(0, 2));
  const long = ofEach((told) => answered(told) >= 5 && speaks(told, 3)).slice(0, 4);
  const short = ofEach((told) => answered(told) >= 2 && !long.includes(told)).slice(0, 4);
  say(
    "",
    `${all.length} conversations in ${files.length} files; playing ${long.length} long and ${short.length} short ones`,
  );
  return { long, short };
}

/** True where the answer to this exchange is said in text, long enough to be broken off. */
function speaks({ exchanges }: Told, index: number): boolean {
  return spokenText(exchanges[index]?.output ?? []).length > 100;
}

/** Two turns, one more in the next process, one broken off by SIGKILL, and the process that continues after it. */
async function tellStory(told: Told): Promise<void> {
  const session = told.id;
  heading(session);
  await played(told, { from: 0, to: 2 }, "creates the session, plays two turns and exits");
  await played(told, { from: 2, to: 3 }, "continues where it stopped");

  const killed = start(told, { from: 3, to: 4, delayMs: 60, pieceLength: 8 }, (said) => {
    if (said.kind === "text" && ++pieces === 9) killed.kill();
  });
  let pieces = 0;
  await killed.ended();
  const heard = killed.said.flatMap((said) => (said.kind === "text" ? [said.text] : [])).join("");
  say(
    killed.pid,
    `is killed (SIGKILL) in the middle of its answer: ${styleText("dim", JSON.stringify(heard.slice(-40)))}`,
  );
  const before = await look(session);

  const [process, ms] = await played(
    told,
    { from: 3, to: 5 },
    "finds all that, seals the broken turn, asks again and continues",
  );
  const after = await look(session);
  const [asked] = process.said;
  const next = asked?.kind === "asked" ? asked.sinceStartMs : ms;
  say(
    "",
    `turn ${before.turn} is ${after.statusOf(before.turn)}; it keeps ${JSON.stringify(after.textOf(before.turn).slice(-40))}`,
  );
  rows.push([session, `${before.turn} → ${after.turn}`, `${before.tokens} → ${after.tokens}`, `${next} ms`]);
}

async function tellShort(told: Told): Promise<void> {
  heading(told.id);
  await played(told, { from: 0, to: 1 }, "asks the first question and exits");
  const before = await look(told.id);
  const [process, ms] = await played(told, { from: 1, to: 2 }, "continues");
  const after = await look(told.id);
  const [asked] = process.said;
  const next = asked?.kind === "asked" ? asked.sinceStartMs : ms;
  rows.push([told.id, `${before.turn} → ${after.turn}`, `${before.tokens} → ${after.tokens}`, `${next} ms`]);
}

/** Four processes write to a session each, and all of them to a fifth, at once. */
async function allAtOnce(told: readonly Told[]): Promise<void> {
  heading("four processes at once, each on a session of its own and all on a shared one");
  const processes = Array.from({ length: 4 }, (_, index) => {
    const one = told[index % told.length];
    if (one === undefined) throw new Error("no conversations to play");
    const shared = { session: "shared", times: 10, name: `process ${index + 1}` };
    return start(one, { session: `at-once-${index + 1}`, from: 0, to: 2, shared });
  });
  const ended = await Promise.all(processes.map((process) => process.ended()));
  if (ended.includes(false)) throw new Error("a process failed");
  const { turn } = await look("shared");
  say(processes.map(({ pid }) => pid).join(" "), `are done; the shared session has ${turn} turns`);
}

/** A chat over HTTP, a new process for each request. */
async function serverless(told: Told | undefined): Promise<void> {
  if (told === undefined) throw new Error("no conversations to play");
  heading("a chat on a serverless host: a new process for each request");
  await serverlessChat({ store, file: told.file, conversation: told.id }, told, say);
}

async function conclude(): Promise<void> {
  heading("what a process that saw none of this finds");
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => (row[column] ?? "").length), 16));
  const line = (cells: readonly string[]): string =>
    cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ");
  console.log(styleText("bold", line(["session", "turns", "tokens", "continues after"])));
  for (const row of rows) console.log(line(row));
  await using sessions = await openSessions({ store, sweep: false });
  const broken = await ledger.broken(sessions, "shared");
  for (const fault of broken) console.log(styleText("red", `broken promise: ${fault}`));
  if (broken.length > 0) process.exitCode = 1;
  else console.log(`\nEvery acknowledged turn is there, once and whole, in order; the counters agree with the logs.`);
}

function start(
  told: Told,
  part: Partial<Part> & Pick<Part, "from" | "to">,
  onSaid: (said: Said) => void = () => undefined,
): PlayerProcess {
  const session = part.session ?? told.id;
  const whole: Part = { store, file: told.file, conversation: told.id, ...part, session };
  return new PlayerProcess(whole, (said) => {
    ledger.record(session, said);
    onSaid(said);
  });
}

/** Play a part to its end in a process of its own. */
async function played(told: Told, part: Pick<Part, "from" | "to">, what: string): Promise<[PlayerProcess, number]> {
  const startedAt = performance.now();
  const process = start(told, part);
  if (!(await process.ended())) throw new Error(`process ${process.pid} failed`);
  const ms = Math.round(performance.now() - startedAt);
  say(process.pid, `${what} ${styleText("dim", `(${ms} ms)`)}`);
  return [process, ms];
}

/** The stored session, as this process reads it. */
async function look(id: string): Promise<{
  turn: number;
  tokens: number;
  statusOf: (seq: number) => string;
  textOf: (seq: number) => string;
}> {
  await using sessions = await openSessions({ store, sweep: false });
  const session = await sessions.get(id);
  const turns = await Array.fromAsync(session.turns());
  return {
    turn: session.info.turn,
    tokens: session.info.counters.totalTokens,
    statusOf: (seq) => turns[seq - 1]?.status ?? "missing",
    textOf: (seq) => spokenText(turns[seq - 1]?.output ?? []),
  };
}

function heading(text: string): void {
  console.log(`\n${styleText("bold", text)}`);
}

function say(who: string | number, text: string): void {
  console.log(`  ${String(who).padEnd(7)} ${text}`);
}
