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

/** The paths from the beginning to each leaf, as ids. */
export interface Branches {
  /** The branch that ends with `current`, else the one with the newest leaf. */
  readonly shown: readonly string[];
  readonly others: readonly (readonly string[])[];
}

/** The branches of a tree. A damaged tree may have circles; a node without its parent begins a branch. */
export function branchesOf(nodes: readonly TreeNode[], current: string | undefined): Branches {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Set(nodes.flatMap(({ parent }) => parent ?? []));
  const leaves = nodes.filter(({ id }) => !parents.has(id));
  const pathTo = (leaf: string): readonly string[] => {
    const path = new Set<string>();
    for (let id: string | undefined = leaf; id !== undefined && byId.has(id) && !path.has(id);)
      id = (path.add(id), byId.get(id)?.parent);
    return [...path].toReversed();
  };
  // Of leaves of one time, or without a time, the last one is the newest.
  const newest = leaves.reduce<TreeNode | undefined>(
    (last, leaf) => (last === undefined || (leaf.at ?? 0) >= (last.at ?? 0) ? leaf : last),
    undefined,
  );
  const end = current !== undefined && byId.has(current) ? current : (newest?.id ?? nodes.at(-1)?.id);
  if (end === undefined) return { shown: [], others: [] };
  const shown = pathTo(end);
  const isShown = new Set(shown);
  return {
    shown,
    others: leaves.filter(({ id }) => !isShown.has(id) && id !== end).map(({ id }) => pathTo(id)),
  };
}

/** The branches in the order in which the program shows them: those of the first message that follows come first. */
export function inOrder(
  nodes: readonly TreeNode[],
  branches: readonly (readonly string[])[],
): readonly (readonly string[])[] {
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
  const placeOf = (branch: readonly string[]): number => places.get(branch.at(-1) ?? "") ?? places.size;
  return branches.toSorted((a, b) => placeOf(a) - placeOf(b));
}
