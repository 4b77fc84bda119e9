/** The conversations in a tree of messages: the branch that was shown last, and the others if they are asked for. */
import type { Conversation } from "../../sessions/transfer/conversation.ts";
import { branchesOf, type TreeNode } from "./branches.ts";
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
  { branches }: BranchOptions,
): readonly Conversation[] {
  const { shown, others } = branchesOf(nodes, current);
  const first = read(shown);
  if (others.length === 0) return [first];
  if (branches === "shown") return [{ ...first, leftOut: { ...first.leftOut, branch: others.length } }];
  const { id } = first;
  return [
    first,
    ...others.map((ids, index): Conversation => {
      const branch = read(ids);
      if (id === undefined) return branch;
      return { ...branch, id: `${id}-branch-${index + 2}`, metadata: { ...branch.metadata, branchOf: id } };
    }),
  ];
}
