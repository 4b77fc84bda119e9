/**
 * Random trees of messages that grow, as exports of an application, imported with their branches: the session has each branch
 * of the tree once, whichever branch each export shows.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { doctor, exportSessions, importSessions, type ImportReport } from "../../src/admin.ts";
import { openSessions, type Message, type Session, type Sessions } from "../../src/index.ts";
import { Engines, enginesOfRun } from "../crash/engines.ts";
import * as fc from "../support/fast-check.ts";
import { importText } from "../support/import-text.ts";
import { inMemory } from "../support/in-memory.ts";
import { rounds } from "../support/rounds.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

interface Node {
  readonly id: string;
  readonly parent: string | undefined;
  /** A call of a tool is a node, and its result the next one. */
  readonly says: "question" | "answer" | "call" | "result";
}

/** One more message: below which one, and what it is. */
interface Step {
  readonly below: number;
  readonly isAsked: boolean;
  readonly isCall: boolean;
}

const step: fc.Arbitrary<Step> = fc.record(
  // Most messages follow one of the last, and some begin anew.
  {
    below: fc.oneof(fc.nat(2), fc.nat(30)),
    isAsked: fc.boolean(),
    isCall: fc.integer({ max: 5, min: 0 }).map((n) => n === 0),
  },
  { noNullPrototype: true },
);
/** The tree grows, is exported with one message shown, and a branch of the session is made the current one. */
interface State {
  readonly steps: readonly Step[];
  readonly shown: number;
  readonly isLeaf: boolean;
  readonly switchTo: number | undefined;
}

const states: fc.Arbitrary<readonly State[]> = fc.array(
  fc.record(
    {
      steps: fc.array(step, { minLength: 1, maxLength: 12 }),
      shown: fc.nat(30),
      isLeaf: fc.constantFrom(true, true, false),
      switchTo: fc.option(fc.nat(9), { nil: undefined }),
    },
    { noNullPrototype: true },
  ),
  { minLength: 1, maxLength: 4 },
);

function grown(nodes: readonly Node[], steps: readonly Step[]): readonly Node[] {
  const all = [...nodes];
  for (const { below, isAsked, isCall } of steps) {
    const parent = below < all.length ? all[all.length - 1 - below] : undefined;
    const add = (says: Node["says"], under: Node | undefined): Node => {
      const node = { id: `n${all.length}`, parent: under?.id, says };
      all.push(node);
      return node;
    };
    if (parent === undefined || (isAsked && parent.says !== "call")) add("question", parent);
    else if (parent.says === "call") add("result", parent);
    else if (isCall) add("result", add("call", parent));
    else add("answer", parent);
  }
  return all;
}

function pathTo(nodes: readonly Node[], end: Node): readonly Node[] {
  const before = nodes.find(({ id }) => id === end.parent);
  return before === undefined ? [end] : [...pathTo(nodes, before), end];
}

const leavesOf = (nodes: readonly Node[]): readonly Node[] =>
  nodes.filter(({ id }) => nodes.every(({ parent }) => parent !== id));

/** The tree in the form of ChatGPT, with the nodes of its file in another order than the messages were written. */
function exportOf(nodes: readonly Node[], shown: Node, wordOfNode: (id: string) => string = (id) => id): string {
  const childrenOf = (id: string): readonly string[] =>
    nodes.filter(({ parent = "root" }) => parent === id).map((one) => one.id);
  const mapping = nodes.map(({ id, parent = "root", says }): readonly [string, object] => {
    const content = { content_type: "text", parts: [wordOfNode(id)] };
    const author = { role: says === "question" ? "user" : says === "result" ? "tool" : "assistant", name: "python" };
    const message = { id, author, content, recipient: says === "call" ? "python" : "all" };
    return [id, { id, parent, message, children: childrenOf(id) }];
  });
  const root = { id: "root", message: null, parent: null, children: childrenOf("root") };
  const all = Object.fromEntries([...mapping.toReversed(), ["root", root]]);
  return JSON.stringify({ conversation_id: "c", mapping: all, current_node: shown.id });
}

const wordOf = (message: Message): string =>
  message.tool_calls?.[0]?.function.arguments ?? (typeof message.content === "string" ? message.content : "?");

async function wordsOf(session: Session, branch: string): Promise<string> {
  const turns = await Array.fromAsync(session.turns({ branch }));
  return turns.flatMap(({ input, output }) => [...input, ...output].map(wordOf)).join(" ");
}

