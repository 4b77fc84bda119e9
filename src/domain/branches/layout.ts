/** Lays out the turns of several branches as the logs and the tree of a session: each turn is in one log. */
import { keptLog, type LogName } from "../record/entry.ts";
import type { KeptBranch } from "./tree.ts";

/** A turn and the turn before it in all branches that have it. */
export interface TurnInTree<Turn> {
  /** Undefined for a first turn. */
  readonly before: Turn | undefined;
  /** Its number in these branches. */
  readonly number: number;
}

/** A branch by its last turn. */
export interface EndedBranch<Turn> {
  readonly number: number;
  /** Undefined for the only branch of a session without turns. */
  readonly end: Turn | undefined;
}

/** A branch that is not the current one. */
export type PlacedBranch = Pick<KeptBranch, "number" | "parent" | "from">;

/** The turns of a session by their logs. */
export interface TurnLayout<Turn> {
  readonly current: number;
  /** By ascending number. A branch whose turns others all have is not among them. */
  readonly kept: readonly PlacedBranch[];
  readonly logs: ReadonlyMap<LogName, readonly Turn[]>;
}

/** The current branch has all of its turns in `turns`, each other one those that no branch before it has. */
export function layoutOf<Turn extends TurnInTree<Turn>>(
  branches: readonly EndedBranch<Turn>[],
  current: number,
): TurnLayout<Turn> {
  const owners = new Map<Turn, number>();
  const kept: PlacedBranch[] = [];
  const logs = new Map<LogName, readonly Turn[]>();
  const others = branches.filter(({ number }) => number !== current).toSorted((a, b) => a.number - b.number);
  for (const { number, end } of [...branches.filter((one) => one.number === current), ...others]) {
    const own: Turn[] = [];
    let turn = end;
    for (; turn !== undefined && !owners.has(turn); turn = turn.before) own.unshift(turn);
    for (const one of own) owners.set(one, number);
    if (number === current) logs.set("turns", own);
    else if (own.length > 0) {
      const parent = turn === undefined ? current : owners.get(turn)!;
      kept.push({ number, parent, from: own[0]!.number });
      logs.set(keptLog(number), own);
    }
  }
  return { current, kept, logs };
}

/** The first branches up to a number, with the one that is shown among them, in their order. */
export function firstBranches<Branch>(
  branches: readonly Branch[],
  { max, shown }: { readonly max: number; readonly shown: Branch | undefined },
): readonly Branch[] {
  if (branches.length <= max) return branches;
  const first = branches.filter((branch) => branch === shown).slice(0, Math.max(0, max));
  const others = branches.filter((branch) => branch !== shown).slice(0, Math.max(0, max - first.length));
  const chosen = new Set([...first, ...others]);
  return branches.filter((branch) => chosen.has(branch));
}
