import { clip } from "../../domain/values/format-value.ts";
import type { Message, ReportedUsage, Step, Usage } from "../../domain/turns/turn.ts";
import { addUsage, estimateUsage, isCount, isModelName, parseUsage } from "../../domain/turns/usage.ts";
import { defined } from "../../domain/values/defined.ts";

/** The usage of an answer so far. */
export interface AnswerUsage {
  readonly usage: Usage;
  readonly requests: number;
  /** The agent that answered, if it took the answer over from another one. */
  readonly agent?: string;
  readonly model?: string;
  readonly steps?: readonly Step[];
}

/** A turn stores at most this much of the name that a model reports, in characters. */
const modelLengthMax = 256;

/** Counts the usage of an answer, model call by model call, so that an answer that breaks off is counted whole. */
export class ModelUsage {
  readonly #asked: readonly Message[];
  readonly #now: () => number;
  readonly #steps: Step[] = [];
  /** The agents of the steps, and of the running call. */
  readonly #agents: string[];
  #requests = 1;
  #model: string | undefined;
  /** The last report, of the whole answer. */
  #reported: ReportedUsage | undefined;
  /** The running model call: its start, and the output and the report before it. */
  #call: { readonly since: number; readonly output: readonly Message[]; readonly reported: ReportedUsage | undefined };

  /** `asked`: the messages of the request. */
  constructor({
    asked,
    agent,
    model,
    now,
  }: {
    readonly asked: readonly Message[];
    readonly agent: string;
    readonly model: string | undefined;
    readonly now: () => number;
  }) {
    this.#asked = asked;
    this.#agents = [agent];
    this.#model = model;
    this.#now = now;
    this.#call = { since: now(), output: [], reported: undefined };
  }

  /** Set the name of the model that answers. */
  answers(model: string): void {
    const name = typeof model === "string" ? clip(model, modelLengthMax - 1) : model;
    if (isModelName(name)) this.#model = name;
  }

  /** Another agent answers from the next model call on. Its model is not known yet. */
  continuedBy(agent: string): void {
    this.#agents[this.#steps.length] = agent;
    this.#model = undefined;
  }

  /** Set the usage of the whole answer so far, as the model reports it. Zeros do not replace an earlier report. */
  report(usage: ReportedUsage): void {
    const { inputTokens, outputTokens, totalTokens } = usage ?? {};
    const isEmpty = [inputTokens, outputTokens, totalTokens].every((count) => count === 0);
    if (!isEmpty || this.#reported === undefined) this.#reported = usage;
  }

  /** Begin the n-th model call. `output`: the output before it. */
  call(requests: number, output: readonly Message[]): void {
    this.#requests = isCount(requests) ? requests : this.#requests + 1;
    this.#call = { since: this.#now(), output, reported: this.#reported };
  }

  /** End the running call. `output`: the whole output so far. */
  step(usage: ReportedUsage, output: readonly Message[]): void {
    this.#steps.push(this.#stepOf(parseUsage(usage, () => this.#estimateOfCall(output))));
    this.#agents.push(this.#agents.at(-1)!);
  }

  /** The estimated usage of the running call. */
  #estimateOfCall(output: readonly Message[]): Usage {
    const { output: before } = this.#call;
    return estimateUsage([...this.#asked, ...before], output.slice(before.length));
  }

  #stepOf(usage: Usage): Step {
    const model = defined({ model: this.#model });
    return { ...model, usage, durationMs: Math.max(0, this.#now() - this.#call.since) };
  }

  /** The usage so far. `output`: the whole output so far. `isPart`: of an answer that waits, or waited: a single step counts too. */
  soFar(output: readonly Message[], { isPart = false }: { readonly isPart?: boolean } = {}): AnswerUsage {
    const { usage, underWay } = this.#counted(output);
    const steps = underWay === undefined ? this.#steps : [...this.#steps, this.#stepOf(underWay)];
    const isHandedOver = this.#agents.some((agent) => agent !== this.#agents[0]);
    return {
      usage,
      requests: this.#requests,
      ...(isHandedOver ? { agent: this.#agents.at(-1)! } : {}),
      ...defined({ model: this.#model }),
      ...(steps.length > (isPart ? 0 : 1)
        ? { steps: steps.map((step, index) => (isHandedOver ? { agent: this.#agents[index]!, ...step } : step)) }
        : {}),
    };
  }

  /** The usage of all calls, and the part of a running call after the first. */
  #counted(output: readonly Message[]): { readonly usage: Usage; readonly underWay?: Usage } {
    const estimate = (): Usage => estimateUsage(this.#asked, output);
    if (this.#reported === undefined) return { usage: estimate() };
    const whole = parseUsage(this.#reported, estimate);
    if (this.#steps.length === 0 || this.#steps.length >= this.#requests) return { usage: whole };
    const { reported } = this.#call;
    if (reported !== undefined && this.#reported !== reported)
      return { usage: whole, underWay: difference(whole, parseUsage(reported, estimate)) };
    const underWay = this.#estimateOfCall(output);
    return { usage: addUsage(whole, underWay), underWay };
  }
}

function difference(whole: Usage, part: Usage): Usage {
  return {
    // A model may report less than before.
    inputTokens: Math.max(0, whole.inputTokens - part.inputTokens),
    outputTokens: Math.max(0, whole.outputTokens - part.outputTokens),
    totalTokens: Math.max(0, whole.totalTokens - part.totalTokens),
    ...(whole.estimated === true ? { estimated: true } : {}),
  };
}