const counts = ({ restored, present, grown: longer, turns, aside, skipped, leftOut }: ImportReport): unknown => {
  return { restored, present, grown: longer, turns, aside, skipped, leftOut };
};

/** The number of different turns of all branches. */
async function turnsOf(session: Session): Promise<number> {
  const lines = new Set<string>();
  for (const { id } of await session.branches()) {
    let line = "";
    for await (const { input, output } of session.turns({ branch: id }))
      lines.add((line += `${[...input, ...output].map(wordOf).join(" ")};`));
  }
  return lines.size;
}

/** Imports the tree at each state: the session has each branch of the tree, and no other one. */
async function guardBranches(sessions: Sessions, all: readonly State[]): Promise<void> {
  let nodes: readonly Node[] = [];
  const words = (end: Node): string =>
    pathTo(nodes, end)
      .map(({ id }) => id)
      .join(" ");
  const shownBefore = new Set<string>();
  for (const { steps, shown: which, isLeaf, switchTo } of all) {
    nodes = grown(nodes, steps);
    const ends = isLeaf ? leavesOf(nodes) : nodes;
    const shown = ends[which % ends.length]!;
    const text = exportOf(nodes, shown);
    const dry = await importText(sessions, text, { branches: "keep", dryRun: true });
    const real = await importText(sessions, text, { branches: "keep" });
    assert.deepEqual([counts(dry), real.skipped, real.leftOut], [counts(real), 0, {}]);
    const again = await importText(sessions, text, { branches: "keep" });
    assert.deepEqual([again.present, again.skipped], [1, 0]);
    const alone = await importText(sessions, text, { dryRun: true });
    assert.equal(alone.present, 1, "the shown branch alone is present too");

    const session = await sessions.get("c");
    const branches = await session.branches();
    const found = await Promise.all(branches.map(({ id }) => wordsOf(session, id)));
    assert.equal(new Set(found).size, found.length, "no branch is there twice");
    for (const leaf of leavesOf(nodes)) assert.ok(found.includes(words(leaf)), `${words(leaf)} is missing`);
    shownBefore.add(words(shown));
    const known = new Set([...leavesOf(nodes).map(words), ...shownBefore]);
    for (const one of found) assert.ok(known.has(one), `${one} is no branch`);
    if (real.restored > 0) {
      const current = found[branches.findIndex(({ isCurrent }) => isCurrent)];
      assert.equal(current, words(shown));
      const others = (list: readonly string[]): readonly string[] => list.filter((one) => one !== current);
      assert.deepEqual(others(found), others(inOrder(nodes).map(words)));
      assert.equal(real.turns, await turnsOf(session), "turns that branches share are stored once");
    }
    if (switchTo !== undefined) await session.switchTo(branches[switchTo % branches.length]!.id);
  }
  await using other = inMemory();
  const copies = await Array.fromAsync(exportSessions(sessions));
  assert.equal((await importSessions(other.sessions, copies)).restored, copies.length);
  assert.deepEqual(await Array.fromAsync(exportSessions(other.sessions)), copies);
}

/** The words of each session, by its id. */
async function sessionsOf(sessions: Sessions): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for await (const { id } of sessions.each()) {
    const turns = await Array.fromAsync((await sessions.get(id)).turns());
    found.set(id, turns.flatMap(({ input, output }) => [...input, ...output].map(wordOf)).join(" "));
  }
  return found;
}

const isEarlier = (one: string, other: string): boolean => `${other} `.startsWith(`${one} `);

