/** A watch hands its reader every change of a session, once and in order, from any process. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../../test/support/in-memory.ts";
import type { Session } from "../session/session.ts";
import { coreOf } from "../sessions.ts";
import type { SessionNews } from "./watch.ts";

/** A change in a few words. */
function textOf(news: SessionNews): string {
  if (news.type === "turn") return `${news.turn.status} ${news.turn.seq}`;
  if (news.type === "truncated") return `truncated ${news.after}`;
  const { turn, seq, chunk } = news;
  return `chunk ${turn}.${seq} ${"message" in chunk ? chunk.message.role : JSON.stringify(Object.values(chunk)[0])}`.replaceAll(
    '"',
    "",
  );
}

async function take(source: AsyncIterator<SessionNews>, count: number): Promise<string[]> {
  const taken: string[] = [];
  while (taken.length < count) {
    const { value, done } = await source.next();
    if (done === true) break;
    taken.push(textOf(value));
  }
  return taken;
}

test("a watch hands out the stored turns, then those of another process as they are appended", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "one" });
  await session.append({ input: "two" });
  const other = await place.another().get("s");
  const watching = other.watch({ after: 0 })[Symbol.asyncIterator]();
  assert.deepEqual(await take(watching, 2), ["done 1", "done 2"]);
  const next = take(watching, 1);
  await session.append({ input: "three" });
  assert.deepEqual(await next, ["done 3"]);
  await watching.return?.();
});

test("a watch begins after the turns that its object has seen", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const other = await place.another().get("s");
  await session.append({ input: "one" });
  assert.deepEqual(await take(other.watch()[Symbol.asyncIterator](), 1), ["done 1"]);
});

test("a watch yields an answer as its open turn, its chunks and its finished turn", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const watching = (await place.another().get("s")).watch()[Symbol.asyncIterator]();
  const turn = await session.begin("hello");
  assert.deepEqual(await take(watching, 1), ["open 1"]);
  await turn.write({ text: "a" });
  assert.deepEqual(await take(watching, 1), ["chunk 1.1 a"]);
  await turn.write({ text: "b" });
  await turn.write({ message: { role: "assistant", content: null, tool_calls: [] } });
  assert.deepEqual(await take(watching, 2), ["chunk 1.2 b", "chunk 1.3 assistant"]);
  await turn.seal();
  assert.deepEqual(await take(watching, 1), ["done 1"]);
  await watching.return?.();
});

test("a watch that begins after a chunk continues with the next chunk", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const watcher = await place.another().get("s");
  const turn = await session.begin("hello");
  const first = watcher.watch()[Symbol.asyncIterator]();
  await turn.write({ text: "a" });
  assert.deepEqual(await take(first, 2), ["open 1", "chunk 1.1 a"]);
  await turn.write({ text: "b" });
  assert.deepEqual(await take(first, 1), ["chunk 1.2 b"]);
  await first.return?.();
  const second = watcher.watch({ after: 0, afterChunk: 1 })[Symbol.asyncIterator]();
  assert.deepEqual(await take(second, 1), ["chunk 1.2 b"]);
  await turn.seal();
  assert.deepEqual(await take(second, 1), ["done 1"]);
  await second.return?.();
});

test("a watch yields all chunks in order, also more than one load has", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("hello");
  const message = { role: "tool", content: "x", tool_call_id: "c" } as const;
  for (let index = 0; index < 300; index++) await turn.write({ message });
  await session.refresh(); // behind what was written
  await turn.seal({ status: "failed" });
  const long = await session.begin("again");
  for (let index = 0; index < 300; index++) await long.write({ message });
  await long.write({ text: "." });
  const watching = session.watch({ after: 1 })[Symbol.asyncIterator]();
  const all = await take(watching, 302);
  assert.deepEqual(all, [
    "open 2",
    ...Array.from({ length: 300 }, (_, index) => `chunk 2.${index + 1} tool`),
    "chunk 2.301 .",
  ]);
  await watching.return?.();
  await long.seal();
});

test("a watch yields a truncation, and then the turns in the place of the truncated ones", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  for (const input of ["one", "two", "three"]) await session.append({ input });
  const watching = session.watch({ after: 0 })[Symbol.asyncIterator]();
  await take(watching, 3);
  const next = take(watching, 1);
  await session.truncate(1);
  assert.deepEqual(await next, ["truncated 1"]);
  await session.append({ input: "other" });
  assert.deepEqual(await take(watching, 1), ["done 2"]);
  await watching.return?.();
});

