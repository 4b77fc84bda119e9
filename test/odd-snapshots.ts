/** Snapshots with one odd value each, offered to a store: refused, or taken without harm to anything else of the tenant. */
import assert from "node:assert/strict";
import { SessionError } from "../src/errors.ts";
import type { Sessions } from "../src/sessions/sessions.ts";
import { inMemory } from "./support/in-memory.ts";
import { doctor, sweep, exportSessions, stats as statsOf } from "../src/admin.ts";

const huge = 100_000;
const oddValues: readonly unknown[] = [
  null,
  true,
  false,
  "",
  " ",
  "NaN",
  "Infinity",
  "-1",
  "0",
  "1.5",
  "2026-01-01T00:00:00Z",
  "x".repeat(huge),
  "\u202eabc\u202c",
  "\u2066abc",
  "\u0000",
  "\ud800",
  "\u001b[2J",
  "__proto__",
  "constructor",
  ".",
  "..",
  "a/../b",
  "ended",
  "archived",
  "open",
  0,
  -0,
  1,
  -1,
  2,
  0.5,
  1.5,
  5e-324,
  1e21,
  1e308,
  -1e308,
  2 ** 31,
  2 ** 32,
  2 ** 52,
  2 ** 53 - 1,
  2 ** 53,
  -(2 ** 53),
  2 ** 63,
  8_640_000_000_000_000,
  8_640_000_000_000_001,
  -8_640_000_000_000_001,
  253_402_300_800_000,
  3_153_600_000_000,
  3_153_600_000_001,
  [],
  [null],
  [[]],
  [{}],
  {},
  { $type: "date", value: "soon" },
  { $type: "bigint", value: "1" },
  { $type: "number", value: "-0" },
  JSON.parse(`{"__proto__":1}`),
  { role: "assistant" },
  { text: 1 },
];

type Place = readonly (string | number)[];

/** Snapshots that have something in every field and every log. */
async function samples(): Promise<readonly string[]> {
  await using place = inMemory();
  const session = await place.sessions.create({
    id: "s",
    agent: "ceo",
    user: "ada",
    metadata: { a: 1, when: new Date(0) },
    instructions: "Be brief.",
    budget: { tokens: 1_000_000, turns: 100 },
    maxAge: "90d",
  });
  const usage = { inputTokens: 1, outputTokens: 2, totalTokens: 3 };
  await session.append({ input: "cut", output: "off", usage, durationMs: 5 });
  await session.truncate(0);
  await session.append({ input: "one", output: "1", usage, model: "m", durationMs: 20 }, { key: "k" });
  await session.handOff("cfo", { note: "numbers" });
  await session.setLegalHold("a lawsuit");
  const done = await session.begin("two");
  const steps = [1, 2].map((durationMs) => ({ model: "m", usage, durationMs }));
  const call = { id: "c", function: { name: "look", arguments: "{}" } };
  const output = [{ role: "assistant", content: null, tool_calls: [call] } as const];
  await done.seal({
    status: "failed",
    output,
    usage,
    requests: 2,
    steps,
    error: { code: "model_failed", message: "no" },
  });
  const open = await session.begin("three");
  await open.write({ text: "so far".repeat(2000) });
  await open.write({ message: { role: "tool", tool_call_id: "c", content: "x".repeat(9000) } });
  const first = JSON.stringify(await place.sessions.snapshot("s"));
  await open.seal();
  const fork = await session.fork({ at: 2, as: "f" });
  await fork.append({ input: "on" });
  return [first, JSON.stringify(await place.sessions.snapshot("f"))];
}

function placesIn(value: unknown, place: Place = []): Place[] {
  if (typeof value !== "object" || value === null) return [];
  const entries: [string | number, unknown][] = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return entries.flatMap(([name, inner]) => [[...place, name], ...placesIn(inner, [...place, name])]);
}

function put(document: unknown, [name = "", ...rest]: Place, value: unknown): void {
  const fields = document as Record<string | number, unknown>;
  if (rest.length > 0) put(fields[name], rest, value);
  else Object.defineProperty(fields, name, { value, enumerable: true, configurable: true, writable: true });
}

/** As a text, with a checksum that fits: the reader itself says which one that is. */
async function restored(sessions: Sessions, document: { checksum: string }, as: string): Promise<boolean> {
  for (let attempt = 1; ; attempt++) {
    try {
      await sessions.restore(JSON.stringify(document), { as });
      return true;
    } catch (error) {
      assert(error instanceof SessionError, `an untyped error: ${String(error)}`);
      if (error.code === "id_invalid") return false;
      assert.match(error.code, /^snapshot_/);
      const { path, known } = error.details as { readonly path?: string; readonly known?: readonly string[] };
      const [checksum] = known ?? [];
      if (path !== "checksum" || checksum === undefined || attempt > 1) return false;
      document.checksum = checksum;
    }
  }
}

/** Everything that reads more than one session of the tenant. */
async function passes(sessions: Sessions): Promise<void> {
  for (let after: { after?: string } = {}; ;) {
    const page = await sessions.list({ limit: 50, ...after });
    for (const info of page.items)
      for (const at of [info.createdAt, info.lastActivityAt, info.expiresAt]) at?.toISOString();
    assert.equal(page.unreadable, undefined);
    if (page.next === undefined) break;
    after = { after: page.next };
  }
  await sessions.count({ state: ["active", "expired"] });
  const stats = await statsOf(sessions, { by: ["agent", "session", "user", "model", "day", "hour"] });
  assert.deepEqual(stats.unreadable, { sessions: 0, entries: 0 });
  const events = await sessions.listEvents({ limit: 1000 });
  for (const { at } of events.items) new Date(at).toISOString();
  assert.equal(events.unreadable, undefined);
  await Array.fromAsync(sessions.eachEvent());
  await Array.fromAsync(exportSessions(sessions));
  const report = await sweep(sessions, { retention: "1ms", rows: 100_000, time: "10m" });
  assert.deepEqual(report.failures, []);
  await doctor(sessions);
}

/** Offer `count` of them, chosen by chance; all passes are run each time some more were taken, and at the end. */
export async function offerOdd(
  sessions: Sessions,
  { chance, count }: { readonly chance: () => number; readonly count: number },
): Promise<{ readonly taken: number; readonly refused: number }> {
  const pick = <T>(items: readonly T[]): T => items[Math.floor(chance() * items.length)] as T;
  const texts = await samples();
  const places = texts.map((text) => placesIn(JSON.parse(text)));
  let taken = 0;
  for (let offered = 0; offered < count; offered++) {
    const sample = Math.floor(chance() * texts.length);
    const document = JSON.parse(texts[sample] ?? "") as { checksum: string };
    const place = pick(places[sample] ?? []);
    const value = pick(oddValues);
    put(document, place, structuredClone(value));
    const id = `gift ${offered}`;
    try {
      if (await restored(sessions, document, id)) {
        taken++;
        for await (const _ of (await sessions.get(id)).turns()) continue;
        if (taken % 50 === 0) await passes(sessions);
      }
    } catch (error) {
      throw new Error(`${place.join(".")} as ${(JSON.stringify(value) ?? "").slice(0, 80)}`, { cause: error });
    }
  }
  await passes(sessions);
  return { taken, refused: count - taken };
}
