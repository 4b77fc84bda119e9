/**
 * Answers as tasks of the extension `io.modelcontextprotocol/tasks`. A task is a turn: its id names the session, the turn and the
 * key of the question, and any process reads its status from the store. States of a task:
 * - `working`: the turn is open, or waits for another program. Exits: all others;
 * - `input_required`: the turn waits for the approval of tool calls. Exits: the client's answer resumes it; it is cancelled; its
 *   time is up;
 * - `completed`: the turn is sealed; a failure is a result with `isError`;
 * - `cancelled`: a caller has cancelled the turn.
 */
import { createHash } from "node:crypto";
import { defined } from "../../domain/values/defined.ts";
import { interruptionOf } from "../../errors/answer-problems.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { Session, Sessions, Turn, WaitingTurn } from "../../index.ts";
import { errorOf } from "../../protocol/problem.ts";
import { answerForm, answerResult } from "./answer-result.ts";
import { approvalRequests, decisionsOf } from "./approvals.ts";
import type { Plain } from "./tools/shown.ts";
import { failed, type Caller, type ClientCapabilities, type Consulting } from "./tools/tool.ts";

/** The name of the extension. */
export const tasksExtension = "io.modelcontextprotocol/tasks";

/** The pause between two looks of a client that it is asked for, ms. */
const pollIntervalMs = 1000;

/** The client takes a task for an answer. */
export function knowsTasks({ extensions }: ClientCapabilities): boolean {
  return extensions !== undefined && Object.hasOwn(extensions, tasksExtension);
}

/** The result of a call whose answer is a task: its turn is in the store. */
export async function newTask(
  session: Session,
  { turn, key }: { readonly turn: number; readonly key: string },
): Promise<object> {
  const stored = await turnAt(session, turn);
  const task = { taskId: taskId(session, { turn, key }), status: "working", ...timesOf(session, stored) };
  return { resultType: "task", ...task };
}

/** A task with its session and its turn. */
export interface FoundTask {
  readonly id: string;
  readonly session: Session;
  readonly turn: Turn;
}

/**
 * The turn of a task; undefined where there is none: its session was removed, its turn was truncated, another turn has its
 * number, or the text is no id of a task.
 * @throws SessionError of the store
 */
export async function findTask(sessions: Sessions, id: string): Promise<FoundTask | undefined> {
  const named = parseTaskId(id);
  if (named === undefined) return undefined;
  try {
    const session = await sessions.get(named.session);
    let turn = await turnAt(session, named.turn);
    // A task whose server has died, or whose wait is over, ends here: its turn is sealed with the part that had arrived.
    const hasWaited = turn?.status === "waiting" && session.info.waitingTurn === null;
    if ((turn?.status === "open" || hasWaited) && (await session.recover())) turn = await turnAt(session, named.turn);
    return turn?.key != null && hashOf(turn.key) === named.hash ? { id, session, turn } : undefined;
  } catch (error) {
    if (hasCode(error, "session_not_found") || hasCode(error, "id_invalid")) return undefined;
    throw error;
  }
}

/** The task as `tasks/get` answers it. */
export async function taskForm({ id, session, turn }: FoundTask): Promise<object> {
  const task = { taskId: id, ...timesOf(session, turn) };
  const { status } = turn;
  if (status === "open") return { ...task, status: "working" };
  if (status === "waiting") {
    const waiting = await session.waiting();
    if (waiting?.turn !== turn.seq) return { ...task, status: "working" };
    if (waiting.calls.length === 0)
      return { ...task, status: "working", statusMessage: `The turn waits: ${waiting.reason}` };
    return { ...task, status: "input_required", inputRequests: approvalRequests(waiting) };
  }
  if (status === "done") return { ...task, status: "completed", result: answerResult(session, turn) };
  if (isCancelled(turn)) return { ...task, status: "cancelled", statusMessage: "The answer was cancelled" };
  return {
    ...task,
    status: "completed",
    result: failed(errorOfTurn(session, turn), ignore, answerForm(session, turn)),
  };
}

/**
 * Continues the answer of a task with what the client's user has decided; a response to another request is ignored.
 * @throws SessionError as `approve`
 */
export async function updateTask(
  { session, turn }: FoundTask,
  responses: Plain,
  { approve, outlive, waitUntil }: Pick<Consulting, "approve" | "outlive"> & Pick<Caller, "waitUntil">,
): Promise<void> {
  const waiting: WaitingTurn | null = await session.waiting();
  if (waiting?.turn !== turn.seq) return;
  const decisions = decisionsOf(waiting, responses);
  if (decisions === undefined) return;
  try {
    const answer = await approve(session, waiting.token, decisions);
    outlive(answer);
    waitUntil(answer.done);
  } catch (error) {
    // Another request with the same decisions was first.
    if (!hasCode(error, "turn_not_waiting")) throw error;
  }
}

/** Asks the writer of the turn to stop; a turn that has ended stays as it is. */
export async function cancelTask({ session, turn }: FoundTask): Promise<void> {
  await session.cancel(defined({ key: turn.key ?? undefined }));
}

async function turnAt(session: Session, seq: number): Promise<Turn | undefined> {
  const [turn] = await Array.fromAsync(session.turns({ from: seq, to: seq }));
  return turn;
}

/** An id of visible ASCII, since it is a header of requests too. */
function taskId({ id }: Session, { turn, key }: { readonly turn: number; readonly key: string }): string {
  return `${encodeURIComponent(id)}/${turn}/${hashOf(key)}`;
}

function parseTaskId(
  text: string,
): { readonly session: string; readonly turn: number; readonly hash: string } | undefined {
  const [, encoded, turn, hash] = /^([^/]{1,4096})\/([1-9]\d{0,14})\/([\w-]{16})$/.exec(text) ?? [];
  if (encoded === undefined || turn === undefined || hash === undefined) return undefined;
  try {
    return { session: decodeURIComponent(encoded), turn: Number(turn), hash };
  } catch {
    // The text has a percent sign that encodes nothing.
    return undefined;
  }
}

/** Tells the turn of a question from another one that has taken its number. */
function hashOf(key: string): string {
  return createHash("sha256").update(key).digest("base64url").slice(0, 16);
}

function timesOf({ info }: Session, turn: Turn | undefined): object {
  const createdAt = turn?.at ?? info.lastActivityAt;
  const tookMs = turn?.durationMs === undefined ? undefined : turn.durationMs + (turn.waitedMs ?? 0);
  const updatedAt = tookMs === undefined ? info.lastActivityAt.getTime() : createdAt.getTime() + tookMs;
  return {
    createdAt: createdAt.toISOString(),
    lastUpdatedAt: new Date(Math.max(updatedAt, createdAt.getTime())).toISOString(),
    // The task lives as long as its session.
    ttlMs: info.expiresAt === null ? null : Math.max(0, info.expiresAt.getTime() - createdAt.getTime()),
    pollIntervalMs,
  };
}

function isCancelled({ status, error }: Turn): boolean {
  const { how } = interruptionOf(error?.message);
  return status === "interrupted" && (how === "cancelled" || how === "aborted");
}

/** The error that a turn stores, with the ids of the turn. */
function errorOfTurn(session: Session, { seq, error, status }: Turn): SessionError {
  const { code = status, message: detail = status } = error ?? {};
  const details = { sessionId: session.id, turn: seq };
  return errorOf({ code, detail, details }) ?? new SessionError("model_failed", { ...details, reported: detail });
}

function ignore(): void {
  // The process that answered has reported the failure.
}
