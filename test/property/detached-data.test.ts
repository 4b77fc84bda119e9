/**
 * The same writes to two stores, of which one has the data inside messages beside them: every reader gets the same from both.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import * as fc from "../support/fast-check.ts";
import { doctor, importSessions, sweep } from "../../src/admin.ts";
import type { Message, ModelEvent, Session, Sessions, SessionsOptions, Value } from "../../src/index.ts";
import { coreOf, sessionsOn } from "../../src/sessions/sessions.ts";
import { openSqlite } from "../../src/store/sqlite/open.ts";
import { scriptedClock, type ScriptedClock } from "../../src/testing/scripted-clock.ts";
import { messageFormats } from "../../src/formats/registry.ts";
import { Engines } from "../crash/engines.ts";
import { inMemory } from "../support/in-memory.ts";
import { rounds } from "../support/rounds.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());
const day = 86_400_000;
const bytesMax = 150;

const bytes = fc
  .tuple(fc.constantFrom(10, 149, 151, 300, 2000), fc.nat(3))
  .map(([length, of]) => Buffer.alloc(length, of));
/** The parts of messages that hold data, as providers and frameworks write them. */
const part: fc.Arbitrary<Value> = bytes.chain((data): fc.Arbitrary<Value> => {
  const base64 = data.toString("base64");
  const url = `data:image/png;base64,${base64}`;
  return fc.constantFrom<Value>(
    { type: "text", text: "what is this?" },
    { type: "text", text: base64 },
    { type: "image_url", image_url: { url, detail: "low" } },
    { type: "input_image", image_url: url },
    { type: "input_audio", input_audio: { data: base64, format: "wav" } },
    { type: "file", file: { filename: "a.pdf", file_data: `data:application/pdf;base64,${base64}` } },
    { type: "file", mediaType: "image/png", data: base64 },
    { type: "file", mediaType: "image/png", url },
    { type: "image", image: new Uint8Array(data), mediaType: "image/png" },
    { type: "image", source: { type: "base64", media_type: "image/png", data: base64 } },
    { type: "document", source: { type: "base64", media_type: "application/pdf", data: base64 } },
    { inlineData: { mimeType: "image/png", data: base64 } },
    { type: "reasoning", signature: base64 },
    { type: "text", text: `attachment+data:image/png;sha256,${"a".repeat(64)}` },
  );
});
const content = fc.oneof(
  fc.array(part, { minLength: 1, maxLength: 3 }),
  bytes.map((data) => data.toString("base64")),
);
const question: fc.Arbitrary<Message> = content.map((of) => ({ role: "user", content: of }));
const answer: fc.Arbitrary<Message> = fc.oneof(
  content.map((of): Message => ({ role: "assistant", content: of })),
  fc.tuple(content, bytes).map(([of, data]): Message => {
    const native = { format: "anthropic", value: { role: "assistant", content: [data.toString("base64")] } };
    return { role: "assistant", content: of, native };
  }),
);

const act = fc.constantFrom(
  "append",
  "begin",
  "consult",
  "write",
  "log",
  "replace",
  "truncate",
  "archive",
  "sweep",
  "again",
);
const command = fc.record({ act, question, answer, after: fc.nat(3) });
type Command = typeof command extends fc.Arbitrary<infer C> ? C : never;

interface Place extends AsyncDisposable {
  readonly sessions: Sessions;
  readonly clock: ScriptedClock;
}

const places: readonly [string, (options: SessionsOptions) => Promise<Place>][] = [
  ["memory", async (options) => inMemory({ ttl: "never", ...options })],
  [
    "SQLite",
    async (options) => {
      const clock = scriptedClock();
      const url = await (await engines.get("SQLite")).fresh();
      const sessions = sessionsOn(await openSqlite({ url, clock }), { clock, sweep: false, ...options });
      return { sessions, clock, [Symbol.asyncDispose]: () => sessions.close() };
    },
  ],
];

for (const [name, open] of places)
  test(`every reader gets what a store gives that keeps data in messages: ${name}`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(command, { minLength: 1, maxLength: 8 }), async (commands) => {
        await using detaching = await open({ attachments: { inlineBytesMax: bytesMax } });
        await using plain = await open({});
        await Promise.all([run(detaching, commands), run(plain, commands)]);
        const given = await allOf(detaching.sessions);
        assert.deepEqual(given, await allOf(plain.sessions));
        const findings: string[] = [];
        await doctor(detaching.sessions, { onFinding: ({ what }) => void findings.push(what) });
        assert.deepEqual(findings, []);
        await guardSmall(detaching.sessions);
      }),
      // Each run of SQLite makes two files.
      { numRuns: name === "memory" ? rounds(120, 12) : rounds(24, 3) },
    );
  });

