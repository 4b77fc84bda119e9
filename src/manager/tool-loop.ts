import { Assembly } from "../domain/turns/chunk.ts";
import { continueRequest } from "../domain/request/model-request.ts";
import { clip } from "../domain/values/format-value.ts";
import {
  danglingToolCalls,
  type Message,
  type ReportedUsage,
  type ToolCall,
  type Usage,
} from "../domain/turns/turn.ts";
import { addUsage, estimateUsage, parseUsage } from "../domain/turns/usage.ts";
import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import { SessionError } from "../errors.ts";
import type { DecidedCalls, Model, ModelEvent, ModelRequest } from "../sessions/options/model.ts";
import type { Session } from "../sessions/session/session.ts";
import { needsApproval, parseTools, refusedResult, runTool, type Tool, type ToolContext } from "./tool.ts";
import { invalidArgument, parseFunction } from "../domain/values/invalid-argument.ts";

/** Session and limits of a tool loop. */
export interface ToolLoopOptions {
  /** The session that the tools get in their context. */
  readonly session: Session;
  /**
   * Maximum number of model calls within one answer.
   * @default 10
   */
  readonly stepsMax?: number;
}

const optionNames: OptionNames<ToolLoopOptions> = { session: true, stepsMax: true };

/**
 * Wraps a model with tools: runs the tools it calls one after another, and calls it again with the results, until it
 * answers without a call. Calls and results are messages of the turn; usage adds up.
 * @throws SessionError `argument_invalid`, `duration_invalid`; in the answer: `tool_steps_exceeded`, and the model's
 */
export function withTools(model: Model, tools: readonly Tool[], options: ToolLoopOptions): Model {
  guardNames(options, "withTools", optionNames);
  const { session, stepsMax = 10 } = options;
  parseFunction(model, "model");
  parseTools(tools);
  parseStepsMax(stepsMax);
  const loop: Model = (request) => answerWithTools(model, request, { session, stepsMax, toolsOf: () => tools });
  return Object.assign(loop, { runsTools: true, withoutTools: model });
}

/** The parts of a tool loop that may change within an answer. */
export interface ToolLoop extends Required<ToolLoopOptions> {
  /** The tools of the agent that answers, before each model call. */
  readonly toolsOf: (agent: string) => readonly Tool[];
  /**
   * The request to another agent that continues the answer, after these calls had their results; undefined: the agent
   * itself continues.
   */
  readonly handOver?: (agent: string, ran: RanTools) => Promise<Omit<ModelRequest, "signal"> | undefined>;
}

/** Calls of a model, and the result of each. */
export interface RanTools {
  readonly calls: readonly ToolCall[];
  readonly results: readonly Message[];
}

/**
 * The answer to a request, with tools. Where a call needs approval the answer ends with the event `approval`; the calls before
 * it have run. A request with `decided` begins with the calls that waited.
 * @throws SessionError as {@link withTools}
 */
export async function* answerWithTools(
  model: Model,
  { decided, ...asked }: ModelRequest,
  { session, stepsMax, toolsOf, handOver }: ToolLoop,
): AsyncGenerator<ModelEvent, void, undefined> {
  const { signal } = asked;
  let request: Omit<ModelRequest, "decided"> = asked;
  /** The messages of the turn so far, for an agent that takes over. */
  const produced: Message[] = [];
  let sum: Usage | undefined;
  let waited = decided;
  const before = decided?.requests ?? 0;
  for (let step = before + 1; ;) {
    const { agent, messages } = request;
    const tools = toolsOf(agent);
    const known = parseTools(tools);
    let output: readonly Message[] = [];
    let calls = waited?.calls ?? [];
    if (waited === undefined) {
      if (step > before + 1) yield { type: "requests", requests: step - before };
      const described = tools.map(({ name, description, parameters }) => ({ name, description, parameters }));
      const answered = yield* oneStep(model, { ...request, tools: described }, sum);
      ({ output } = answered);
      const { usage } = answered;
      calls = danglingToolCalls(output);
      if (calls.length > 0) yield { type: "waiting", calls };
      if (calls.length === 0 && usage === undefined && sum === undefined) return;
      const counted = usage ?? estimateUsage(messages, output);
      sum = addUsage(sum, counted);
      yield { type: "usage", usage: sum };
      yield { type: "step", usage: counted };
      if (calls.length === 0) return;
      if (step >= stepsMax) {
        const called = calls.slice(0, 5).map((call) => clip(call.function.name, 60));
        throw new SessionError("tool_steps_exceeded", { stepsMax, tools: called });
      }
      step++;
    }
    const context = { session, agent, signal };
    const results = yield* runCalls(known, { calls, decisions: waited?.decisions }, context);
    if (results === undefined) return;
    waited = undefined;
    produced.push(...output, ...results);
    const next = await handOver?.(agent, { calls, results });
    if (next === undefined) {
      request = { ...request, messages: continueRequest(messages, { output, results }) };
      continue;
    }
    request = { ...next, messages: continueRequest(next.messages, { output: produced, results: [] }), signal };
    yield { type: "agent", agent: next.agent };
    if (next.model !== undefined) yield { type: "model", model: next.model };
  }
}

