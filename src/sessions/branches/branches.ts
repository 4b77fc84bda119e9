/** The branches of a session: lists them, reads and compares their turns, switches between them, removes them. */
import { deletedWith, knownTree, removeBranch, switchBranch } from "../../domain/branches/branching.ts";
import { inheritedIn } from "../../domain/branches/segments.ts";
import {
  divergence,
  keptBranch,
  lineage,
  onlyBranch,
  treeOf,
  versionsAt,
  type BranchTree,
  type KeptBranch,
} from "../../domain/branches/tree.ts";
import { changeOf, headOf, isSame, turnsIdentity } from "../../domain/record/change.ts";
import { branchesLog, keptLog, type Entry, type LogName } from "../../domain/record/entry.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { appendTruncatedUsage, TruncatedSums, type TruncatedUsage } from "../../domain/turns/truncated-usage.ts";
import { readTurn, turnOf, type Turn } from "../../domain/turns/turn.ts";
import { guardNumber, invalidArgument } from "../../domain/values/invalid-argument.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { SessionError } from "../../errors.ts";
import { visitSoon } from "../attachments/removal.ts";
import type { Core } from "../core/core.ts";
import { readLog } from "../core/log-reader.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";
import { withoutForks } from "../handle/detach-forks.ts";
import type { Handle } from "../handle/handle.ts";
import { hasMarks, markedText, putStaying, stayingWithout } from "../turn-marks/turn-changes.ts";
import { branchTree } from "../handle/kept-turns.ts";

/** One branch of a session: a version of its conversation. */
export interface Branch {
  readonly id: string;
  /** The session shows this branch, and writes of turns continue it. */
  readonly isCurrent: boolean;
  /** The turn that the branch has a version of its own of; the turns before it are shared with other branches. */
  readonly at: number;
  /** Which version of that turn it has, from 1; versions are in the order in which their branches began. */
  readonly index: number;
  /** The number of versions of that turn. */
  readonly count: number;
  /** The number of its turns, shared ones included. */
  readonly turns: number;
  /** The number of its messages, shared ones included. */
  readonly messages: number;
  /** The last activity in the branch. */
  readonly lastActivityAt: Date;
}

/** The branches to list. */
export interface BranchQuery {
  /** Only the versions of this turn of the current branch, each by the branch of it that was active last. @default all branches */
  readonly at?: number;
}

const queryNames: OptionNames<BranchQuery> = { at: true };

/** Two branches from the first turn on in which they differ. */
export interface BranchComparison {
  /** The number of turns that both have. */
  readonly shared: number;
  /** The turns of the first branch after those, at most 500. */
  readonly a: readonly Turn[];
  /** The turns of the second branch after those, at most 500. */
  readonly b: readonly Turn[];
}

/** A session with several branches at one moment. */
interface Moment {
  readonly record: SessionRecord;
  readonly tree: BranchTree;
}

async function momentOf(handle: Handle): Promise<Moment> {
  const { record, tails } = await handle.peek([{ log: branchesLog, last: 1 }]);
  return { record, tree: treeOf(tails[0]?.[0]) };
}

/**
 * The moment of the record that this view knows, with the tree that this process wrote for it, or else that of the store, which may
 * belong to a newer record: where the store has one, the commit of a change is refused. Undefined where the store shows another current branch.
 */
async function knownMoment({ core, record }: Handle): Promise<Moment | undefined> {
  const tree = record.branches === null ? onlyBranch : (knownTree(record) ?? (await branchTree(core, record)));
  return record.branches === null || tree.current === record.branches.current ? { record, tree } : undefined;
}

/** @throws SessionError `range_invalid`, `argument_invalid` */
export async function branchesOn(handle: Handle, query: BranchQuery): Promise<readonly Branch[]> {
  guardNames(query, "query", queryNames);
  const { at } = query;
  if (at !== undefined) guardNumber(at, "query.at");
  const moment = await momentOf(handle);
  const { record, tree } = moment;
  if (at === undefined) return listed(moment);
  const last = headOf(record, "turns");
  if (!Number.isSafeInteger(at) || at < 1 || at > last)
    throw new SessionError("range_invalid", { name: "query.at", from: at, to: last });
  const versions = versionsAt(tree, at);
  return versions.map(({ shown }, index) => branchOf(moment, shown, { at, index: index + 1, count: versions.length }));
}

function listed(moment: Moment): readonly Branch[] {
  const { tree, record } = moment;
  const last = Math.max(1, Math.min(headOf(record, "turns"), (record.branches?.shared ?? 0) + 1));
  const places = [
    { number: tree.current, at: last },
    ...tree.kept
      .filter(({ isRemoved }) => !isRemoved)
      .map((branch) => ({ number: branch.number, at: divergence(tree, branch) })),
  ];
  return places
    .toSorted((a, b) => a.number - b.number)
    .map(({ number, at }) => {
      const versions = versionsAt(tree, at);
      const index = versions.findIndex(({ numbers }) => numbers.includes(number));
      return branchOf(moment, number, { at, index: index + 1, count: versions.length });
    });
}

