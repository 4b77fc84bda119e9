import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as z from "zod";
import { inMemory } from "../../../test/support/in-memory.ts";
import { createNasty } from "../../../test/support/nasty-sessions.ts";
import { defaultLimits } from "../../domain/values/limits.ts";
import { SessionError } from "../../errors.ts";
import { takeSnapshot } from "../transfer/snapshots.ts";
import { coreOf } from "../sessions.ts";
import { Pauses } from "./pauses.ts";
import { readChunks, readSnapshot, type ReadSnapshot } from "./snapshot-reader.ts";
import { snapshotText } from "./snapshot-text.ts";
import type { Sessions } from "../sessions.ts";
import { truncatedUsageLog } from "../../domain/record/entry.ts";

/** In chunks of every size, so that each part is cut somewhere. */
const chunkLengths = [1, 7, 1000];

async function read(text: string, limits = defaultLimits): Promise<ReadSnapshot> {
  const context = { source: "the test's", limits };
  const length = chunkLengths[text.length % chunkLengths.length] ?? 1;
  const chunks = (): Iterable<string> =>
    Array.from({ length: Math.ceil(text.length / length) }, (_, index) =>
      text.slice(index * length, (index + 1) * length),
    );
  const outcome = async (reading: Promise<ReadSnapshot>): Promise<unknown> =>
    await reading.then(
      ({ record, inMemory }) => ({ record, logs: inMemory?.logs }),
      (error: unknown) => error,
    );
  if (text.length <= limits.snapshotBytesMax)
    assert.deepEqual(await outcome(readChunks(chunks, context)), await outcome(readSnapshot(text, context)));
  return await readSnapshot(text, context);
}

async function sample(): Promise<string> {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s", agent: "ceo", user: "ada", instructions: "Be brief." });
  await session.append({ input: "one", output: "1", durationMs: 20 }, { key: "a" });
  await session.handOff("cfo", { note: "numbers" });
  await session.append({ input: "two", output: "2", usage: { inputTokens: 1, outputTokens: 2, totalTokens: 3 } });
  return JSON.stringify(await place.sessions.snapshot("s"));
}

/** What the reader says against it. */
async function refusal(text: string): Promise<{ code: string; path: string; message: string }> {
  try {
    await read(text);
  } catch (error) {
    assert(error instanceof SessionError, String(error));
    const { path, line, column } = error.details as { path?: string; line?: number; column?: number };
    return { code: error.code, path: path ?? `${line}:${column}`, message: error.message };
  }
  assert.fail(`was read: ${text.slice(0, 500)}`);
}

async function nothingWritten(sessions: Sessions): Promise<void> {
  assert.deepEqual((await sessions.list()).items, []);
}

test("any byte flipped, anywhere, is refused with the place, and nothing is written", async () => {
  await using place = inMemory();
  const bytes = Buffer.from(await sample());
  for (let at = 0; at < bytes.length; at++) {
    const flipped = Buffer.from(bytes);
    flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
    await assert.rejects(
      place.sessions.restore(flipped),
      (error) => error instanceof SessionError && error.code.startsWith("snapshot_") && error.message.length > 40,
      `byte ${at}: ${flipped.toString()}`,
    );
  }
  await nothingWritten(place.sessions);
});

test("a text cut off anywhere is refused with line and column", async () => {
  const text = await sample();
  for (let length = 0; length < text.length; length += 7) {
    const { code, path } = await refusal(text.slice(0, length));
    assert.equal(code, "snapshot_invalid");
    assert.match(path, /^1:\d+$/);
  }
});

test("other spacing is the same snapshot; a name that occurs twice is refused with its place", async () => {
  const text = await sample();
  const pretty = JSON.stringify(JSON.parse(text), null, 2);
  assert.equal(snapshotText((await read(pretty)).inMemory ?? assert.fail()).text, text);
  const twice = pretty.replace('"agent": "ceo",', '"agent": "ceo",\n    "agent": "ceo",');
  assert.deepEqual(await refusal(twice), {
    code: "snapshot_invalid",
    path: "6:5",
    message: 'the test\'s cannot be read as JSON: line 6, column 5: the name "agent" occurs twice',
  });
  const deep = text.replace('"content":"one"', '"content":"one","content":"one"');
  assert.match((await refusal(deep)).message, /occurs twice/);
});

