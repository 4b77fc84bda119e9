/**
 * Random runs, stops, failures and readers of a thread in two processes, against a pure model: each reader has each event of the
 * thread once and in order, those of the runs that had ended joined.
 */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import * as fc from "../../support/fast-check.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as tick } from "node:timers/promises";
import { copilotRunner, type AgUiEvent, type CopilotRunner } from "../../../src/adapters/copilotkit.ts";
import { inMemory, type InMemory } from "../../support/in-memory.ts";
import { rounds } from "../../support/rounds.ts";

type Step =
  | { readonly type: "begin" | "again" | "stop" | "connect"; readonly process: 0 | 1 }
  | { readonly type: "say"; readonly word: string }
  | { readonly type: "finish" | "fail" | "leave" };

const process = fc.constantFrom(0 as const, 1 as const);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ type: fc.constant("begin" as const), process }) },
  {
    weight: 6,
    arbitrary: fc.record({ type: fc.constant("say" as const), word: fc.string({ maxLength: 3, minLength: 1 }) }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("connect" as const), process }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constantFrom("again" as const, "stop" as const), process }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constantFrom("finish" as const, "fail" as const, "leave" as const) }) },
);

/** A run, as the model knows it. */
interface Run {
  readonly id: string;
  readonly words: string[];
  end: "done" | "failed" | "interrupted" | undefined;
}

/** An agent that does what the test says. */
class Agent {
  readonly agentId = "default";
  #next = Promise.withResolvers<string | Error | undefined>();
  #said = Promise.withResolvers<void>();
  readonly #run: string;

  constructor(run: string) {
    this.#run = run;
  }

  /** A word, undefined for the end, an error for a failure. Resolves once the runner has taken it. */
  async tell(what: string | Error | undefined): Promise<void> {
    const { promise } = this.#said;
    this.#next.resolve(what);
    await promise;
  }

  abortRun(): void {
    this.#next.resolve(new Error("aborted"));
  }

