/** Random writes, looks, forks, archives and restores against a model of two lists and a list of turns, on every engine. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import * as fc from "../support/fast-check.ts";
import { doctor } from "../../src/admin.ts";
import {
  hasCode,
  openSessions,
  type IfPresent,
  type LogEntryInput,
  type Session,
  type SessionLook,
  type SessionWrite,
  type Sessions,
  type Turn,
  type WriteOutcome,
} from "../../src/index.ts";
import { engineNames, Engines } from "../crash/engines.ts";
import { inMemory } from "../support/in-memory.ts";
import { rounds } from "../support/rounds.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

interface Item {
  readonly key: string | null;
  readonly value: unknown;
}

type Name = "turns" | "a" | "b";
const names: readonly Name[] = ["turns", "a", "b"];
type Lists = { [Log in Name]: Item[] };
type Changes = { [Log in Name]: number };

/** What was looked at, and how often each list had changed by then. */
interface ModelLook {
  readonly look: SessionLook;
  readonly logs: readonly Name[];
  readonly changes: Changes;
}

class Model {
  lists: Lists = { turns: [], a: [], b: [] };
  changes: Changes = { turns: 0, a: 0, b: 0 };
  looks: ModelLook[] = [];
  /** The output of the last turn, if it waits. */
  waiting: unknown;
}

/** A write, with `from` counted back from the end: 0 is behind the last one. */
interface WriteCommand {
  readonly do: "write";
  readonly who: number;
  readonly turns: {
    back: number | null;
    items: { key: string | null; value: string }[];
    amends: boolean;
    waits: boolean;
  } | null;
  readonly logs: Partial<Record<"a" | "b", { back: number | null; entries: (Item & { ifPresent: IfPresent })[] }>>;
  readonly onto: "nothing" | "fresh" | "stale" | "version";
}

type Command =
  | WriteCommand
  | { readonly do: "look"; readonly who: number; readonly logs: Name[] }
  | { readonly do: "append" | "touch" | "archive" | "fork" | "restore" | "resume"; readonly who: number };

// So few keys that they come back.
const key = fc.option(fc.constantFrom("k1", "k2", "k3", "k4"));
const back = fc.option(fc.constantFrom(0, 1, 2, 9));
const who = fc.constantFrom(0, 1);
const plain = { noNullPrototype: true } as const;
const entries = fc.record(
  {
    back,
    entries: fc.array(
      fc.record({ key, value: fc.nat(99), ifPresent: fc.constantFrom("refuse", "skip", "replace") }, plain),
      { maxLength: 4 },
    ),
  },
  plain,
);
const write = fc.record(
  {
    do: fc.constant("write" as const),
    who,
    turns: fc.option(
      fc.record(
        {
          back,
          items: fc.array(
            fc.record({ key, value: fc.string({ minLength: 1, maxLength: 3, unit: "grapheme-ascii" }) }, plain),
            {
              maxLength: 2,
            },
          ),
          amends: fc.boolean(),
          waits: fc.boolean(),
        },
        plain,
      ),
    ),
    logs: fc.record({ a: entries, b: entries }, { requiredKeys: [], ...plain }),
    onto: fc.constantFrom("nothing", "fresh", "stale", "version"),
  },
  plain,
) as fc.Arbitrary<WriteCommand>;
const others = fc.oneof(
  fc.record({ do: fc.constant("look" as const), who, logs: fc.subarray([...names]) }, plain),
  fc.record({ do: fc.constantFrom("append", "touch", "archive", "fork", "restore", "resume"), who }, plain),
) as fc.Arbitrary<Command>;
const commands = fc.array(fc.oneof({ arbitrary: write, weight: 4 }, { arbitrary: others, weight: 1 }), {
  minLength: 1,
  maxLength: 25,
});

type Outcome =
  | { readonly status: "ok"; readonly seqs: Record<string, readonly (number | null)[]> }
  | { readonly status: string };

/** The write as the caller makes it; undefined for one that the parser would refuse. */
function writeOf(command: WriteCommand, model: Model, onto: ModelLook | undefined): SessionWrite | undefined {
  const fromOf = (log: Name, behind: number | null): number | undefined =>
    behind === null ? undefined : behind === 9 ? 1 : Math.max(1, model.lists[log].length + 1 - behind);
  const isLoose = (from: number | undefined): boolean => from !== undefined && from > 1 && onto === undefined;
  const logs: Record<string, { from?: number; entries: LogEntryInput[] }> = {};
  for (const [log, { back: behind, entries: items }] of Object.entries(command.logs)) {
    const from = fromOf(log as Name, behind);
    if (isLoose(from)) return undefined;
    const list = items.map(({ key: named, value, ifPresent }) => ({
      ...(named === null ? {} : { key: named }),
      value: value as number,
      ifPresent,
    }));
    logs[log] = { ...(from === undefined ? {} : { from }), entries: list };
  }
  const { turns } = command;
  const wanted = turns && {
    from: fromOf("turns", turns.back),
    turns: turns.items.map(({ key: named, value }) => ({
      input: `t${value}`,
      output: `o${value}`,
      ...(named === null ? {} : { key: named }),
    })),
    amends: turns.amends,
    ...(turns.waits ? { wait: { state: { of: turns.items.length }, reason: "approval" } } : {}),
  };
  if (wanted !== null && isLoose(wanted.from)) return undefined;
  if (wanted !== null && wanted.amends && (wanted.from === undefined || wanted.turns.length === 0)) return undefined;
  if (wanted?.wait !== undefined && wanted.turns.length <= (wanted.amends ? 1 : 0)) return undefined;
  const { from, ...rest } = wanted ?? {};
  return {
    ...(wanted === null
      ? {}
      : { turns: { ...(from === undefined ? {} : { from }), ...rest } as SessionWrite["turns"] & object }),
    logs,
    ...(onto === undefined ? {} : { onto: command.onto === "version" ? onto.look.version : onto.look }),
  };
}

