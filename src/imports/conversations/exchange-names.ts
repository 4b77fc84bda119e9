/** The names under which programs keep a question and its answer side by side, and the tokens of both. */
import type { Fields } from "../../domain/turns/known-parts.ts";
import type { ReportedUsage } from "../../domain/turns/turn.ts";
import { defined } from "../../domain/values/defined.ts";

/** The usual one first. */
export const questionNames = ["question", "prompt", "user_message", "query", "user_input", "input"] as const;

/** The usual one first. */
export const answerNames = ["response", "answer", "assistant_message", "completion", "reply", "output"] as const;

/** The names of the tokens of an exchange, which stand beside its words: the usual one first. */
export const tokenNames = {
  input: ["prompt_tokens", "input_tokens"],
  output: ["completion_tokens", "output_tokens"],
  total: ["total_tokens", "tokens", "tokens_used"],
} as const;

/** The tokens that stand beside the words of an exchange, and the names of their fields; undefined where there are none. */
export function tokensBeside(
  fields: Fields,
): { readonly usage: ReportedUsage; readonly names: readonly string[] } | undefined {
  const nameOf = (names: readonly string[]): string | undefined =>
    names.find((name) => typeof fields[name] === "number" && Number.isFinite(fields[name]));
  const countOf = (name: string | undefined): number | undefined =>
    name === undefined ? undefined : (fields[name] as number);
  const [input, output, total] = [nameOf(tokenNames.input), nameOf(tokenNames.output), nameOf(tokenNames.total)];
  const names = [input, output, total].filter((name) => name !== undefined);
  if (names.length === 0) return undefined;
  const usage = {
    inputTokens: countOf(input) ?? 0,
    outputTokens: countOf(output) ?? 0,
    ...defined({ totalTokens: countOf(total) }),
  };
  return { usage, names };
}