test("a snapshot of a newer format is snapshot_newer, another document is snapshot_invalid", async () => {
  const text = await sample();
  const newer = text.replace("perdure.session/1", "perdure.session/2");
  await assert.rejects(read(newer), {
    code: "snapshot_newer",
    details: { source: "the test's", found: "perdure.session/2", known: "perdure.session/1" },
  });
  assert.equal((await refusal(text.replace("perdure.session/1", "other/1"))).path, "format");
  for (const other of ["null", "[]", "1", '"text"', "{}"])
    assert.equal((await refusal(other)).code, "snapshot_invalid");
  const foreign = await refusal('{"id":"a","messages":[]}');
  assert.match(
    foreign.message,
    /^the test's is \{ id, messages \}: no document of the format perdure\.session\/1; import/,
  );
});

test("nesting of 10 000 levels is refused, in the text and in an object", async () => {
  await using place = inMemory();
  const text = await sample();
  const deep = `${"[".repeat(10_000)}${"]".repeat(10_000)}`;
  assert.match((await refusal(text.replace('"metadata":{}', `"metadata":{"a":${deep}}`))).message, /nested/);
  assert.match((await refusal(text.replace('"content":"one"', `"content":${deep}`))).message, /nested/);
  assert.equal((await refusal(deep)).code, "snapshot_invalid");
  const object = JSON.parse(text.replace('"content":"one"', `"content":${deep}`)) as never;
  await assert.rejects(place.sessions.restore(object), { code: "snapshot_invalid" });
  await nothingWritten(place.sessions);
});

test("a snapshot over the limit is refused before it is parsed", async () => {
  const text = await sample();
  const bytes = Buffer.byteLength(text);
  await assert.rejects(read(text, { ...defaultLimits, snapshotBytesMax: bytes - 1 }), {
    code: "snapshot_too_large",
    details: { source: "the test's", bytes, bytesMax: bytes - 1 },
  });
});

test("a turn with more tool calls than the limit is refused with its place", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const call = { id: "a", function: { name: "f", arguments: "{}" } };
  await session.append({ input: "q", output: [{ role: "assistant", tool_calls: [call, call, call] }] });
  const text = JSON.stringify(await place.sessions.snapshot("s"));
  await read(text, { ...defaultLimits, toolCallsMax: 3 });
  await assert.rejects(read(text, { ...defaultLimits, toolCallsMax: 2 }), {
    code: "snapshot_invalid",
    message: /logs\.turns\[0\]\.data has 3 tool calls; expected at most 2 tool calls/,
  });
});

test("bytes that are not UTF-8 and values that are no document are refused", async () => {
  await using place = inMemory();
  for (const odd of [new Uint8Array([0xff, 0xfe]), undefined, null, 7n, () => 1, { toJSON: () => "x" }]) {
    await assert.rejects(place.sessions.restore(odd as never), { code: "snapshot_invalid" });
  }
});

test("a tag that does not fit its value is refused", async () => {
  const text = await sample();
  for (const tag of [
    '{"$type":"date","value":"soon"}',
    '{"$type":"regexp","value":"x"}',
    '{"$type":"bigint","value":"1.5"}',
    '{"$type":"bytes","value":"*"}',
    '{"$type":null}',
  ])
    assert.match((await refusal(text.replace('"content":"one"', `"content":${tag}`))).path, /^logs\.turns\[0\]\.data/);
});

