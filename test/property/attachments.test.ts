/**
 * Random puts, turns, forks, truncations, removals, snapshots and sweeps of several sessions, against a model of references: which
 * session has which content, and which of them its entries name.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import * as fc from "../support/fast-check.ts";
import { doctor, sweep } from "../../src/admin.ts";
import { folder, hasCode, type Session, type Sessions } from "../../src/index.ts";
import { coreOf, sessionsOn } from "../../src/sessions/sessions.ts";
import { openSqlite } from "../../src/store/sqlite/open.ts";
import { scriptedClock } from "../../src/testing/scripted-clock.ts";
import { Engines } from "../crash/engines.ts";
import { inMemory } from "../support/in-memory.ts";
import { rounds } from "../support/rounds.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

const day = 86_400_000;
const contentCount = 4;

/** A session: the contents that it has, and those that its turns name, turn by turn. */
interface Model {
  readonly has: Set<number>;
  turns: (readonly number[])[];
}

const which = fc.nat(2);
const content = fc.nat(contentCount - 1);
const command = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constantFrom("put" as const, "append" as const), which, content }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("truncate" as const, "remove" as const), which, content }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("fork" as const, "restore" as const), which, content }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("wait" as const, "archive" as const), which, content }) },
);
type Command = typeof command extends fc.Arbitrary<infer C> ? C : never;

function bytesOf(content: number): Uint8Array {
  return Buffer.alloc(content === 3 ? 400_000 : 100, `content ${content} `);
}

function hashOf(content: number): string {
  return createHash("sha256").update(bytesOf(content)).digest("hex");
}

async function referenceTo(session: Session, content: number): Promise<unknown> {
  return (await session.attachments.get(hashOf(content))).part;
}

interface Place extends AsyncDisposable {
  readonly sessions: Sessions;
  readonly clock: ReturnType<typeof scriptedClock>;
}

const files = await mkdtemp(join(tmpdir(), "perdure-objects-"));
after(() => rm(files, { recursive: true }));
let folders = 0;

const places: readonly [string, () => Promise<Place>][] = [
  ["memory", async () => inMemory({ ttl: "never" })],
  [
    "memory and a folder",
    async () => inMemory({ ttl: "never", attachments: { in: folder(join(files, `${folders++}`)) } }),
  ],
  [
    "SQLite",
    async () => {
      const clock = scriptedClock();
      const url = await (await engines.get("SQLite")).fresh();
      const sessions = sessionsOn(await openSqlite({ url, clock }), { clock, sweep: false });
      return { sessions, clock, [Symbol.asyncDispose]: () => sessions.close() };
    },
  ],
];

for (const [name, open] of places) {
  test(`every session opens the attachments that it has, and no bytes stay without one: ${name}`, async () => {
    const commands = fc.array(command, { minLength: 5, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(commands, (given) => run(given, open)),
      { numRuns: rounds(60, 4) },
    );
  });
}

async function run(commands: readonly Command[], open: () => Promise<Place>): Promise<void> {
  await using place = await open();
  const { sessions } = place;
  const models = new Map<string, Model>();
  let made = 0;
  for (const step of commands) {
    const id = `s${step.which}`;
    if (!models.has(id)) {
      await sessions.create({ id, agent: "a" });
      models.set(id, { has: new Set(), turns: [] });
    }
    await take(step, id, { place, models, made: made++ });
  }
  await guard(sessions, models);
  for (const id of models.keys()) await (await sessions.get(id)).remove();
  assert.deepEqual(await countsOf(sessions), [0, 0]);
}

interface Run {
  readonly place: Place;
  readonly models: Map<string, Model>;
  readonly made: number;
}

async function take({ do: action, content }: Command, id: string, { place, models, made }: Run): Promise<void> {
  const { sessions, clock } = place;
  const model = models.get(id)!;
  const session = await sessions.get(id);
  const isArchived = session.info.state === "archived";
  switch (action) {
    case "put":
      if (isArchived) return;
      await session.attachments.put(bytesOf(content), { type: "a/b" });
      model.has.add(content);
      return;
    case "append": {
      if (isArchived) return;
      const message = { role: "user" as const, content: [{ type: "file", file: { file_data: reference(content) } }] };
      if (!model.has.has(content)) {
        await assert.rejects(session.append({ input: [message] }), (error) => hasCode(error, "attachment_not_found"));
        return;
      }
      await session.append({ input: [message] });
      model.turns.push([content]);
      return;
    }
    case "truncate":
      if (isArchived || model.turns.length === 0) return;
      await session.truncate(model.turns.length - 1);
      model.turns.pop();
      return;
    case "remove":
      await session.remove();
      models.delete(id);
      return;
    case "fork": {
      if (isArchived) return;
      const fork = await session.fork({ as: `fork${made}` });
      models.set(fork.id, { has: new Set(model.has), turns: [...model.turns] });
      return;
    }
    case "restore": {
      const restored = await sessions.restore(await sessions.snapshot(id), { as: `copy${made}` });
      models.set(restored.id, { has: new Set(model.has), turns: [...model.turns] });
      return;
    }
    case "archive":
      await (isArchived ? session.unarchive() : session.archive());
      return;
    case "wait":
      await clock.advance(70 * day);
      await sweep(sessions);
      // What no turn names is gone.
      for (const one of models.values())
        for (const has of one.has) if (!one.turns.flat().includes(has)) one.has.delete(has);
  }
}

function reference(content: number): string {
  return `attachment:a/b;sha256,${hashOf(content)}`;
}

async function guard(sessions: Sessions, models: ReadonlyMap<string, Model>): Promise<void> {
  const stored = new Set<number>();
  let references = 0;
  for (const [id, { has, turns }] of models) {
    const session = await sessions.get(id);
    const listed = await session.attachments.list();
    assert.deepEqual(listed.map(({ hash }) => hash).sort(), [...has].map(hashOf).sort(), id);
    for (const content of turns.flat()) assert(has.has(content));
    for (const content of has) {
      const read = Buffer.concat(await Array.fromAsync(await session.attachments.open(hashOf(content))));
      assert(read.equals(bytesOf(content)));
      assert.notEqual(await referenceTo(session, content), undefined);
      stored.add(content);
    }
    references += has.size;
  }
  assert.deepEqual(await countsOf(sessions), [stored.size, references]);
  const findings: string[] = [];
  await doctor(sessions, { onFinding: ({ what }) => void findings.push(what) });
  assert.deepEqual(findings, []);
}

async function countsOf(sessions: Sessions): Promise<readonly number[]> {
  const { store } = coreOf(sessions);
  const count = async (kind: string): Promise<number> => await store.count({ tenant: `default\u0001${kind}`, now: 0 });
  return [await count("contents"), await count("attachments")];
}
