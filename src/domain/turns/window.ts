import type { Message, Turn } from "./turn.ts";
import { closeToolCalls } from "./turn.ts";
import { estimateTokens } from "./usage.ts";
import { invalidArgument } from "../values/invalid-argument.ts";

/** What of the past a model is shown: the last so many turns, or as many whole turns as fit into so many tokens. */
export type Window = number | { readonly turns?: number; readonly tokens?: number };

/** @throws SessionError `argument_invalid` */
export function parseWindow(window: Window): { turns: number; tokens: number } {
  if (typeof window !== "number" && (typeof window !== "object" || window === null)) {
    throw invalidArgument("window", window, { expected: "window" });
  }
  const { turns = windowTurnsMax, tokens = Number.MAX_SAFE_INTEGER } =
    typeof window === "number" ? { turns: window } : window;
  for (const [name, value] of Object.entries({ turns, tokens })) {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw invalidArgument(`window.${name}`, value, { expected: "whole_number" });
    }
  }
  return { turns: Math.min(turns, windowTurnsMax), tokens };
}

/** No window shows more turns than this. */
export const windowTurnsMax = 1000;

/**
 * The messages of the newest whole turns that fit. It cuts between turns only, so that no tool call loses its result,
 * and closes what a turn left dangling.
 */
export function windowMessages(turns: readonly Turn[], tokensMax: number): Message[] {
  const chosen: (readonly Message[])[] = [];
  let tokens = 0;
  for (const turn of turns.toReversed()) {
    const messages = closeToolCalls([...turn.input, ...turn.output]);
    tokens += estimateTokens(messages);
    if (tokens > tokensMax) break;
    chosen.push(messages);
  }
  return chosen.toReversed().flat();
}
