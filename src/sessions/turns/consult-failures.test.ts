import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode, openSessions, SessionError, type Model, type Session, type Sessions } from "../../index.ts";

async function open(model: Model): Promise<{ sessions: Sessions; session: Session }> {
  const sessions = await openSessions({ store: "memory:", sweep: false, model });
  return { sessions, session: await sessions.create({ id: "s", agent: "ceo" }) };
}

/** A model that says so much and then fails so. */
function failing(text: string, error: Error): Model {
  return async function* () {
    yield { type: "text", text };
    throw error;
  };
}

test("an error of the model names session and turn, for every kind of error thrown", async () => {
  for (const thrown of [
    new SessionError("model_refused", { reported: "no key", httpStatus: 401 }),
    new SessionError("model_failed", { reported: "no key" }),
    new Error("no key"),
  ]) {
    const { sessions, session } = await open(failing("half", thrown));
    await using _ = sessions;
    const code = thrown instanceof SessionError ? (thrown.code as "model_refused" | "model_failed") : "model_failed";
    const answer = await session.consult("q");
    await assert.rejects(answer.done, (error) => {
      assert.ok(hasCode(error, code));
      const { sessionId, turn, reported } = error.details;
      assert.deepEqual([sessionId, turn, reported], ["s", 1, "no key"]);
      return true;
    });
    const [turn] = await Array.fromAsync(session.turns());
    assert.deepEqual([turn?.status, turn?.error], ["failed", { code, message: "no key" }]);
  }
});

test("a retry of a question that failed after its tools ran gets the same error message, not one inside another", async () => {
  const call = { id: "a", function: { name: "f", arguments: "{}" } };
  const model: Model = async function* () {
    yield { type: "message", message: { role: "assistant", tool_calls: [call] } };
    throw new SessionError("model_refused", { reported: "no key" });
  };
  const { sessions, session } = await open(model);
  await using _ = sessions;
  const first = await (await session.consult("q", { key: "k" })).done.catch((error: unknown) => error as Error);
  const second = await (await session.consult("q", { key: "k" })).done.catch((error: unknown) => error as Error);
  assert.ok(hasCode(second, "model_refused"));
  assert.equal(second.message, (first as Error).message);
});

test("a wrong busy policy or agent of a question is refused before anything is written", async () => {
  const { sessions, session } = await open(failing("", new Error("never asked")));
  await using _ = sessions;
  await assert.rejects(session.consult("q", { busy: "wait" as "queue" }), { code: "argument_invalid" });
  await assert.rejects(session.consult("q", { agent: "" }), { code: "id_invalid" });
  assert.equal((await session.refresh()).turn, 0);
});

test("a model that asks for too many tool calls fails the turn, and what it said before is kept", async () => {
  const call = { id: "a", function: { name: "f", arguments: "{}" } };
  const model: Model = async function* () {
    yield { type: "text", text: "let me see" };
    yield { type: "message", message: { role: "assistant", tool_calls: Array.from({ length: 5000 }, () => call) } };
    yield { type: "text", text: "never" };
  };
  const { sessions, session } = await open(model);
  await using _ = sessions;
  await assert.rejects((await session.consult("q")).done, (error) => {
    assert.ok(hasCode(error, "turn_parts_exceeded"));
    assert.deepEqual([error.details.count, error.details.countMax, error.details.sessionId], [5000, 4096, "s"]);
    return true;
  });
  const [turn] = await Array.fromAsync(session.turns());
  assert.equal(turn?.status, "failed");
  assert.deepEqual(turn.output, [{ role: "assistant", content: "let me see" }]);
  assert.equal(turn.error?.code, "turn_parts_exceeded");
  assert.equal(session.info.lease, null);
});

test("an invalid message of the model fails the turn, and the turn can be read", async () => {
  const model: Model = async function* () {
    yield { type: "message", message: { role: "robot" } as never };
  };
  const { sessions, session } = await open(model);
  await using _ = sessions;
  await assert.rejects((await session.consult("q")).done, { code: "message_invalid" });
  const [turn] = await Array.fromAsync(session.turns());
  assert.deepEqual([turn?.status, turn?.output], ["failed", []]);
});