function branchOf(
  { record, tree }: Moment,
  number: number,
  { at, index, count }: Pick<Branch, "at" | "index" | "count">,
): Branch {
  const kept = keptBranch(tree, number);
  const id = String(number);
  if (kept === undefined) {
    const { counters, lastActivityAt } = record;
    const { messages } = counters;
    const turns = headOf(record, "turns");
    return { id, isCurrent: true, at, index, count, turns, messages, lastActivityAt: new Date(lastActivityAt) };
  }
  const { messages } = kept;
  return {
    id,
    isCurrent: false,
    at,
    index,
    count,
    turns: turnsOf(record, kept),
    messages,
    lastActivityAt: new Date(kept.at),
  };
}

/** The number of the last turn of a kept branch. */
function turnsOf(record: SessionRecord, { number, from }: KeptBranch): number {
  return from - 1 + headOf(record, keptLog(number));
}

/** The number in the id of a branch. @throws SessionError `branch_not_found` */
function numberOf(record: SessionRecord, id: unknown): number {
  if (typeof id !== "string") throw invalidArgument("branch", id, { expected: "text", min: 1, max: 16 });
  const number = /^[1-9]\d{0,14}$/.test(id) ? Number(id) : 0;
  if (number > 0) return number;
  throw new SessionError("branch_not_found", { ...sessionIds(record), branch: id });
}

/** A part of a branch: some of its turns, and the log that has them. */
interface Stretch {
  readonly log: LogName;
  /** The number of a turn is its number in the log plus this. */
  readonly offset: number;
  readonly from: number;
  readonly to: number;
}

/** The logs with the turns of a branch, in order. @throws SessionError `branch_not_found` */
function stretchesOf({ record, tree }: Moment, id: unknown): readonly Stretch[] {
  const number = numberOf(record, id);
  const whole = { log: "turns", offset: 0, from: 1, to: headOf(record, "turns") };
  if (number === tree.current) return [whole];
  const branch = keptBranch(tree, number);
  if (branch === undefined || branch.isRemoved)
    throw new SessionError("branch_not_found", { ...sessionIds(record), branch: String(id) });
  const stretches: Stretch[] = [];
  let to = turnsOf(record, branch);
  for (const { number: one, from } of lineage(tree, branch)) {
    if (from <= to) stretches.unshift({ log: keptLog(one), offset: from - 1, from, to });
    to = Math.min(to, from - 1);
  }
  return to === 0 ? stretches : [{ ...whole, to }, ...stretches];
}

/** The turns of a branch from one number to another, bounds included. */
async function* entriesOf(
  core: Core,
  moment: Moment,
  { id, from, to }: { readonly id: unknown; readonly from: number; readonly to: number },
): AsyncGenerator<Entry, void, void> {
  const { readMax: limit, readBytesMax: bytesMax } = core.options.limits;
  for (const stretch of stretchesOf(moment, id)) {
    const end = Math.min(to, stretch.to);
    for (let next = Math.max(from, stretch.from); next <= end;) {
      const { log, offset } = stretch;
      const range = { log, from: next - offset, to: end - offset, order: "ascending", limit, bytesMax } as const;
      const page = await readLog(core, moment.record, range);
      for (const entry of page) yield { ...entry, seq: entry.seq + offset };
      const last = page.at(-1);
      if (last === undefined) return;
      next = last.seq + offset + 1;
    }
  }
}

/** The entries of the turns of a branch, the last so many or from one number to another. @throws SessionError `branch_not_found` */
export async function* branchEntries(
  handle: Handle,
  id: string,
  { last, from, to }: { readonly last: number | undefined; readonly from: number; readonly to: number },
): AsyncGenerator<Entry, void, void> {
  const moment = await momentOf(handle);
  const end = Math.min(to, stretchesOf(moment, id).at(-1)?.to ?? 0);
  yield* entriesOf(handle.core, moment, { id, from: last === undefined ? from : Math.max(1, end - last + 1), to: end });
}

