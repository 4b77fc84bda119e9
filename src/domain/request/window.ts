import { invalidArgument } from "../values/invalid-argument.ts";
import { guardNames, type OptionNames } from "../values/option-names.ts";

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

const boundNames: OptionNames<WindowBounds> = { turns: true, tokens: true };

/** @throws SessionError `argument_invalid` */
export function parseWindow(window: Window, path = "window"): WindowBounds {
  if (typeof window !== "number" && (typeof window !== "object" || window === null)) {
    throw invalidArgument(path, window, { expected: "window" });
  }
  if (typeof window === "object") guardNames(window, path, boundNames);
  const { turns = windowTurnsMax, tokens = Number.MAX_SAFE_INTEGER } =
    typeof window === "number" ? { turns: window } : window;
  for (const [name, value] of Object.entries({ turns, tokens })) {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw invalidArgument(`${path}.${name}`, value, { expected: "whole_number" });
    }
  }
  return { turns: Math.min(turns, windowTurnsMax), tokens };
}

/** The window where neither the call nor the agent sets one. */
export const defaultWindow: Window = { turns: 20, tokens: 32_000 };

/**
 * How many turns to load for a window: half as many again as it holds, because its beginning moves in steps. A turn has at
 * least two messages of four tokens, so more cannot fit.
 */
export function turnsToLoad({ turns, tokens }: WindowBounds): number {
  return Math.min(turns + Math.floor(turns / 2), Math.floor(tokens / 8) + 1, windowTurnsMax);
}

/** A turn of which a window knows only its number and its size. */
interface SizedTurn {
  readonly seq: number;
  readonly tokens: number;
}

/**
 * The newest turns that fit. The first turn of a window stays the same for several turns, so that a provider's prompt
 * cache hits: a window of `n` turns grows to one and a half times its size and is then cut back to `n`, and one of tokens
 * is cut back to a half at least. The numbers of the turns decide, so that each process cuts at the same turn.
 */
export function selectTurns<T extends SizedTurn>(turns: readonly T[], window: WindowBounds): readonly T[] {
  return withinTokens(newestTurns(turns, window.turns), window.tokens);
}

function newestTurns<T extends SizedTurn>(turns: readonly T[], count: number): readonly T[] {
  const last = turns.at(-1);
  if (last === undefined || count === 0) return [];
  if (last.seq <= count || count === Number.POSITIVE_INFINITY) return turns;
  const step = Math.floor(count / 2) + 1;
  let cut = step * Math.floor((last.seq - count) / step);
  let chosen = after(turns, cut);
  // Turns that are not shown leave gaps in the numbers.
  while (chosen.length < count && chosen.length < turns.length) chosen = after(turns, (cut -= step));
  return chosen;
}

function withinTokens<T extends SizedTurn>(turns: readonly T[], tokensMax: number): readonly T[] {
  let tokens = 0;
  const tooOld = turns.findLastIndex((turn) => (tokens += turn.tokens) > tokensMax);
  if (tooOld < 0) return turns;
  const fitting = turns.slice(tooOld + 1);
  const { seq } = turns[tooOld]!;
  const step = 2 ** Math.floor(Math.log2(Math.max(1, fitting.length / 2)));
  const stepped = after(fitting, step * Math.ceil(seq / step));
  return stepped.length === 0 ? fitting : stepped;
}

function after<T extends SizedTurn>(turns: readonly T[], seq: number): readonly T[] {
  return turns.filter((turn) => turn.seq > seq);
}
