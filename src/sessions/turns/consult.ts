/**
 * `consult`: a question to a model, with the session's memory. Its steps:
 *
 * 1. Check the question and its options (`parseQuestion`); an aborted signal ends the call here.
 * 2. Begin the turn (`beginQuestion`): wait for the session as the busy policy says, choose the agent, and store the
 *    question. From here on the turn is sealed whatever happens.
 * 3. Build the request (`requestOf`) from instructions, window, note and question.
 * 4. Ask the model, write its answer, and seal the turn (`answerTurn`).
 *
 * A key that an earlier try used ends after step 2 with the answer of that try, also while it runs.
 */
import { tracingChannel } from "node:diagnostics_channel";
import { guardQuestion } from "../../domain/request/asked-question.ts";
import { Answer } from "../../domain/turns/answer.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import { summaryOf, type Turn } from "../../domain/turns/turn.ts";
import { requestCancel } from "../../domain/turns/leases.ts";
import { estimateUsage } from "../../domain/turns/usage.ts";
import { hasCode, SessionError } from "../../errors.ts";
import { guardObject } from "../../domain/values/option-names.ts";
import { traced } from "../../store/calls/traced.ts";
import type { Handle } from "../handle/handle.ts";
import { compact, type DueSummary } from "../memory/compact.ts";
import { addContext } from "../tracing/operation.ts";
import {
  answerTurn,
  identified,
  repeatAnswer,
  sealBroken,
  type Consultation,
  type Emit,
  type ModelCall,
} from "./model-answer.ts";
import type { TurnInProgress } from "./progress/turn-in-progress.ts";
import { doneTurn, followAnswer, followedSession } from "./running-answer.ts";
import { withinLimits } from "./within-limits.ts";
import {
  beginQuestion,
  dueBefore,
  modelNameOf,
  parseQuestion,
  requestOf,
  requestTo,
  waitSignal,
  type Asked,
  type ConsultOptions,
  type Question,
} from "./question.ts";

const consults = tracingChannel<unknown, Consultation>("perdure:consult");

/**
 * Ask a model. Resolves once the question is durable. `owner` is the handle of the caller; the answer is written through
 * a handle of its own.
 */
export async function consult(owner: Handle, asked: Asked): Promise<Answer> {
  guardObject(asked.options, "options");
  const { tenant, id: session } = owner.record;
  const { agent } = owner.core.chooseAgent(owner.record, { named: asked.options.agent });
  return await answerTo({ tenant, session, agent }, (consultation) => ask(owner, asked, consultation));
}

/** The answer to a question that `ask` makes durable, traced from there to its end. */
export async function answerTo(
  consultation: Consultation,
  ask: (consultation: Consultation) => Promise<DurableQuestion>,
): Promise<Answer> {
  const answer = Promise.withResolvers<Answer>();
  const whole: Promise<Turn> = traced(consults, consultation, async () => {
    try {
      const { seq, run, repeats, before } = await ask(consultation);
      let emit: Emit = () => undefined;
      // The caller continues here; the answer is done once the subscribers of the channel have been notified.
      answer.resolve(
        new Answer(
          seq,
          (receive) => {
            emit = receive;
            return whole;
          },
          { repeats, before },
        ),
      );
      return await run(emit);
    } catch (error) {
      throw addContext(error, { command: "consult", ...consultation });
    }
  });
  whole.catch(answer.reject);
  return await answer.promise;
}

/** A durable question; `run` produces its answer. */
export interface DurableQuestion {
  readonly seq: number;
  readonly repeats: Answer["repeats"];
  /** The output of the turn before it waited. */
  readonly before?: Answer["before"];
  readonly run: (emit: Emit) => Promise<Turn>;
}

async function ask(owner: Handle, asked: Asked, consultation: Consultation): Promise<DurableQuestion> {
  const { core } = owner;
  const { options } = asked;
  const { signal } = options;
  const question = parseQuestion(owner, asked);
  guardQuestion(question.input, "question");
  const { handle, begun, loaded } = await unlessAborted(owner, options, async () => {
    const handle = await ownView(owner);
    return { handle, ...(await beginQuestion(handle, question)) };
  });
  owner.follow(handle);
  if (begun.status === "repeated") return repeated(owner, begun.turn, consultation);
  if (begun.status === "running") return running(owner, { handle, turn: begun.turn, question, options }, consultation);
  const { inProgress } = begun;
  const { seq, open } = inProgress;
  Object.assign(consultation, { turn: seq, agent: open.agent, ...modelNameOf(core, open.agent, question) });
  const build = async (): Promise<DurableQuestion["run"]> => {
    const { request, smaller } = await requestOf(
      handle,
      question,
      { seq, agent: open.agent },
      { record: handle.record, tails: loaded.tails },
    );
    const model = withinLimits(question.model, smaller);
    return answering({ owner, handle, inProgress, question }, { consultation, model, request, signal });
  };
  // The question is durable: its turn is sealed where no request can be made of it, or it would keep the session busy.
  const sealed = async (error: unknown): Promise<unknown> =>
    await sealBroken(inProgress, identified(error, consultation, seq), {
      usage: estimateUsage(question.input, []),
      requests: 0,
    });
  try {
    const due = await dueBefore(handle, question, { seq, agent: open.agent, turns: loaded.tails[0] ?? [] });
    if (due === undefined) return { seq, repeats: undefined, run: await build() };
    const run: DurableQuestion["run"] = async (emit) => {
      let answer: DurableQuestion["run"];
      try {
        await compactBefore(inProgress, handle, { due, signal });
        answer = await build();
      } catch (error) {
        throw await sealed(error);
      }
      return await answer(emit);
    };
    return { seq, repeats: undefined, run };
  } catch (error) {
    throw await sealed(error);
  }
}