/** What the write does to the model. It changes the model only if it lands. */
function applied(model: Model, write: SessionWrite, onto: ModelLook | undefined, isVersion: boolean): Outcome {
  const { turns, logs = {} } = write;
  const refused = Object.entries(logs).some(([log, { entries: items }]) =>
    items.some(({ key: named, ifPresent }) => ifPresent === "refuse" && has(model.lists[log as Name], named)),
  );
  const added = (turns?.amends === true ? turns.turns.slice(1) : (turns?.turns ?? [])).map(
    ({ input, key: named = null }) => ({
      key: named,
      value: input,
    }),
  );
  if (refused || added.some(({ key: named }) => has(model.lists.turns, named))) return { status: "duplicate" };
  if (onto !== undefined) {
    const written = [...(turns === undefined ? [] : ["turns"]), ...Object.keys(logs)] as Name[];
    const compared = isVersion ? names : [...onto.logs, ...written];
    if (compared.some((log) => onto.changes[log] !== model.changes[log])) return { status: "conflict" };
  }
  const next: Lists = { ...model.lists };
  const changed: Name[] = [];
  if (turns !== undefined) {
    if (model.waiting !== undefined) return { status: "turn_waiting" };
    const head = next.turns.length;
    const from = turns.from ?? head + 1;
    if (from > head + 1 || (turns.amends === true && (from !== head || head === 0))) return { status: "range_invalid" };
    let list = next.turns.slice(0, from - 1);
    if (turns.amends === true) {
      const [first] = turns.turns;
      const named = next.turns[head - 1]?.key ?? null;
      if (first?.key !== undefined && first.key !== named) return { status: "argument_invalid" };
      list = [...list, { key: named, value: first?.input }];
    }
    for (const one of added) {
      if (has(list.slice(Math.min(from - 1, head)), one.key)) return { status: "duplicate" };
      list.push(one);
    }
    if (from <= head || added.length > 0) changed.push("turns");
    next.turns = list;
  }
  const seqs: Record<string, (number | null)[]> = {};
  for (const [log, { from: first, entries: items }] of Object.entries(logs)) {
    const before = next[log as Name];
    const from = first ?? before.length + 1;
    if (from > before.length + 1) return { status: "range_invalid" };
    const list = before.slice(0, from - 1);
    const own = new Map<string, { place: number; index: number }>();
    const ofLog: (number | null)[] = [];
    let isChanged = from <= before.length;
    for (const [index, { key: named = null, value, ifPresent = "refuse" }] of items.entries()) {
      const mine = named === null ? undefined : own.get(named);
      const stands = named === null ? -1 : list.findIndex((item) => item.key === named);
      if (mine !== undefined && ifPresent === "refuse") return { status: "duplicate" };
      if (stands >= 0 && ifPresent === "skip") {
        ofLog.push(null);
        continue;
      }
      const place = stands >= 0 ? stands : list.length;
      if (mine !== undefined) ofLog[mine.index] = null;
      list[place] = { key: named, value };
      if (named !== null) own.set(named, { place, index });
      ofLog.push(place + 1);
      isChanged = true;
    }
    seqs[log] = ofLog;
    next[log as Name] = list;
    if (isChanged) changed.push(log as Name);
  }
  if (turns?.wait !== undefined) model.waiting = turns.turns.at(-1)?.output;
  model.lists = next;
  for (const log of changed) model.changes = { ...model.changes, [log]: model.changes[log] + 1 };
  return { status: "ok", seqs };
}

function has(list: readonly Item[], named: string | null | undefined): boolean {
  return named != null && list.some((item) => item.key === named);
}

async function outcomeOf(work: Promise<WriteOutcome>): Promise<Outcome> {
  try {
    const outcome = await work;
    if (outcome.status === "duplicate") return { status: "duplicate" };
    const seqs = Object.fromEntries(Object.entries(outcome.logs).map(([log, { seqs: ofLog }]) => [log, ofLog]));
    return { status: "ok", seqs };
  } catch (error) {
    for (const code of ["conflict", "range_invalid", "argument_invalid", "turn_waiting"] as const)
      if (hasCode(error, code)) return { status: code };
    throw error;
  }
}

