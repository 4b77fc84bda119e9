/** Agents of the ADK with scripted models. */
import { BaseLlm, FunctionTool, LlmAgent, type LlmRequest, type LlmResponse } from "@google/adk";
import { z } from "zod";

/** A model that gives one scripted answer after the other, and remembers what it was asked. */
export class ScriptedLlm extends BaseLlm {
  readonly requests: LlmRequest[] = [];
  readonly #answers: LlmResponse[][];

  constructor(answers: LlmResponse[][]) {
    super({ model: "scripted" });
    this.#answers = answers;
  }

  override async *generateContentAsync(request: LlmRequest): AsyncGenerator<LlmResponse, void> {
    this.requests.push(structuredClone({ ...request, toolsDict: {}, config: {} }));
    yield* this.#answers.shift() ?? [];
  }

  override connect(): never {
    throw new Error("the scripted model has no live connection");
  }
}

export const says = (text: string): LlmResponse[] => [{ content: { role: "model", parts: [{ text }] } }];

export const calls = (name: string, args: Record<string, unknown>): LlmResponse[] => [
  { content: { role: "model", parts: [{ functionCall: { name, args } }] } },
];

/** An agent that has a tool which counts parcels, in the scope of its name. */
export function parcelAgent(model: ScriptedLlm): LlmAgent {
  const count = new FunctionTool({
    name: "count",
    description: "Counts a parcel.",
    parameters: z.object({ scope: z.string() }),
    execute: ({ scope }, context) => {
      const parcels = Number(context?.state.get(`${scope}parcels`) ?? 0) + 1;
      context?.state.set(`${scope}parcels`, parcels);
      return { parcels };
    },
  });
  return new LlmAgent({ name: "parcels", model, tools: [count], outputKey: "answer" });
}
