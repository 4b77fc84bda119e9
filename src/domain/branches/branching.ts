/**
 * Rules of branches. A branch that takes the place of the current one shares its first turns, and the former one keeps the others:
 * no entry moves. The record names the segments of the current branch, and the entry of `branchesLog` has the tree.
 */
import { SessionError } from "../../errors.ts";
import { lastOwn, set, splice, type Draft } from "../record/change.ts";
import { branchesLog, branchOfLog, keptLog, type Entry } from "../record/entry.ts";
import { guardLease, sessionIds, turnOpen, type Context } from "../record/guards.ts";
import { use } from "../record/lifecycle.ts";
import type { Segments, SessionRecord } from "../record/record.ts";
import { guardForks, guardLegalHold } from "../record/retention.ts";
import { dropSummaries } from "../record/summary-logs.ts";
import { keptNumbers, storedLog, storedRange } from "./segments.ts";
import {
  keptBranch,
  lastShared,
  lineage,
  renamed,
  succeeded,
  treeData,
  without,
  type BranchTree,
  type KeptBranch,
} from "./tree.ts";

/** The segments of a session that never had a second branch. */
const oneSegment: Segments = { root: 1, current: 1, path: [], made: 1, shared: 0 };

/** The branches of a session: their tree, their segments, and the number of their turns. */
interface Branches {
  readonly tree: BranchTree;
  readonly segments: Segments;
  /** The turns of the current branch. */
  readonly turns: number;
  /** The turns of its own that each other branch has. */
  readonly own: ReadonlyMap<number, number>;
}

function branchesOf(record: SessionRecord, tree: BranchTree): Branches {
  const own = new Map(keptNumbers(record).map((number) => [number, lastOwn(record, keptLog(number))]));
  return { tree, segments: record.branches ?? oneSegment, turns: lastOwn(record, "turns"), own };
}

/** The trees of segments that a rule of this process has made: a next change of the branches need not read its tree. */
const trees = new WeakMap<Segments, BranchTree>();

/** The tree of a record, if this process knows it. */
export function knownTree({ branches }: Pick<SessionRecord, "branches">): BranchTree | undefined {
  return branches === null ? undefined : trees.get(branches);
}

/** Put the branches into the draft. */
function put(draft: Draft, { tree, segments, turns, own }: Branches, context: Context): void {
  const { heads: before } = draft.record;
  const heads: { [log: string]: number } = {};
  for (const [log, last] of Object.entries(before)) if (branchOfLog(log) === undefined) heads[log] = last;
  for (const [number, last] of own) heads[keptLog(number)] = last;
  heads["turns"] = turns;
  const branches = { ...segments, shared: lastShared(tree) };
  trees.set(branches, tree);
  set(draft, { heads, branches });
  splice(draft, branchesLog, 1, [{ seq: 1, key: null, at: context.now, data: treeData(tree) }]);
}

/** The segments of the current branch up to this turn. */
function pathTo({ path, current }: Segments, after: number): Segments["path"] {
  const cut: (readonly [number, number])[] = [];
  let before = 0;
  for (const [segment, to] of [...path, [current, Infinity] as const]) {
    if (after <= before) break;
    cut.push([segment, Math.min(to, after)]);
    before = to;
  }
  return cut;
}

type Former = Pick<KeptBranch, "at" | "messages" | "isRemoved">;

/** The branches with another current one. It shares the turns before `from`, which are in the segments of the current one. */
function withCurrent(
  { tree, segments, turns, own }: Branches,
  { number, from, former }: { readonly number: number; readonly from: number; readonly former: Former },
): Branches {
  const left = turns - from + 1;
  const path = pathTo(segments, from - 1);
  // A branch that goes on in the segment where the shared turns end.
  const isSame = path.at(-1)?.[0] === number;
  // A branch whose turns another one has all is no version of its own.
  const isRemoved = former.isRemoved || tree.kept.some((one) => one.parent === tree.current && one.from === turns + 1);
  const kept = new Map(own);
  kept.delete(number);
  if (left > 0) kept.set(tree.current, left);
  return {
    tree: succeeded(tree, { number, from, former: left > 0 ? { ...former, isRemoved } : undefined }),
    segments: { ...segments, current: number, path: isSame ? path.slice(0, -1) : path },
    turns: from - 1 + (own.get(number) ?? 0),
    own: kept,
  };
}

