/** A turn of the past as a model is shown it. */
import { noAnswer } from "./alternation.ts";
import { shownMessages } from "./shown-message.ts";
import type { Message, Turn } from "../turns/turn.ts";
import { estimateTokens } from "../turns/usage.ts";

/** The fields that decide how a turn is shown. */
export type PastTurn = Pick<Turn, "seq" | "status" | "input" | "output" | "requests" | "error">;

/** True for a turn that a model is shown. */
export function isShown({ status, output }: PastTurn): boolean {
  return status !== "failed" || output.some(isAnswer);
}

/** True for a message with words or calls of the assistant. */
function isAnswer(message: Message): boolean {
  return message.role === "assistant" && shownMessages(message).length > 0;
}

/** A turn as a model is shown it. */
export interface ShownTurn {
  readonly seq: number;
  readonly messages: readonly Message[];
  readonly tokens: number;
}

/** The messages of a turn as a model is shown them, and an estimate of their tokens. */
export function shownTurn(turn: PastTurn): ShownTurn {
  const { seq, status, requests } = turn;
  const input = turn.input.flatMap(shownMessages);
  const output = shownOutput(turn).flatMap(shownMessages);
  const isUnanswered = input.length > 0 && !output.some(({ role }) => role === "assistant");
  const closing = isUnanswered && (status === "interrupted" || requests > 0);
  const reason = status === "interrupted" ? "interrupted" : undefined;
  const messages = [...input, ...output, ...(closing ? [noAnswer(reason)] : [])];
  return { seq, messages, tokens: estimateTokens(messages) };
}

/**
 * The output of a turn. Where the model refused a later call of the turn, a result of a tool may be what it refused: only
 * the words are shown, and the names of the tools, because they may have had effects.
 */
function shownOutput({ status, output, error }: PastTurn): readonly Message[] {
  if (status !== "failed" || error?.code !== "model_refused") return output;
  const shown = output.flatMap(shownMessages);
  const tools = shown.flatMap(({ tool_calls: calls }) => calls ?? []).map(({ function: called }) => called.name);
  const words = shown.filter(({ role }) => role === "assistant").map(({ tool_calls: _, ...message }) => message);
  return tools.length === 0 ? words : [...words, noAnswer(`interrupted after calls of ${tools.join(", ")}`)];
}
