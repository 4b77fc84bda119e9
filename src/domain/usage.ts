import { encode } from "./codec.ts";
import type { Message, Usage } from "./turn.ts";

/**
 * Roughly the tokens of some messages: a token for each four characters of the text, and four for each message's frame,
 * the rule of thumb OpenAI documents for English. Only ever used where a provider did not count, and marked so.
 */
export function estimateTokens(messages: readonly Message[]): number {
  let tokens = 0;
  for (const message of messages) {
    const content = typeof message.content === "string" ? message.content : encode(message.content ?? "");
    const calls = message.tool_calls === undefined ? "" : encode(message.tool_calls ?? "");
    tokens += 4 + Math.ceil((content.length + calls.length) / 4);
  }
  return tokens;
}

/** What both took together; an estimate where either is one. */
export function addUsage(spent: Usage | undefined, usage: Usage): Usage {
  if (spent === undefined) return usage;
  const estimated = spent.estimated === true || usage.estimated === true;
  return {
    inputTokens: spent.inputTokens + usage.inputTokens,
    outputTokens: spent.outputTokens + usage.outputTokens,
    totalTokens: spent.totalTokens + usage.totalTokens,
    ...(estimated ? { estimated } : {}),
  };
}

/** An estimate of what an exchange cost, marked as one. */
export function estimateUsage(input: readonly Message[], output: readonly Message[]): Usage {
  const inputTokens = estimateTokens(input);
  const outputTokens = output.length === 0 ? 0 : estimateTokens(output);
  return { inputTokens, outputTokens, totalTokens: inputTokens + outputTokens, estimated: true };
}