/** Imports the tree at each state with a session for each branch; then a message has changed, and the import replaces its session. */
async function guardForks(sessions: Sessions, all: readonly State[], changed: number): Promise<void> {
  const fork = { branches: "fork" } as const;
  const renamed = new Map<string, string>();
  const word = (id: string): string => renamed.get(id) ?? id;
  let nodes: readonly Node[] = [];
  const words = (end: Node): string =>
    pathTo(nodes, end)
      .map(({ id }) => word(id))
      .join(" ");
  const known = new Set<string>();
  let before: ReadonlyMap<string, string> = new Map();
  let shown: Node | undefined;
  for (const { steps, shown: which, isLeaf } of all) {
    nodes = grown(nodes, steps);
    const leaves = leavesOf(nodes);
    const ends = isLeaf ? leaves : nodes;
    shown = ends[which % ends.length]!;
    const text = exportOf(nodes, shown);
    const dry = await importText(sessions, text, { ...fork, dryRun: true });
    const real = await importText(sessions, text, fork);
    assert.deepEqual([counts(dry), real.skipped, real.leftOut], [counts(real), 0, {}]);
    const again = await importText(sessions, text, fork);
    const branches = real.restored + real.grown + real.present;
    assert.deepEqual([again.present, again.restored, again.grown, again.skipped], [branches, 0, 0, 0]);
    const found = await sessionsOf(sessions);
    const texts = [...found.values()];
    assert.equal(new Set(texts).size, texts.length, "no branch has two sessions");
    for (const leaf of leaves) assert.ok(texts.includes(words(leaf)), `${words(leaf)} is missing`);
    assert.ok(
      texts.some((one) => isEarlier(words(shown!), one)),
      "the shown branch is missing",
    );
    for (const one of [...leaves, shown]) known.add(words(one));
    for (const one of texts) assert.ok(known.has(one), `${one} is no branch`);
    for (const [id, one] of before) assert.ok(isEarlier(one, found.get(id) ?? ""), `session ${id} lost ${one}`);
    assert.equal(found.size, before.size + real.restored);
    before = found;
  }
  const leaves = leavesOf(nodes);
  const leaf = leaves[changed % leaves.length]!;
  const replaced = words(leaf);
  const owned = [...before].filter(([, one]) => leaves.some((other) => other !== leaf && words(other) === one));
  for (const [id] of owned) await (await sessions.get(id)).append({ input: "mine", output: "here" });
  renamed.set(leaf.id, `${leaf.id}x`);
  const text = exportOf(nodes, leaf, word);
  const dry = await importText(sessions, text, { ...fork, onExists: "replace", dryRun: true });
  const real = await importText(sessions, text, { ...fork, onExists: "replace" });
  assert.deepEqual([counts(dry), dry.replaced, real.skipped], [counts(real), real.replaced, 0]);
  const found = await sessionsOf(sessions);
  assert.ok([...found.values()].includes(words(leaf)), "the changed branch has a session");
  for (const [id, one] of owned) assert.equal(found.get(id), `${one} mine here`, `session ${id} lost turns of a user`);
  for (const [id, one] of before)
    if (one !== replaced) assert.ok(isEarlier(one, found.get(id) ?? ""), `session ${id} lost ${one}`);
  assert.equal(found.size, before.size + real.restored);
  const again = await importText(sessions, text, { ...fork, onExists: "replace" });
  assert.deepEqual([again.restored, again.grown, again.replaced, again.skipped], [0, 0, 0, 0]);
}

test("each branch of a tree that grows is a session, once, and a changed one replaces no session of another", async () => {
  await fc.assert(
    fc.asyncProperty(states, fc.nat(30), async (all, changed) => {
      await using place = inMemory();
      await guardForks(place.sessions, all, changed);
      await guardSound(place.sessions);
    }),
    { numRuns: rounds(160, 20) },
  );
});

async function guardSound(sessions: Sessions): Promise<void> {
  const found: unknown[] = [];
  await doctor(sessions, { onFinding: (finding) => found.push(finding) });
  assert.deepEqual(found, []);
}

test("each branch of a tree that grows is a branch of its session, once, in the order of the tree", async () => {
  // Of a session that is larger than a commit, the branches are read and written in parts.
  await fc.assert(
    fc.asyncProperty(states, fc.constantFrom(2, 500), async (all, readMax) => {
      await using place = inMemory({ limits: { readMax } });
      await guardBranches(place.sessions, all);
      await guardSound(place.sessions);
    }),
    { numRuns: rounds(160, 20) },
  );
});

for (const name of enginesOfRun("SQLite"))
  test(`imported branches are the same on ${name}`, async () => {
    const store = await (await engines.get(name)).fresh();
    let number = 0;
    await fc.assert(
      fc.asyncProperty(states, fc.constantFrom(2, 500), async (all, readMax) => {
        await using sessions = await openSessions({ store, tenant: `t${++number}`, limits: { readMax }, sweep: false });
        await guardBranches(sessions, all);
      }),
      { numRuns: rounds(24, 3) },
    );
    await using sessions = await openSessions({ store, sweep: false });
    await guardSound(sessions);
  });

/** The leaves in the order of the tree. */
function inOrder(nodes: readonly Node[], parent?: string): readonly Node[] {
  return nodes
    .filter((node) => node.parent === parent)
    .flatMap((node) => (nodes.some((one) => one.parent === node.id) ? inOrder(nodes, node.id) : [node]));
}