async function run({ sessions, clock }: Place, commands: readonly Command[]): Promise<void> {
  const session = await sessions.create({ id: "s" });
  for (const [number, one] of commands.entries()) {
    if (session.info.state === "archived" && one.act !== "archive") await session.unarchive();
    await take(session, one, number);
    // The turns of a sweep that comes late are still named.
    if (one.act === "sweep") {
      await clock.advance(70 * day);
      await sweep(sessions);
    }
  }
  const fork = await session.fork({ as: "fork" });
  await fork.append({ input: "after the fork" });
  const { present } = await importSessions(sessions, [JSON.stringify(await sessions.snapshot("s"))]);
  assert.equal(present, 1, "the same session is known again");
  await sessions.restore(await sessions.snapshot("s"), { as: "copy" });
}

async function take(session: Session, { act: what, question, answer, after }: Command, number: number): Promise<void> {
  const { turns } = session.info.counters;
  const turn = { input: [question], output: [answer] };
  switch (what) {
    case "append":
      await session.append(turn, { key: `k${number}` });
      return;
    case "again": {
      const first = await session.append(turn, { key: `k${number}` });
      assert.deepEqual(await session.append(turn, { key: `k${number}` }), first);
      assert.deepEqual(await session.turnByKey(`k${number}`), first);
      return;
    }
    case "begin": {
      const begun = await session.begin([question]);
      assert.deepEqual(begun.open.input, [question]);
      await begun.write({ message: answer });
      const sealed = await begun.seal();
      assert.deepEqual([sealed.input, sealed.output], [[question], [answer]]);
      return;
    }
    case "consult": {
      const model = async function* (request: { readonly messages: readonly Message[] }): AsyncGenerator<ModelEvent> {
        yield { type: "text", text: `${JSON.stringify(request.messages).length} characters` };
      };
      await (
        await session.consult([question], { model })
      ).done;
      return;
    }
    case "write":
      await session.write({
        turns: { turns: [turn, turn] },
        logs: { notes: { entries: [{ value: [question, answer] }] } },
      });
      return;
    case "log":
      await session.write({ logs: { notes: { entries: [{ value: answer }] } } });
      return;
    case "replace": {
      const begun = await session.begin([question], { after: Math.min(after, turns), keep: true });
      await begun.seal({ output: [answer] });
      return;
    }
    case "truncate":
      await session.truncate(Math.min(after, turns));
      return;
    case "archive":
      await (session.info.state === "archived" ? session.unarchive() : session.archive());
      return;
    case "sweep":
  }
}

/** What the readers of a store get. */
async function allOf(sessions: Sessions): Promise<unknown> {
  const all: Record<string, unknown> = {};
  for (const id of ["s", "fork", "copy"]) {
    const session = await sessions.get(id);
    const turns = await Array.fromAsync(session.turns());
    const formats: Record<string, unknown> = {};
    for (const { name } of messageFormats) formats[name] = await session.messages({ as: name });
    const branches = await session.branches();
    const { logs } = await sessions.snapshot(id);
    all[id] = {
      turns,
      formats,
      last: await Array.fromAsync(session.turns({ last: 2 })),
      kept: await Promise.all(branches.map((branch) => Array.fromAsync(session.turns({ branch: branch.id })))),
      logs: { ...logs, events: [] },
      listed: await session.attachments.list(),
      counters: session.info.counters,
    };
  }
  return all;
}

/** No stored entry of turns has more data than the limit, but in an archive. */
async function guardSmall(sessions: Sessions): Promise<void> {
  const session = await sessions.get("fork");
  const range = { log: "turns", from: 1, to: 1000, order: "ascending", limit: 1000 } as const;
  for (const { data } of await coreOf(sessions).asStored.store.read({ tenant: "default", id: session.id }, range))
    for (const [base64] of data.matchAll(/[A-Za-z0-9+/]{205,}/g)) assert.ok(base64.length < 205, base64.slice(0, 40));
}
