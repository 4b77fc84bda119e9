import { clip } from "../domain/show.ts";
import type { Message, Step, Usage } from "../domain/turn.ts";
import { addUsage, estimateUsage } from "../domain/usage.ts";

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
export class Spending {
  readonly #asked: readonly Message[];
  readonly #now: () => number;
  readonly #steps: Step[] = [];
  #requests = 1;
  #model: string | undefined;
  /** What the model's side reported last, of the whole answer. */
  #reported: Usage | undefined;
  /** The call of the model that is under way: since when, what was said and what was reported before it. */
  #call: { readonly since: number; readonly said: readonly Message[]; readonly reported: Usage | undefined };

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
    this.#model = clip(model, modelLengthMax);
  }

  /** The answer as a whole has taken so much by now, as its model says. */
  report(usage: Usage): void {
    this.#reported = usage;
  }

  /** The model is called for the n-th time; so much was said before. */
  call(requests: number, said: readonly Message[]): void {
    this.#requests = requests;
    this.#call = { since: this.#now(), said, reported: this.#reported };
  }

  /** The call under way is done. */
  step(usage: Usage): void {
    this.#steps.push(this.#stepOf(usage));
  }

  #stepOf(usage: Usage): Step {
    const model = this.#model === undefined ? {} : { model: this.#model };
    return { ...model, usage, durationMs: Math.max(0, this.#now() - this.#call.since) };
  }

  /** What it has come to. `said`: all that the answer holds. */
  cost(said: readonly Message[]): Cost {
    const { usage, underWay } = this.#taken(said);
    const steps = underWay === undefined ? this.#steps : [...this.#steps, this.#stepOf(underWay)];
    return {
      usage,
      requests: this.#requests,
      ...(this.#model === undefined ? {} : { model: this.#model }),
      ...(steps.length > 1 ? { steps: [...steps] } : {}),
    };
  }

  /** All that was taken, and what of it by a later call that is not done. */
  #taken(said: readonly Message[]): { readonly usage: Usage; readonly underWay?: Usage } {
    const whole = this.#reported;
    if (whole === undefined) return { usage: estimateUsage(this.#asked, said) };
    if (this.#steps.length === 0 || this.#steps.length >= this.#requests) return { usage: whole };
    const { said: before, reported } = this.#call;
    if (reported !== undefined && whole !== reported) return { usage: whole, underWay: difference(whole, reported) };
    const underWay = estimateUsage([...this.#asked, ...before], said.slice(before.length));
    return { usage: addUsage(whole, underWay), underWay };
  }
}

function difference(whole: Usage, part: Usage): Usage {
  return {
    inputTokens: whole.inputTokens - part.inputTokens,
    outputTokens: whole.outputTokens - part.outputTokens,
    totalTokens: whole.totalTokens - part.totalTokens,
    ...(whole.estimated === true ? { estimated: true } : {}),
  };
}
