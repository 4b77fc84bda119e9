/**
 * `consult`: a question to a model, with the session's memory. Its steps:
 *
 * 1. Check the question and its options (`parseQuestion`); an aborted signal ends the call here.
 * 2. Begin the turn (`beginQuestion`): wait for the session as the busy policy says, choose the agent, and store the
 *    question. From here on the turn is sealed whatever happens.
 * 3. Build the request (`requestOf`) from instructions, window, note and question.
 * 4. Ask the model, write its answer, and seal the turn (`answerTurn`).
 *
 * A key that an earlier try used ends after step 2 with the answer of that try.
 */
import { tracingChannel } from "node:diagnostics_channel";
import { Answer } from "../../domain/turns/answer.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import { summaryOf, type MessageInput, type Turn } from "../../domain/turns/turn.ts";
import { estimateUsage } from "../../domain/turns/usage.ts";
import { hasCode, SessionError } from "../../errors.ts";
import { traced } from "../../store/calls/traced.ts";
import type { Handle } from "../handle/handle.ts";
import { addContext } from "../tracing/operation.ts";
import { answerTurn, identified, repeatAnswer, sealBroken, type Consultation, type Emit } from "./model-answer.ts";
import { withinLimits } from "./within-limits.ts";
import {
  beginQuestion,
  modelNameOf,
  parseQuestion,
  requestOf,
  requestTo,
  waitSignal,
  type ConsultOptions,
} from "./question.ts";

const consults = tracingChannel<unknown, Consultation>("perdure:consult");

/**
 * Ask a model. Resolves once the question is durable. `owner` is the handle of the caller; the answer is written through
 * a handle of its own.
 */
export async function consult(owner: Handle, message: MessageInput, options: ConsultOptions): Promise<Answer> {
  const { tenant, id: session } = owner.record;
  const { agent } = owner.core.chooseAgent(owner.record, { named: options.agent });
  const consultation: Consultation = { tenant, session, agent };
  const asked = Promise.withResolvers<Answer>();
  const whole: Promise<Turn> = traced(consults, consultation, async () => {
    try {
      const { seq, run } = await ask(owner, message, options, consultation);
      let emit: Emit = () => undefined;
      // The caller continues here; the answer is done once the subscribers of the channel have been notified.
      asked.resolve(
        new Answer(seq, (receive) => {
          emit = receive;
          return whole;
        }),
      );
      return await run(emit);
    } catch (error) {
      throw addContext(error, { command: "consult", ...consultation });
    }
  });
  whole.catch(asked.reject);
  return await asked.promise;
}

/** A durable question; `run` produces its answer. */
interface DurableQuestion {
  readonly seq: number;
  readonly run: (emit: Emit) => Promise<Turn>;
}

async function ask(
  owner: Handle,
  message: MessageInput,
  options: ConsultOptions,
  consultation: Consultation,
): Promise<DurableQuestion> {
  const { core } = owner;
  const { signal } = options;
  const question = parseQuestion(owner, message, options);
  const { handle, begun, loaded } = await unlessAborted(owner, options, async () => {
    const handle = await ownView(owner);
    return { handle, ...(await beginQuestion(handle, question)) };
  });
  owner.follow(handle);
  if (begun.status === "repeated") return repeated(owner, begun.turn, consultation);
  const { inProgress } = begun;
  const { seq, open } = inProgress;
  Object.assign(consultation, { turn: seq, agent: open.agent, ...modelNameOf(core, open.agent, question) });
  try {
    const { request, smaller } = await requestOf(
      handle,
      question,
      { seq, agent: open.agent },
      { record: handle.record, tails: loaded.tails },
    );
    const call = {
      consultation,
      model: withinLimits(question.model, smaller),
      request,
      context: { requestTo: (agent: string) => requestTo(handle, question, { seq, agent }) },
      signal,
      now: () => core.now(),
    };
    const run = (emit: Emit): Promise<Turn> =>
      answerTurn(inProgress, { ...call, emit }).finally(() => owner.follow(handle));
    return { seq, run };
  } catch (error) {
    // The question is durable: its turn is sealed here, or it would keep the session busy.
    const known = identified(error, consultation, seq);
    throw await sealBroken(inProgress, known, { usage: estimateUsage(question.input, []), requests: 0 });
  }
}

/** A handle for the answer. Later operations of the owner need not wait for it: `cancel` must not wait for an answer. */
async function ownView(owner: Handle): Promise<Handle> {
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
  return { seq, run: async (emit) => repeatAnswer(sessionIds(owner.record), turn, emit) };
}
