/**
 * Random turns, branches, truncations, summaries, pins, left-out turns, ratings, forks, archives and copies, against lists of words:
 * a model is shown the words of the current branch, each once, and no others.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import * as fc from "../support/fast-check.ts";
import { doctor } from "../../src/admin.ts";
import {
  hasCode,
  openSessions,
  type Model,
  type Session,
  type Sessions,
  type SummaryRequest,
} from "../../src/index.ts";
import { Engines, enginesOfRun } from "../crash/engines.ts";
import { inMemory } from "../support/in-memory.ts";
import { rounds } from "../support/rounds.ts";
import { refusal } from "../support/strict-endpoint.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

type Command =
  | { readonly do: "append" | "consult" | "archive" | "restore" | "fork" }
  | { readonly do: "branch" | "truncate" | "amend"; readonly back: number }
  | { readonly do: "switch" | "remove"; readonly which: number }
  | { readonly do: "summarize" | "pin" | "unpin" | "leaveOut" | "takeIn" | "rate"; readonly turn: number };

const back = fc.integer({ min: 1, max: 4 });
const turn = fc.nat(30);
const which = fc.nat(5);
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom("append" as const, "consult" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom("branch" as const, "truncate" as const, "amend" as const), back }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("switch" as const), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("remove" as const), which }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("summarize" as const), turn }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom("pin" as const, "unpin" as const, "leaveOut" as const, "takeIn" as const, "rate" as const),
      turn,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("archive" as const, "restore" as const, "fork" as const) }) },
);

/** What is expected: a word for each turn that was ever written, and marks by word. */
interface Expected {
  readonly branches: Map<string, readonly string[]>;
  current: string;
  readonly pinned: Set<string>;
  readonly leftOut: Set<string>;
  readonly rated: Set<string>;
  /** Words that were truncated, or whose branch was removed. */
  readonly gone: Set<string>;
  written: number;
}

const shown: { words: readonly string[]; messages: Parameters<typeof refusal>[0] } = { words: [], messages: [] };
const wordsIn = (value: unknown): readonly string[] => JSON.stringify(value).match(/w\d+x/g) ?? [];

/** Keeps what it is shown before its question. */
const model: Model = async function* ({ messages }) {
  shown.words = wordsIn(messages.slice(0, -1));
  shown.messages = messages;
  yield { type: "text", text: "answer" };
  yield { type: "usage", usage: { inputTokens: 1, outputTokens: 1 } };
};

/** Says all words of the earlier summary and of the turns. */
function summarizer({ earlier = "", turns }: SummaryRequest): Promise<string> {
  return Promise.resolve([...wordsIn(earlier), ...turns.flatMap(({ input }) => wordsIn(input))].join(" ") || "none");
}

const options = {
  model,
  sweep: false,
  agents: { a: { window: 1000, compaction: { atTokens: 150, keep: 2, summarizer } } },
} as const;

function wordsOf({ branches, current }: Expected): readonly string[] {
  return branches.get(current) ?? [];
}

function newWord(expected: Expected): string {
  return `w${++expected.written}x`;
}

/** Words that no branch has any more. */
function lose(expected: Expected, words: readonly string[]): void {
  for (const word of words)
    if (![...expected.branches.values()].some((branch) => branch.includes(word))) expected.gone.add(word);
}

class Run {
  session: Session;
  readonly #sessions: Sessions;
  readonly #expected: Expected;
  readonly #tick: () => void;
  #copies = 0;

