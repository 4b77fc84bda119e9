/**
 * Whatever an import accepts, the strictest endpoint accepts when the conversation goes on: conversations in every form, as
 * their programs write them, and with anything in them missing, doubled or of another type.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "../support/fast-check.ts";
import { openaiModel } from "../../src/adapters/openai.ts";
import { requestMessages } from "../../src/domain/request/model-request.ts";
import { unbounded } from "../../src/domain/request/window.ts";
import { openSessions, type Message, type Sessions } from "../../src/index.ts";
import { importText } from "../support/import-text.ts";
import { inMemory } from "../support/in-memory.ts";
import { startModelServer } from "../support/model-server.ts";
import { rounds } from "../support/rounds.ts";
import { refusal } from "../support/strict-endpoint.ts";
import { conversation } from "./conversations.ts";
import { writtenForms } from "./written-forms.ts";

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** One change of a value, at a place that the numbers choose. */
interface Damage {
  readonly path: readonly number[];
  /** `remove`, `double`, `swap`, or the value in its place. */
  readonly change: Json;
}

const damage: fc.Arbitrary<Damage> = fc.record(
  {
    path: fc.array(fc.nat(20), { minLength: 1, maxLength: 7 }),
    change: fc.constantFrom<Json[]>("remove", "double", "swap", null, "", " ", 7, true, {}, [], [null], "x"),
  },
  { noNullPrototype: true },
);

function damaged(value: Json, { path: [first = 0, ...path], change }: Damage): Json {
  if (typeof value !== "object" || value === null) return typeof change === "string" ? value : change;
  const entries: (readonly [string, Json])[] = Object.entries(value);
  if (entries.length === 0) return value;
  const at = first % entries.length;
  const [name, inner] = entries[at]!;
  const isHere = path.length === 0 || typeof inner !== "object" || inner === null;
  if (!isHere) entries[at] = [name, damaged(inner, { path, change })];
  else if (change === "remove") entries.splice(at, 1);
  else if (change === "double") entries.splice(at, 0, [Array.isArray(value) ? name : `${name}2`, inner]);
  else if (change === "swap") entries.unshift(...entries.splice(at, 1));
  else entries[at] = [name, change];
  return Array.isArray(value) ? entries.map(([, item]) => item) : Object.fromEntries(entries);
}

/** Why a strict endpoint refuses the next question of one of the sessions. */
async function refusalIn(sessions: Sessions): Promise<string | undefined> {
  for (const { id } of (await sessions.list({ limit: 100 })).items) {
    const session = await sessions.get(id);
    const turns = await Array.fromAsync(session.turns());
    const instructions = await session.instructions();
    const question: readonly Message[] = [{ role: "user", content: "And now?" }];
    const shown = requestMessages({ turns, question, instructions }, { window: unbounded });
    const reason = refusal(shown);
    if (reason !== undefined) return `${reason}: ${JSON.stringify(shown)}`;
  }
  return undefined;
}

const linesOf = (documents: readonly object[]): string => documents.map((one) => JSON.stringify(one)).join("\n");

for (const [name, write] of Object.entries(writtenForms)) {
  test(`${name}: whole conversations come in, and a strict endpoint answers them`, async () => {
    await fc.assert(
      fc.asyncProperty(conversation, async (written) => {
        await using place = inMemory();
        const text = linesOf(write(written));
        const report = await importText(place.sessions, text, { length: 4096 });
        assert.deepEqual([report.restored, report.reasons], [1, []], text);
        assert.equal(await refusalIn(place.sessions), undefined, text);
      }),
      { numRuns: rounds(20, 3) },
    );
  });

  test(`${name}: damaged conversations are refused with a code, or a strict endpoint answers them`, async () => {
    await fc.assert(
      fc.asyncProperty(conversation, fc.array(damage, { minLength: 1, maxLength: 3 }), async (written, changes) => {
        await using place = inMemory();
        const documents = changes.reduce<Json>(damaged, JSON.parse(JSON.stringify(write(written))) as Json);
        const text = linesOf(documents as readonly object[]);
        const report = await importText(place.sessions, text, { length: 4096 });
        const raw = report.reasons.find(
          ({ code, message }) => code === "internal" || /cannot be read as (?!JSON)/.test(message),
        );
        assert.equal(raw, undefined, text);
        assert.equal(await refusalIn(place.sessions), undefined, text);
      }),
      { numRuns: rounds(48, 6) },
    );
  });
}

test("imported conversations of every form go on at an endpoint that refuses what the strictest refuse", async () => {
  const known = new Set(["role", "content", "name", "tool_calls", "tool_call_id"]);
  await using server = await startModelServer(({ messages }) => {
    const unknown = messages.flatMap((message) => Object.keys(message)).find((field) => !known.has(field));
    const reason = unknown === undefined ? refusal(messages as readonly Message[]) : `unknown field ${unknown}`;
    if (reason !== undefined) return { kind: "status", status: 400, message: reason };
    return { kind: "answer", texts: ["Yes."] };
  });
  const model = openaiModel({ baseURL: server.baseURL, model: "m" });
  for (const [name, write] of Object.entries(writtenForms)) {
    await using sessions = await openSessions({ store: "memory:", sweep: false, model });
    const [written] = fc.sample(conversation, { numRuns: 1, seed: 19 });
    await importText(sessions, linesOf(write(written!)), { length: 4096 });
    const { items } = await sessions.list();
    assert.equal(items.length, 1, name);
    const session = await sessions.get(items[0]!.id);
    const answer = await session.consult("And now?");
    assert.equal(await answer.text(), "Yes.", name);
  }
});
