/**
 * Random edits, appends, switches, removals, truncations, forks, archives and copies of a session with branches, against a tree that
 * is a list of whole conversations.
 */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import * as fc from "../support/fast-check.ts";
import { doctor } from "../../src/admin.ts";
import { hasCode, openSessions, type Message, type Session, type Sessions } from "../../src/index.ts";
import { Engines, enginesOfRun } from "../crash/engines.ts";
import { query } from "../postgres/server.ts";
import { inMemory } from "../support/in-memory.ts";
import { rounds } from "../support/rounds.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

/** The conversations of a session: each branch is the list of its questions. */
interface Model {
  readonly branches: Map<string, readonly string[]>;
  current: string;
  /** The greatest number that a branch had. */
  made: number;
  /** Turns that were ever written, those that were deleted included. */
  written: number;
}

type Command =
  | { readonly do: "append"; readonly keyed: boolean }
  | { readonly do: "edit" | "begin" | "fail" | "truncate"; readonly back: number }
  | { readonly do: "switch" | "remove"; readonly which: number }
  | { readonly do: "fork"; readonly back: number }
  | { readonly do: "archive" | "restore" | "reopen" };

const back = fc.integer({ min: 1, max: 5 });
const which = fc.nat(9);
const command = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant("append" as const), keyed: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom("edit" as const, "begin" as const), back }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("switch" as const), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("fail" as const, "truncate" as const), back }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("remove" as const), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("fork" as const), back }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom("archive" as const, "restore" as const, "reopen" as const) }),
  },
);

function ownOf({ branches, current }: Model): readonly string[] {
  return branches.get(current) ?? [];
}

/** The number of questions that two conversations begin with. */
function sharedBy(a: readonly string[], b: readonly string[]): number {
  const index = a.findIndex((question, at) => b[at] !== question);
  return index === -1 ? a.length : index;
}

/** A branch whose turns another one has all is no branch any more once it is left. */
function leave({ branches, current }: Model): void {
  const own = branches.get(current) ?? [];
  const isWithin = [...branches].some(([id, questions]) => id !== current && sharedBy(own, questions) === own.length);
  if (isWithin) branches.delete(current);
}

/** The turns after this number are replaced by a question, and kept. */
function edit(model: Model, after: number, question: string): void {
  const own = ownOf(model);
  if (after < own.length) {
    leave(model);
    model.current = String(++model.made);
  }
  model.branches.set(model.current, [...own.slice(0, after), question]);
  model.written++;
}

async function questionsOf(session: Session, branch?: string): Promise<readonly string[]> {
  const turns = await Array.fromAsync(session.turns(branch === undefined ? {} : { branch }));
  turns.forEach(({ seq }, index) => assert.equal(seq, index + 1));
  return turns.map(({ input }) => String(input[0]?.content));
}

async function compare(session: Session, model: Model, { shown }: Place): Promise<void> {
  const own = ownOf(model);
  await session.refresh();
  assert.deepEqual(await questionsOf(session), own);
  const { turn, counters } = session.info;
  assert.deepEqual(
    [turn, counters.turns, counters.messages, counters.totalTokens],
    [own.length, own.length, own.length * 2, model.written * 3],
  );
  if (session.info.state !== "archived") assert.deepEqual((await shown?.(session.id)) ?? own, own);
  const listed = await session.branches();
  assert.deepEqual(
    listed.map(({ id, isCurrent, turns, messages }) => ({ id, isCurrent, turns, messages })),
    [...model.branches]
      .toSorted(([a], [b]) => Number(a) - Number(b))
      .map(([id, { length: turns }]) => ({ id, isCurrent: id === model.current, turns, messages: turns * 2 })),
  );
  for (const { id, at, isCurrent } of listed) {
    const questions = model.branches.get(id) ?? [];
    assert.deepEqual(await questionsOf(session, id), questions);
    if (!isCurrent) assert.equal(at, sharedBy(questions, own) + 1);
    const { shared, a, b } = await session.compare(id, model.current);
    assert.equal(shared, sharedBy(questions, own));
    assert.deepEqual([a.length, b.length], [questions.length - shared, own.length - shared]);
  }
  for (let at = 1; at <= own.length; at++) {
    const versions = new Map<string, string[]>();
    for (const [id, questions] of model.branches)
      if (sharedBy(questions, own) >= at - 1 && questions.length >= at)
        versions.set(questions[at - 1]!, [...(versions.get(questions[at - 1]!) ?? []), id]);
    const found = await session.branches({ at });
    assert.deepEqual(
      found.map(({ index, count }) => [index, count]),
      [...versions.keys()].map((_, index) => [index + 1, versions.size]),
    );
    const groups = [...versions.values()].toSorted((a, b) => Math.min(...a.map(Number)) - Math.min(...b.map(Number)));
    for (const [index, { id, isCurrent }] of found.entries()) {
      assert.ok(groups[index]?.includes(id));
      assert.equal(isCurrent, groups[index]?.includes(model.current));
    }
  }
  const last = await Array.fromAsync(session.turns({ last: 2 }));
  assert.deepEqual(
    last.map(({ input }) => input[0]?.content),
    own.slice(-2),
  );
}

interface Place {
  open(): Promise<Sessions>;
  /** The questions of a session by the view of its turns. */
  readonly shown?: (id: string) => Promise<readonly string[]>;
}