async function lookAt(session: Session, logs: readonly Name[]): Promise<SessionLook> {
  return await session.look(logs.map((log) => ({ log, last: 100 })));
}

async function assertSame(session: Session, model: Model): Promise<void> {
  const { tails } = await lookAt(session, names);
  for (const [index, log] of names.entries()) {
    const found = (tails[index] ?? []).map(({ key: named, value }) => ({
      key: named,
      value: log === "turns" ? (value as unknown as Turn).input[0]?.content : value,
    }));
    assert.deepEqual(found, model.lists[log], log);
  }
}

let runs = 0;

/** Runs the commands on a session of its own, through two programs. */
async function play(programs: readonly Sessions[], some: readonly Command[]): Promise<Map<string, number>> {
  const outcomes = new Map<string, number>();
  const model = new Model();
  let id = `run ${++runs}`;
  const [first] = programs;
  assert.ok(first);
  await first.create({ id });
  const open = (): Promise<Session[]> => Promise.all(programs.map((sessions) => sessions.get(id)));
  let sessions = await open();
  const by = (index: number): Session => sessions[index] ?? assert.fail("no such program");
  for (const [step, command] of some.entries()) {
    const session = by(command.who);
    const take = async (logs: readonly Name[]): Promise<ModelLook> => {
      const look = await lookAt(session, logs);
      return { look, logs, changes: { ...model.changes } };
    };
    // Other commands need the turn that waits to be done.
    const goesOn = command.do !== "look" && command.do !== "touch" && command.do !== "write";
    if (goesOn && model.waiting !== undefined) {
      const waiting = await session.waiting();
      assert.deepEqual(waiting?.output, [{ role: "assistant", content: model.waiting }]);
      const turn = await session.resume(waiting.token);
      const { output } = await turn.seal();
      assert.deepEqual(output, waiting.output);
      model.waiting = undefined;
      model.changes = { ...model.changes, turns: model.changes.turns + 1 };
    }
    switch (command.do) {
      case "resume":
        break;
      case "look":
        model.looks = [...model.looks, await take(command.logs)].slice(-3);
        break;
      case "touch":
        await session.touch();
        break;
      case "append":
        await session.refresh();
        await session.append({ input: `appended ${step}` });
        model.lists = { ...model.lists, turns: [...model.lists.turns, { key: null, value: `appended ${step}` }] };
        model.changes = { ...model.changes, turns: model.changes.turns + 1 };
        break;
      case "archive":
        await session.archive();
        await assertSame(by(1 - command.who), model);
        await session.unarchive();
        break;
      case "restore":
        await programs[command.who]?.restore((await programs[command.who]?.snapshot(id)) ?? "", {
          onExists: "replace",
        });
        model.looks = [];
        break;
      case "fork":
        await session.fork({ as: `${id}.${step}` });
        id = `${id}.${step}`;
        sessions = await open();
        model.looks = [];
        break;
      case "write": {
        const stale = model.looks[0];
        const onto = command.onto === "nothing" ? undefined : command.onto === "stale" ? stale : await take(["a"]);
        // A later write may be decided on this look.
        if (onto !== undefined) model.looks = [...model.looks, onto].slice(-3);
        const wanted = writeOf(command, model, onto);
        if (wanted === undefined) break;
        const expected = applied(model, wanted, onto, command.onto === "version");
        const found = await outcomeOf(session.write(wanted));
        assert.deepEqual(found, expected, `step ${step}: ${JSON.stringify(wanted)}`);
        outcomes.set(found.status, (outcomes.get(found.status) ?? 0) + 1);
      }
    }
    await assertSame(by(1 - command.who), model);
  }
  return outcomes;
}

test("random commands do what the model does, and reach every outcome: memory", async () => {
  await using place = inMemory({ ttl: "never" });
  const programs = [place.sessions, place.another({ ttl: "never" })];
  const all = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(commands, async (some) => {
      for (const [status, count] of await play(programs, some)) all.set(status, (all.get(status) ?? 0) + count);
    }),
    { numRuns: rounds(320, 75) },
  );
  for (const status of ["ok", "duplicate", "conflict", "turn_waiting"])
    assert.ok((all.get(status) ?? 0) >= 5, `${status}: ${all.get(status)}`);
  assert.equal((await doctor(place.sessions)).findings, 0);
});

for (const name of engineNames)
  test(`random commands do what the model does: ${name}`, async () => {
    const store = await (await engines.get(name)).fresh();
    await using one = await openSessions({ store, sweep: false });
    await using other = await openSessions({ store, sweep: false });
    await fc.assert(
      fc.asyncProperty(commands, async (some) => {
        await play([one, other], some);
      }),
      { numRuns: rounds(name === "SQLite" ? 150 : 75) },
    );
    assert.equal((await doctor(one)).findings, 0);
  });
