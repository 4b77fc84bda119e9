/** A model's answer: written to its turn as it arrives, and sealed when it ends, whatever happens. */
import { eventsOfChunk, eventsOfMessage, type AnswerEvent } from "../../domain/turns/answer-event.ts";
import { danglingToolCalls, summaryOf, type Turn, type TurnSummary } from "../../domain/turns/turn.ts";
import { errorOfTurn, storedErrorOf } from "./progress/turn-error.ts";
import { defined } from "../../domain/values/defined.ts";
import { clip } from "../../domain/values/format-value.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { Traced } from "../../store/calls/store-call.ts";
import type { Model, ModelContext, ModelEvent, ModelRequest } from "../options/model.ts";
import { ModelUsage, type AnswerUsage } from "./model-usage.ts";
import type { TurnInProgress } from "./progress/turn-in-progress.ts";
import { untilAborted } from "./until-aborted.ts";

/** Published on the tracing channel `perdure:consult` for a question and its whole answer. */
export interface Consultation extends Traced {
  readonly tenant: string;
  readonly session: string;
  /** The agent that answers; before the question is durable, the agent that would answer now. */
  agent: string;
  /** The name of the model that was asked for. */
  model?: string;
  /** The number of the turn; set once the question is durable. */
  turn?: number;
  /** An earlier try with the same key has the answer, or is being answered: no model was called. */
  repeated?: boolean;
  /** From the call of the model to the first text of its answer. */
  firstTextMs?: number;
  /** The sealed answer: status, usage, times. */
  answer?: TurnSummary;
}

/** Receives the parts of an answer as they arrive. */
export type Emit = (event: AnswerEvent) => void;

/** The call of a model for a turn that began. */
export interface ModelCall {
  readonly consultation: Consultation;
  readonly model: Model;
  readonly request: Omit<ModelRequest, "signal">;
  readonly context: ModelContext;
  readonly emit: Emit;
  readonly signal: AbortSignal | undefined;
  readonly now: () => number;
}

/**
 * Call the model, write its answer to the turn as it arrives, and seal the turn.
 * @throws SessionError the model's or the store's, with the ids of the turn
 */
export async function answerTurn(turn: TurnInProgress, call: ModelCall): Promise<Turn> {
  const { consultation, request, signal, now } = call;
  const stop = signal === undefined ? turn.signal : AbortSignal.any([signal, turn.signal]);
  const usage = new ModelUsage({ asked: request.messages, agent: request.agent, model: request.model, now });
  const usageSoFar = (): AnswerUsage => usage.soFar(turn.added, { isPart: turn.isResumed });
  turn.usageSoFar = usageSoFar;
  let finish: string | undefined;
  try {
    const ended = await writeAnswer(turn, call, { stop, usage });
    if (ended.approval !== undefined) return await waitForApproval(turn, call, { approval: ended.approval, usage });
    ({ finish } = ended);
  } catch (failure) {
    const error = identified(reasonOf(failure, turn, stop), consultation, turn.seq);
    const { code, message } = error;
    consultation.answer = summaryOf({
      ...turn.open,
      status: brokenStatus(error),
      ...usageSoFar(),
      error: { code, message },
    });
    throw await sealBroken(turn, error, usageSoFar());
  }
  const sealed = await turn.seal({ ...usageSoFar(), ...defined({ finish }) });
  consultation.answer = summaryOf(sealed);
  return sealed;
}

type Approval = Extract<ModelEvent, { readonly type: "approval" }>;

/** The turn waits for the approval of tool calls. */
async function waitForApproval(
  turn: TurnInProgress,
  { consultation }: ModelCall,
  { approval: { asks, notRun }, usage }: { readonly approval: Approval; readonly usage: ModelUsage },
): Promise<Turn> {
  const usageSoFar = usage.soFar(turn.added, { isPart: true });
  await turn.waitWith({ state: null, reason: "approval" }, { asks, notRun }, usageSoFar);
  const waiting = await turn.seal();
  consultation.answer = summaryOf(waiting);
  return waiting;
}

/** How an answer ended: with the reason that the model reports, or with calls that need approval. */
interface Ended {
  readonly finish: string | undefined;
  readonly approval?: Approval;
}

