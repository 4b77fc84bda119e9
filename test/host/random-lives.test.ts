/** Whatever is asked of a host in whatever order: no session lives twice, and nobody waits for an answer for ever. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import * as fc from "../support/fast-check.ts";
import { startHost, type Host, type LiveSession, type Runtime, type WhenFull } from "../../src/host/index.ts";
import { coreOf } from "../../src/sessions/sessions.ts";
import type { ScriptedClock } from "../../src/testing/scripted-clock.ts";
import { inMemory, type InMemory } from "../support/in-memory.ts";

const ids = ["a", "b", "c"];

type Action = "count" | "append" | "throw" | "slow" | "hang" | "begin and throw" | "parts" | "a part" | "no part";
type Hook = "activate" | "onIdle" | "deactivate";

type Command =
  | { readonly kind: "send"; readonly id: string; readonly action: Action }
  | { readonly kind: "start" | "stop" | "kill" | "ensure" | "updateActivity"; readonly id: string }
  /** How the session takes it when it wakes, idles or goes to sleep the next time. */
  | { readonly kind: "mood"; readonly id: string; readonly hook: Hook; readonly action: "throw" | "slow" | "hang" }
  /** Let what is under way go on for so many turns of the event loop. */
  | { readonly kind: "turn"; readonly turns: number }
  | { readonly kind: "advance"; readonly ms: number }
  /** The next commits do not reach the store, or their answers are lost. */
  | { readonly kind: "trouble"; readonly how: "before" | "after"; readonly commits: number };

const someId = fc.constantFrom(...ids);
const actions: readonly Action[] = [
  "count",
  "append",
  "throw",
  "slow",
  "hang",
  "begin and throw",
  "parts",
  "a part",
  "no part",
];
const calm = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant("send" as const), id: someId, action: fc.constantFrom(...actions) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        "start" as const,
        "stop" as const,
        "kill" as const,
        "ensure" as const,
        "updateActivity" as const,
      ),
      id: someId,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("mood" as const),
      id: someId,
      hook: fc.constantFrom("activate" as const, "onIdle" as const, "deactivate" as const),
      action: fc.constantFrom("throw" as const, "slow" as const, "hang" as const),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("turn" as const), turns: fc.integer({ min: 1, max: 12 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("advance" as const),
      ms: fc.constantFrom(50, 200, 5000, 30_000, 901_000),
    }),
  },
);

const inParts: ReadonlySet<Action> = new Set(["parts", "a part", "no part"]);

/** Read as much of an answer as the action reads. */
async function read(parts: AsyncIterable<number>, number: number, action: Action): Promise<void> {
  let count = 0;
  if (action === "no part") return;
  for await (const part of parts) {
    assert.equal(part, number);
    count++;
    if (action === "a part") break;
  }
  assert.equal(count, action === "a part" ? 1 : 3);
}

/** What a session was through, as its own code sees it. */
interface Biography {
  isAlive: boolean;
  isAtWork: boolean;
  /** The state it last woke with. */
  wokeWith: number;
  /** The state it went to sleep with, where it did and that was not broken off. */
  sleptWith: number | undefined;
  /** The message it was last handed. */
  heard: number;
}

interface Message {
  readonly number: number;
  readonly action: Action;
}

class Witness {
  readonly #clock: ScriptedClock;
  readonly #biographies = new Map<string, Biography>();
  readonly #moods = new Map<string, Action>();
  /** What must never be, and was. */
  readonly wrongs: string[] = [];

  constructor(clock: ScriptedClock) {
    this.#clock = clock;
  }