  async runAgent(
    _: unknown,
    { onEvent }: { readonly onEvent: (given: { event: AgUiEvent }) => Promise<void> },
  ): Promise<void> {
    const emit = async (type: string, fields: object): Promise<void> => await onEvent({ event: { type, ...fields } });
    const messageId = `m-${this.#run}`;
    await emit("RUN_STARTED", { threadId: "t", runId: this.#run });
    await emit("TEXT_MESSAGE_START", { messageId, role: "assistant" });
    for (;;) {
      const what = await this.#next.promise;
      this.#next = Promise.withResolvers();
      const said = this.#said;
      this.#said = Promise.withResolvers();
      if (typeof what === "string") await emit("TEXT_MESSAGE_CONTENT", { messageId, delta: what });
      else if (what === undefined) {
        await emit("TEXT_MESSAGE_END", { messageId });
        await emit("RUN_FINISHED", { threadId: "t", runId: this.#run });
      }
      said.resolve();
      if (what === undefined) return;
      if (what instanceof Error) throw what;
    }
  }
}

type Events = ReturnType<CopilotRunner["connect"]>;

/** The events that a reader has had, and how it ended. */
class Reader {
  readonly events: AgUiEvent[] = [];
  readonly ended: Promise<void>;
  /** The runs that it must have had at its end: those that had ended before it began, then those that it followed. */
  readonly before: readonly Run[];
  readonly followed: readonly Run[];
  hasLeft = false;
  readonly #leave: () => void;

  constructor(events: Events, before: readonly Run[], followed: readonly Run[]) {
    this.before = before;
    this.followed = followed;
    const ended = Promise.withResolvers<void>();
    const subscription = events.subscribe({
      next: (event: AgUiEvent) => void this.events.push(event),
      error: (error: unknown) => ended.reject(error),
      complete: () => ended.resolve(),
    }) as unknown as { unsubscribe(): void };
    this.#leave = () => subscription.unsubscribe();
    this.ended = ended.promise;
  }

  leave(): void {
    this.hasLeft = true;
    this.#leave();
  }

  /** The events must be those of the runs, each once; joined where the run had ended. */
  check(): void {
    const expected = [
      ...this.before.map((run) => eventsOf(run, "joined")),
      ...this.followed.map((run) => eventsOf(run)),
    ];
    const shown = this.events.map(plainEvent);
    const joined = expected.flat();
    if (this.followed.length === 0) assert.deepEqual(shown, this.hasLeft ? joined.slice(0, shown.length) : joined);
    else if (!this.hasLeft) assert.deepEqual(wordsApart(shown), wordsApart(joined));
    else assert(joinedText(wordsApart(joined)).startsWith(joinedText(wordsApart(shown))));
  }
}

type Plain = readonly [type: string, text: string];

function plainEvent({ type, ...fields }: AgUiEvent): Plain {
  const { delta, runId, messageId, code } = fields as Readonly<Record<string, string | undefined>>;
  return [type, delta ?? messageId ?? (type === "RUN_ERROR" ? code : runId) ?? ""];
}

/** The events of a run in the model. */
function eventsOf({ id, words, end }: Run, how: "joined" | "apart" = "apart"): readonly Plain[] {
  const text = words.join("");
  const contents = how === "apart" ? words : text === "" ? [] : [text];
  const last: Plain = end === "failed" ? ["RUN_ERROR", "INCOMPLETE_STREAM"] : ["RUN_FINISHED", id];
  return [
    ["RUN_STARTED", id],
    ["TEXT_MESSAGE_START", `m-${id}`],
    ...contents.map((delta): Plain => ["TEXT_MESSAGE_CONTENT", delta]),
    ["TEXT_MESSAGE_END", `m-${id}`],
    last,
  ];
}

/** The characters one by one: a stream may give its words in other groups. */
function wordsApart(events: readonly Plain[]): readonly Plain[] {
  return events.flatMap(([type, text]): readonly Plain[] =>
    type === "TEXT_MESSAGE_CONTENT" ? [...text].map((one): Plain => [type, one]) : [[type, text]],
  );
}

function joinedText(events: readonly Plain[]): string {
  return JSON.stringify(events).slice(0, -1);
}

/** The thread, and the model of it. */
class Thread {
  readonly #runners: readonly CopilotRunner[];
  readonly runs: Run[] = [];
  readonly readers: Reader[] = [];
  #running: { readonly run: Run; readonly agent: Agent; readonly client: Reader } | undefined;

  constructor(runners: readonly CopilotRunner[]) {
    this.#runners = runners;
  }

  async take(given: Step): Promise<void> {
    const running = this.#running;
    if (given.type === "begin") await this.#begin(this.#runners[given.process]!);
    else if (given.type === "connect") await this.#connect(this.#runners[given.process]!);
    else if (given.type === "leave") this.readers.findLast(({ hasLeft }) => !hasLeft)?.leave();
    else if (given.type === "stop") {
      assert.equal(await this.#runners[given.process]!.stop({ threadId: "t" }), running !== undefined);
      if (running !== undefined) await this.#end("interrupted");
    } else if (given.type === "again") await this.#again(this.#runners[given.process]!);
    else if (running === undefined) return;
    else if (given.type === "say") {
      await running.agent.tell(given.word);
      running.run.words.push(given.word);
    } else if (given.type === "finish") {
      await running.agent.tell(undefined);
      await this.#end("done");
    } else {
      await running.agent.tell(new Error("no model"));
      await this.#end("failed");
    }
  }

  async #begin(runner: CopilotRunner): Promise<void> {
    const run: Run = { id: `r${this.runs.length}-${this.readers.length}`, words: [], end: undefined };
    const agent = new Agent(run.id);
    const messages = [{ id: `u-${run.id}`, role: "user", content: `Ask ${run.id}` }];
    const events = runner.run({
      threadId: "t",
      agent: agent,
      input: { threadId: "t", runId: run.id, messages },
    });
    if (this.#running !== undefined) {
      const refused = new Reader(events, [], []);
      await refused.ended;
      assert.deepEqual(refused.events.map(plainEvent), [["RUN_ERROR", "busy"]]);
      return;
    }
    const client = new Reader(events, [], [run]);
    this.readers.push(client);
    while (client.events.length < 2) await tick();
    this.runs.push(run);
    this.#running = { run, agent, client };
  }

  async #connect(runner: CopilotRunner): Promise<void> {
    const ended = this.runs.filter(({ end }) => end !== undefined);
    await this.#read(runner.connect({ threadId: "t" }), ended, this.#running === undefined ? [] : [this.#running.run]);
  }

  /** Waits until the reader has read the thread as it is now. */
  async #read(events: Events, before: readonly Run[], followed: readonly Run[]): Promise<void> {
    const reader = new Reader(events, before, followed);
    this.readers.push(reader);
    if (followed.length === 0) await reader.ended;
    const known = before.flatMap((run) => eventsOf(run, "joined")).length + 2;
    while (followed.length > 0 && reader.events.length < known) await tick();
  }

  /** The last run once more: it is followed, or replayed, and not run again. */
  async #again(runner: CopilotRunner): Promise<void> {
    const run = this.runs.at(-1);
    if (run === undefined) return;
    const agent = { agentId: "default", abortRun: () => undefined, runAgent: () => assert.fail("it runs again") };
    const input = { threadId: "t", runId: run.id, messages: [] };
    const events = runner.run({ threadId: "t", agent: agent, input });
    await this.#read(events, run.end === undefined ? [] : [run], run.end === undefined ? [run] : []);
  }

  async #end(end: Run["end"]): Promise<void> {
    const { run, client } = this.#running!;
    run.end = end;
    this.#running = undefined;
    if (!client.hasLeft) await client.ended;
    while (await this.#runners[0]!.isRunning({ threadId: "t" })) await tick();
  }

  async close(): Promise<void> {
    if (this.#running !== undefined) await this.take({ type: "finish" });
    for (const reader of this.readers) if (!reader.hasLeft) await reader.ended;
    for (const reader of this.readers) reader.check();
  }
}

async function check(place: InMemory, steps: readonly Step[]): Promise<void> {
  const thread = new Thread([await copilotRunner(place.sessions), await copilotRunner(place.another())]);
  for (const given of steps) await thread.take(given);
  await thread.close();
  if (thread.runs.length === 0) return;
  const turns = await Array.fromAsync((await place.another().get("t")).turns());
  assert.deepEqual(
    turns.map(({ key, status, input, output }) => [key, status, input[0]?.content, output[0]?.content ?? ""]),
    thread.runs.map(({ id, end, words }) => [id, end, `Ask ${id}`, words.join("")]),
  );
}

test("each reader of a thread has each event once and in order, whatever runs, stops, fails and leaves", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 30 }), async (steps) => {
      await using place = inMemory();
      await check(place, steps);
    }),
    { numRuns: rounds(64) },
  );
});
