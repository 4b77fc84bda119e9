/** The branches of a conversation that is stored as a tree: each message names the one before it. */

/** A message of a tree. */
export interface TreeNode {
  readonly id: string;
  /** The id of the message before it; another value begins the conversation. */
  readonly parent: string | undefined;
  /** When it was written, epoch ms. */
  readonly at: number | undefined;
  /** The ids of the messages that follow, in the order in which the program shows them. @default the order of the messages */
  readonly children?: readonly string[];
}

/** The branches of a tree, by the ids of their last messages. */
export interface Branches {
  /** The end of the branch that is shown: `current`, else the newest leaf; undefined without messages. */
  readonly shown: string | undefined;
  /** The leaves that are not in the branch that is shown. */
  readonly others: readonly string[];
  /** The ids of the messages from the beginning to one of them. */
  readonly pathTo: (end: string | undefined) => readonly string[];
}

/**
 * The branches of a tree. A damaged tree may have circles; a node without its parent begins a branch. The paths of all branches
 * together may be far longer than the tree, so that only those that are asked for are made.
 */
export function branchesOf(nodes: readonly TreeNode[], current: string | undefined): Branches {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Set(nodes.flatMap(({ parent }) => parent ?? []));
  const leaves = nodes.filter(({ id }) => !parents.has(id));
  const pathTo = (end: string | undefined): readonly string[] => {
    const path = new Set<string>();
    for (let id = end; id !== undefined && byId.has(id) && !path.has(id);) id = (path.add(id), byId.get(id)?.parent);
    return [...path].toReversed();
  };
  // Of leaves of one time, or without a time, the last one is the newest.
  const newest = leaves.reduce<TreeNode | undefined>(
    (last, leaf) => (last === undefined || (leaf.at ?? 0) >= (last.at ?? 0) ? leaf : last),
    undefined,
  );
  const shown = current !== undefined && byId.has(current) ? current : (newest?.id ?? nodes.at(-1)?.id);
  // A leaf is in the branch that is shown only as its end.
  const others = new Set(leaves.map(({ id }) => id).filter((id) => id !== shown));
  return { shown, others: [...others], pathTo };
}

/** The ends of branches in the order in which the program shows them: those of the first message that follows come first. */
export function inOrder(nodes: readonly TreeNode[], ends: readonly string[]): readonly string[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const children = new Map<string | undefined, string[]>();
  for (const { id, parent } of nodes) {
    const known = parent !== undefined && byId.has(parent) ? parent : undefined;
    const list = children.get(known);
    if (list === undefined) children.set(known, [id]);
    else list.push(id);
  }
  const places = new Map<string, number>();
  const waiting = (children.get(undefined) ?? []).toReversed();
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (places.has(id)) continue;
    places.set(id, places.size);
    const listed = new Map((byId.get(id)?.children ?? []).map((child, index) => [child, index]));
    const place = (child: string): number => listed.get(child) ?? listed.size;
    waiting.push(...(children.get(id) ?? []).toSorted((a, b) => place(a) - place(b)).toReversed());
  }
  // The messages of a circle come last.
  const placeOf = (end: string): number => places.get(end) ?? places.size;
  return ends.toSorted((a, b) => placeOf(a) - placeOf(b));
}