test("a header that differs from the logs is refused", async () => {
  const text = await sample();
  const wrong: [string, string, string][] = [
    ['"turns":2,"messages":4', '"turns":3,"messages":4', "session.counters.turns"],
    ['"turns":2,"messages":4', '"turns":2,"messages":5', "session.counters.messages"],
    ['"messagesBefore":2', '"messagesBefore":2000000', "logs.turns[1].data.messagesBefore"],
    ['"openTurn":null', '"openTurn":2', "logs.turns[1].data.status"],
    ['"openTurn":null', '"openTurn":9', "session.openTurn"],
    ['"status":"done"', '"status":"open"', "logs.turns[0].data.output"],
    [
      '"seq":2,"key":null,"at":1750000000000,"data":{"status"',
      '"seq":3,"key":null,"at":1750000000000,"data":{"status"',
      "logs.turns[1].seq",
    ],
    [
      '"key":null,"at":1750000000000,"data":{"status"',
      '"key":"a","at":1750000000000,"data":{"status"',
      "logs.turns[1].key",
    ],
  ];
  for (const [from, to, path] of wrong) {
    assert(text.includes(from), `${from} stands in ${text}`);
    assert.equal((await refusal(text.replace(from, to))).path, path);
  }
});

test("a number, a time or a text beyond its range is refused with its place, whatever the checksum says", async () => {
  const document = JSON.parse(await sample()) as never;
  const at = (path: string, value: unknown): [string, unknown] => [path, value];
  const wrong = [
    at("session.ttlMs", Number.MAX_SAFE_INTEGER),
    at("session.maxAgeMs", 3_153_600_000_001),
    ...["stateSince", "createdAt", "lastActivityAt", "maxAgeFrom", "floor.lockedAt", "floor.expiresAt"].map((name) =>
      at(`session.${name}`, 8_640_000_000_000_000),
    ),
    at("session.floor.note", "n".repeat(4001)),
    at("session.inherited", 3),
    at("session.hold", { reason: "r".repeat(4001), at: 0 }),
    at("session.counters.totalTokens", 2 ** 53 - 1),
    at("session.counters.requests", 0.5),
    at("logs.turns.0.at", 2 ** 53 - 1),
    at("logs.turns.1.data.usage.inputTokens", 1.5),
    at("logs.turns.1.data.usage.totalTokens", 2 ** 52),
    at("logs.turns.0.data.durationMs", 1e308),
    at("logs.turns.0.data.model", "m\u0000"),
    at("logs.turns.0.data.steps", [{}]),
    at("logs.turns.0.data.error", "no"),
    at("logs.events.0.data.type", 5),
    at("logs.events.0.data.heldMs", "1"),
    at("logs.chunks", [{ seq: 1, key: null, at: 0, data: {} }]),
    at(`logs.${truncatedUsageLog}`, [{ seq: 1, key: null, at: 0, data: { agent: "a" } }]),
  ];
  for (const [path, value] of wrong) {
    const changed: unknown = JSON.parse(JSON.stringify(document));
    put(changed, path.split("."), value);
    const { path: place, message } = await refusal(JSON.stringify(changed));
    assert.notEqual(place, "checksum", `${path}: ${message}`);
  }
});

test("an inconsistent open turn is refused", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await session.begin("q");
  const text = JSON.stringify(await place.sessions.snapshot("s"));
  assert.equal((await read(text)).record.openTurn, 1);
  for (const state of ["ended", "archived"])
    assert.equal((await refusal(text.replace('"state":"active"', `"state":"${state}"`))).path, "session.openTurn");
  const answered = text
    .replace('"output":[]', '"output":[{"role":"assistant"}]')
    .replace('"messages":1', '"messages":2');
  assert.equal((await refusal(answered)).path, "logs.turns[0].data.output");
});

test("the published schema and the reader agree on valid snapshots and on every wrong type in every place", async () => {
  const file = new URL("../../../docs/reference/schema/session-1.schema.json", import.meta.url);
  const schema = z.fromJSONSchema(JSON.parse(readFileSync(file, "utf8")) as never);
  await using place = inMemory();
  for (const id of await createNasty(place.sessions)) {
    assert.equal(schema.safeParse(await place.sessions.snapshot(id)).error, undefined, id);
  }
  const document = JSON.parse(await sample()) as never;
  let refused = 0;
  for (const path of pathsIn(document, [])) {
    for (const wrong of [null, -1, 1.5, "", {}, [], true]) {
      const changed: unknown = JSON.parse(JSON.stringify(document));
      put(changed, path, wrong);
      if (schema.safeParse(changed).success) continue;
      refused++;
      const { path: place } = await refusal(JSON.stringify(changed));
      if (path[0] !== "checksum") assert.notEqual(place, "checksum", `${path.join(".")} as ${JSON.stringify(wrong)}`);
    }
  }
  assert(refused > 300, `${refused} were refused`);
});

