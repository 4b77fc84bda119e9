/**
 * One session in several frameworks: what each pair of them keeps, as docs/frameworks/README.md has it, sessions that one
 * begins and another one continues, and all of them in turns on one session, each in a process of its own. A framework takes
 * part by the `between.ts` of its folder.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test, type TestContext } from "node:test";
import { format } from "oxfmt";
import { fromFormat, openSessions, type Message, type Sessions } from "../../src/index.ts";
import { endsWithTest } from "../support/ends-with-test.ts";
import { inMemory } from "../support/in-memory.ts";
import { isThorough } from "../support/rounds.ts";
import { exchange, nameIn, sample, type Participant } from "./participant.ts";
import { participantModules, participantsOf, skip } from "./participants.ts";

const page = join(import.meta.dirname, "../../docs/frameworks/README.md");
/** A participant, and the module that exports it. */
interface Placed extends Participant {
  readonly module: string;
}

const all: Placed[] = [];
if (skip === false)
  for (const module of participantModules)
    for (const participant of await participantsOf(module)) all.push({ ...participant, module });
all.sort((a, b) => (a.name < b.name ? -1 : 1));

/** A session that `writer` has begun, as `reader` has it. */
interface Seen {
  readonly values: string;
  readonly messages: readonly Message[];
}

/** @param id the id of the session */
async function seenBy(reader: Participant, sessions: Sessions, id: string): Promise<Seen> {
  const name = nameIn(reader, id);
  const values = name === undefined ? [] : await reader.read(sessions, name);
  return { values: JSON.stringify(values), messages: fromFormat(values, reader.format) };
}

const callsIn = (messages: readonly Message[]): readonly unknown[] =>
  messages.flatMap(({ tool_calls: calls = [] }) =>
    calls.map(({ id, function: f }) => [id, f.name, JSON.parse(f.arguments)]),
  );

const textIn = ({ content }: Partial<Message> = {}): string =>
  typeof content === "string" ? content : JSON.stringify(content ?? "");

const resultOf = ({ messages }: Seen, id: string): Message | undefined =>
  messages.find(({ role, tool_call_id: call }) => role === "tool" && call === id);

/** The parts of a conversation that may survive, each with its proof. */
const features: Readonly<Record<string, (seen: Seen) => boolean>> = {
  text: ({ messages }) =>
    messages.some((one) => one.role === "user" && textIn(one).includes(sample.question)) &&
    messages.some((one) => one.role === "assistant" && textIn(one).includes(sample.answer)),
  "system messages": ({ messages }) =>
    messages.some((one) => one.role === "system" && textIn(one).includes(sample.system)),
  "names of users": ({ values }) => values.includes(`"name":"${sample.name}"`),
  calls: ({ messages }) => {
    const calls = JSON.stringify(callsIn(messages));
    return sample.calls.every(({ id, tool, input }) => calls.includes(JSON.stringify([id, tool, input])));
  },
  results: (seen) => textIn(resultOf(seen, sample.calls[0].id)).includes(sample.calls[0].result),
  "failed results": (seen) => {
    const result = resultOf(seen, sample.calls[1].id);
    // The AI SDK shows its clients another text.
    return result?.["is_error"] === true && textIn(result) !== "";
  },
  pictures: ({ values }) => values.includes(sample.picture.data),
  files: ({ values }) => values.includes(sample.file.data),
  "names of files": ({ values }) => values.includes(sample.file.name),
  reasoning: ({ values }) => values.includes(sample.reasoning),
  order: ({ values }) => {
    const [found] = sample.calls;
    const places = [sample.question, found.id, sample.answer, sample.thanks, sample.welcome].map((text) =>
      values.indexOf(text),
    );
    return places.every((place, index) => place >= 0 && place > (places[index - 1] ?? -1));
  },
};

/** The names of the features that a reader has of the session. */
async function featuresSeen(reader: Participant, sessions: Sessions, id: string): Promise<ReadonlySet<string>> {
  const seen = await seenBy(reader, sessions, id);
  return new Set(Object.keys(features).filter((name) => features[name]?.(seen) === true));
}

/** Whatever an adapter does to a session, its title, its active agent and the usage of its turns stay. */
async function factsOf(sessions: Sessions, id: string): Promise<object> {
  const { title, activeAgent } = (await sessions.get(id)).info;
  return { title, agent: activeAgent?.agent };
}

async function usagesOf(sessions: Sessions, id: string): Promise<readonly unknown[]> {
  return (await Array.fromAsync((await sessions.get(id)).turns())).map(({ usage }) => usage);
}

/** True where turns are the conversation of the adapter; the others keep transcripts of their own. */
async function sharesTurns(one: Participant): Promise<boolean> {
  await using place = inMemory();
  await one.begin(place.sessions, "s");
  return (await place.sessions.get(one.sessionOf("s"))).info.turn > 0;
}

const [sharing, apart]: [Placed[], Placed[]] = [[], []];
for (const one of all) ((await sharesTurns(one)) ? sharing : apart).push(one);

const readers = sharing.filter(({ readsOthers = true }) => readsOthers);

