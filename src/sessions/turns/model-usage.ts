import { clip } from "../../domain/values/format-value.ts";
import type { Message, ReportedUsage, Step, Usage } from "../../domain/turns/turn.ts";
import { addUsage, estimateUsage, isCount, isModelName, parseUsage } from "../../domain/turns/usage.ts";
import { defined } from "../../domain/values/defined.ts";

/** What an answer took, as far as it came. */
export interface Cost {
  readonly usage: Usage;
  readonly requests: number;
  readonly model?: string;
  readonly steps?: readonly Step[];
}

/** A turn keeps no more of the name that a model reports for itself. */
const modelLengthMax = 256;

/** Counts what an answer takes, call by call of the model, so that one that breaks off is charged for all of it. */
export class ModelUsage {
  readonly #asked: readonly Message[];
  readonly #now: () => number;
  readonly #steps: Step[] = [];
  #requests = 1;
  #model: string | undefined;
  /** What the model's side reported last, of the whole answer. */
  #reported: ReportedUsage | undefined;
  /** The call of the model that is under way: since when, what was said and what was reported before it. */
  #call: { readonly since: number; readonly said: readonly Message[]; readonly reported: ReportedUsage | undefined };

  /** `asked`: what the model is shown. */
  constructor({
    asked,
    model,
    now,
  }: {
    readonly asked: readonly Message[];
    readonly model: string | undefined;
    readonly now: () => number;
  }) {
    this.#asked = asked;
    this.#model = model;
    this.#now = now;
    this.#call = { since: now(), said: [], reported: undefined };
  }

  /** Which model answers. */
  answers(model: string): void {
    const name = typeof model === "string" ? clip(model, modelLengthMax - 1) : model;
    if (isModelName(name)) this.#model = name;
  }

  /** The answer as a whole has taken so much by now, as its model says. */
  report(usage: ReportedUsage): void {
    this.#reported = usage;
  }

  /** The model is called for the n-th time; so much was said before. */
  call(requests: number, said: readonly Message[]): void {
    this.#requests = isCount(requests) ? requests : this.#requests + 1;
    this.#call = { since: this.#now(), said, reported: this.#reported };
  }

  /** The call under way is done. `said`: all that the answer holds by now. */
  step(usage: ReportedUsage, said: readonly Message[]): void {
    this.#steps.push(this.#stepOf(parseUsage(usage, () => this.#estimateOfCall(said))));
  }

  /** An estimate of what the call under way took. */
  #estimateOfCall(said: readonly Message[]): Usage {
    const { said: before } = this.#call;
    return estimateUsage([...this.#asked, ...before], said.slice(before.length));
  }

  #stepOf(usage: Usage): Step {
    const model = defined({ model: this.#model });
    return { ...model, usage, durationMs: Math.max(0, this.#now() - this.#call.since) };
  }

  /** What it has come to. `said`: all that the answer holds. */
  cost(said: readonly Message[]): Cost {
    const { usage, underWay } = this.#taken(said);
    const steps = underWay === undefined ? this.#steps : [...this.#steps, this.#stepOf(underWay)];
    return {
      usage,
      requests: this.#requests,
      ...defined({ model: this.#model }),
      ...(steps.length > 1 ? { steps: [...steps] } : {}),
    };
  }

  /** All that was taken, and what of it by a later call that is not done. */
  #taken(said: readonly Message[]): { readonly usage: Usage; readonly underWay?: Usage } {
    const estimate = (): Usage => estimateUsage(this.#asked, said);
    if (this.#reported === undefined) return { usage: estimate() };
    const whole = parseUsage(this.#reported, estimate);
    if (this.#steps.length === 0 || this.#steps.length >= this.#requests) return { usage: whole };
    const { reported } = this.#call;
    if (reported !== undefined && this.#reported !== reported)
      return { usage: whole, underWay: difference(whole, parseUsage(reported, estimate)) };
    const underWay = this.#estimateOfCall(said);
    return { usage: addUsage(whole, underWay), underWay };
  }
}

function difference(whole: Usage, part: Usage): Usage {
  return {
    // A model may report less than it did before.
    inputTokens: Math.max(0, whole.inputTokens - part.inputTokens),
    outputTokens: Math.max(0, whole.outputTokens - part.outputTokens),
    totalTokens: Math.max(0, whole.totalTokens - part.totalTokens),
    ...(whole.estimated === true ? { estimated: true } : {}),
  };
}