test("a watch ends with its session and with its signal, and fails if the session is removed", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const ending = take(session.watch()[Symbol.asyncIterator](), 9);
  await session.append({ input: "one" });
  await session.end();
  assert.deepEqual(await ending, ["done 1"]);

  const other = await place.sessions.create({ id: "t" });
  const stop = new AbortController();
  const stopping = take(other.watch({ signal: stop.signal })[Symbol.asyncIterator](), 1);
  stop.abort();
  assert.deepEqual(await stopping, []);
  assert.deepEqual(await take(other.watch({ signal: stop.signal })[Symbol.asyncIterator](), 1), []);

  const watching = take(other.watch()[Symbol.asyncIterator](), 1);
  await Promise.all([assert.rejects(watching, { code: "session_not_found" }), other.remove()]);
});

test("a watch yields turns again that are truncated and replaced between two polls", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  await using place = inMemory();
  place.store.watch = () => () => undefined;
  const appendAll = async (session: Session, inputs: readonly string[]): Promise<void> => {
    for (const input of inputs) await session.append({ input });
  };
  const cases: Readonly<Record<string, { readonly change: (session: Session) => Promise<void>; news: string[] }>> = {
    "the last one": {
      change: async (session) => {
        await session.truncate(3);
        await appendAll(session, ["other 4"]);
      },
      news: ["truncated 3", "done 4"],
    },
    "several, by fewer": {
      change: async (session) => {
        await session.truncate(1);
        await appendAll(session, ["other 2", "other 3"]);
      },
      news: ["truncated 1", "done 2", "done 3"],
    },
    "several, by more": {
      change: async (session) => {
        await session.truncate(2);
        await appendAll(session, ["other 3", "other 4", "5", "6"]);
      },
      news: ["truncated 2", "done 3", "done 4", "done 5", "done 6"],
    },
    "one that the reader had not got": {
      change: async (session) => {
        await appendAll(session, ["5", "6"]);
        await session.truncate(5);
        await appendAll(session, ["other 6"]);
      },
      news: ["done 5", "done 6"],
    },
    "all of them": {
      change: async (session) => {
        await session.truncate(0);
        await appendAll(session, ["other 1", "2", "3", "4", "5"]);
      },
      news: ["truncated 0", "done 1", "done 2", "done 3", "done 4", "done 5"],
    },
  };
  for (const [id, { change, news }] of Object.entries(cases)) {
    const session = await place.sessions.create({ id });
    await appendAll(session, ["1", "2", "3", "4"]);
    const watching = (await place.another().get(id)).watch({ after: 0 })[Symbol.asyncIterator]();
    assert.equal((await take(watching, 4)).length, 4);
    const next = take(watching, news.length);
    await place.clock.advance(1);
    await change(session);
    for (let round = 0; round < 2; round++) {
      t.mock.timers.tick(250);
      await settled();
    }
    assert.deepEqual(await next, news, id);
    await watching.return?.();
  }
});

test("a watch that has yielded none of the turns its reader knows yields how far they were replaced", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  await using place = inMemory();
  place.store.watch = () => () => undefined;
  const others = (from: number, to: number): { input: string }[] =>
    Array.from({ length: to - from + 1 }, (_, index) => ({ input: `other ${from + index}` }));
  const replace = async (session: Session, { from, to, keep }: { from: number; to: number; keep: boolean }) =>
    await session.write({ turns: { from, turns: others(from, to), keep }, onto: session.info.version });
  const cases: Readonly<Record<string, { readonly change: (session: Session) => Promise<unknown>; news: string[] }>> = {
    "one commit with fewer turns": {
      change: (session) => replace(session, { from: 12, to: 12, keep: false }),
      news: ["truncated 11", "done 12"],
    },
    "another branch with fewer turns": {
      change: (session) => replace(session, { from: 12, to: 12, keep: true }),
      news: ["truncated 11", "done 12"],
    },
    "another branch with as many turns": {
      change: (session) => replace(session, { from: 2, to: 20, keep: true }),
      news: ["truncated 1", "done 2", "done 3"],
    },
    "the last one, in its place": {
      change: async (session) => {
        await session.truncate(19);
        await session.append({ input: "other 20" });
      },
      news: ["truncated 19", "done 20"],
    },
    "more than a watch remembers": {
      change: async (session) => {
        await session.truncate(1);
        for (let seq = 2; seq <= 21; seq++) await session.append({ input: `other ${seq}` });
      },
      news: ["truncated 1", "done 2", "done 3"],
    },
  };
  for (const [id, { change, news }] of Object.entries(cases)) {
    for (const after of [0, 20]) {
      const session = await place.sessions.create({ id: `${id} ${after}` });
      for (let seq = 1; seq <= 20; seq++) await session.append({ input: `${seq}` });
      const watching = (await place.another().get(session.id)).watch({ after })[Symbol.asyncIterator]();
      await take(watching, 20 - after);
      const next = take(watching, news.length);
      await settled();
      await place.clock.advance(1);
      await change(session);
      for (let round = 0; round < 2; round++) {
        t.mock.timers.tick(250);
        await settled();
      }
      assert.deepEqual(await next, news, session.id);
      await watching.return?.();
    }
  }
});

