/** Several processes on one session: refused, queued, interrupted or superseded, never interleaved. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openSessions, type Sessions } from "../../src/index.ts";
import { openPlace, WorkerProcess } from "../processes/worker-process.ts";
import { slowModel } from "../processes/worker.ts";

test("8 processes append to one session: each turn is stored once, at its acknowledged number", async () => {
  await using place = await openPlace();
  await using sessions = await openSessions({ store: place.store, sweep: false });
  const session = await sessions.create({ id: "s" });
  const racers = Array.from(
    { length: 8 },
    (_, index) =>
      new WorkerProcess({ store: place.store, task: { kind: "race", session: "s", name: `p${index}`, times: 25 } }),
  );
  await Promise.all(racers.map((racer) => racer.ended()));
  const marks = (await Array.fromAsync(session.turns())).map(({ input }) => input[0]?.content);
  assert.equal(marks.length, 200);
  assert.equal(new Set(marks).size, 200);
  for (const { seq, mark } of racers.flatMap(({ reports }) => reports)) assert.equal(marks[Number(seq) - 1], mark);
});

/** A session that a process of its own is answering in, slowly. */
async function answering(
  pieces = 500,
): Promise<AsyncDisposable & { sessions: Sessions; writer: WorkerProcess; store: string }> {
  const place = await openPlace();
  const sessions = await openSessions({ store: place.store, sweep: false, model: slowModel });
  const writer = new WorkerProcess({
    store: place.store,
    task: { kind: "consult", session: "s", question: "long", pieces },
  });
  await writer.hear("asked");
  return {
    sessions,
    writer,
    store: place.store,
    async [Symbol.asyncDispose]() {
      await writer.kill();
      await sessions.close();
      await place[Symbol.asyncDispose]();
    },
  };
}

test("reject: a question or an append to a session that is answering elsewhere fails with busy", async () => {
  await using context = await answering();
  const session = await context.sessions.get("s");
  await assert.rejects(session.consult("me? 3"), { code: "busy" });
  await assert.rejects(session.append({ input: "me" }), { code: "busy" });
  await assert.rejects(session.end(), { code: "busy" });
  await session.update({ metadata: { mood: "calm" } }); // what is not a turn may be written beside it
});

test("cancel: an answer stops in whichever process it runs, and its output is kept", async () => {
  await using context = await answering();
  const session = await context.sessions.get("s");
  assert.equal(await session.cancel(), true);
  assert.equal((await context.writer.hear("code"))["code"], "interrupted");
  assert.equal(await session.cancel(), false);
  const [turn] = await Array.fromAsync(session.turns());
  assert.equal(turn?.status, "interrupted");
  assert.equal(turn?.usage?.estimated, true);
});

test("interrupt: the running answer is stopped and sealed, then the new one runs", async () => {
  await using context = await answering();
  const session = await context.sessions.get("s");
  const answer = await session.consult("me? 3", { busy: "interrupt" });
  assert.equal(await answer.text(), "0 1 2 ");
  assert.equal((await context.writer.hear("code"))["code"], "interrupted");
  const turns = await Array.fromAsync(session.turns());
  assert.deepEqual(
    turns.map(({ status }) => status),
    ["interrupted", "done"],
  );
});

test("take-over: the new answer runs at once, and the superseded writer is fenced", async () => {
  await using context = await answering();
  const session = await context.sessions.get("s");
  const answer = await session.consult("me? 3", { busy: "take-over" });
  assert.equal(await answer.text(), "0 1 2 ");
  assert.equal((await context.writer.hear("code"))["code"], "fenced");
  const turns = await Array.fromAsync(session.turns());
  assert.deepEqual(
    turns.map(({ status }) => status),
    ["interrupted", "done"],
  );
});

test("queue: questions wait for the running answer, across processes, and are answered in order", async () => {
  await using context = await answering(5000);
  const { sessions } = context;
  const questions = ["first 1", "second 1", "third 1"];
  const answers: Promise<string>[] = [];
  for (const question of questions) {
    const session = await sessions.get("s");
    answers.push(session.consult(question, { busy: "queue" }).then((answer) => answer.text()));
    // Until it has its place in the session's own queue.
    for (;;) {
      const [loaded] = await sessions.list().then(({ items: all }) => all);
      if ((loaded?.waiting ?? 0) >= answers.length) break;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  const session = await sessions.get("s");
  await session.cancel();
  await Promise.all(answers);
  await session.refresh();
  const asked = (await Array.fromAsync(session.turns())).map(({ input }) => input[0]?.content);
  assert.deepEqual(asked, ["long 5000", ...questions]);
});

test("closing during an answer seals it with the output received so far", async () => {
  await using place = await openPlace();
  const sessions = await openSessions({ store: place.store, sweep: false, model: slowModel });
  const answer = await (await sessions.create({ id: "s" })).consult("long 500");
  for await (const text of answer) if (text === "5 ") break;
  await sessions.close();
  await assert.rejects(answer.done, { code: "interrupted" });
  await using again = await openSessions({ store: place.store, sweep: false });
  const session = await again.get("s");
  const [turn] = await Array.fromAsync(session.turns());
  assert.equal(turn?.status, "interrupted");
  assert.match(String(turn?.output[0]?.content), /^0 1 2 3 4 5 /);
  assert.equal(session.info.lease, null);
});