/** @throws SessionError `branch_not_found`, `argument_invalid` */
export async function compareOn(handle: Handle, a: string, b: string): Promise<BranchComparison> {
  const moment = await momentOf(handle);
  const [first, second] = [stretchesOf(moment, a), stretchesOf(moment, b)];
  let shared = 0;
  for (const [index, one] of first.entries()) {
    const other = second[index];
    if (other?.log !== one.log || other.from !== one.from) break;
    shared = Math.min(one.to, other.to);
    if (one.to !== other.to) break;
  }
  const rest = async (id: string): Promise<readonly Turn[]> => {
    const turns: Turn[] = [];
    const to = shared + comparedMax;
    for await (const entry of entriesOf(handle.core, moment, { id, from: shared + 1, to })) {
      const turn = readTurn(entry);
      if (typeof turn !== "string") turns.push(turn);
    }
    return turns;
  };
  return { shared, a: await rest(a), b: await rest(b) };
}

/** The turns of each branch that a comparison returns. */
const comparedMax = 500;

/** @throws SessionError as `Session.switchTo` */
export async function switchOn(handle: Handle, id: string): Promise<void> {
  const number = numberOf(handle.record, id);
  await handle.recoverAbandoned();
  await handle.countingConflicts(() =>
    withoutForks(handle, () =>
      retryOnConflict(sessionIds(handle.record), async (attempt) => {
        const known = attempt === 1 ? await knownMoment(handle) : undefined;
        const { record, tree } = known ?? (await momentOf(handle));
        const written = await handle.write((draft, context, writer) => {
          // The tree is that of the record that was read.
          if (!isSame(turnsIdentity(draft.record), turnsIdentity(record))) return null;
          if (!switchBranch(draft, { number, tree, fence: writer.fence }, context)) return null;
          return changeOf(draft);
        });
        if (written.status === "ok" || known === undefined) handle.seeAll();
        if (written.status === "ok") return true;
        // Nothing was compared with the store: it may have another current branch.
        if (known !== undefined) return undefined;
        return isSame(turnsIdentity(handle.record), turnsIdentity(record)) ? true : undefined;
      }),
    ),
  );
}

/** @throws SessionError as `Session.removeBranch` */
export async function removeBranchOn(handle: Handle, id: string): Promise<void> {
  const number = numberOf(handle.record, id);
  await handle.recoverAbandoned();
  await retryOnConflict(sessionIds(handle.record), async () => {
    const moment = await momentOf(handle);
    const { record, tree } = moment;
    if (number === tree.current) throw invalidArgument("branch", id, { expected: "other_branch", known: idsOf(tree) });
    const { usage, deleted } = await deletedOf(handle.core, moment, number);
    const staying = await stayingWithout(handle.core, record, deleted);
    const written = await handle.write((draft, context, { fence }) => {
      if (!isSame(turnsIdentity(draft.record), turnsIdentity(record))) return null;
      removeBranch(draft, { number, tree, fence }, context);
      if (!putStaying(draft, staying, context)) return null;
      appendTruncatedUsage(draft, usage);
      return changeOf(draft);
    });
    return written.status === "ok" ? true : undefined;
  });
  await visitSoon(handle.core, handle.record);
}

/** The ids of the branches that are not the current one. */
function idsOf({ kept }: BranchTree): readonly string[] {
  return kept.filter(({ isRemoved }) => !isRemoved).map(({ number }) => String(number));
}

/** The usage of the turns that go with a branch, which stays counted. `deleted`: these turns, in a session that has marks of some. */
async function deletedOf(
  core: Core,
  { record, tree }: Moment,
  number: number,
): Promise<{ readonly usage: readonly TruncatedUsage[]; readonly deleted: ReadonlySet<string> }> {
  const sums = new TruncatedSums();
  const deleted = new Set<string>();
  const isMarked = hasMarks(record);
  for (const { number: one, from } of deletedWith(record, { tree, number })) {
    const log = keptLog(one);
    const first = keptBranch(tree, one)?.from ?? from;
    const inherited = inheritedIn(record, log);
    const { readMax: limit, readBytesMax: bytesMax } = core.options.limits;
    for (let next = from - first + 1; next <= headOf(record, log);) {
      const range = { log, from: next, to: headOf(record, log), order: "ascending", limit, bytesMax } as const;
      const page = await readLog(core, record, range);
      for (const entry of page) {
        const turn = turnOf(entry);
        sums.add(turn, inherited);
        if (isMarked) deleted.add(markedText({ ...turn, seq: turn.seq + first - 1 }));
      }
      const last = page.at(-1);
      if (last === undefined) break;
      next = last.seq + 1;
    }
  }
  return { usage: sums.result.usage, deleted };
}

/** Remove the branches that share turns after `after`, before those are deleted. */
export async function removeSharing(handle: Handle, after: number): Promise<void> {
  for (;;) {
    const { record, tree } = await momentOf(handle);
    if (record.branches === null || after >= record.branches.shared) return;
    const sharing = tree.kept.find((branch) => !branch.isRemoved && divergence(tree, branch) - 1 > after);
    if (sharing === undefined) return;
    await removeBranchOn(handle, String(sharing.number));
  }
}