  #of(id: string): Biography {
    const known = this.#biographies.get(id);
    if (known !== undefined) return known;
    const born = { isAlive: false, isAtWork: false, wokeWith: 0, sleptWith: undefined, heard: -1 };
    this.#biographies.set(id, born);
    return born;
  }

  #expect(condition: boolean, otherwise: string): void {
    if (!condition) this.wrongs.push(otherwise);
  }

  get runtime(): Runtime {
    return {
      activate: async (session) => {
        this.#wakes(session);
        await this.#feels(session, "activate");
      },
      onIdle: async (session) => await this.#feels(session, "onIdle"),
      onMessage: (session, message: Message) => this.#hears(session, message),
      deactivate: async (session) => {
        const { isAlive, isAtWork } = this.#of(session.id);
        this.#expect(isAlive && !isAtWork, `${session.id} was put to sleep without living, or at its work`);
        await this.#feels(session, "deactivate");
      },
    };
  }

  /** The next time only. */
  mood(id: string, hook: Hook, action: Action): void {
    this.#moods.set(`${id} ${hook}`, action);
  }

  async #feels(session: LiveSession, hook: Hook): Promise<void> {
    const mood = `${session.id} ${hook}`;
    const action = this.#moods.get(mood) ?? "count";
    this.#moods.delete(mood);
    await this.#does(session, -1, action);
  }

  #wakes(session: LiveSession): void {
    const { id, signal } = session;
    const life = this.#of(id);
    const state = countOf(session);
    this.#expect(!life.isAlive, `${id} lives twice`);
    this.#expect(state >= life.wokeWith, `${id} knew ${life.wokeWith} when it woke, and now ${state}`);
    this.#expect(
      life.sleptWith === undefined || life.sleptWith === state,
      `${id} slept with ${life.sleptWith} and woke with ${state}`,
    );
    Object.assign(life, { isAlive: true, isAtWork: false, wokeWith: state, sleptWith: undefined });
    signal.addEventListener("abort", () => {
      life.isAlive = false;
      const isAsleep = (signal.reason as Error).message === "the session was put to sleep";
      life.sleptWith = isAsleep ? countOf(session) : undefined;
    });
  }

  async #hears(session: LiveSession, { number, action }: Message): Promise<unknown> {
    const life = this.#of(session.id);
    this.#expect(life.isAlive && !session.signal.aborted, `${session.id} was spoken to without living`);
    this.#expect(!life.isAtWork, `${session.id} was at work already`);
    this.#expect(number > life.heard, `${session.id} heard ${number} after ${life.heard}`);
    life.heard = number;
    life.isAtWork = true;
    if (inParts.has(action)) return this.#parts(session, number);
    try {
      await this.#does(session, number, action);
      if (!session.signal.aborted) session.state = countOf(session) + 1;
      return number;
    } finally {
      if (!session.signal.aborted) life.isAtWork = false;
    }
  }

  async *#parts(session: LiveSession, number: number): AsyncGenerator<number> {
    try {
      for (let part = 0; part < 3; part++) {
        yield number;
        await this.#clock.sleep(1000);
      }
    } finally {
      await Promise.resolve();
      if (!session.signal.aborted) this.#of(session.id).isAtWork = false;
    }
  }

  async #does(session: LiveSession, number: number, action: Action): Promise<void> {
    switch (action) {
      case "count":
      case "parts":
      case "a part":
      case "no part":
        return;
      case "append":
        await session.append({ input: `${number}` });
        return;
      case "throw":
        throw new Error("as told");
      case "begin and throw":
        await session.begin("a question");
        throw new Error("in the middle");
      case "slow":
        await this.#clock.sleep(3000);
        return;
      case "hang":
        await new Promise(() => undefined);
    }
  }
}

function countOf({ state }: LiveSession): number {
  return (state as number | undefined) ?? 0;
}

/** A host whose time is the clock's, and whose messages are numbered. */
class World {
  readonly witness: Witness;
  readonly host: Host;
  readonly outcomes = new Map<string, number>();
  readonly acknowledged = new Map<string, string[]>();
  readonly #place: InMemory;
  readonly #tick: (ms: number) => void;
  readonly #calls: Promise<void>[] = [];
  #settled = 0;
  #messages = 0;

  private constructor(place: InMemory, witness: Witness, host: Host, tick: (ms: number) => void) {
    this.#place = place;
    this.witness = witness;
    this.host = host;
    this.#tick = tick;
  }

  static async open(place: InMemory, whenFull: WhenFull, tick: (ms: number) => void): Promise<World> {
    const witness = new Witness(place.clock);
    const host = await startHost(place.sessions, {
      runtime: witness.runtime,
      maxSessions: 2,
      whenFull,
      mailboxMax: 5,
      turnTimeout: "20s",
      stopTimeout: "5s",
      idleTimeout: "15m",
      restart: { max: 1 },
    });
    return new World(place, witness, host, tick);
  }

  async run(command: Command): Promise<void> {
    switch (command.kind) {
      case "send":
        return this.#send(command.id, command.action);
      case "turn":
        return await this.turn(command.turns);
      case "advance":
        return await this.advance(command.ms);
      case "trouble":
        return this.#trouble(command.how, command.commits);
      case "mood":
        return this.witness.mood(command.id, command.hook, command.action);
      case "start":
      case "stop":
      case "kill":
      case "ensure":
      case "updateActivity":
        this.#watch(this.host[command.kind](command.id));
    }
  }

