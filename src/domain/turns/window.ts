import { invalidArgument } from "../values/invalid-argument.ts";

/** The past turns that a model is shown: the last so many, or as many whole turns as fit into so many tokens. */
export type Window = number | { readonly turns?: number; readonly tokens?: number };

/** A window as two bounds; the tighter one holds. */
export interface WindowBounds {
  readonly turns: number;
  readonly tokens: number;
}

/** No window shows more turns than this. */
export const windowTurnsMax = 1000;

/** The bounds of an export: every turn. */
export const unbounded: WindowBounds = { turns: Number.POSITIVE_INFINITY, tokens: Number.POSITIVE_INFINITY };

/** @throws SessionError `argument_invalid` */
export function parseWindow(window: Window): WindowBounds {
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

/** How many turns to load for a window: a turn has at least two messages of four tokens, so more cannot fit. */
export function turnsToLoad({ turns, tokens }: WindowBounds): number {
  return Math.min(turns, Math.floor(tokens / 8) + 1);
}
