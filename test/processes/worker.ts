/** A program that tests run in processes of their own, to be raced, stopped and killed. It says on stdout what was acknowledged. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import {
  hasCode,
  folder,
  openSessions,
  SessionError,
  type BusyPolicy,
  type Limits,
  type Model,
  type Session,
  type Sessions,
} from "../../src/index.ts";
import { copySessions, erase as eraseUser } from "../../src/admin.ts";
import { attach, type AttachTask } from "./attachment-writer.ts";
import { branch, type BranchesTask } from "./branches.ts";
import { makeChanges, type ChangesTask } from "./changes.ts";
import {
  forkLogs,
  rewrite,
  together,
  write,
  type ForkLogsTask,
  type RewriteTask,
  type TogetherTask,
  type WriteTask,
} from "./log-writers.ts";
import { askInstead, type ReplacedMarksTask } from "./replaced-marks.ts";
import { askWithSummaries, type SummariesTask } from "./summaries.ts";
import { askUntitled, type TitlesTask } from "./titles.ts";
import { workOnWaiting, type WaitingTask } from "./waiting-turns.ts";

export type Task =
  /** Append turns with the keys `k<from>`, `k<from + 1>` …, without end. */
  | { readonly kind: "append"; readonly session: string; readonly from: number }
  /** Append turns to each of these sessions at once, without end. */
  | { readonly kind: "crowd"; readonly sessions: readonly string[] }
  /** Begin, write and seal turns, without end. */
  | { readonly kind: "stream"; readonly session: string }
  /** Ask a model that answers slowly, once. */
  | {
      readonly kind: "consult";
      readonly session: string;
      readonly question: string;
      readonly pieces: number;
      readonly busy?: BusyPolicy;
    }
  /** Append so many turns to a session that others append to. */
  | { readonly kind: "race"; readonly session: string; readonly name: string; readonly times: number }
  /** Write under leases on random sessions, without end. */
  | { readonly kind: "lease"; readonly sessions: readonly string[]; readonly name: string }
  /** Archive the session and bring it back, without end. */
  | { readonly kind: "archive"; readonly session: string }
  /** Restore these snapshots, one after the other, each in the place of the session, without end. */
  | { readonly kind: "restore"; readonly files: readonly string[] }
  /** Append a turn to the session in another store, and copy that store into this one, without end. */
  | { readonly kind: "copy"; readonly from: string; readonly session: string }
  /** Append so many turns to the session, let it expire, and reset it, without end. */
  | { readonly kind: "reset"; readonly session: string; readonly turns: number }
  /** Fork sessions of five turns after the third and remove them, without end. */
  | { readonly kind: "fork"; readonly name: string }
  /** Erase a user and print the receipt, or die before that. */
  | { readonly kind: "erase"; readonly user: string; readonly forks: "keep" | "erase"; readonly diesWithinMs?: number }
  /** Write the numbers from 1 on as the parts of a stream, with what they say; end it after so many, or never. */
  | { readonly kind: "produce"; readonly stream: string; readonly parts: number | null; readonly pauseMs: number }
  | AttachTask
  | BranchesTask
  | ChangesTask
  | RewriteTask
  | TogetherTask
  | SummariesTask
  | ReplacedMarksTask
  | TitlesTask
  | WaitingTask
  | WriteTask
  | ForkLogsTask
  /** Produce streams of three parts, each of which ends with a turn of the session, without end. */
  | { readonly kind: "answers"; readonly session: string; readonly name: string }
  /** Take a lease and append under it, until fenced. */
  | { readonly kind: "hold"; readonly session: string };

export interface WorkerInput {
  readonly store: string;
  readonly staleAfter?: string;
  readonly limits?: Partial<Limits>;
  readonly task: Task;
}

/** What devices and receipts are hashed and signed with. */
export const secret = "a secret for tests only";

/** The text that a streamed turn is made of. */
export function streamedText(seq: number): string[] {
  return Array.from({ length: 12 }, (_, piece) => `piece ${piece} of turn ${seq}. `);
}

export const slowModel: Model = async function* slow({ messages, signal }) {
  const question = String(messages.at(-1)?.content ?? "");
  const pieces = Number(/\d+$/.exec(question)?.[0] ?? 3);
  for (let piece = 0; piece < pieces; piece++) {
    await sleep(20, undefined, { signal });
    yield { type: "text", text: `${piece} ` };
  }
};