test("a watch yields a truncation and the new turn for an open turn that is replaced between two polls", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  await using place = inMemory();
  place.store.watch = () => () => undefined;
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "1" });
  const turn = await session.begin("2");
  await turn.write({ text: "x".repeat(9000) });
  const watching = (await place.another().get("s")).watch({ after: 0 })[Symbol.asyncIterator]();
  assert.equal((await take(watching, 3)).at(-1), `chunk 2.1 ${"x".repeat(9000)}`);
  const next = take(watching, 3);
  await place.clock.advance(1);
  await turn.seal();
  await session.truncate(1);
  await session.append({ input: "other 2" });
  const other = await session.begin("3");
  for (let round = 0; round < 2; round++) {
    t.mock.timers.tick(250);
    await settled();
  }
  assert.deepEqual(await next, ["truncated 1", "done 2", "open 3"]);
  await watching.return?.();
  await other.seal();
});

test("a watch of an expired session continues until its open turn ends", async () => {
  await using place = inMemory({ maxAge: "10s" });
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("hello");
  const all = take((await place.another().get("s")).watch({ after: 0 })[Symbol.asyncIterator](), 9);
  await place.clock.advance(20_000);
  await turn.write({ text: "x".repeat(9000) });
  assert.equal((await session.refresh()).state, "expired");
  // A watch that begins now has all of it, too.
  const later = (await place.another().get("s")).watch({ after: 0 })[Symbol.asyncIterator]();
  const begun = await take(later, 2);
  const rest = take(later, 9);
  await turn.seal();
  assert.deepEqual(
    (await all).map((text) => text.slice(0, 9)),
    ["open 1", "chunk 1.1", "done 1"],
  );
  assert.deepEqual([begun[0], await rest], ["open 1", ["done 1"]]);
});

test("a watch of an idle session ends when its time to live passes, without a commit", async () => {
  await using place = inMemory({ sweep: false });
  const session = await place.sessions.create({ id: "s", ttl: "10s" });
  await session.append({ input: "hello" });
  const watching = session.watch()[Symbol.asyncIterator]();
  const next = watching.next();
  await place.clock.advance(9000);
  const other = (await place.another().get("s")).watch()[Symbol.asyncIterator]();
  const begun = other.next();
  await place.clock.advance(2000);
  assert.deepEqual([(await next).done, (await begun).done], [true, true]);
});

test("a reader that stops while it waits ends its watch", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const watching = session.watch()[Symbol.asyncIterator]();
  const [first, second] = [watching.next(), watching.next()];
  await watching.return?.();
  assert.deepEqual([(await first).done, (await second).done, (await watching.next()).done], [true, true, true]);
  assert.deepEqual([coreOf(place.sessions).poller.size, place.watches], [0, 0]);
});

test("news of a reader that does not read merge", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const watching = session.watch({ after: 0 })[Symbol.asyncIterator]();
  const first = take(watching, 1);
  const turn = await session.begin("hello");
  assert.deepEqual(await first, ["open 1"]);
  await turn.write({ text: "x".repeat(9000) });
  await settled();
  await turn.seal();
  for (let index = 2; index <= 5; index++) await session.append({ input: `${index}` });
  await settled();
  assert.deepEqual(await take(watching, 5), ["done 1", "done 2", "done 3", "done 4", "done 5"]);
  await watching.return?.();
});

test("a watch yields a change without a hint of the store at the next poll", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  place.store.watch = () => () => undefined;
  const watching = take(session.watch()[Symbol.asyncIterator](), 1);
  await (await place.another().get("s")).append({ input: "one" });
  assert.deepEqual(await watching, ["done 1"]);
});

test("a number that is no turn or chunk is refused", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  for (const options of [{ after: -1 }, { after: 0.5 }, { afterChunk: -1 }]) {
    const watching = session.watch(options)[Symbol.asyncIterator]();
    await assert.rejects(watching.next(), { code: "argument_invalid" });
  }
});

async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}