/** Runs the calls in order; undefined where one needs an approval that is not given yet. */
async function* runCalls(
  known: ReadonlyMap<string, Tool>,
  {
    calls,
    decisions,
  }: { readonly calls: readonly ToolCall[]; readonly decisions: DecidedCalls["decisions"] | undefined },
  context: Omit<ToolContext, "callId">,
): AsyncGenerator<ModelEvent, readonly Message[] | undefined, undefined> {
  const results: Message[] = [];
  for (const [index, call] of calls.entries()) {
    const decision = decisions !== undefined && Object.hasOwn(decisions, call.id) ? decisions[call.id] : undefined;
    // Also after a wait: the tool of a call that needed no approval then may ask for it now.
    if (decision === undefined && (await needsApproval(known, call))) {
      const notRun = calls.slice(index);
      const asking = await Promise.all(notRun.map((one) => needsApproval(known, one)));
      yield { type: "approval", asks: notRun.flatMap(({ id }, place) => (asking[place] === true ? [id] : [])), notRun };
      return undefined;
    }
    yield { type: "waiting", calls: calls.slice(index + 1) };
    const isRefused = decision !== undefined && decision !== true;
    const message = isRefused ? refusedResult(call, decision.refused) : await runTool(known, call, context);
    yield { type: "message", message };
    results.push(message);
  }
  return results;
}

/** One call of the model: passes its output on, and adds its usage to that of earlier steps. */
async function* oneStep(
  model: Model,
  request: ModelRequest,
  sum: Usage | undefined,
): AsyncGenerator<ModelEvent, { output: readonly Message[]; usage: Usage | undefined }, undefined> {
  const produced = new Assembly();
  const described = new Set(request.tools?.map(({ name }) => name));
  let reported: ReportedUsage | undefined;
  const estimate = (): Usage => estimateUsage(request.messages, produced.messages);
  for await (const event of model(request)) {
    if (event.type === "usage") {
      reported = event.usage;
      yield { type: "usage", usage: addUsage(sum, parseUsage(reported, estimate)) };
      continue;
    }
    if (event.type === "text") produced.add({ text: event.text });
    if (event.type === "message") {
      produced.add({ message: event.message });
      // The model leaves the tools of the request to this loop; it may run others itself.
      const called = event.message.tool_calls ?? [];
      if (called.length > 0) yield { type: "waiting", calls: danglingIn(produced.messages, described) };
    }
    yield event;
  }
  return { output: produced.messages, usage: reported && parseUsage(reported, estimate) };
}

function danglingIn(messages: readonly Message[], names: ReadonlySet<string>): readonly ToolCall[] {
  return danglingToolCalls(messages).filter((call) => names.has(call.function.name));
}

/** @throws SessionError `argument_invalid` */
export function parseStepsMax(stepsMax: number): void {
  if (Number.isSafeInteger(stepsMax) && stepsMax >= 1 && stepsMax <= 1000) return;
  throw invalidArgument("stepsMax", stepsMax, { expected: "whole_number", min: 1, max: 1000 });
}