test(
  "docs/frameworks/README.md says what each framework reads of a session that another one has written",
  { skip },
  async () => {
    const lines: string[] = [];
    const link = ({ name, page: target }: Participant): string => `[${name}](${target})`;
    for (const writer of sharing) {
      await using place = inMemory();
      await writer.begin(place.sessions, "s");
      const id = writer.sessionOf("s");
      const own = await featuresSeen(writer, place.sessions, id);
      const seen = await Promise.all(readers.map((reader) => featuresSeen(reader, place.another(), id)));
      lines.push(`### ${writer.name} writes`, "");
      lines.push(`| | ${readers.map(({ name }) => name).join(" | ")} |`, `| --- |${" --- |".repeat(readers.length)}`);
      for (const name of Object.keys(features))
        if (own.has(name)) lines.push(`| ${name} | ${seen.map((one) => (one.has(name) ? "yes" : "–")).join(" | ")} |`);
      lines.push("");
    }
    const found = readFileSync(page, "utf8");
    const [before, after] = ["<!-- begin of the tables -->", "<!-- end of the tables -->"];
    const [head = "", rest = ""] = found.split(before);
    const [, tail = ""] = rest.split(after);
    const apartText = `Transcripts of their own, which no other framework reads: ${apart.map(link).join(", ")}.`;
    const text = [...(apart.length === 0 ? [] : [apartText, ""]), ...lines].join("\n");
    const { code: made } = await format(
      page,
      `${head}${before}\n\n${text}\n${after}${tail}`,
      JSON.parse(readFileSync(join(page, "../../../.oxfmtrc.json"), "utf8")),
    );
    // To be looked at in the diff of a commit that means to change it.
    if (process.env["PERDURE_WRITE_TABLES"] === "1") writeFileSync(page, made);
    assert.equal(made, readFileSync(page, "utf8"), "PERDURE_WRITE_TABLES=1 writes the page");
  },
);

for (const writer of all)
  test(
    `a session of ${writer.name} goes on in every other framework, and its own messages come back untouched`,
    { skip },
    async () => {
      for (const other of all) {
        if (other === writer) continue;
        await using place = inMemory({ agents: { assistant: {}, billing: {} } });
        await writer.begin(place.sessions, "s");
        const id = writer.sessionOf("s");
        const session = await place.sessions.get(id);
        await session.update({ title: "Parcels" });
        await session.handOff("billing", { ttl: "1h" });
        const [facts, usages] = [await factsOf(place.sessions, id), await usagesOf(place.sessions, id)];
        const own = await writer.read(place.another(), "s");
        const name = sharing.includes(writer) && sharing.includes(other) ? nameIn(other, id) : undefined;
        const more = exchange(1);
        // An adapter that keeps transcripts apart begins one of its own.
        await other.goOn(place.another(), name ?? "s", more);
        const label = `${writer.name}, then ${other.name}`;
        const again = await writer.read(place.another(), "s");
        assert.deepEqual(again.slice(0, own.length), own, label);
        assert.deepEqual(await factsOf(place.another(), id), facts, label);
        assert.deepEqual((await usagesOf(place.another(), id)).slice(0, usages.length), usages, label);
        if (name === undefined) continue;
        const messages = fromFormat(await (await place.another().get(id)).messages(), "openai");
        assert.deepEqual(callsIn(messages).at(-1), [more.call.id, more.call.tool, more.call.input], label);
        const result = messages.findLast(({ role }) => role === "tool");
        assert.equal(result?.tool_call_id, more.call.id, label);
        assert.equal(textIn(messages.at(-1)), more.answer, label);
        // A graph of LangGraph reads its own state alone.
        if (writer.name === "LangGraph") continue;
        const { messages: seen } = await seenBy(writer, place.another(), id);
        assert.ok(JSON.stringify(seen).includes(more.question) && JSON.stringify(seen).includes(more.answer), label);
        assert.deepEqual(callsIn(seen).at(-1), [more.call.id, more.call.tool, more.call.input], label);
      }
    },
  );

test("all frameworks take turns on one session, each in a process of its own", { skip }, async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-between-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const store = `sqlite:${join(folder, "between.db")}`;
  const open = sharing.filter((one) => nameIn(one, "s") !== undefined);
  const some = open.filter((_, index) => isThorough || index % 2 === 0);
  const workers = some.map((one) => worker(context, store, one));
  let n = 0;
  for (let round = 0; round < 2; round++) for (const goOn of workers) await goOn(++n);
  await using sessions = await openSessions({ store, sweep: false });
  const turns = await Array.fromAsync((await sessions.get("s")).turns());
  const expected = Array.from({ length: n }, (_, index) => exchange(index + 1));
  assert.deepEqual(
    turns.map(({ status, input, output }) => [
      status,
      ...input.map(textIn),
      callsIn(output),
      output.map(({ role }) => role),
      textIn(output.at(-1)),
    ]),
    expected.map(({ question, call, answer }) => [
      "done",
      question,
      [[call.id, call.tool, call.input]],
      ["assistant", "tool", "assistant"],
      answer,
    ]),
  );
  for (const reader of readers) {
    const { messages } = await seenBy(reader, sessions, "s");
    assert.deepEqual(
      callsIn(messages),
      expected.map(({ call }) => [call.id, call.tool, call.input]),
      reader.name,
    );
  }
});

/** A process of one framework: each call adds an exchange, and resolves when the process has acknowledged it. */
function worker(context: TestContext, store: string, { name, module }: Placed): (n: number) => Promise<void> {
  const child = endsWithTest(
    spawn(process.execPath, [join(import.meta.dirname, "between-worker.ts"), store, module, name], {
      stdio: ["pipe", "pipe", "inherit"],
    }),
  );
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  context.after(() => void child.kill());
  return async (n) => {
    child.stdin.write(`${n}\n`);
    const { value } = await Promise.race([
      lines.next(),
      once(child, "exit").then(() => assert.fail(`${name} has ended`)),
    ]);
    assert.equal(value, String(n), name);
  };
}
