/** The conversations in a tree of messages: the branch that was shown last, and the others if they are asked for. */
import { firstBranches } from "../../domain/branches/layout.ts";
import { hasCode } from "../../errors.ts";
import { branchId, type Conversation, type LeftOut } from "../../sessions/transfer/conversation.ts";
import { branchesOf, inOrder, type TreeNode } from "./branches.ts";
import type { BranchOptions } from "./conversation-format.ts";

/** A tree, and the conversation that one of its branches is. */
export interface Tree {
  readonly nodes: readonly TreeNode[];
  /** The id of the message that was shown last. */
  readonly current: string | undefined;
  readonly read: (ids: readonly string[]) => Conversation;
}

/** The branch that was shown last first; the report counts the others, unless they are conversations of their own. */
export function conversationsOfTree(
  { nodes, current, read }: Tree,
  { branches, branchesMax = Infinity }: BranchOptions,
): readonly Conversation[] {
  if (branches === "keep") return [withBranches({ nodes, current, read }, branchesMax)];
  const { shown, others, pathTo } = branchesOf(nodes, current);
  const first = read(pathTo(shown));
  if (others.length === 0) return [first];
  if (branches === "shown") return [{ ...first, leftOut: { ...first.leftOut, branch: others.length } }];
  const { id } = first;
  const all = [first, ...others.map((end) => read(pathTo(end)))];
  if (id === undefined) return all;
  const branchOf = { id, count: all.length };
  return all.map((branch, index): Conversation => ({ ...branch, id: branchId(id, index + 1), branchOf }));
}

/** The branch that was shown last, and the others as its branches. What a message has is counted once. */
function withBranches({ nodes, current, read }: Tree, branchesMax: number): Conversation {
  const { shown, others, pathTo } = branchesOf(nodes, current);
  const all = inOrder(nodes, shown === undefined ? others : [shown, ...others]);
  const branches = firstBranches(all, { max: branchesMax, shown });
  const pathShown = pathTo(shown);
  const whole = read(pathShown);
  const counted = new Set(pathShown);
  let [aside, leftOut]: [number, LeftOut] = [
    whole.aside ?? 0,
    { ...whole.leftOut, branch: all.length - branches.length },
  ];
  const readOther = (last: string): readonly Conversation[] => {
    const ids = pathTo(last);
    const branch = unlessEmpty(() => read(ids));
    if (branch === undefined) return [];
    const end = ids.findIndex((id) => !counted.has(id));
    const known = end > 0 ? unlessEmpty(() => read(ids.slice(0, end))) : undefined;
    for (const id of ids) counted.add(id);
    aside += Math.max(0, (branch.aside ?? 0) - (known?.aside ?? 0));
    leftOut = sumOf(leftOut, missingIn(branch.leftOut ?? {}, known?.leftOut ?? {}));
    return [branch];
  };
  const place = shown === undefined ? 0 : branches.indexOf(shown);
  const before = branches.slice(0, place).flatMap(readOther);
  const after = branches.slice(place + 1).flatMap(readOther);
  return {
    ...whole,
    aside,
    leftOut,
    branches: [...before, ...after].map(({ messages, facts = new Map() }) => ({ messages, facts })),
    branchesBefore: before.length,
  };
}

/** Undefined for a branch without messages. */
function unlessEmpty(read: () => Conversation): Conversation | undefined {
  try {
    return read();
  } catch (error) {
    if (hasCode(error, "message_invalid") && error.details.expected === "messages") return undefined;
    throw error;
  }
}

/** What the first counts have more than the others. */
function missingIn(all: LeftOut, known: LeftOut): LeftOut {
  return Object.fromEntries(
    Object.entries(all).map(([kind, count]) => [kind, Math.max(0, count - (known[kind] ?? 0))]),
  );
}

function sumOf(one: LeftOut, other: LeftOut): LeftOut {
  const kinds = new Set([...Object.keys(one), ...Object.keys(other)]);
  return Object.fromEntries([...kinds].map((kind) => [kind, (one[kind] ?? 0) + (other[kind] ?? 0)]));
}