/**
 * The branches once the turn after `after` is in the segment of the current branch. A branch whose own turns would be in several
 * segments shares the earlier ones with a branch of theirs.
 */
function leftAt(
  branches: Branches,
  after: number,
  left: Former,
): { readonly branches: Branches; readonly left: Former } {
  let now = { branches, left };
  for (;;) {
    const { path } = now.branches.segments;
    const last = path.at(-1);
    if (last === undefined || last[1] <= after) return now;
    const [number, to] = last;
    const next = keptBranch(now.branches.tree, number) ?? { at: 0, messages: 0, isRemoved: true };
    now = { branches: withCurrent(now.branches, { number, from: to + 1, former: now.left }), left: next };
  }
}

/** The current branch as it is left. */
function formerOf({ lastActivityAt, counters }: SessionRecord): Former {
  return { at: lastActivityAt, messages: counters.messages, isRemoved: false };
}

/**
 * Begin a new branch after turn `after`, in the draft: the branch that was the current one keeps the turns that follow. `messages`:
 * those of the turns up to `after`. The next turn is the first of the new branch.
 * @throws SessionError `branches_exceeded`, `session_forked`, or that of the session's state
 */
export function branchOff(
  draft: Draft,
  { after, messages, tree }: { readonly after: number; readonly messages: number; readonly tree: BranchTree },
  context: Context,
): void {
  guardForks(draft.record, after);
  guardCount(draft.record, tree, context);
  const left = formerOf(draft.record);
  use(draft, context);
  const before = leftAt(branchesOf(draft.record, tree), after, left);
  const number = before.branches.segments.made + 1;
  const next = withCurrent(before.branches, { number, from: after + 1, former: before.left });
  put(draft, { ...next, segments: { ...next.segments, made: number } }, context);
  set(draft, { counters: { ...draft.record.counters, turns: after, messages } });
}

/** The segments of one path, for each branch that may be kept. */
const segmentsPerBranch = 2;

/** @throws SessionError `branches_exceeded` */
function guardCount(record: SessionRecord, { kept }: BranchTree, { limits: { branchesMax } }: Context): void {
  const branches = kept.filter(({ isRemoved }) => !isRemoved).length + 1;
  const segments = (record.branches?.path.length ?? 0) + 1;
  if (branches < branchesMax && segments < branchesMax * segmentsPerBranch) return;
  throw new SessionError("branches_exceeded", { ...sessionIds(record), branches, branchesMax });
}

/** The kept branch of this number. @throws SessionError `branch_not_found` */
function keptOf(record: SessionRecord, tree: BranchTree, number: number): KeptBranch {
  const branch = keptBranch(tree, number);
  if (branch !== undefined && !branch.isRemoved) return branch;
  throw new SessionError("branch_not_found", { ...sessionIds(record), branch: String(number) });
}

/** A branch to work on. `fence`: the fencing token of the caller; null: it has no lease. */
export interface BranchChoice {
  readonly number: number;
  readonly tree: BranchTree;
  readonly fence: number | null;
}

/**
 * Make a kept branch the current one, in the draft. False where it is that already.
 * @throws SessionError `branch_not_found`, `busy`, `fenced`, `turn_open`, `session_forked`, or that of the session's state
 */
export function switchBranch(draft: Draft, { number, tree, fence }: BranchChoice, context: Context): boolean {
  const { record } = draft;
  guardLease(record, fence, context);
  if (record.openTurn !== null) throw turnOpen(record, record.openTurn);
  if (number === (record.branches ?? oneSegment).current) return false;
  const { messages } = keptOf(record, tree, number);
  let now = { branches: branchesOf(record, tree), left: formerOf(record) };
  for (;;) {
    const { tree: standing } = now.branches;
    const target = keptBranch(standing, number);
    if (target === undefined) break;
    const next = lineage(standing, target).at(-1) ?? target;
    guardForks(record, next.from - 1);
    now = leftAt(now.branches, next.from - 1, now.left);
    // Leaving may have changed the way to the branch.
    if (keptBranch(now.branches.tree, next.number)?.parent !== now.branches.tree.current) continue;
    const { number: through, from } = next;
    now = { branches: withCurrent(now.branches, { number: through, from, former: now.left }), left: next };
  }
  use(draft, context);
  put(draft, now.branches, context);
  set(draft, { counters: { ...draft.record.counters, turns: now.branches.turns, messages } });
  return true;
}

