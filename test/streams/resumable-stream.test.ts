/**
 * The cases that the package `resumable-stream` tests its context with (`src/__tests__/tests.ts` and `generic.test.ts` of its
 * repository), in its words, against the context on the streams of sessions; and a producer that is killed.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { createResumableStreamContext, type ResumableStreamContext } from "../../src/adapters/ai.ts";
import { openSessions, type Sessions } from "../../src/index.ts";
import { engineNames, Engines } from "../crash/engines.ts";
import { WorkerProcess } from "../processes/worker-process.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

interface Source {
  readonly readable: ReadableStream<string>;
  readonly writer: ReadableStreamDefaultController<string>;
}

function source(): Source {
  let writer: ReadableStreamDefaultController<string> | undefined;
  const readable = new ReadableStream<string>({ start: (controller) => void (writer = controller) });
  return { readable, writer: writer ?? assert.fail() };
}

const readers = new WeakMap<object, ReadableStreamDefaultReader<string>>();

/** The text of a stream, of at least so many UTF-16 units, or to its end. */
async function textOf(stream: ReadableStream<string> | null | undefined, length = Infinity): Promise<string> {
  assert(stream, "no stream");
  const reader = readers.get(stream) ?? stream.getReader();
  readers.set(stream, reader);
  let text = "";
  while (text.length < length) {
    const { done, value } = await reader.read();
    if (done) break;
    text += value;
  }
  return text;
}

const never = (): never => assert.fail("made twice");

