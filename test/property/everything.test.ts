/** Random commands over all parts of a store at once, through two programs, against a model of plain values. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import * as fc from "../support/fast-check.ts";
import { doctor, sweep } from "../../src/admin.ts";
import { openSessions, SessionError, type Session, type Sessions, type Value } from "../../src/index.ts";
import { assertSound, engineNames, Engines } from "../crash/engines.ts";
import { inMemory } from "../support/in-memory.ts";
import { rounds } from "../support/rounds.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

interface ModelTurn {
  readonly key: string | null;
  readonly input: string;
  readonly output: string;
  readonly status: string;
}

interface ModelSession {
  turns: readonly ModelTurn[];
  logs: Readonly<Record<string, readonly { readonly key: string | null; readonly value: number }[]>>;
  title: string | null;
  labels: Readonly<Record<string, string>>;
  metadata: Readonly<Record<string, string>>;
  isArchived: boolean;
  /** The token of the turn that waits. */
  token: string | null;
}

interface ModelStream {
  readonly token: string;
  parts: readonly number[];
  status: "streaming" | "done" | "error";
}

class Model {
  readonly sessions = new Map<string, ModelSession>();
  readonly documents = new Map<string, { readonly value: number; readonly version: number }>();
  /** The last version of each key, also of a deleted document. */
  readonly versions = new Map<string, number>();
  readonly streams = new Map<string, ModelStream>();
}

const ids = ["s", "t"] as const;
const some = <T extends string>(...all: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...all);
const id = some(...ids);
const key = fc.option(some("k1", "k2", "k3"));
const value = fc.nat(99);
const name = some("x", "y");
const plain = { noNullPrototype: true } as const;
const is = <T extends string>(what: T): fc.Arbitrary<T> => fc.constant(what);
const record = <T extends object>(fields: { [Field in keyof T]: fc.Arbitrary<T[Field]> }): fc.Arbitrary<T> =>
  fc.record<T, keyof T>(fields, { ...plain, requiredKeys: Object.keys(fields) as (keyof T)[] });

const command = fc.oneof(
  record({ do: is("append"), id, key, value }),
  record({ do: is("write"), id, key, value, log: some("a", "b"), doc: fc.option(name) }),
  record({ do: is("rewrite"), id, back: fc.nat(2), value }),
  record({ do: is("truncate"), id, back: fc.nat(2) }),
  record({ do: is("patch"), id, name, value: fc.option(some("1", "2")) }),
  record({ do: is("wait"), id, value }),
  record({ do: is("goOn"), id, how: some("seal", "again", "cancel", "wrong") }),
  record({ do: is("life"), id, how: some("touch", "archive", "unarchive", "sweep") }),
  record({ do: is("fork"), id, at: fc.nat(2) }),
  record({ do: is("put"), name, value, how: some("any", "stands", "absent", "stale") }),
  record({ do: is("delete"), name }),
  record({ do: is("acquire"), name }),
  record({ do: is("part"), name, value, isRepeated: fc.boolean() }),
  record({ do: is("end"), name, how: some("done", "failed", "delete", "wrong") }),
);
type Command = typeof command extends fc.Arbitrary<infer One> ? One : never;
const commands = fc.array(record({ who: fc.constantFrom(0, 1), command }), {
  minLength: 1,
  maxLength: 40,
  size: "max",
});

/** One run: its ids are of a scope of its own, so that a store takes many runs. */
class Run {
  readonly model = new Model();
  readonly outcomes = new Map<string, number>();
  readonly #programs: readonly [Sessions, Sessions];
  readonly #scope: string;
  #forks = 0;

  constructor(programs: readonly [Sessions, Sessions], scope: string) {
    this.#programs = programs;
    this.#scope = scope;
  }

  async begin(): Promise<void> {
    for (const id of ids) {
      await this.#programs[0].create({ id: this.#name(id) });
      const empty = { turns: [], logs: {}, title: null, labels: {}, metadata: {}, isArchived: false, token: null };
      this.model.sessions.set(id, empty);
    }
  }