/** The places of a document, from its fields to its leaves. */
function pathsIn(value: unknown, path: readonly string[]): string[][] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) => [[...path, name], ...pathsIn(inner, [...path, name])]);
}

function put(document: unknown, path: readonly string[], value: unknown): void {
  const [name = "", ...rest] = path;
  const fields = document as Record<string, unknown>;
  if (rest.length === 0) fields[name] = value;
  else put(fields[name], rest, value);
}

test("a snapshot is taken and read with a turn of the event loop after each half a million characters", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  for (let turn = 0; turn < 60; turn++) await session.append({ input: "x".repeat(100_000) });
  const snapshot = await place.sessions.snapshot("s");
  const text = JSON.stringify(snapshot);
  const options = { source: "the test's", limits: defaultLimits };
  const work: Record<string, (pauses: Pauses) => Promise<unknown>> = {
    "take a snapshot": (pauses) => takeSnapshot(coreOf(place.sessions), { tenant: "default", id: "s" }, pauses),
    "read a text": (pauses) => readSnapshot(text, { ...options, pauses }),
    "read bytes": (pauses) => readSnapshot(Buffer.from(text), { ...options, pauses }),
    "read an object": (pauses) => readSnapshot(snapshot, { ...options, pauses }),
    "read entries": async (pauses) => {
      const read = await readSnapshot(text, { ...options, pauses });
      for await (const _ of read.entries()) continue;
    },
  };
  for (const [name, run] of Object.entries(work)) {
    const pauses = new CountedPauses();
    await run(pauses);
    assert.ok(pauses.count >= 10, `${name}: ${pauses.count} turns of the event loop`);
    assert.ok(pauses.longest < 800_000, `${name}: ${pauses.longest} characters without one`);
  }
});

/** Counts the characters of work between two turns of the event loop. */
class CountedPauses extends Pauses {
  count = 0;
  longest = 0;
  #since = 0;

  constructor() {
    super(async () => {
      this.count++;
      this.#since = 0;
    });
  }

  override async after(characters: number): Promise<void> {
    this.#since += characters;
    this.longest = Math.max(this.longest, this.#since);
    await super.after(characters);
  }
}

test("a snapshot with a reserved log, or with too many named logs, is refused with its place, and nothing is written", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await session.write({ logs: { facts: { entries: [{ value: 1 }] } } });
  const text = JSON.stringify(await place.sessions.snapshot("s"));
  await session.remove();
  const entries = /"facts":(\[[^\]]*\])/.exec(text)?.[1] ?? assert.fail();
  const withLogs = (names: readonly string[]): string =>
    text.replace(/"facts":\[[^\]]*\]/, names.map((name) => `"${name}":${entries}`).join());
  assert.equal((await refusal(withLogs(["perdure-x"]))).path, "logs.perdure-x");
  const many = Array.from({ length: 17 }, (_, n) => `log${n}`).toSorted();
  const refused = await refusal(withLogs(many));
  assert.deepEqual([refused.code, refused.path], ["snapshot_invalid", "logs"]);
  assert.match(refused.message, /at most 16 items/);
  await assert.rejects(place.sessions.restore(withLogs(["perdure-x"])), { code: "snapshot_invalid" });
  await assert.rejects(place.sessions.restore(withLogs(many)), { code: "snapshot_invalid" });
  await nothingWritten(place.sessions);
});

test("entries of named logs and instructions that are larger than a turn go through a snapshot", async () => {
  await using place = inMemory({ limits: { turnBytesMax: 500, entryBytesMax: 2000, instructionsLengthMax: 2000 } });
  const session = await place.sessions.create({ id: "s", instructions: "\u0001".repeat(1900) });
  await session.write({ logs: { notes: { entries: [{ value: "x".repeat(1900) }] } } });
  const text = JSON.stringify(await place.sessions.snapshot("s"));
  await place.sessions.restore(text, { onExists: "replace" });
  assert.equal(JSON.stringify(await place.sessions.snapshot("s")), text);
});
