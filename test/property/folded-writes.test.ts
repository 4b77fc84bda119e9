/** Random calls at once, whose writes fold into shared commits, against the same calls one after the other. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turnOfTheLoop } from "node:timers/promises";
import * as fc from "../support/fast-check.ts";
import { doctor } from "../../src/admin.ts";
import { hasCode, SessionError, type Session } from "../../src/index.ts";
import { inMemory, type InMemory } from "../support/in-memory.ts";
import { rounds } from "../support/rounds.ts";

type Call =
  | { readonly do: "append" | "keyed"; readonly text: string; readonly key: string }
  | {
      readonly do: "write";
      readonly turns: readonly string[];
      readonly notes: readonly { key: string | null; value: number }[];
    }
  | { readonly do: "replace"; readonly key: string; readonly value: number }
  | { readonly do: "update"; readonly field: string; readonly value: number }
  | { readonly do: "touch" | "tooLarge" | "user" | "truncate"; readonly text: string };

const text = fc.string({ minLength: 1, maxLength: 3, unit: "grapheme-ascii" });
// So few keys that they come back.
const key = fc.constantFrom("k1", "k2", "k3", "k4");
const plain = { noNullPrototype: true } as const;
const call = fc.oneof(
  { arbitrary: fc.record({ do: fc.constantFrom("append", "append", "keyed"), text, key }, plain), weight: 4 },
  {
    arbitrary: fc.record(
      {
        do: fc.constant("write"),
        turns: fc.array(text, { maxLength: 2 }),
        notes: fc.array(fc.record({ key: fc.option(key), value: fc.nat(99) }, plain), { maxLength: 3 }),
      },
      plain,
    ),
    weight: 4,
  },
  fc.record({ do: fc.constant("replace"), key, value: fc.nat(99) }, plain),
  fc.record({ do: fc.constant("update"), field: key, value: fc.nat(99) }, plain),
  fc.record({ do: fc.constantFrom("touch", "tooLarge", "user", "truncate"), text }, plain),
) as fc.Arbitrary<Call>;
/** What happens to a commit. `foreign`: another process changes the session first; `lost`: its answer does not arrive. */
const fate = fc.constantFrom("lands", "lands", "lands", "foreign", "fails", "lost");
const batches = fc.array(fc.array(call, { minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 5 });

/** The result without what differs from session to session: the times. */
async function outcomeOf(session: Session, call: Call): Promise<unknown> {
  try {
    switch (call.do) {
      case "append":
        return (await session.append({ input: call.text })).seq;
      case "keyed":
        return (await session.append({ input: call.text }, { key: call.key })).seq;
      case "write": {
        const entries = call.notes.map(({ key: named, value }) => (named === null ? { value } : { key: named, value }));
        const turns = call.turns.map((input) => ({ input }));
        const outcome = await session.write({ turns: { turns }, logs: { notes: { entries } } });
        // Which of several repeated keys it names depends on what was read.
        if (outcome.status !== "ok") return outcome.status;
        return [outcome.turns.map(({ seq }) => seq), outcome.logs];
      }
      case "replace": {
        const { key: named, value } = call;
        const outcome = await session.write({
          logs: { notes: { entries: [{ key: named, value, ifPresent: "replace" }] } },
        });
        return [outcome.status, outcome.status === "ok" && outcome.logs];
      }
      case "update":
        return await session.update({ metadata: { [call.field]: call.value } });
      case "touch":
        return await session.touch();
      case "tooLarge":
        return await session.append({ input: "x".repeat(3000) });
      case "user":
        return await session.update({ user: call.text.trim() === "" ? null : `u${call.text.codePointAt(0)}` });
      case "truncate":
        return await session.truncate(1);
    }
  } catch (error) {
    if (error instanceof SessionError) return error.code;
    throw error;
  }
}

async function contentOf({ sessions }: InMemory, session: Session): Promise<unknown> {
  const { metadata, counters, turn, user } = await session.refresh();
  const turns = await Array.fromAsync(session.turns());
  const notes = await Array.fromAsync(session.log("notes").entries());
  const events = await Array.fromAsync(session.events());
  assert.equal((await doctor(sessions)).findings, 0);
  return {
    metadata,
    counters,
    turn,
    user,
    turns: turns.map(({ seq, key: named, input }) => [seq, named, input[0]?.content]),
    notes: notes.map(({ seq, key: named, value }) => [seq, named, value]),
    events: events.map(({ type }) => type),
  };
}

const options = { limits: { turnBytesMax: 2000 } } as const;
const fields = { id: "s", agent: "a", budget: { turns: 9 } } as const;

/** Let each commit have its fate, in order, again and again. */
function meddle(place: InMemory, fates: readonly string[]): void {
  const commit = place.store.commit.bind(place.store);
  let count = 0;
  const theirs = place.another(options);
  let isForeign = false;
  place.store.commit = async (batch) => {
    if (isForeign) return await commit(batch);
    const next = fates[count++ % fates.length];
    if (next === "fails") throw new SessionError("store_busy", { store: "s", waitedMs: 1 });
    if (next === "foreign") {
      isForeign = true;
      await (await theirs.get("s")).touch();
      isForeign = false;
    }
    const outcomes = await commit(batch);
    if (next === "lost") throw new SessionError("store_unavailable", { problem: "unreachable" });
    return outcomes;
  };
}

/** Let time pass until the work is done: a writer pauses after its fourth conflict. */
async function timePasses<T>({ clock }: InMemory, work: Promise<T>): Promise<T> {
  let isDone = false;
  const done = work.finally(() => (isDone = true));
  for (;;) {
    await turnOfTheLoop();
    if (isDone) return await done;
    await clock.advance(1);
  }
}

test("calls at once on one session object have the results of the same calls one after the other", async () => {
  let folded = 0;
  const property = fc.asyncProperty(batches, fc.array(fate, { minLength: 1, maxLength: 9 }), async (all, fates) => {
    await using together = inMemory(options);
    await using alone = inMemory(options);
    const [session, other] = [await together.sessions.create(fields), await alone.sessions.create(fields)];
    if (fates.includes("lands")) meddle(together, fates);
    const commit = together.store.commit.bind(together.store);
    together.store.commit = async (batch) => {
      folded += batch.filter(([change]) => change !== undefined && "writes" in change).length;
      return await commit(batch);
    };
    for (const batch of all) {
      const outcomes = await timePasses(together, Promise.all(batch.map((one) => outcomeOf(session, one))));
      for (const [index, one] of batch.entries()) {
        const outcome = outcomes[index];
        // A commit that failed is the failure of all its writes. Where its answer was lost, nothing had landed.
        if (outcome === "store_busy" || outcome === "store_unavailable") continue;
        const expected = await outcomeOf(other, one);
        // A write that fails looks for its keys. A write of the same commit may have written one of them.
        if (outcome === "duplicate" && one.do === "write" && expected === "budget_exceeded") continue;
        assert.deepEqual(outcome, expected);
      }
    }
    assert.deepEqual(await contentOf(together, session), await contentOf(alone, other));
  });
  await fc.assert(property, { numRuns: rounds(150) });
  assert.ok(folded > 20, `${folded} commits of several writes`);
});

test("writes at once of several session objects, beside another process: the versions order them, and none is lost", async () => {
  const property = fc.asyncProperty(
    fc.array(fc.tuple(fc.nat(3), text), { minLength: 1, maxLength: 30 }),
    fc.array(fate, { minLength: 1, maxLength: 9 }),
    async (writes, fates) => {
      await using place = inMemory(options);
      const session = await place.sessions.create({ id: "s" });
      const objects = await Promise.all(Array.from({ length: 4 }, () => place.sessions.get("s")));
      if (fates.includes("lands")) meddle(place, fates);
      const written = Promise.all(
        writes.map(async ([who, value], index) => {
          try {
            const write = {
              turns: { turns: [{ input: `t${value}` }] },
              logs: { notes: { entries: [{ value: index }] } },
            };
            return await (objects[who] as Session).write(write);
          } catch (error) {
            assert.ok(hasCode(error, "store_busy"));
            return undefined;
          }
        }),
      );
      const outcomes = await timePasses(place, written);
      const landed = outcomes
        .flatMap((outcome, index) => (outcome?.status === "ok" ? [{ ...outcome, index }] : []))
        .toSorted((a, b) => a.version - b.version);
      assert.equal(new Set(landed.map(({ version }) => version)).size, landed.length);
      const notes = await Array.fromAsync(session.log("notes").entries());
      assert.deepEqual(
        notes.map(({ value }) => value),
        landed.map(({ index }) => index),
      );
      for (const [place_, { turns, logs }] of landed.entries()) {
        assert.equal(turns[0]?.seq, place_ + 1);
        assert.deepEqual(logs["notes"]?.seqs, [place_ + 1]);
      }
      assert.equal((await doctor(place.sessions)).findings, 0);
    },
  );
  await fc.assert(property, { numRuns: rounds(100) });
});
