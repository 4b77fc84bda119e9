import assert from "node:assert/strict";
import { spawnSync, type ChildProcess } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";
import { openSessions } from "../../src/index.ts";
import { answers, finish, outputUntil, setUp, type Finished, type Workplace } from "./command-line.ts";

test("chat from a pipe answers line by line, and a line that ends in a backslash continues in the next", async () => {
  await using context = await setUp();
  const { place, server } = context;
  const { code, stdout, stderr } = await place.run(["chat", "ceo"], { input: "one\ntwo \\\nlines\n/exit\nnever\n" });
  assert.equal(code, 0, stderr);
  assert.equal(stdout, "saw 1\nsaw 3\n");
  assert.equal(server.requests[1]?.messages.at(-1)?.content, "two \nlines");
});

test("a pipe that ends in the middle of a question still asks it", async () => {
  await using context = await setUp();
  assert.equal((await context.place.run(["chat", "ceo"], { input: "one\\" })).stdout, "saw 1\n");
});

test("a failure ends a chat through a pipe, with its exit code", async () => {
  await using context = await setUp(() => ({ kind: "status", status: 401 }));
  const { code, stderr } = await context.place.run(["chat", "ceo"], { input: "one\ntwo\n" });
  assert.equal(code, 1);
  assert.match(stderr, /model_refused/);
  assert.equal(context.server.requests.length, 1);
});

test("SIGINT ends a chat through a pipe, in an answer and between two", async () => {
  await using context = await setUp(answers({ "long?": { kind: "hang", texts: ["so far"] } }));
  const { place } = context;
  for (const [question, expected] of [
    ["long?", "far"],
    ["short?", "saw 1\n"],
  ] as const) {
    const child = place.start(["chat", "ceo"]);
    const finished = finish(child);
    child.stdin?.write(`${question}\n`);
    await outputUntil(child, expected);
    child.kill("SIGINT");
    assert.equal((await finished).code, 130);
  }
});

test("a chat that ends before its pipe does not wait for the end of the pipe", async () => {
  await using context = await setUp(answers({ "wrong?": { kind: "status", status: 401 } }));
  for (const [line, expected] of [
    ["/exit", 0],
    ["wrong?", 1],
  ] as const) {
    const child = context.place.start(["chat", "ceo"]);
    const finished = finish(child);
    child.stdin?.write(`${line}\n`);
    assert.equal((await finished).code, expected);
  }
});

const noTerminal = spawnSync("script", ["--version"]).status === 0 ? false : "there is no `script` to give a terminal";

/** A chat on a terminal, and a person in front of it. */
class Person {
  readonly #child: ChildProcess;
  readonly #finished: Promise<Finished>;
  /** All that was shown, escape sequences included. */
  shown = "";
  #looked = 0;

  constructor(place: Workplace, args: readonly string[]) {
    this.#child = place.startOnTerminal(["chat", ...args]);
    this.#finished = finish(this.#child);
    this.#child.stdout?.on("data", (data: Buffer) => (this.shown += data.toString()));
  }