/** Make the summary that is due, as long as the budgets allow the call of a model. */
async function compactBefore(
  inProgress: TurnInProgress,
  handle: Handle,
  { due, signal }: { readonly due: DueSummary; readonly signal: AbortSignal | undefined },
): Promise<void> {
  try {
    await inProgress.guardTokensLeft(0);
  } catch (error) {
    if (hasCode(error, "budget_exceeded") || hasCode(error, "daily_budget_exceeded")) return;
    throw error;
  }
  const stop = signal === undefined ? inProgress.signal : AbortSignal.any([signal, inProgress.signal]);
  await compact(handle, due, stop);
}

/**
 * The run of a turn that began: it calls the model and seals the turn. The owner then knows the record with the sealed turn.
 */
export function answering(
  {
    owner,
    handle,
    inProgress,
    question,
  }: {
    readonly owner: Handle;
    readonly handle: Handle;
    readonly inProgress: TurnInProgress;
    readonly question: Question;
  },
  call: Pick<ModelCall, "consultation" | "model" | "request" | "signal">,
): DurableQuestion["run"] {
  const { seq } = inProgress;
  const context = { requestTo: (agent: string) => requestTo(handle, question, { seq, agent }) };
  const now = (): number => owner.core.now();
  return async (emit) =>
    await answerTurn(inProgress, { ...call, context, now, emit }).finally(() => owner.follow(handle));
}

/** A handle for the answer. Later operations of the owner need not wait for it: `cancel` must not wait for an answer. */
export async function ownView(owner: Handle): Promise<Handle> {
  await owner.inOrder(() => Promise.resolve());
  const handle = owner.anotherView();
  handle.shareLease(owner);
  return handle;
}

/** @throws SessionError `aborted` if the signal has aborted; a typed error of the work is thrown as it is */
async function unlessAborted<T>(owner: Handle, options: ConsultOptions, work: () => Promise<T>): Promise<T> {
  const early = waitSignal(options);
  if (isAborted(early)) throw aborted(owner, 0, early?.reason);
  const { clock } = owner.core.options;
  const startedAt = clock.now();
  try {
    return await work();
  } catch (error) {
    const isAbort = !(error instanceof SessionError) && isAborted(waitSignal(options));
    // It was withdrawn by its key: the wait is known here.
    const isWithdrawn = hasCode(error, "aborted");
    throw isAbort || isWithdrawn ? aborted(owner, Math.max(0, clock.now() - startedAt), error) : error;
  }
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

function aborted(owner: Handle, waitedMs: number, cause: unknown): SessionError<"aborted"> {
  return new SessionError("aborted", { ...sessionIds(owner.record), waitedMs }, { cause });
}

/** An earlier try with the same key was answered: no model is called. */
function repeated(owner: Handle, turn: Turn, consultation: Consultation): DurableQuestion {
  const { seq, agent } = turn;
  Object.assign(consultation, { turn: seq, agent, repeated: true, answer: summaryOf(turn) });
  // The answer fails when it is read, not the call.
  return { seq, repeats: "ended", run: async (emit) => repeatAnswer(sessionIds(owner.record), turn, emit) };
}

/** The answer to an earlier try with the same key runs: this call follows it, from its beginning. */
function running(
  owner: Handle,
  {
    handle,
    turn: open,
    question,
    options: { signal, withdraw },
  }: {
    readonly handle: Handle;
    readonly turn: Turn;
    readonly question: Question;
    readonly options: ConsultOptions;
  },
  consultation: Consultation,
): DurableQuestion {
  const { seq, agent } = open;
  Object.assign(consultation, { turn: seq, agent, repeated: true });
  const stop = (): void => void stopTurn(handle, open).catch(() => undefined);
  const run = async (emit: Emit): Promise<Turn> => {
    if (signal?.aborted === true) stop();
    signal?.addEventListener("abort", stop, { once: true });
    try {
      const turn = await followAnswer(
        followedSession(handle),
        { seq, at: open.at.getTime() },
        { emit, signal: withdraw },
      );
      consultation.answer = summaryOf(turn);
      // Under these policies the caller accepts the turns that it finds.
      if (question.patience.busy !== "reject") await handle.refresh();
      owner.follow(handle);
      return doneTurn({ id: handle.record.id }, turn);
    } catch (error) {
      // The answer itself continues.
      throw withdraw?.aborted === true ? aborted(owner, 0, error) : error;
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  };
  return { seq, repeats: "running", run };
}

/** Ask the writer of this turn to stop, unless another turn has its number. */
async function stopTurn(handle: Handle, { seq, key }: Turn): Promise<void> {
  if (key === null || (await handle.entryByKey(key))?.seq !== seq) return;
  await handle.write(({ record }, context) => (record.openTurn === seq ? requestCancel(record, context) : null));
}