/** The turns that are deleted with a kept branch: from a number on, of each branch. */
export function deletedWith(
  record: SessionRecord,
  { tree, number }: Pick<BranchChoice, "tree" | "number">,
): ReturnType<typeof without>["deleted"] {
  return without(tree, keptOf(record, tree, number)).deleted;
}

/**
 * Delete a kept branch with the turns that only it has, in the draft.
 * @throws SessionError `branch_not_found`, `busy`, `fenced`, `turn_open`, `legal_hold`, or that of the session's state
 */
export function removeBranch(draft: Draft, { number, tree, fence }: BranchChoice, context: Context): void {
  const { record } = draft;
  guardLease(record, fence, context);
  if (record.openTurn !== null) throw turnOpen(record, record.openTurn);
  guardLegalHold(record);
  use(draft, context);
  const { tree: next, deleted } = without(tree, keptOf(record, tree, number));
  const branches = branchesOf(draft.record, tree);
  const own = new Map(branches.own);
  for (const { number: one, from } of deleted) {
    const first = keptBranch(tree, one)?.from ?? from;
    const kept = from - first;
    const { last } = storedRange(draft.base, storedLog(branches.segments, one));
    const before = last - (own.get(one) ?? 0);
    draft.rows.push({ log: storedLog(branches.segments, one), from: before + kept + 1, entries: [] });
    if (kept === 0) own.delete(one);
    else own.set(one, kept);
  }
  put(draft, { ...branches, tree: next, own }, context);
  dropSummaries(draft, Math.min(...deleted.map(({ from }) => from)) - 1);
}

/**
 * Cut the segments of the current branch after turn `after`, in the draft, which splices `turns` there. No other branch shares the
 * turns that follow. True where the cut is in the log `turns` of the store.
 */
export function cutSegments(
  draft: Draft,
  { after, tree }: { readonly after: number; readonly tree: BranchTree },
  context: Context,
): boolean {
  const segments = draft.record.branches;
  if (segments === null) return true;
  const all = [...segments.path, [segments.current, lastOwn(draft.record, "turns")] as const];
  const path = pathTo(segments, after);
  const last = path.at(-1) ?? [all[0]?.[0] ?? segments.current, 0];
  // The turns of another branch follow in a segment that ends with the cut.
  const isFull = lastOwn(draft.record, keptLog(last[0])) > 0;
  const number = isFull ? segments.made + 1 : last[0];
  const before = path.map(([segment]) => segment);
  for (const [segment] of all)
    if (segment !== number && !before.includes(segment))
      draft.rows.push({ log: storedLog(segments, segment), from: 1, entries: [] });
  const next = { ...segments, current: number, path: isFull ? path : path.slice(0, -1) };
  const branches = branchesOf(draft.record, renamed(tree, number));
  put(draft, { ...branches, segments: { ...next, made: Math.max(segments.made, number) } }, context);
  return number === segments.root;
}

/** Put turns before the session's own ones, which all stay. */
export function splicePrefix(draft: Draft, turns: readonly Entry[]): void {
  draft.rows.push({ log: "turns", from: storedRange(draft.record, "turns").last + 1, entries: turns });
}

/** Delete the turns of a segment, in the draft. */
export function clearSegment(draft: Draft, segment: number): void {
  const { branches } = draft.record;
  if (branches !== null) draft.rows.push({ log: storedLog(branches, segment), from: 1, entries: [] });
}

/** Remove all rows of turns, in the draft: the turns of the record are stored elsewhere from here on. */
export function clearSegments(draft: Draft): void {
  const { base } = draft;
  const segments = base.branches;
  if (segments === null) return;
  const numbers = new Set([segments.current, ...segments.path.map(([segment]) => segment), ...keptNumbers(base)]);
  for (const number of numbers) {
    const log = storedLog(segments, number);
    const { first, last } = storedRange(base, log);
    if (last >= first) draft.rows.push({ log, from: first, entries: [] });
  }
}

/** The segments once the store has each log under its own name. */
export function soleSegments(segments: Segments): Segments {
  return { ...segments, root: segments.current, path: [] };
}

/** True where the turn after `after` is one that another branch shares. */
export function isShared({ branches }: Pick<SessionRecord, "branches">, after: number): boolean {
  return branches !== null && after < branches.shared;
}
