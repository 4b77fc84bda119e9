/**
 * The tree of the branches of a session, as seen from the current branch. Each other branch is kept: it has turns of its own from
 * one number on, and shares those before with its parent, which is the current branch or another kept one. A branch that becomes
 * the current one takes the shared turns, and the former one is kept in turn. Pure: no entry is read or moved.
 */
import { SessionError } from "../../errors.ts";
import { decode } from "../values/codec.ts";
import type { Entry } from "../record/entry.ts";

/** A branch that is not the current one. */
export interface KeptBranch {
  readonly number: number;
  /** The branch with the turns before its own. */
  readonly parent: number;
  /** The first turn of its own. */
  readonly from: number;
  /** The last change of its turns, epoch ms. */
  readonly at: number;
  /** The messages of all its turns, shared ones included. */
  readonly messages: number;
  /** It was removed, and stays for its turns that other branches share. */
  readonly isRemoved: boolean;
}

/** All branches of a session. */
export interface BranchTree {
  readonly current: number;
  /** By ascending number. */
  readonly kept: readonly KeptBranch[];
}

/** The tree of a session that never had a second branch. */
export const onlyBranch: BranchTree = { current: 1, kept: [] };

/** The data of the entry with the tree. */
export function treeData({ current, kept }: BranchTree): string {
  const rows = kept.map(({ number, parent, from, at, messages, isRemoved }) => [
    number,
    parent,
    from,
    at,
    messages,
    ...(isRemoved ? [1] : []),
  ]);
  return JSON.stringify({ current, kept: rows });
}

/** @throws SessionError `store_invalid` for an entry that contains no tree */
export function treeOf(entry: Entry | undefined): BranchTree {
  if (entry === undefined) return onlyBranch;
  const tree = readTree(entry.data);
  if (tree !== undefined) return tree;
  throw new SessionError("store_invalid", { problem: "entry_invalid", log: "#branches", seq: entry.seq });
}