  constructor(sessions: Sessions, session: Session, tick: () => void) {
    this.#sessions = sessions;
    this.session = session;
    this.#tick = tick;
    this.#expected = {
      branches: new Map([["1", []]]),
      current: "1",
      pinned: new Set(),
      leftOut: new Set(),
      rated: new Set(),
      gone: new Set(),
      written: 0,
    };
  }

  async apply(command: Command): Promise<void> {
    const { session } = this;
    const expected = this.#expected;
    const words = wordsOf(expected);
    this.#tick();
    switch (command.do) {
      case "append":
      case "consult": {
        const word = newWord(expected);
        if (command.do === "append") await session.append({ input: word, output: "answer" });
        else {
          await (
            await session.consult(word)
          ).done;
          this.#checkShown(words);
        }
        expected.branches.set(expected.current, [...words, word]);
        return;
      }
      case "amend": {
        if (words.length === 0) return;
        const { version } = (await session.look()).info;
        const input = words.at(-1)!;
        const amended = { input, output: `amended ${expected.written}` };
        await session.write({ turns: { from: words.length, amends: true, turns: [amended] }, onto: version });
        await session.refresh();
        return;
      }
      case "branch": {
        const after = words.length - command.back;
        if (after < 0) return;
        const word = newWord(expected);
        await (
          await session.edit(after + 1, word)
        ).done;
        this.#checkShown(words.slice(0, after));
        // A branch whose turns another one has all is none; a new one has a word of its own.
        await this.#relist([...words.slice(0, after), word]);
        return;
      }
      case "truncate": {
        const after = words.length - command.back;
        if (after < 0) return;
        const all = [...expected.branches.values()].flat();
        await session.truncate(after);
        await this.#relist(words.slice(0, after));
        lose(expected, all);
        return;
      }
      case "switch":
      case "remove": {
        const ids = [...expected.branches.keys()].filter((id) => id !== expected.current);
        const id = ids[command.which % Math.max(1, ids.length)];
        if (id === undefined) return;
        const all = [...expected.branches.values()].flat();
        if (command.do === "switch") await session.switchTo(id);
        else await session.removeBranch(id);
        await this.#relist();
        lose(expected, all);
        return;
      }
      case "summarize": {
        if (words.length === 0) return;
        const to = (command.turn % words.length) + 1;
        const isEmpty = words.slice(0, to).every((word) => expected.leftOut.has(word));
        if (isEmpty) await assert.rejects(session.summarize({ to }), { code: "summary_empty" });
        else assert.equal((await session.summarize({ to }))?.to, to);
        return;
      }
      case "archive":
        await session.archive();
        await this.check();
        await session.unarchive();
        return;
      case "restore": {
        const snapshot = JSON.stringify(await this.#sessions.snapshot(session.id));
        assert.ok(!wordsIn(snapshot).some((word) => expected.gone.has(word)), "the store has no word that was deleted");
        await session.remove();
        this.session = await this.#sessions.restore(snapshot);
        return;
      }
      case "fork": {
        const at = Math.ceil(words.length / 2);
        const fork = await session.fork({ at, as: `fork${++this.#copies}` });
        for await (const { text } of fork.summaries())
          assert.ok(wordsIn(text).every((word) => words.slice(0, at).includes(word)));
        const copy = JSON.stringify(await this.#sessions.snapshot(fork.id));
        assert.ok(
          wordsIn(copy).every((word) => words.slice(0, at).includes(word)),
          "a fork has the words that it shares",
        );
        await fork.remove();
        return;
      }
      default:
        await this.#mark(command.do, words[command.turn % Math.max(1, words.length)], words);
    }
  }

  async #mark(
    mark: "pin" | "unpin" | "leaveOut" | "takeIn" | "rate",
    word: string | undefined,
    words: readonly string[],
  ): Promise<void> {
    const { session } = this;
    const { pinned, leftOut, rated } = this.#expected;
    if (word === undefined) return;
    const seq = words.indexOf(word) + 1;
    if (mark === "rate") {
      await session.rate(seq, { rating: "up", comment: word });
      rated.add(word);
      return;
    }
    const isPin = mark === "pin" || mark === "unpin";
    const [own, other] = isPin ? [pinned, leftOut] : [leftOut, pinned];
    const isSet = mark === "pin" || mark === "leaveOut";
    if (mark === "pin" && pinned.size >= 15) return;
    assert.equal(await session[mark](seq), own.has(word) !== isSet);
    if (!isSet) own.delete(word);
    else if (!own.has(word)) {
      own.add(word);
      other.delete(word);
    }
  }

  /** Take the branches as the session lists them: test/property/branches.test.ts compares those. */
  async #relist(current?: readonly string[]): Promise<void> {
    const expected = this.#expected;
    await this.session.refresh();
    expected.branches.clear();
    for (const { id, isCurrent } of await this.session.branches()) {
      const turns = await Array.fromAsync(this.session.turns({ branch: id }));
      expected.branches.set(
        id,
        turns.flatMap(({ input }) => wordsIn(input)),
      );
      if (isCurrent) expected.current = id;
    }
    if (current !== undefined) assert.deepEqual(wordsOf(expected), current);
  }

  /** Before a question the model was shown each word of the branch once or, if it is pinned, twice; and none that is left out. */
  #checkShown(words: readonly string[]): void {
    const { pinned, leftOut } = this.#expected;
    assert.equal(refusal(shown.messages), undefined);
    const visible = words.filter((word) => !leftOut.has(word));
    assert.deepEqual([...new Set(shown.words)].toSorted(), visible.toSorted());
    const twice = shown.words.filter((word, index) => shown.words.indexOf(word) !== index);
    assert.ok(
      twice.every((word) => pinned.has(word)),
      `${twice.join()} twice`,
    );
    for (const word of visible.filter((one) => pinned.has(one)))
      assert.ok(
        shown.messages.some(
          ({ content }) =>
            content === word || String(content).includes(`\n\n${word}`) || String(content).startsWith(`${word}\n\n`),
        ),
        "a pinned turn is shown whole",
      );
  }

  async check(): Promise<void> {
    const { session } = this;
    const { pinned, leftOut, rated } = this.#expected;
    const words = wordsOf(this.#expected);
    for await (const { to, text } of session.summaries()) {
      const covered = words.slice(0, to).filter((word) => !leftOut.has(word));
      assert.deepEqual(wordsIn(text), covered, `the summary up to ${to}`);
    }
    const numbers = (marked: Set<string>): readonly number[] =>
      words.flatMap((word, index) => (marked.has(word) ? [index + 1] : []));
    assert.deepEqual(await session.memory(), { pinned: numbers(pinned), leftOut: numbers(leftOut) });
    assert.deepEqual(
      (await session.ratings()).map(({ comment }) => comment),
      words.filter((word) => rated.has(word)),
    );
  }
}

