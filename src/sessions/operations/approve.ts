/** Decides on the tool calls of a turn that waits for approval, and continues its answer. */
import { eventsOfChunk } from "../../domain/turns/answer-event.ts";
import type { Answer } from "../../domain/turns/answer.ts";
import { continueRequest } from "../../domain/request/model-request.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import { guardTokensLeft } from "../../domain/record/budget.ts";
import { resumeOf, turnOf, type Resume } from "../../domain/turns/turn.ts";
import { guardToken } from "../../domain/writes/waiting.ts";
import { formatValue } from "../../domain/values/format-value.ts";
import { parseId } from "../../domain/values/ids.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { SessionError } from "../../errors.ts";
import { guardDailyTokens } from "../budgets/daily-guard.ts";
import type { Handle } from "../handle/handle.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import type { DecidedCalls, Decision } from "../options/model.ts";
import { answering, answerTo, ownView, type DurableQuestion } from "../turns/consult.ts";
import { identified, sealBroken, type Consultation } from "../turns/model-answer.ts";
import { modelNameOf, parseQuestion, requestOf, type ConsultOptions } from "../turns/question.ts";
import { resumeOn, type ResumeHow } from "./waiting.ts";

/** Decisions on tool calls, by their ids. */
export type Decisions = { readonly [callId: string]: Decision };

/** How an answer that waited for approval is continued. */
export type ApproveOptions = Pick<ConsultOptions, "model" | "settings" | "window" | "signal" | "flush">;

const optionNames: OptionNames<ApproveOptions> = {
  model: true,
  settings: true,
  window: true,
  signal: true,
  flush: true,
};

/** @throws SessionError as `Session.approve` */
export async function approveOn(
  owner: Handle,
  token: string,
  decisions: Decisions,
  options: ApproveOptions,
): Promise<Answer> {
  guardNames(options, "approve", optionNames);
  owner.core.guardStore();
  parseId(token, "token");
  const { tenant, id: session, agent } = owner.record;
  return await answerTo({ tenant, session, agent }, (consultation) =>
    continueAnswer(owner, { token, decisions, options }, consultation),
  );
}

async function continueAnswer(
  owner: Handle,
  {
    token,
    decisions,
    options,
  }: { readonly token: string; readonly decisions: Decisions; readonly options: ApproveOptions },
  consultation: Consultation,
): Promise<DurableQuestion> {
  const { core } = owner;
  const handle = await ownView(owner);
  const { record, tails } = await handle.refresh([{ log: "turns", last: 1 }]);
  const context = core.context();
  const entry = tails[0]?.at(-1);
  // A turn whose time is up is sealed by `resumeOn`, which has the error.
  const resume = record.waiting?.token === token && entry !== undefined ? resumeOf(entry) : undefined;
  if (resume === undefined) guardToken(record, token, context);
  const decided = parseDecisions(resume ?? { state: null, notRun: [], asks: [] }, decisions);
  const question = parseQuestion(handle, { message: [], options: { ...options }, busy: "reject" });
  // A model that ignores the decisions would leave the calls without results.
  if (question.model.runsTools !== true)
    throw new SessionError("model_missing", { ...sessionIds(record), needs: "tools" });
  // A budget that is used up leaves the turn waiting: it may be raised before another approval.
  const used = (entry === undefined ? undefined : turnOf(entry).usage?.totalTokens) ?? 0;
  guardTokensLeft(record, used);
  await guardDailyTokens(core, record, used);
  const inProgress = await resumeOn(handle, token, { flush: question.flush, decided: idsOf(decided) });
  owner.follow(handle);
  const { seq, open, output } = inProgress;
  const resumed = { ...question, input: open.input };
  Object.assign(consultation, { turn: seq, agent: open.agent, ...modelNameOf(core, open.agent, resumed) });
  try {
    // Until the model is called, no tool has run.
    inProgress.waiting = decided.calls;
    await inProgress.guardTokensLeft(0);
    const loaded = await handle.peek([
      { log: "turns", last: 1 },
      { log: "instructions", last: 1 },
    ]);
    // No smaller request is tried: results of tools come first, and a model that has output is not asked again.
    const { request } = await requestOf(handle, { ...resumed, after: seq - 1 }, { seq, agent: open.agent }, loaded);
    const messages = continueRequest(request.messages, { output, results: [] });
    inProgress.waiting = [];
    const run = answering(
      { owner, handle, inProgress, question: resumed },
      {
        consultation,
        model: question.model,
        request: { ...request, messages, decided: { ...decided, requests: open.requests } },
        signal: options.signal,
      },
    );
    return { seq, repeats: undefined, before: inProgress.restored.flatMap(eventsOfChunk), run };
  } catch (error) {
    const known = identified(error, consultation, seq);
    throw await sealBroken(inProgress, known, {
      usage: { inputTokens: 0, outputTokens: 0, totalTokens: 0 },
      requests: 0,
    });
  }
}

/** @throws SessionError `argument_invalid` for a call that is not decided, or needs no decision, and for wrong values */
function parseDecisions({ asks, notRun }: Resume, decisions: Decisions): Omit<DecidedCalls, "requests"> {
  if (typeof decisions !== "object" || decisions === null)
    throw invalidArgument("decisions", decisions, { expected: "object" });
  for (const id of Object.keys(decisions))
    if (!asks.includes(id)) throw invalidArgument("decisions", id, { expected: "one_of", known: asks });
  for (const id of asks) {
    const decision: unknown = Object.hasOwn(decisions, id) ? decisions[id] : undefined;
    if (!isDecision(decision))
      throw new SessionError("argument_invalid", {
        name: `decisions.${id}`,
        value: formatValue(decision),
        expected: "decision",
      });
  }
  if (asks.length === 0) throw invalidArgument("decisions", decisions, { expected: "one_of", known: [] });
  return { calls: notRun, decisions };
}

/** The ids of the calls that were decided on. */
function idsOf({ decisions }: Pick<DecidedCalls, "decisions">): NonNullable<ResumeHow["decided"]> {
  const ids = Object.keys(decisions);
  return {
    approved: ids.filter((id) => decisions[id] === true),
    refused: ids.filter((id) => decisions[id] !== true),
  };
}

function isDecision(value: unknown): value is Decision {
  if (value === true) return true;
  const refused = (value as { readonly refused?: unknown } | null | undefined)?.refused;
  return typeof refused === "string" && refused.trim() !== "";
}