async function writeAnswer(
  turn: TurnInProgress,
  { consultation, model, request, context, emit }: ModelCall,
  { stop, usage }: { readonly stop: AbortSignal; readonly usage: ModelUsage },
): Promise<Ended> {
  const began = performance.now();
  let finish: string | undefined;
  for await (const event of untilAborted(model({ ...request, signal: stop }, context), stop)) {
    if (event.type === "text") {
      if (event.text === "") continue;
      consultation.firstTextMs ??= performance.now() - began;
      emit({ type: "text", text: event.text });
      await turn.write({ text: event.text });
    } else if (event.type === "reasoning") {
      for (const thought of eventsOfChunk({ reasoning: event.text })) emit(thought);
      await turn.write({ reasoning: event.text });
    } else if (event.type === "message") {
      for (const part of eventsOfMessage(event.message)) emit(part);
      await turn.write({ message: event.message });
    } else if (event.type === "usage") {
      usage.report(event.usage);
    } else if (event.type === "requests") {
      await turn.guardTokensLeft(usage.soFar(turn.added).usage.totalTokens);
      usage.call(event.requests, turn.added);
    } else if (event.type === "step") {
      usage.step(event.usage, turn.added);
      // Before the tools run: the model would not get their results.
      if (danglingToolCalls(turn.output).length > 0)
        await turn.guardTokensLeft(usage.soFar(turn.added).usage.totalTokens);
    } else if (event.type === "waiting") {
      turn.waiting = event.calls;
    } else if (event.type === "approval") {
      return { finish, approval: event };
    } else if (event.type === "finish") {
      finish = event.reason;
    } else if (event.type === "agent") {
      usage.continuedBy(event.agent);
      consultation.agent = event.agent;
    } else if (event.type === "model") {
      usage.answers(event.model);
    }
  }
  return { finish };
}

/** The cause of a broken answer: a stop of the turn or of the caller comes before the error that it led to. */
function reasonOf(failure: unknown, turn: TurnInProgress, stop: AbortSignal): unknown {
  if (turn.signal.aborted) return turn.signal.reason;
  return stop.aborted ? turn.interruption("aborted") : failure;
}

/** The codes of errors that a model throws without the ids of the session. */
const modelCodes = ["model_failed", "model_refused", "tool_steps_exceeded"] as const;

/** A turn stores at most this much of the text of a failure, in characters. */
const reportedLengthMax = 1000;

/** The error of a broken answer, with the ids of its turn. */
export function identified(error: unknown, { session, tenant, agent }: Consultation, turn: number): SessionError {
  const ids = { sessionId: session, tenant, agent, turn };
  for (const code of modelCodes) {
    if (hasCode(error, code))
      return new SessionError(code, { ...error.details, ...ids }, { cause: error.cause ?? error });
  }
  if (error instanceof SessionError) return error;
  const reported = clip(error instanceof Error ? error.message : String(error), reportedLengthMax);
  return new SessionError("model_failed", { ...ids, reported }, { cause: error });
}

function brokenStatus({ code }: SessionError): "interrupted" | "failed" {
  return code === "interrupted" ? "interrupted" : "failed";
}

/** Seal a turn whose answer broke off. Returns the error for the caller: this one, or that of the seal. */
export async function sealBroken(turn: TurnInProgress, error: SessionError, usage: AnswerUsage): Promise<unknown> {
  // The code alone does not show it: a tool of the model may have thrown `fenced` for another session.
  if (turn.isLost) return error;
  try {
    await turn.seal({ status: brokenStatus(error), ...usage, error: storedErrorOf(error) });
  } catch (failure) {
    return failure;
  }
  return error;
}

/** The answer that an earlier try with the same key left in its turn. @throws SessionError the error of that turn */
export function repeatAnswer(
  { sessionId, tenant }: { sessionId: string; tenant: string },
  turn: Turn,
  emit: Emit,
): Turn {
  for (const event of turn.output.flatMap(eventsOfMessage)) emit(event);
  if (turn.status === "done" || turn.status === "waiting") return turn;
  const ids = { sessionId, tenant, agent: turn.agent, turn: turn.seq };
  throw errorOfTurn(turn, ids);
}