for (const name of engineNames)
  describe(`resumable-stream's cases: ${name}`, () => {
    let sessions: Sessions;
    let store: string;
    let ids = 0;
    let resume: ResumableStreamContext;
    before(async () => {
      store = await (await engines.get(name)).fresh();
      sessions = await openSessions({ store, sweep: false });
      resume = createResumableStreamContext({ sessions, waitUntil: () => undefined });
    });
    after(() => sessions.close());
    const fresh = (): Source & { readonly id: string } => ({ id: `test-${++ids}`, ...source() });

    it("acts like a normal stream", async () => {
      const { id, readable, writer } = fresh();
      const stream = await resume.resumableStream(id, () => readable);
      for (const text of ["1\n", "2\n", "3\n"]) writer.enqueue(text);
      writer.close();
      assert.equal(await textOf(stream), "1\n2\n3\n");
    });

    for (const order of ["producer first", "reverse read"])
      it(`resumes a done stream: ${order}`, async () => {
        const { id, readable, writer } = fresh();
        const stream = await resume.resumableStream(id, () => readable);
        const second = await resume.resumableStream(id, never);
        for (const text of ["1\n", "2\n"]) writer.enqueue(text);
        writer.close();
        const all = order === "reverse read" ? [second, stream] : [stream, second];
        for (const one of all) assert.equal(await textOf(one), "1\n2\n");
      });

    it("hasExistingStream", async () => {
      const { id, readable, writer } = fresh();
      assert.equal(await resume.hasExistingStream(id), null);
      const stream = await resume.resumableStream(id, () => readable);
      assert.equal(await resume.hasExistingStream(id), true);
      assert.equal(await resume.hasExistingStream(`${id} other`), null);
      const second = await resume.resumableStream(id, never);
      writer.enqueue("1\n");
      writer.close();
      assert.deepEqual([await textOf(stream), await textOf(second)], ["1\n", "1\n"]);
      assert.equal(await resume.hasExistingStream(id), "DONE");
    });

    it("resumes an in-progress stream", async () => {
      const { id, readable, writer } = fresh();
      const stream = await resume.resumableStream(id, () => readable);
      writer.enqueue("1\n");
      const second = await resume.resumableStream(id, never);
      writer.enqueue("2\n");
      writer.close();
      assert.deepEqual([await textOf(stream), await textOf(second)], ["1\n2\n", "1\n2\n"]);
    });

    it("actually streams, to the producer and to a consumer", async () => {
      const { id, readable, writer } = fresh();
      const stream = await resume.resumableStream(id, () => readable);
      writer.enqueue("1\n");
      const second = await resume.resumableStream(id, never);
      assert.deepEqual([await textOf(stream, 2), await textOf(second, 2)], ["1\n", "1\n"]);
      writer.enqueue("2\n");
      writer.close();
      assert.deepEqual([await textOf(stream), await textOf(second)], ["2\n", "2\n"]);
    });

    it("resumes multiple streams, and differentiates between streams", async () => {
      const [a, b] = [fresh(), fresh()];
      const streams = [await resume.resumableStream(a.id, () => a.readable)];
      const other = await resume.resumableStream(b.id, () => b.readable);
      a.writer.enqueue("1\n");
      streams.push(await resume.resumableStream(a.id, never));
      a.writer.enqueue("2\n");
      streams.push(await resume.resumableStream(a.id, never));
      b.writer.enqueue("b\n");
      a.writer.close();
      b.writer.close();
      for (const stream of streams) assert.equal(await textOf(stream), "1\n2\n");
      assert.equal(await textOf(other), "b\n");
    });

    for (const [skip, rest] of [
      [0, "1\n2\n🙂"],
      [2, "2\n🙂"],
      [4, "🙂"],
      [5, "🙂".slice(1)],
      [6, ""],
    ] as const)
      it(`respects skipCharacters ${skip}`, async () => {
        const { id, readable, writer } = fresh();
        const stream = await resume.resumableStream(id, () => readable);
        for (const text of ["1\n", "2\n🙂"]) writer.enqueue(text);
        const second = await resume.resumableStream(id, never, skip);
        writer.close();
        assert.deepEqual([await textOf(stream), await textOf(second)], ["1\n2\n🙂", rest]);
      });

    it("returns null if the stream is done", async () => {
      const { id, readable, writer } = fresh();
      const stream = await resume.resumableStream(id, () => readable);
      writer.enqueue("1\n");
      writer.close();
      assert.equal(await textOf(stream), "1\n");
      assert.equal(await resume.resumableStream(id, never), null);
    });

    it("supports the deconstructed interface", async () => {
      const { id, readable, writer } = fresh();
      assert.equal(await resume.resumeExistingStream(id), undefined);
      const stream = await resume.createNewResumableStream(id, () => readable);
      const second = await resume.resumeExistingStream(id);
      writer.enqueue("1\n");
      writer.close();
      assert.deepEqual([await textOf(stream), await textOf(second)], ["1\n", "1\n"]);
      assert.equal(await resume.resumeExistingStream(id), null);
    });

    it("goes on when a reader is cancelled, and fails when its source fails", async () => {
      const { id, readable, writer } = fresh();
      const leaving = await resume.resumableStream(id, () => readable);
      await leaving?.cancel();
      writer.enqueue("kept");
      const second = await resume.resumeExistingStream(id);
      assert.equal(await textOf(second, 4), "kept");
      writer.error(new Error("the model is gone"));
      await assert.rejects(textOf(second), /the model is gone/);
      await assert.rejects(
        resume.resumableStream(`${id} unmade`, () => {
          throw new Error("no source");
        }),
        /no source/,
      );
    });

    it("ends the readers of a producer that was killed, with what had arrived", async () => {
      const stream = `killed-${++ids}`;
      const task = { kind: "produce", stream, parts: null, pauseMs: 2 } as const;
      const producer = new WorkerProcess({ store, task });
      await producer.hear("part", 30);
      const reading = await resume.resumeExistingStream(stream);
      let text = "";
      const read = (async () => {
        for await (const part of reading ?? assert.fail("no stream")) text += part;
      })();
      await producer.hear("part", 60);
      await producer.kill();
      await assert.rejects(read, { code: "stream_failed" });
      assert(text.startsWith("123456789"), text);
      assert.equal(await resume.hasExistingStream(stream), "DONE");
    });
  });