  #name(id: string): string {
    return `${this.#scope}.${id}`;
  }

  /** The code of the error that the work fails with; "ok" where it does not. */
  async #outcome(work: () => Promise<unknown>): Promise<string> {
    try {
      await work();
      return "ok";
    } catch (error) {
      if (error instanceof SessionError) return error.code;
      throw error;
    }
  }

  /** The error that each write of turns meets: one of the state comes first. */
  #refusal({ isArchived, token }: ModelSession): string | undefined {
    return isArchived ? "session_archived" : token === null ? undefined : "turn_waiting";
  }

  async step(who: number, command: Command): Promise<void> {
    const sessions = this.#programs[who] ?? assert.fail();
    const expected = "id" in command ? await this.#onSession(sessions, command) : await this.#aside(sessions, command);
    this.outcomes.set(`${command.do} ${expected}`, (this.outcomes.get(`${command.do} ${expected}`) ?? 0) + 1);
    await this.check(this.#programs[1 - who] ?? assert.fail(), "id" in command ? [command.id] : []);
  }

  async #onSession(sessions: Sessions, command: Extract<Command, { id: unknown }>): Promise<string> {
    const session = await sessions.get(this.#name(command.id));
    const known = this.model.sessions.get(command.id) ?? assert.fail();
    const isRefused = this.#refusal(known);
    const expect = async (expected: string, work: () => Promise<unknown>): Promise<string> => {
      assert.equal(await this.#outcome(work), expected, JSON.stringify(command));
      return expected;
    };
    switch (command.do) {
      case "append": {
        const turn = { key: command.key, input: `q${command.value}`, output: "a", status: "done" };
        const stands = known.turns.find((one) => one.key !== null && one.key === command.key);
        const isSame = stands?.input === turn.input && stands.output === turn.output;
        const reused = stands === undefined ? undefined : isSame ? "ok" : "key_reused";
        const found = await this.#outcome(() =>
          session.append({ input: turn.input, output: turn.output }, command.key === null ? {} : { key: command.key }),
        );
        // A retry is answered with its turn in any state of the session.
        const expected = reused !== undefined && found === reused ? reused : (isRefused ?? reused ?? "ok");
        assert.equal(found, expected, JSON.stringify(command));
        if (found === "ok" && stands === undefined) known.turns = [...known.turns, turn];
        return expected;
      }
      case "write": {
        const entries = known.logs[command.log] ?? [];
        const isDuplicate = entries.some((one) => one.key !== null && one.key === command.key);
        const written = command.doc === null ? [] : [{ scope: this.#scope, key: command.doc, value: command.value }];
        // A retry is a duplicate in any state of the session.
        const expected = known.isArchived && !isDuplicate ? "session_archived" : "ok";
        return await expect(expected, async () => {
          const entry = { value: command.value, ...(command.key === null ? {} : { key: command.key }) };
          const outcome = await session.write({
            logs: { [command.log]: { entries: [entry] } },
            set: { metadata: { wrote: String(command.value) } },
            documents: written,
          });
          assert.equal(outcome.status, isDuplicate ? "duplicate" : "ok");
          if (outcome.status !== "ok") return;
          known.logs = { ...known.logs, [command.log]: [...entries, { key: command.key, value: command.value }] };
          known.metadata = { ...known.metadata, wrote: String(command.value) };
          assert.deepEqual(outcome.logs[command.log]?.seqs, [entries.length + 1]);
          const [version] = outcome.documents ?? [];
          if (command.doc !== null) this.#stored(command.doc, command.value, version ?? assert.fail());
        });
      }
      case "rewrite": {
        const look = await session.look([{ log: "turns", last: 3 }]);
        const from = Math.max(1, known.turns.length + 1 - command.back);
        const input = `r${command.value}`;
        return await expect(isRefused ?? "ok", async () => {
          await session.write({ turns: { from, turns: [{ input, output: "again" }] }, onto: look });
          const turn = { key: null, input, output: "again", status: "done" };
          known.turns = [...known.turns.slice(0, from - 1), turn];
        });
      }
      case "truncate": {
        const to = Math.max(0, known.turns.length - command.back);
        const isNothing = to === known.turns.length;
        return await expect(isNothing ? "ok" : (isRefused ?? "ok"), async () => {
          await session.truncate(to);
          known.turns = known.turns.slice(0, to);
        });
      }
      case "patch":
        return await expect(known.isArchived ? "session_archived" : "ok", async () => {
          await session.update({ title: command.value, labels: { [command.name]: command.value } });
          const { [command.name]: _, ...others } = known.labels;
          known.title = command.value;
          known.labels = command.value === null ? others : { ...others, [command.name]: command.value };
        });
      case "wait":
        return await expect(isRefused ?? "ok", async () => {
          const input = `w${command.value}`;
          const turn = await session.begin(input);
          await turn.write({ text: "so far" });
          const { token } = await turn.wait({ state: { input }, reason: "approval" });
          known.token = token;
          known.turns = [...known.turns, { key: null, input, output: "so far", status: "waiting" }];
        });
      case "goOn":
        return await this.#goOn(session, known, command.how);
      case "life":
        return await this.#live(sessions, session, known, command.how);
      case "fork":
        return await this.#fork(sessions, session, known, Math.min(command.at, known.turns.length));
    }
  }

  async #goOn(session: Session, known: ModelSession, how: "seal" | "again" | "cancel" | "wrong"): Promise<string> {
    const { token } = known;
    if (how === "cancel") {
      assert.equal(await session.cancel(), token !== null);
      if (token === null) return "none";
      this.#sealed(known, "interrupted", "so far");
      return "ok";
    }
    if (token === null || how === "wrong") {
      const other = [...this.model.sessions.values()].find((one) => one !== known && one.token !== null)?.token;
      assert.equal(await this.#outcome(() => session.resume(other ?? "no-token")), "turn_not_waiting");
      return "turn_not_waiting";
    }
    assert.deepEqual((await session.waiting())?.state, { input: known.turns.at(-1)?.input });
    const turn = await session.resume(token);
    await turn.write({ text: ", more" });
    if (how === "seal") {
      await turn.seal();
      this.#sealed(known, "done", `${known.turns.at(-1)?.output}, more`);
      return "ok";
    }
    const again = await turn.wait({ state: { input: known.turns.at(-1)?.input ?? "" }, reason: "approval" });
    const waits = known.turns.at(-1) ?? assert.fail();
    known.token = again.token;
    known.turns = [...known.turns.slice(0, -1), { ...waits, output: `${waits.output}, more` }];
    return "again";
  }

  #sealed(known: ModelSession, status: string, output: string): void {
    const waits = known.turns.at(-1) ?? assert.fail();
    const text = status === "interrupted" ? waits.output : output;
    known.turns = [...known.turns.slice(0, -1), { ...waits, status, output: text }];
    known.token = null;
  }

  async #live(sessions: Sessions, session: Session, known: ModelSession, how: string): Promise<string> {
    const outcome = await this.#outcome(async () => {
      if (how === "touch") await session.touch();
      else if (how === "sweep") await sweep(sessions);
      else if (how === "archive") assert.equal(await session.archive(), !known.isArchived);
      else assert.equal(await session.unarchive(), known.isArchived);
    });
    if (how === "touch") assert.equal(outcome, known.isArchived ? "session_archived" : "ok");
    else if (how === "archive") assert.equal(outcome, known.token === null ? "ok" : "turn_waiting");
    else assert.equal(outcome, "ok");
    if (outcome === "ok" && (how === "archive" || how === "unarchive")) known.isArchived = how === "archive";
    return `${how} ${outcome}`;
  }

  async #fork(sessions: Sessions, session: Session, known: ModelSession, at: number): Promise<string> {
    if (known.token !== null && at === known.turns.length) return "none";
    const id = `f${++this.#forks}`;
    await session.fork({ as: this.#name(id), at });
    const { logs, title, labels, metadata } = known;
    const turns = known.turns.slice(0, at);
    const fork: ModelSession = { turns, logs, title, labels, metadata, isArchived: false, token: null };
    this.model.sessions.set(id, fork);
    await this.check(sessions, [id]);
    // The fork takes the place of the session for the commands that follow; the session stays as it is.
    for (const one of ids) {
      if (this.model.sessions.get(one) !== known) continue;
      const write = await sessions.get(this.#name(id));
      await write.write({ logs: { a: { entries: [{ value: 0 }] } } });
      fork.logs = { ...logs, a: [...(logs["a"] ?? []), { key: null, value: 0 }] };
    }
    await this.check(sessions, [id]);
    return "ok";
  }

  #stored(key: string, stored: number, version: number): void {
    assert.ok(version > (this.model.versions.get(key) ?? 0), "versions of a key grow");
    this.model.versions.set(key, version);
    this.model.documents.set(key, { value: stored, version });
  }

  async #aside(sessions: Sessions, command: Exclude<Command, { id: unknown }>): Promise<string> {
    const documents = sessions.documents(this.#scope);
    const { streams } = sessions;
    const stream = this.#name(command.name);
    const known = this.model.streams.get(command.name);
    switch (command.do) {
      case "put": {
        const stands = this.model.documents.get(command.name)?.version;
        const last = this.model.versions.get(command.name);
        const condition = {
          any: undefined,
          stands: stands ?? 1,
          absent: "absent" as const,
          stale: (last ?? 5) - 1 || 1,
        };
        const required = condition[command.how];
        const fits = required === undefined || (required === "absent" ? stands === undefined : stands === required);
        const found = await this.#outcome(async () => {
          const version = await documents.put(
            command.name,
            command.value,
            required === undefined ? {} : { if: required },
          );
          this.#stored(command.name, command.value, version);
        });
        assert.equal(found, fits ? "ok" : "document_conflict", JSON.stringify(command));
        return found;
      }
      case "delete": {
        const stood = this.model.documents.delete(command.name);
        assert.equal(await documents.delete(command.name), stood);
        return stood ? "ok" : "none";
      }
      case "acquire": {
        const acquired = await streams.acquireToken(stream);
        assert.equal(acquired.role, known === undefined ? "producer" : "consumer");
        if (acquired.role === "consumer") return "consumer";
        this.model.streams.set(command.name, { token: acquired.token, parts: [], status: "streaming" });
        return "producer";
      }
      case "part": {
        const after = known?.parts.length ?? 0;
        const token = known?.token ?? "none";
        const parts = [{ part: command.value, said: "." }];
        const found = await this.#outcome(async () => {
          for (let count = command.isRepeated ? 2 : 1; count > 0; count--)
            assert.equal(await streams.append(stream, { token, after, parts }), after + 1);
        });
        const wanted = known === undefined ? "stream_not_found" : known.status === "streaming" ? "ok" : "stream_ended";
        assert.equal(found, wanted);
        if (found === "ok" && known !== undefined) known.parts = [...known.parts, command.value];
        return found;
      }
      case "end":
        return await this.#end(sessions, command.name, known, command.how);
    }
  }

  async #end(sessions: Sessions, name: string, known: ModelStream | undefined, how: string): Promise<string> {
    const { streams } = sessions;
    const stream = this.#name(name);
    if (how === "delete") {
      assert.equal(await streams.delete(stream), this.model.streams.delete(name));
      return "delete";
    }
    const token = how === "wrong" ? "1.other" : (known?.token ?? "none");
    const after = known?.parts.length ?? 0;
    const failure = how === "failed" ? { failure: "no" } : {};
    const found = await this.#outcome(async () => {
      const ended = await streams.finish(stream, { token, after, ...failure });
      assert.equal(ended, known?.status === "streaming");
    });
    const over = { streaming: how === "wrong" ? "fenced" : "ok", done: "ok", error: "stream_failed" } as const;
    const wanted = known === undefined ? "stream_not_found" : over[known.status];
    assert.equal(found, wanted, how);
    if (found === "ok" && known?.status === "streaming") known.status = how === "failed" ? "error" : "done";
    return found;
  }

  /** What the store has is what the model has. */
  async check(sessions: Sessions, some: readonly string[]): Promise<void> {
    for (const id of some) {
      const known = this.model.sessions.get(id) ?? assert.fail();
      const session = await sessions.get(this.#name(id));
      const { info } = session;
      const turns = await Array.fromAsync(session.turns());
      assert.deepEqual(
        turns.map(({ key: one, input, output, status }) => ({
          key: one,
          input: input[0]?.content,
          output: output.map(({ content }) => content).join(),
          status,
        })),
        known.turns,
      );
      assert.equal(info.counters.turns, known.turns.length);
      assert.deepEqual([info.title, info.labels, info.metadata], [known.title, known.labels, known.metadata]);
      assert.deepEqual(
        [info.state === "archived", info.waitingTurn !== null],
        [known.isArchived, known.token !== null],
      );
      assert.equal((await session.waiting())?.token ?? null, known.token);
      for (const log of ["a", "b"]) {
        const entries = await Array.fromAsync(session.log(log).entries());
        assert.deepEqual(
          entries.map(({ key: one, value: stored }) => ({ key: one, value: stored })),
          known.logs[log] ?? [],
        );
      }
    }
    const documents = await Array.fromAsync(sessions.documents(this.#scope).each());
    assert.deepEqual(
      new Map(documents.map(({ key: one, value: stored, version }) => [one, { value: stored as number, version }])),
      new Map([...this.model.documents].toSorted(([one], [other]) => (one < other ? -1 : 1))),
    );
    for (const [one, { parts, status }] of this.model.streams) {
      const stream = this.#name(one);
      assert.equal(await sessions.streams.status(stream), status);
      if (status === "streaming") continue;
      const read: Value[] = [];
      const failed = await this.#outcome(async () => {
        for await (const { part } of sessions.streams.read(stream)) read.push(part);
      });
      assert.deepEqual([read, failed], [parts, status === "done" ? "ok" : "stream_failed"]);
    }
  }

  /** The sessions that have a label are those of the model, and nothing is left of what forks and streams had. */
  async checkAll(sessions: Sessions): Promise<void> {
    const all = [...this.model.sessions.keys()];
    await this.check(sessions, all);
    for (const one of ["x", "y"]) {
      const { items } = await sessions.list({ labels: { [one]: true }, limit: 1000 });
      const found = items.map(({ id }) => id).filter((id) => id.startsWith(`${this.#scope}.`));
      const known = all.filter((id) => this.model.sessions.get(id)?.labels[one] !== undefined);
      assert.deepEqual(new Set(found), new Set(known.map((id) => this.#name(id))), one);
    }
  }
}

let runs = 0;

async function play(
  programs: readonly [Sessions, Sessions],
  some: readonly { readonly who: number; readonly command: Command }[],
): Promise<ReadonlyMap<string, number>> {
  const run = new Run(programs, `run${++runs}`);
  await run.begin();
  for (const { who, command: one } of some) await run.step(who, one);
  await run.checkAll(programs[0]);
  return run.outcomes;
}

test("random commands over sessions, logs, documents and streams do what the model does: memory", async () => {
  await using place = inMemory({ ttl: "never" });
  const programs = [place.sessions, place.another({ ttl: "never" })] as const;
  await fc.assert(
    fc.asyncProperty(commands, async (some) => {
      await play(programs, some);
    }),
    { numRuns: rounds(150) },
  );
  assert.equal((await doctor(place.sessions)).findings, 0);
});

test("the random commands reach every outcome", async () => {
  await using place = inMemory({ ttl: "never" });
  const programs = [place.sessions, place.another({ ttl: "never" })] as const;
  const all = new Map<string, number>();
  for (const some of fc.sample(commands, { numRuns: 50, seed: 3 }))
    for (const [outcome, count] of await play(programs, some)) all.set(outcome, (all.get(outcome) ?? 0) + count);
  const rare = [
    "append key_reused",
    "append turn_waiting",
    "append session_archived",
    "rewrite turn_waiting",
    "goOn ok",
    "goOn turn_not_waiting",
    "put document_conflict",
    "part stream_ended",
    "end fenced",
    "fork ok",
  ];
  for (const one of rare) assert.ok((all.get(one) ?? 0) > 0, `${one}: ${JSON.stringify([...all])}`);
});

for (const engine of engineNames)
  test(`random commands over sessions, logs, documents and streams do what the model does: ${engine}`, async () => {
    const store = await (await engines.get(engine)).fresh();
    await using one = await openSessions({ store, sweep: false, ttl: "never" });
    await using other = await openSessions({ store, sweep: false, ttl: "never" });
    await fc.assert(
      fc.asyncProperty(commands, async (some) => {
        await play([one, other], some);
      }),
      { numRuns: rounds(engine === "SQLite" ? 50 : 15) },
    );
    await assertSound(one);
  });
