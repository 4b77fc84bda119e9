import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import type { Model, ModelEvent, ModelRequest } from "../sessions/options/model.ts";
import type { Session } from "../sessions/session/session.ts";
import { parseTools, type Tool } from "./tool.ts";
import { invalidArgument, parseFunction } from "../domain/values/invalid-argument.ts";
import type { ToolLoop } from "./tool-steps.ts";

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

/** The answer to a request, with tools. The first one loads the loop. @throws SessionError as {@link withTools} */
export async function* answerWithTools(
  model: Model,
  request: ModelRequest,
  loop: ToolLoop,
): AsyncGenerator<ModelEvent, void, undefined> {
  const { answerInSteps } = await import("./tool-steps.ts");
  yield* answerInSteps(model, request, loop);
}

/** @throws SessionError `argument_invalid` */
export function parseStepsMax(stepsMax: number): void {
  if (Number.isSafeInteger(stepsMax) && stepsMax >= 1 && stepsMax <= 1000) return;
  throw invalidArgument("stepsMax", stepsMax, { expected: "whole_number", min: 1, max: 1000 });
}