const commands = fc.array(command, { minLength: 5, maxLength: 25 });

test("what a model is shown of a session with summaries, marks and branches: a store in memory", async () => {
  await fc.assert(
    fc.asyncProperty(commands, async (list) => {
      await using place = inMemory(options);
      const session = await place.sessions.create({ id: "s" });
      const run = new Run(place.sessions, session, () => place.clock.set(place.clock.now() + 1));
      for (const one of list) {
        await run.apply(one);
        await run.check();
      }
      await doctor(place.sessions, { onFinding: (finding) => assert.fail(JSON.stringify(finding)) });
    }),
    { numRuns: rounds(400) },
  );
});

for (const name of enginesOfRun("SQLite")) {
  test(`what a model is shown of a session with summaries, marks and branches: ${name}`, async () => {
    const engine = await engines.get(name);
    await using sessions = await openSessions({ store: await engine.fresh(), ...options });
    let count = 0;
    await fc.assert(
      fc.asyncProperty(commands, async (list) => {
        const session = await sessions.create({ id: `s${++count}` });
        const run = new Run(sessions, session, () => undefined);
        for (const one of list) await run.apply(one);
        await run.check();
        await run.session.remove().catch((error: unknown) => assert.ok(hasCode(error, "session_not_found")));
      }),
      { numRuns: rounds(40) },
    );
  });
}