/** The tree in this text; undefined if it has none. */
export function readTree(data: string): BranchTree | undefined {
  try {
    const { current, kept } = decode(data) as { readonly current?: unknown; readonly kept?: unknown };
    if (!isWhole(current) || !Array.isArray(kept)) return undefined;
    const branches: KeptBranch[] = [];
    for (const row of kept as readonly unknown[]) {
      if (!Array.isArray(row) || row.length < 5 || !row.every(isWhole)) return undefined;
      const [number, parent, from, at, messages, removed] = row as [number, number, number, number, number, number?];
      branches.push({ number, parent, from, at, messages, isRemoved: removed === 1 });
    }
    const byNumber = new Map(branches.map((one) => [one.number, one]));
    const isTree =
      byNumber.size === branches.length &&
      !byNumber.has(current) &&
      branches.every((one) => isInTree(byNumber, one, current));
    return isTree ? { current, kept: branches } : undefined;
  } catch {
    return undefined;
  }
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/**
 * True where the parent of a branch is the current one, or another one whose own turns begin before those of the branch: where all
 * are, the parents of each lead to the current one.
 */
function isInTree(kept: ReadonlyMap<number, KeptBranch>, { parent, from }: KeptBranch, current: number): boolean {
  return parent === current ? from >= 1 : (kept.get(parent)?.from ?? from) < from;
}

/** The kept branch with this number. */
export function keptBranch({ kept }: BranchTree, number: number): KeptBranch | undefined {
  return kept.find((one) => one.number === number);
}

/** The branches on the way from a kept branch up to the current one, that branch first and the current one left out. */
export function lineage(tree: BranchTree, branch: KeptBranch): readonly KeptBranch[] {
  const line = [branch];
  for (let parent = keptBranch(tree, branch.parent); parent !== undefined; parent = keptBranch(tree, parent.parent))
    line.push(parent);
  return line;
}

/** The first turn of a kept branch that the current one does not share. */
export function divergence(tree: BranchTree, branch: KeptBranch): number {
  return lineage(tree, branch).at(-1)?.from ?? branch.from;
}

/** The last turn of the current branch that another one shares; 0: none. */
export function lastShared({ current, kept }: BranchTree): number {
  return kept.reduce((last, { parent, from }) => (parent === current ? Math.max(last, from - 1) : last), 0);
}

/** A change of the current branch: branch `number` shares its turns before `from`, and the former one is kept with those that follow. */
export interface Succession {
  readonly number: number;
  readonly from: number;
  /** The former branch; undefined where it has no turns that follow. */
  readonly former: Pick<KeptBranch, "at" | "messages" | "isRemoved"> | undefined;
}

/** The tree with another current branch, which may be a new one. */
export function succeeded({ current, kept }: BranchTree, { number, from, former }: Succession): BranchTree {
  const others = kept
    .filter((one) => one.number !== number)
    .map((one) => (one.parent === current && one.from <= from ? { ...one, parent: number } : one));
  const left = former === undefined ? [] : [{ ...former, number: current, parent: number, from }];
  return { current: number, kept: byNumber([...others, ...left]) };
}

/** The tree in which the current branch has another number, which no other one has. */
export function renamed({ current, kept }: BranchTree, number: number): BranchTree {
  return {
    current: number,
    kept: kept.map((one) => (one.parent === current ? { ...one, parent: number } : one)),
  };
}

function byNumber(kept: readonly KeptBranch[]): readonly KeptBranch[] {
  return kept.toSorted((a, b) => a.number - b.number);
}

/** The branches that begin in this one. */
function childrenOf({ kept }: BranchTree, number: number): readonly KeptBranch[] {
  return kept.filter(({ parent }) => parent === number);
}

/** A branch whose turns are deleted, from one number on. */
export interface DeletedTurns {
  readonly number: number;
  readonly from: number;
}

/**
 * The tree without a kept branch, and the turns that no other branch shares. A removed branch whose turns others share stays in
 * the tree, until the last of them is removed.
 */
export function without(
  tree: BranchTree,
  branch: KeptBranch,
): { readonly tree: BranchTree; readonly deleted: readonly DeletedTurns[] } {
  const deleted: DeletedTurns[] = [];
  let left: BranchTree = tree;
  for (let one: KeptBranch | undefined = { ...branch, isRemoved: true }; one?.isRemoved === true;) {
    const { number, parent }: KeptBranch = one;
    const children = childrenOf(left, number);
    const from = children.reduce((last, child) => Math.max(last, child.from), one.from);
    deleted.push({ number, from });
    const kept = left.kept.filter((other) => other.number !== number);
    left = { ...left, kept: children.length === 0 ? kept : byNumber([...kept, one]) };
    one = children.length === 0 ? keptBranch(left, parent) : undefined;
  }
  return { tree: left, deleted };
}

/** One of the versions of a turn: the branches that have it, and the one to show for it. */
export interface Version {
  /** The current branch, or else the one that was changed last. */
  readonly shown: number;
  readonly numbers: readonly number[];
}

/** The versions of turn `at` among the branches that share the turns before it with the current one, in the order of their branches. */
export function versionsAt(tree: BranchTree, at: number): readonly Version[] {
  const groups = new Map<number, KeptBranch[]>();
  const ofCurrent: number[] = [tree.current];
  for (const branch of tree.kept) {
    if (branch.isRemoved) continue;
    const top = lineage(tree, branch).at(-1) ?? branch;
    if (top.from > at) ofCurrent.push(branch.number);
    else if (top.from === at) groups.set(top.number, [...(groups.get(top.number) ?? []), branch]);
  }
  const others = [...groups.values()].map((branches): Version => {
    const newest = branches.reduce((last, one) => (one.at >= last.at ? one : last));
    return { shown: newest.number, numbers: branches.map(({ number }) => number) };
  });
  const least = ({ numbers }: Version): number => Math.min(...numbers);
  return [{ shown: tree.current, numbers: ofCurrent }, ...others].toSorted((a, b) => least(a) - least(b));
}
