/** A model whose calls follow a script, and the events that a script is made of. */
import type { Model, ModelEvent, ModelRequest } from "../../src/sessions/options/model.ts";

/** A model that emits one of these lists of events at each call, and records its requests. */
export function modelOfSteps(...steps: readonly (readonly ModelEvent[])[]): {
  model: Model;
  requests: ModelRequest[];
} {
  const requests: ModelRequest[] = [];
  const model: Model = async function* scriptedModel(request) {
    requests.push(request);
    yield* steps[requests.length - 1] ?? [];
  };
  return { model, requests };
}

export const textEvent = (text: string): ModelEvent => ({ type: "text", text });

export const usageEvent = (inputTokens: number, outputTokens: number): ModelEvent => ({
  type: "usage",
  usage: { inputTokens, outputTokens, totalTokens: inputTokens + outputTokens },
});