  #trouble(fails: "before" | "after", commits: number): void {
    const { store } = this.#place;
    const last = store.commits + commits;
    store.plan((commit) => (commit <= last ? { fails } : undefined));
  }

  #send(id: string, action: Action): void {
    const number = this.#messages++;
    this.#watch(
      this.host.send(id, { number, action } satisfies Message).then(async (reply) => {
        if (inParts.has(action)) return await read(reply as AsyncIterable<number>, number, action);
        assert.equal(reply, number, "an answer is that to the message");
        if (action === "append") this.acknowledged.set(id, [...(this.acknowledged.get(id) ?? []), `${number}`]);
      }),
    );
  }

  #watch(call: Promise<unknown>): void {
    this.#calls.push(
      call
        .then(
          () => this.#count("ok"),
          (error: unknown) => {
            const { code } = error as { code?: string };
            this.#count(code ?? "untyped");
            if (!mayBe.has(code ?? "")) this.witness.wrongs.push(`an unexpected error: ${String(error)}`);
          },
        )
        .finally(() => this.#settled++),
    );
  }

  #count(outcome: string): void {
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
  }

  async turn(turns: number): Promise<void> {
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  async advance(ms: number): Promise<void> {
    await this.#place.clock.advance(ms);
    this.#tick(100);
    await this.turn(4);
  }

  /** Let time pass until it is done. */
  async until(done: Promise<unknown>, what: string): Promise<void> {
    let isDone = false;
    void done.finally(() => (isDone = true)).catch(() => undefined);
    for (let look = 0; look < 60 && !isDone; look++) await this.advance(5000);
    assert(isDone, what);
    await done;
  }

  async close(): Promise<void> {
    this.#place.store.plan({});
    // What kept sessions from sleeping as they should, in the trouble before, is told here as well.
    const closing = this.host.close().catch((error: AggregateError) => {
      assert(error.errors.every((one: { code?: string }) => one.code === "store_unavailable"));
    });
    await this.until(closing, "the host closes");
    await this.until(Promise.all(this.#calls), `all is answered: ${this.#settled} of ${this.#calls.length}`);
    // What the store could not be told it is told now.
    this.#tick(2000);
    await this.turn(20);
  }
}

const mayBe: ReadonlySet<string> = new Set([
  "runtime_failed",
  "session_failed",
  "session_stopped",
  "session_not_found",
  "mailbox_full",
  "host_full",
  "closed",
  "store_unavailable",
]);

interface History {
  readonly whenFull: WhenFull;
  readonly commands: readonly Command[];
}

async function live(t: TestContext, { whenFull, commands }: History, outcomes: Map<string, number>): Promise<void> {
  await using place = inMemory();
  for (const id of ids) await place.sessions.create({ id });
  const world = await World.open(place, whenFull, (ms) => t.mock.timers.tick(ms));
  for (const command of commands) {
    await world.run(command);
    assert.deepEqual(world.witness.wrongs, []);
    assert(world.host.gauges().live <= 2);
  }
  await world.close();
  for (const [outcome, count] of world.outcomes) outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + count);
  assert.deepEqual(world.witness.wrongs, []);
  const { live, waiting, timers, mailbox } = world.host.gauges();
  assert.deepEqual({ live, waiting, timers, mailbox }, { live: 0, waiting: 0, timers: 0, mailbox: 0 });
  assert.deepEqual([...world.host.each()], []);
  assert.equal(coreOf(place.sessions).leases.size, 0);
  const others = place.another();
  for (const id of ids) {
    const session = await others.get(id).catch(() => undefined);
    if (session === undefined) continue;
    assert.equal(session.info.lease, null, `no lease of ${id} stands`);
    const events = await Array.fromAsync(session.events());
    // A touch from elsewhere makes it active as well, and names no host.
    const lives = events.filter((event) =>
      event.type === "activated" ? event.instance !== null : event.type === "passivated" || event.type === "failed",
    );
    assert.notEqual(lives.at(-1)?.type, "activated", `${id} is told to sleep`);
    const turns = await Array.fromAsync(session.turns());
    const inputs = turns.map(({ input }) => String(input[0]?.content));
    const acknowledged = world.acknowledged.get(id) ?? [];
    assert.deepEqual(
      inputs.filter((one) => acknowledged.includes(one)),
      acknowledged,
      "each acknowledged turn is stored once, in order",
    );
    assert(turns.every(({ status }) => status !== "open"));
  }
}

const trouble = fc.record({
  kind: fc.constant("trouble" as const),
  how: fc.constantFrom("before" as const, "after" as const),
  commits: fc.integer({ min: 1, max: 4 }),
});

async function check(t: TestContext, command: fc.Arbitrary<Command>): Promise<ReadonlyMap<string, number>> {
  t.mock.timers.enable({ apis: ["setInterval", "setTimeout"] });
  const outcomes = new Map<string, number>();
  const histories = fc.record({
    whenFull: fc.constantFrom<WhenFull[]>("passivate-least-recent", "wait", "reject"),
    commands: fc.array(command, { maxLength: 60, size: "max" }),
  });
  await fc.assert(
    fc.asyncProperty(histories, async (history) => await live(t, history, outcomes)),
    { numRuns: 200 },
  );
  t.diagnostic(JSON.stringify(Object.fromEntries(outcomes)));
  return outcomes;
}

test("under random sends, starts, stops and kills no session is live twice, and every message is answered", async (t) => {
  const outcomes = await check(t, calm);
  for (const outcome of ["ok", "runtime_failed", "session_stopped", "session_failed", "mailbox_full", "host_full"])
    assert((outcomes.get(outcome) ?? 0) >= 5, `${outcome} came about`);
});

test("the same holds while the store fails at times", async (t) => {
  const outcomes = await check(t, fc.oneof({ weight: 20, arbitrary: calm }, { weight: 1, arbitrary: trouble }));
  assert((outcomes.get("store_unavailable") ?? 0) >= 5);
});
