/**
 * The cases that the package `assistant-stream` tests its store in memory with (`InMemoryResumableStreamStore.test.ts` of its
 * repository), against the store on the streams of sessions. Limits on chunks and streams are those of the sessions.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { createResumableStreamStore, type ResumableStreamStore } from "../../src/adapters/ai.ts";
import { openSessions, type Sessions } from "../../src/index.ts";
import { engineNames, Engines } from "../crash/engines.ts";
import { inMemory } from "../support/in-memory.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = ({ chunk }: { readonly chunk: Uint8Array }): string => new TextDecoder().decode(chunk);
const always = new AbortController().signal;

async function textsOf(store: ResumableStreamStore, id: string, cursor = ""): Promise<string[]> {
  return await Array.fromAsync(store.read(id, cursor, always), textOf);
}

for (const name of engineNames)
  describe(`assistant-stream's cases: ${name}`, () => {
    let sessions: Sessions;
    let store: ResumableStreamStore;
    let ids = 0;
    before(async () => {
      sessions = await openSessions({ store: await (await engines.get(name)).fresh(), sweep: false });
      store = createResumableStreamStore(sessions);
    });
    after(() => sessions.close());

    /** A stream with these chunks, not yet ended. */
    const begun = async (...chunks: readonly string[]): Promise<string> => {
      const id = `stream-${++ids}`;
      assert.equal(await store.acquire(id), "producer");
      for (const chunk of chunks) await store.append(id, bytes(chunk));
      return id;
    };

    it("elects exactly one producer per stream id, and isolates streams by id", async () => {
      const id = await begun();
      assert.deepEqual([await store.acquire(id), await store.acquire(id)], ["consumer", "consumer"]);
      assert.equal(await store.acquire(`${id}-other`), "producer");
    });

    it("replays buffered entries and tails new ones until finalize", async () => {
      const id = await begun("hello ", "world");
      const collected: string[] = [];
      const reading = (async () => {
        for await (const entry of store.read(id, "", always)) {
          collected.push(textOf(entry));
          if (collected.length === 3) await store.finalize(id, "done");
        }
      })();
      await store.append(id, bytes("!"));
      await reading;
      assert.deepEqual(collected, ["hello ", "world", "!"]);
    });

    it("status: missing, streaming, done; and error after an error", async () => {
      assert.equal(await store.status("stream-none"), "missing");
      const [done, failed] = [await begun(), await begun()];
      assert.equal(await store.status(done), "streaming");
      await store.finalize(done, "done");
      await store.finalize(failed, "error", "boom");
      assert.deepEqual([await store.status(done), await store.status(failed)], ["done", "error"]);
    });

    it("a read throws behind the entries of a stream that has failed", async () => {
      const id = await begun("partial");
      await store.finalize(id, "error", "boom");
      const seen: string[] = [];
      const reading = (async () => {
        for await (const entry of store.read(id, "", always)) seen.push(textOf(entry));
      })();
      await assert.rejects(reading, /boom/);
      assert.deepEqual(seen, ["partial"]);
    });

    it("honors an abort after the last buffered chunk, before a stored error", async () => {
      const id = await begun("partial");
      await store.finalize(id, "error", "boom");
      const stop = new AbortController();
      const seen: string[] = [];
      for await (const entry of store.read(id, "", stop.signal)) {
        seen.push(textOf(entry));
        stop.abort();
      }
      assert.deepEqual(seen, ["partial"]);
    });

    it("a consumer that joins after the end replays all of it, or what is behind its cursor", async () => {
      const id = await begun("1", "2", "3");
      await store.finalize(id, "done");
      const entries = await Array.fromAsync(store.read(id, "", always));
      assert.deepEqual(entries.map(textOf), ["1", "2", "3"]);
      assert.deepEqual(await textsOf(store, id, entries[0]?.cursor), ["2", "3"]);
      assert.deepEqual(await textsOf(store, id, entries[2]?.cursor), []);
    });

    it("keeps the bytes of a replay independent of the buffers of producer and consumer", async () => {
      const id = await begun();
      const chunk = Buffer.from("a");
      await store.append(id, chunk);
      chunk[0] = 98;
      await store.finalize(id, "done");
      for await (const entry of store.read(id, "", always)) {
        assert.equal(textOf(entry), "a");
        entry.chunk[0] = 99;
      }
      assert.deepEqual(await textsOf(store, id), ["a"]);
    });

    it("delivers live updates to every reader, and isolates cancellation", async () => {
      const id = await begun();
      const stop = new AbortController();
      const [a, b, c] = [stop.signal, always, always].map((signal) =>
        store.read(id, "", signal)[Symbol.asyncIterator](),
      ) as [AsyncIterator<never>, AsyncIterator<never>, AsyncIterator<never>];
      for (const text of ["x", "y"]) {
        const pending = Promise.all([a.next(), b.next(), c.next()]);
        await store.append(id, bytes(text));
        const found = await pending;
        assert.deepEqual(
          found.map(({ value }) => textOf(value)),
          [text, text, text],
        );
        assert.equal(new Set(found.map(({ value }) => (value as { cursor: string }).cursor)).size, 1);
      }
      const cancelled = a.next();
      const others = Promise.all([b.next(), c.next()]);
      stop.abort();
      assert.equal((await cancelled).done, true);
      await store.append(id, bytes("z"));
      assert.deepEqual(
        (await others).map(({ value }) => textOf(value)),
        ["z", "z"],
      );
      const ends = Promise.all([b.next(), c.next()]);
      await store.finalize(id, "done");
      assert.deepEqual(
        (await ends).map(({ done }) => done),
        [true, true],
      );
    });

    it("a deletion ends reads that are in flight", async () => {
      const id = await begun("x");
      const reader = store.read(id, "", always)[Symbol.asyncIterator]();
      assert.equal((await reader.next()).done, false);
      const end = reader.next();
      await store.delete(id);
      assert.equal((await end).done, true);
      assert.equal(await store.status(id), "missing");
      await assert.rejects(store.finalize(id, "done"), /not found/);
    });

    it("refuses to append to a stream that has ended or is missing, and finalizes once", async () => {
      const id = await begun();
      assert.equal(await store.finalize(id, "done"), true);
      assert.equal(await store.finalize(id, "done"), false);
      assert.equal(await store.status(id), "done");
      await assert.rejects(store.append(id, bytes("late")), { code: "finalized" });
      await assert.rejects(store.append("stream-none", bytes("x")), /not found/);
    });

    it("a time to live of 30 days overflows no timer", async () => {
      const id = `stream-${++ids}`;
      await store.acquire(id, { ttlMs: 30 * 86_400_000 });
      const stop = new AbortController();
      const warnings: Error[] = [];
      const warn = (warning: Error): void => void warnings.push(warning);
      process.on("warning", warn);
      const reader = store.read(id, "", stop.signal)[Symbol.asyncIterator]();
      const first = reader.next();
      await store.append(id, bytes("update"));
      assert.equal(textOf((await first).value as never), "update");
      const waiting = reader.next();
      stop.abort();
      assert.equal((await waiting).done, true);
      process.off("warning", warn);
      assert.deepEqual(warnings, []);
    });
  });