  /** Wait until this has come up since the last look; what is shown then counts as seen. */
  async sees(sign: RegExp): Promise<void> {
    const deadline = Date.now() + 60_000;
    while (!sign.test(stripVTControlCharacters(this.shown.slice(this.#looked)))) {
      assert.ok(Date.now() < deadline, `${String(sign)} never came: ${JSON.stringify(this.shown.slice(this.#looked))}`);
      await sleep(20);
    }
    this.#looked = this.shown.length;
  }

  types(keys: string): void {
    this.#child.stdin?.write(keys);
  }

  async exitCode(): Promise<number | null> {
    return (await this.#finished).code;
  }
}

const up = "\u001b[A";
const ctrlC = "\u0003";
const ctrlD = "\u0004";

test(
  "at a terminal: continued and pasted lines are one question, and Ctrl-D leaves",
  { skip: noTerminal },
  async () => {
    await using context = await setUp();
    const person = new Person(context.place, ["ceo"]);
    await person.sees(/> $/);
    person.types("one\\\r");
    await person.sees(/… $/);
    person.types("more\r");
    await person.sees(/saw 1[^]*turn 1 [^]*> $/);
    person.types("p1\rp2\rp3");
    await person.sees(/… p3$/);
    person.types("\r");
    await person.sees(/saw 3[^]*> $/);
    person.types("/help\r");
    await person.sees(/pasted lines stay together[^]*> $/);
    person.types(ctrlD);
    assert.equal(await person.exitCode(), 0);
    const questions = context.server.requests.map(({ messages }) => messages.at(-1)?.content);
    assert.deepEqual(questions, ["one\nmore", "p1\np2\np3"]);
  },
);

test(
  "at a terminal: Ctrl-C stops the answer, which is kept, and at the prompt, twice, it leaves",
  {
    skip: noTerminal,
  },
  async () => {
    await using context = await setUp(answers({ "long?": { kind: "hang", texts: ["so far"] } }));
    const { place } = context;
    const person = new Person(place, ["ceo"]);
    await person.sees(/> $/);
    person.types("long?\r");
    await person.sees(/so far$/);
    person.types(ctrlC);
    await person.sees(/stopped;.* turn 1\b[^]*> $/);
    person.types("short?\r");
    await person.sees(/saw 3[^]*> $/);
    person.types("never asked");
    await person.sees(/never asked$/);
    person.types(ctrlC);
    await person.sees(/> $/);
    person.types(ctrlC);
    await person.sees(/Ctrl-C again[^]*> $/);
    person.types(ctrlC);
    assert.equal(await person.exitCode(), 0);

    await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
    const [info] = (await sessions.list()).items;
    const turns = await Array.fromAsync((await sessions.get(info?.id ?? "")).turns());
    const kept = turns.map(({ status, output }) => [status, output[0]?.content]);
    assert.deepEqual(kept, [
      ["interrupted", "so far"],
      ["done", "saw 3"],
    ]);
  },
);

test("at a terminal: the arrow keys bring back questions of earlier days", { skip: noTerminal }, async () => {
  await using context = await setUp();
  const session = await begun(context.place);
  const person = new Person(context.place, ["ceo", "--session", session]);
  await person.sees(/1 turn so far[^]*> $/);
  person.types(up);
  await person.sees(/earlier\?$/);
  person.types("\r");
  await person.sees(/saw 3[^]*> $/);
  person.types("/exit\r");
  assert.equal(await person.exitCode(), 0);
  assert.equal(context.server.requests.at(-1)?.messages.at(-1)?.content, "earlier?");
});

test("at a terminal: a failed answer leaves the conversation open", { skip: noTerminal }, async () => {
  await using context = await setUp(answers({ "bad?": { kind: "status", status: 401 } }));
  const person = new Person(context.place, ["ceo"]);
  await person.sees(/> $/);
  person.types("bad?\r");
  await person.sees(/perdure: the model refused[^]*> $/);
  person.types("good?\r");
  await person.sees(/saw 1[^]*> $/);
  person.types(ctrlD);
  assert.equal(await person.exitCode(), 0);
});

test("at a terminal: an answer cannot move the cursor", { skip: noTerminal }, async () => {
  await using context = await setUp(() => ({ kind: "answer", texts: ["\u001b", "[2Jboo"] }));
  const person = new Person(context.place, ["ceo"]);
  await person.sees(/> $/);
  person.types("rude?\r");
  await person.sees(/boo[^]*> $/);
  person.types(ctrlD);
  await person.exitCode();
  assert.ok(!person.shown.includes("\u001b[2J"));
});

test("at a terminal: turns of another process are reported and shown", { skip: noTerminal }, async () => {
  await using context = await setUp();
  const session = await begun(context.place);
  const person = new Person(context.place, ["ceo", "--session", session]);
  await person.sees(/> $/);
  person.types("two?\r");
  await person.sees(/saw 3[^]*> $/);
  await context.place.run(["consult", "ceo", "three?", "--session", session]);
  person.types("four?\r");
  await person.sees(/another process added 1 turn[^]*saw 7[^]*> $/);
  person.types(ctrlD);
  assert.equal(await person.exitCode(), 0);
});

/** The id of a session in which `earlier?` was asked. */
async function begun(place: Workplace): Promise<string> {
  const { stdout } = await place.run(["consult", "ceo", "earlier?", "--json"]);
  return (JSON.parse(stdout) as { session: string }).session;
}

test("a chat resumes without its agent, hands off to another one, and names the agents where its own is gone", async () => {
  await using context = await setUp();
  const { place } = context;
  const sessions = await openSessions({ store: `sqlite:${join(place.folder, "perdure.db")}` });
  await sessions.create({ id: "s", agent: "ceo" });
  const [two, one] = [join(place.folder, "two.json"), join(place.folder, "one.json")];
  await writeFile(two, JSON.stringify({ ceo: {}, sales: {} }));
  await writeFile(one, JSON.stringify({ sales: {} }));
  const agents = ["--agents", two];
  const resumed = await place.run(["chat", "--session", "s", ...agents], { input: "one\n" });
  assert.equal(resumed.code, 0, resumed.stderr);
  const handed = await place.run(["chat", "--session", "s", "--agent", "sales", ...agents], { input: "two\n" });
  assert.equal(handed.code, 0, handed.stderr);
  const session = await sessions.get("s");
  const turns = await Array.fromAsync(session.turns());
  assert.deepEqual(
    turns.map(({ agent }) => agent),
    ["ceo", "sales"],
  );
  assert.equal((await session.activeAgent())?.agent, "sales");
  await session.endHandoff();
  for (const more of [[], ["--agent", "sales"]]) {
    const consulted = await place.run(["consult", "three?", "--session", "s", ...more, ...agents]);
    assert.equal(consulted.code, 0, consulted.stderr);
  }
  assert.equal((await session.activeAgent())?.agent, "sales");
  assert.deepEqual(
    (await Array.fromAsync(session.turns({ last: 2 }))).map(({ agent, input }) => [agent, input[0]?.content]),
    [
      ["ceo", "three?"],
      ["sales", "three?"],
    ],
  );
  await session.endHandoff();
  assert.equal((await place.run(["consult", "ceo"])).code, 2);
  assert.equal((await place.run(["consult", "ceo", "x", "--agent", "sales", ...agents])).code, 2);
  const refused = await place.run(["chat", "--session", "s", "--agents", one], { input: "three\n" });
  assert.match(refused.stderr, /agent "ceo" is not configured; configured agents: sales/);
  assert.equal((await place.run(["chat"], { input: "x\n" })).code, 2);
  assert.equal((await place.run(["chat", "ceo", "--agent", "sales", ...agents], { input: "x\n" })).code, 2);
  await sessions.close();
});