function say(what: object): void {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

async function append(session: Session, from: number): Promise<never> {
  for (let index = from; ; index++) {
    const { seq } = await session.append(
      { input: `question ${index}`, output: `answer ${index}` },
      { key: `k${index}` },
    );
    // Long enough to be killed between what landed and saying so, which is when a retry must not double it.
    await sleep(Math.random() * 4);
    say({ seq, key: `k${index}` });
  }
}

async function crowd(sessions: Sessions, ids: readonly string[]): Promise<void> {
  await Promise.all(
    ids.map(async (id) => {
      const session = await sessions.get(id);
      for (;;) {
        const { seq } = await session.append({ input: `question of ${id}` });
        say({ session: id, seq });
      }
    }),
  );
}

async function stream(session: Session): Promise<never> {
  for (;;) {
    const turn = await session.begin("go on");
    say({ began: turn.seq });
    for (const text of streamedText(turn.seq)) {
      await turn.write({ text });
      await sleep(25);
    }
    await turn.seal();
    say({ sealed: turn.seq });
  }
}

async function race(session: Session, name: string, times: number): Promise<void> {
  for (let index = 0; index < times;) {
    try {
      const mark = `${name}-${index}`;
      const { seq } = await session.append({ input: mark });
      say({ seq, mark });
      index++;
    } catch (error) {
      if (!hasCode(error, "conflict")) throw error;
      await session.refresh();
    }
  }
}

async function lease(sessions: Sessions, ids: readonly string[], name: string): Promise<never> {
  for (let count = 0; ; count++) {
    const id = ids[Math.floor(Math.random() * ids.length)] ?? "";
    try {
      await (
        await sessions.get(id)
      ).exclusive(async (session) => {
        const fence = session.info.lease?.fence;
        say({ id, leased: fence, seen: session.info.turn });
        for (let index = 0; index < 3; index++) {
          const mark = `${name}-${count} ${index}`;
          const { seq } = await session.append({ input: mark, output: String(fence) });
          say({ id, seq, mark, fence });
          await sleep(Math.random() * 10);
        }
      });
    } catch (error) {
      if (!(error instanceof SessionError) || !["busy", "fenced", "conflict"].includes(error.code)) throw error;
      if (error.code !== "busy") say({ id, refused: error.code });
      await sleep(Math.random() * 5);
    }
  }
}

async function archive(session: Session): Promise<never> {
  for (;;) {
    await session.archive();
    say({ did: "archive" });
    await session.unarchive();
    say({ did: "unarchive" });
  }
}

async function restore(sessions: Sessions, files: readonly string[]): Promise<never> {
  for (;;)
    for (const file of files) {
      await sessions.restore(readFileSync(file), { onExists: "replace" });
      say({ did: file });
    }
}

async function copy(to: Sessions, { from, session: id }: Extract<Task, { kind: "copy" }>): Promise<never> {
  await using source = await openSessions({ store: from, limits: to.limits, sweep: false });
  const session = await source.get(id);
  for (;;) {
    await session.append({ input: "one more" });
    const { complete, reasons } = await copySessions(source, to);
    if (!complete) throw new Error(`the copy is not complete: ${JSON.stringify(reasons)}`);
    say({ did: session.info.turn });
  }
}

async function reset(sessions: Sessions, { session: id, turns }: Extract<Task, { kind: "reset" }>): Promise<never> {
  for (;;) {
    const session = await sessions.ensure(id, { ttl: "1d", onExpired: "reset" });
    say({ began: session.info.turn });
    while (session.info.turn < turns) await session.append({ input: `turn ${session.info.turn + 1}` });
    await session.update({ ttl: "1ms" });
    while ((await session.refresh()).state !== "expired");
    say({ did: "expire" });
  }
}

async function fork(sessions: Sessions, name: string): Promise<never> {
  for (let count = 0; ; count++) {
    const parent = await sessions.create({ id: `parent-${name}-${count}` });
    for (let turn = 1; turn <= 5; turn++) await parent.append({ input: `turn ${turn}` });
    const forks = await Promise.all([1, 2, 3].map((at) => parent.fork({ at, as: `fork-${name}-${count}-${at}` })));
    for (const one of forks) await one.append({ input: `turn ${one.info.turn + 1}` });
    say({ forked: count });
    // Long enough to be killed while the forks share their first turns.
    await sleep(50);
    await parent.remove();
    say({ count });
  }
}

async function erase(
  sessions: Sessions,
  { user, forks, diesWithinMs }: Extract<Task, { kind: "erase" }>,
): Promise<void> {
  say({ began: user });
  if (diesWithinMs !== undefined) setTimeout(() => process.kill(process.pid, "SIGKILL"), diesWithinMs);
  say({ receipt: JSON.stringify(await eraseUser(sessions, { user, forks })) });
}

async function hold(session: Session): Promise<void> {
  const { fence } = await session.lease();
  say({ fence });
  try {
    for (;;) {
      const { seq } = await session.append({ input: "mine", output: String(fence) });
      say({ seq });
      await sleep(20);
    }
  } catch (error) {
    say({ code: error instanceof SessionError ? error.code : String(error) });
  }
}

async function consult(session: Session, question: string, busy: BusyPolicy = "reject"): Promise<void> {
  try {
    const answer = await session.consult(question, { busy });
    say({ asked: answer.seq });
    const turn = await answer.done;
    say({ status: turn.status });
  } catch (error) {
    say({ code: error instanceof SessionError ? error.code : String(error) });
  }
}

async function produce(
  sessions: Sessions,
  { stream: id, parts, pauseMs }: Extract<Task, { readonly kind: "produce" }>,
): Promise<void> {
  const acquired = await sessions.streams.acquire(id);
  say({ role: acquired.role });
  if (acquired.role === "consumer") return;
  const { stream } = acquired;
  try {
    for (let part = 1; parts === null || part <= parts; part++) {
      await stream.write(part, { said: `${part} ` });
      say({ part });
      await sleep(pauseMs);
    }
    await stream.end();
    say({ ended: 1 });
  } catch (error) {
    if (!(error instanceof SessionError)) throw error;
    say({ code: error.code });
  }
}

async function answers(
  sessions: Sessions,
  { session, name }: Extract<Task, { readonly kind: "answers" }>,
): Promise<never> {
  for (let count = 0; ; count++) {
    const id = `${name}-${count}`;
    const acquired = await sessions.streams.acquire(id, { session, flush: { ms: 1 } });
    if (acquired.role === "consumer") throw new Error(`${id} has a producer`);
    say({ began: id });
    for (const part of [1, 2, 3]) {
      await acquired.stream.write(part);
      await sleep(Math.random() * 3);
    }
    await acquired.stream.end({ append: { input: id, output: "an answer", key: id } });
    say({ ended: id });
  }
}

async function work({ store, staleAfter = "10s", limits = {}, task }: WorkerInput): Promise<void> {
  if (task.kind === "summaries") return await askWithSummaries(store, task);
  if (task.kind === "titles") return await askUntitled(store, task);
  if (task.kind === "replaced-marks") return await askInstead(store, task, say);
  if (task.kind === "branches") return await branch(store, task, say);
  if (task.kind === "rewrite") return await rewrite(store, task, say);
  if (task.kind === "together") return await together(store, task, say);
  const attachments = task.kind === "attach" && task.in !== undefined ? { attachments: { in: folder(task.in) } } : {};
  const options = { store, staleAfter, limits, sweep: false, secret, model: slowModel, ...attachments } as const;
  await using sessions = await openSessions(options);
  switch (task.kind) {
    case "append":
      return await append(await sessions.ensure(task.session), task.from);
    case "crowd":
      return await crowd(sessions, task.sessions);
    case "attach":
      return await attach(await sessions.ensure(task.session), say);
    case "stream":
      return await stream(await sessions.ensure(task.session));
    case "consult":
      return await consult(await sessions.ensure(task.session), `${task.question} ${task.pieces}`, task.busy);
    case "race":
      return await race(await sessions.ensure(task.session), task.name, task.times);
    case "lease":
      return await lease(sessions, task.sessions, task.name);
    case "archive":
      return await archive(await sessions.get(task.session));
    case "restore":
      return await restore(sessions, task.files);
    case "copy":
      return await copy(sessions, task);
    case "reset":
      return await reset(sessions, task);
    case "fork":
      return await fork(sessions, task.name);
    case "erase":
      return await erase(sessions, task);
    case "changes":
      return await makeChanges(sessions, task, say);
    case "produce":
      return await produce(sessions, task);
    case "forkLogs":
      return await forkLogs(sessions, task, say);
    case "write":
      return await write(sessions, task, say);
    case "approvals":
    case "waits":
    case "resume":
      return await workOnWaiting(sessions, task, say);
    case "answers":
      return await answers(sessions, task);
    case "hold":
      return await hold(await sessions.ensure(task.session));
  }
}

if (import.meta.main) await work(JSON.parse(process.argv[2] ?? "") as WorkerInput);