describe("assistant-stream's cases about time: a stream whose producer is alive does not expire", () => {
  it("a stream that has ended lives for its own time", async () => {
    await using place = inMemory();
    const store = createResumableStreamStore(place.sessions);
    await store.acquire("long");
    await store.acquire("short", { ttlMs: 60_000 });
    await store.acquire("alive", { ttlMs: 60_000 });
    await place.clock.advance(50_000);
    await store.finalize("long", "done");
    await store.append("short", bytes("x"));
    await store.finalize("short", "done");
    await place.clock.advance(50_000);
    assert.deepEqual([await store.status("long"), await store.status("short")], ["done", "done"]);
    await place.clock.advance(20_000);
    assert.deepEqual(
      [await store.status("long"), await store.status("short"), await store.status("alive")],
      ["done", "missing", "streaming"],
    );
    assert.equal(await store.acquire("short"), "producer");
  });

  it("a superseded producer is kept out of the stream that was acquired anew in the same process", async () => {
    await using place = inMemory();
    const store = createResumableStreamStore(place.sessions);
    const acquire = async (): Promise<{ readonly token: string }> => {
      const acquired = await store.acquireLease("s", { ttlMs: 60_000 });
      return acquired.role === "producer" ? acquired.lease : assert.fail("a consumer");
    };
    const stale = await acquire();
    await store.append("s", bytes("before"), stale);
    await store.delete("s");
    const fresh = await acquire();
    assert.deepEqual(await store.acquireLease("s"), { role: "consumer" });
    await store.append("s", bytes("fresh"), fresh);
    await assert.rejects(store.append("s", bytes("stale"), stale), { code: "missing" });
    assert.equal(await store.finalize("s", "done", undefined, stale), false);
    assert.equal(await store.status("s"), "streaming");
    assert.equal(await store.finalize("s", "done", undefined, fresh), true);
    assert.equal(await store.finalize("s", "done", undefined, fresh), false);
    // The package says "missing": a stream that has ended takes no chunk of any producer.
    await assert.rejects(store.append("s", bytes("late"), stale), { code: "finalized" });
    assert.deepEqual(await textsOf(store, "s"), ["fresh"]);
  });
});
