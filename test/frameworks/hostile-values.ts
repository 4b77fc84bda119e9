/**
 * Values that a contract cannot keep, ids of any text, and threads that grow, for the adapter of each framework: a value comes back as it was, or it is
 * refused by its name and nothing is stored. It never becomes another value.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openSessions, SessionError, type Sessions } from "../../src/index.ts";
import { callStore, storeBefore } from "../../src/store/calls/forwarding-store.ts";
import { openMemory } from "../../src/store/memory.ts";
import { inMemory } from "../support/in-memory.ts";
import { rounds } from "../support/rounds.ts";

/** An adapter on sessions: it stores a value under the id of a thread, and reads the values that the thread has. */
export interface Keeping {
  write(id: string, value: unknown): Promise<unknown>;
  read(id: string): Promise<readonly unknown[]>;
  /** Ends the turn with an answer, where values without one are all in one turn. */
  answer?(id: string): Promise<unknown>;
  /** The values are one state of the program, which it writes as a whole each time. */
  readonly isOneState?: true;
}

class Point {
  readonly x = 1;
}

const circle: { self?: unknown } = {};
circle.self = circle;

const values: Readonly<Record<string, unknown>> = {
  function: () => 1,
  "class instance": new Point(),
  symbol: Symbol("s"),
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  "invalid date": new Date(Number.NaN),
  cycle: circle,
  bigint: 10n,
  Map: new Map([["a", 1]]),
  Set: new Set([1]),
  "lone surrogate": "a\ud800b",
  "field named __proto__": JSON.parse('{"__proto__":{"a":1}}'),
};

const ids: readonly string[] = [
  "👩‍👩‍👧 family",
  "__proto__",
  "constructor",
  "x".repeat(300),
  `${"x".repeat(299)}y`,
  "a\ud800b",
  "a\ud801b",
  "a/b|c%d~e",
  "line\nbreak",
];

/** Errors of a value that is too large. */
const tooLarge: readonly string[] = ["value_unstorable", "write_too_large", "turn_too_large", "document_too_large"];

/** @param open the adapter on these sessions, anew for each test */
export function testsOfValues(adapter: string, open: (sessions: Sessions) => Promise<Keeping> | Keeping): void {
  for (const [name, value] of Object.entries(values))
    test(`${adapter} keeps a value as it is, or refuses it by its name and stores nothing: ${name}`, async () => {
      await using place = inMemory();
      const keeping = await open(place.sessions);
      await keeping.write("t", "before");
      const refused = await keeping.write("t", { some: { deep: value } }).then(
        () => undefined,
        (error: unknown) => error,
      );
      const stored = await (await open(place.another())).read("t");
      if (refused === undefined) {
        assert.deepStrictEqual(stored, ["before", { some: { deep: value } }]);
        return;
      }
      assert(refused instanceof SessionError, String(refused));
      assert.equal(refused.code, "value_unstorable", refused.message);
      assert.match(String(refused.details.path), /some\.deep/);
      assert.deepStrictEqual(stored, ["before"]);
    });

  test(`${adapter} refuses a value of more than 8 MiB, or keeps it whole`, async () => {
    await using place = inMemory();
    const keeping = await open(place.sessions);
    await keeping.write("t", "before");
    const value = "x".repeat(8 * 1024 * 1024 + 1);
    const refused = await keeping.write("t", value).then(
      () => undefined,
      (error: unknown) => error,
    );
    const stored = await (await open(place.another())).read("t");
    if (refused === undefined) assert(stored.length === 2 && stored[1] === value);
    else {
      assert(refused instanceof SessionError, String(refused));
      assert(tooLarge.includes(refused.code), refused.message);
      assert.deepStrictEqual(stored, ["before"]);
    }
  });

  test(`${adapter} writes as much for a value of a long thread as for one of a short thread`, async () => {
    const steps = rounds(240, 60);
    let [bytes, commits] = [0, 0];
    const memory = openMemory();
    const store = storeBefore(memory, (method, args) => {
      if (method === "commit") [bytes, commits] = [bytes + JSON.stringify(args).length, commits + 1];
      return callStore(memory, method, args);
    });
    await using sessions = await openSessions({ store, sweep: false });
    const keeping = await open(sessions);
    const costs: { readonly bytes: number; readonly commits: number }[] = [];
    for (let step = 0; step < steps; step++) {
      [bytes, commits] = [0, 0];
      await keeping.write("t", `value ${String(step).padStart(3, "0")}`);
      await keeping.answer?.("t");
      costs.push({ bytes, commits });
    }
    const third = Math.floor(steps / 3);
    const sumOf = (part: typeof costs, name: "bytes" | "commits"): number =>
      part.reduce((sum, cost) => sum + cost[name], 0);
    const [early, late] = [costs.slice(third, 2 * third), costs.slice(-third)];
    for (const name of keeping.isOneState ? (["commits"] as const) : (["bytes", "commits"] as const)) {
      const [before, after] = [sumOf(early, name), sumOf(late, name)];
      assert.ok(after < 1.2 * before, `${third} values: ${after} ${name}, ${before} before`);
    }
  });

  test(`${adapter} takes any text as the id of a thread, and each has its own values`, async () => {
    await using place = inMemory();
    const keeping = await open(place.sessions);
    for (const [index, id] of ids.entries()) await keeping.write(id, `value ${index}`);
    const other = await open(place.another());
    for (const [index, id] of ids.entries())
      assert.deepStrictEqual(await other.read(id), [`value ${index}`], JSON.stringify(id));
  });
}
