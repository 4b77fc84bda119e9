/** The steps of an answer with tools: calls of the model and of the tools that it asks for. */
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
import { SessionError } from "../errors.ts";
import type { DecidedCalls, Model, ModelEvent, ModelRequest } from "../sessions/options/model.ts";
import type { Session } from "../sessions/session/session.ts";
import { needsApproval, parseTools, refusedResult, runTool, type Tool, type ToolContext } from "./tool.ts";

/** The parts of a tool loop that may change within an answer. */
export interface ToolLoop {
  readonly session: Session;
  readonly stepsMax: number;
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
 * @throws SessionError as `withTools`
 */
export async function* answerInSteps(
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