/** Reads the view `readable_turns` of a store. */
async function shownBy(store: string, id: string): Promise<readonly string[]> {
  const turns = (schema: string): string =>
    `select seq, cast(input as text) as input from ${schema}readable_turns where tenant = 'default' and session = '${id}' order by seq`;
  const rows = store.startsWith("sqlite:")
    ? rowsOf(store.slice("sqlite:".length), turns(""))
    : await query(store, turns(`${new URL(store).searchParams.get("schema") ?? "perdure"}.`));
  return rows.map(({ seq, input }, index) => {
    assert.equal(Number(seq), index + 1);
    return String((JSON.parse(String(input)) as readonly Message[])[0]?.content);
  });
}

function rowsOf(file: string, text: string): readonly Readonly<Record<string, unknown>>[] {
  using database = new DatabaseSync(file, { readOnly: true });
  return database.prepare(text).all();
}

async function play(place: Place, commands: readonly Command[], name: string): Promise<void> {
  let sessions = await place.open();
  const other = await place.open();
  try {
    let session = await sessions.create({ id: name });
    const model: Model = { branches: new Map([["1", []]]), current: "1", made: 1, written: 0 };
    const forks: { readonly id: string; readonly questions: readonly string[] }[] = [];
    const usage = { inputTokens: 1, outputTokens: 2, totalTokens: 3 };
    let count = 0;
    for (const command of commands) {
      const question = `q${++count}`;
      const own = ownOf(model);
      switch (command.do) {
        case "append":
          await session.append({ input: question, output: "a", usage }, command.keyed ? { key: question } : {});
          if (command.keyed) await session.append({ input: question, output: "a", usage }, { key: question });
          model.branches.set(model.current, [...own, question]);
          model.written++;
          break;
        case "edit": {
          const after = Math.max(0, own.length - command.back);
          const look = await session.look();
          const turns = [{ input: question, output: "a", usage, key: question }];
          await session.write({ turns: { from: after + 1, turns, keep: true }, onto: look.version });
          edit(model, after, question);
          break;
        }
        case "begin": {
          const after = Math.max(0, own.length - command.back);
          const turn = await session.begin(question, { after, keep: true });
          await turn.seal({ output: [{ role: "assistant", content: "a" }], usage });
          edit(model, after, question);
          break;
        }
        case "fail": {
          const after = Math.max(0, own.length - command.back);
          if (after === own.length) break;
          const turn = await session.begin(question, { after, keep: true });
          assert.deepEqual(await questionsOf(session), [...own.slice(0, after), question]);
          await turn.seal({ status: "failed", output: [], usage, error: { code: "model_failed", message: "no" } });
          model.written++;
          break;
        }
        case "truncate": {
          const after = Math.max(0, own.length - command.back);
          await session.truncate(after);
          for (const [id, questions] of model.branches)
            if (id !== model.current && sharedBy(questions, own) > after) model.branches.delete(id);
          const before = model.current;
          model.branches.delete(before);
          model.current = (await session.branches()).find(({ isCurrent }) => isCurrent)!.id;
          assert.ok(!model.branches.has(model.current));
          model.made = Math.max(model.made, Number(model.current));
          model.branches.set(model.current, own.slice(0, after));
          break;
        }
        case "switch": {
          const ids = [...model.branches.keys()];
          const id = ids[command.which % ids.length]!;
          await session.switchTo(id);
          if (id !== model.current) leave(model);
          model.current = id;
          break;
        }
        case "remove": {
          const ids = [...model.branches.keys()].filter((id) => id !== model.current);
          const id = ids[command.which % Math.max(1, ids.length)];
          if (id === undefined) break;
          await session.removeBranch(id);
          model.branches.delete(id);
          await assert.rejects(session.switchTo(id), (error) => hasCode(error, "branch_not_found"));
          break;
        }
        case "fork": {
          if (own.length === 0) break;
          const at = Math.max(1, own.length - command.back);
          const id = `${name}.${count}`;
          await session.fork({ at, as: id });
          forks.push({ id, questions: own.slice(0, at) });
          break;
        }
        case "archive":
          await session.archive();
          await compare(session, model, place);
          await session.unarchive();
          break;
        case "restore": {
          const snapshot = await sessions.snapshot(name);
          const copy = await other.restore(snapshot, { as: `${name}.copy`, onExists: "replace" });
          await compare(copy, model, place);
          session = await sessions.restore(snapshot, { onExists: "replace" });
          break;
        }
        case "reopen":
          await sessions.close();
          sessions = await place.open();
          session = await sessions.get(name);
          break;
      }
      await compare(session, model, place);
      await compare(await other.get(name), model, place);
    }
    for (const { id, questions } of forks) assert.deepEqual(await questionsOf(await sessions.get(id)), questions);
    const problems: unknown[] = [];
    await doctor(sessions, {
      onFinding: (finding) => {
        if (finding.session === name) problems.push(finding);
      },
    });
    assert.deepEqual(problems, []);
  } finally {
    await other.close();
    await sessions.close();
  }
}

const commands = fc.array(command, { minLength: 5, maxLength: 24 });

test("memory: a session with branches is the tree of its edits", async () => {
  await using place = inMemory();
  let count = 0;
  await fc.assert(
    fc.asyncProperty(commands, async (list) => {
      const open = (): Promise<Sessions> => Promise.resolve(place.another());
      await play({ open }, list, `s${++count}`);
    }),
    { numRuns: rounds(64, 16) },
  );
});

for (const name of enginesOfRun("SQLite"))
  test(`${name}: a session with branches is the tree of its edits`, async () => {
    const store = await (await engines.get(name)).fresh();
    let count = 0;
    await fc.assert(
      fc.asyncProperty(commands, async (list) => {
        await play({ open: () => openSessions({ store }), shown: (id) => shownBy(store, id) }, list, `s${++count}`);
      }),
      { numRuns: rounds(12, 4) },
    );
  });
